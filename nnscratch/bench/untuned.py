"""The training steps with widths, image sizes and batches that nobody tuned for."""

from .case import Case
from .steps import autoencoder, case, cnn, cnn_valid, dcgan, lstm, vae, vae_big


def cases() -> list[Case]:
    return [
        case("CNN 45-90-179 @45, batch 50", cnn, scale=0.7, size=45, batch=50),
        case("CNN 72-144-288 @27, batch 75", cnn, scale=1.125, size=27, batch=75),
        case("CNN valid 22-45-90 @51, batch 75", cnn_valid, scale=0.7, size=51, batch=75),
        case("CNN valid 42-83-166 @39, batch 50", cnn_valid, scale=1.3, size=39, batch=50),
        case("DCGAN 45-90-179, batch 75", dcgan, scale=0.7, batch=75),
        case("DCGAN 80-160-320, batch 50", dcgan, scale=1.25, batch=50),
        case("VAE 784-300-20, batch 75", vae, scale=0.75, batch=75),
        case("VAE 784-1000-20, batch 50", vae, scale=2.5, batch=50),
        case("VAE 12288-1000, batch 50", vae_big, scale=0.2441, batch=50),
        case("LSTM 2x90, batch 75", lstm, scale=0.7, batch=75),
        case("LSTM 2x200, batch 50", lstm, scale=1.5625, batch=50),
        case("autoencoder 11-22, batch 75", autoencoder, scale=0.7, batch=75),
        case("autoencoder 40-80, batch 50", autoencoder, scale=2.5, batch=50),
    ]
