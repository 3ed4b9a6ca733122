"""Seven training steps, each written once and run by both libraries: `lib` is torch or nnscratch, whose names are the same.

A workload returns a `Training`: a function without arguments that makes one training step and returns its loss as a tensor.
Data and batch sizes are fixed; `scale`, `batch` and `size` make variants that nobody tuned for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .case import Case
from .library import Library
from .training import TOLERANCE, Training


def classifier(L: Library, net: Any, x: Any, labels: Any) -> Training:
    """Adam on cross-entropy."""
    optimizer = L.adam(net, lr=1e-3)

    def step():
        optimizer.zero_grad()
        loss = L.F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return Training(L, [net], step)


def cnn(L: Library, batch: int = 128, scale: float = 1.0, size: int = 32) -> Training:
    """Conv 64-128-256, each with ReLU and max-pool, FC 1000; 3x32x32."""
    nn, (a, b, c, h) = L.nn, [round(scale * n) for n in (64, 128, 256, 1000)]
    layers = []
    for before, after in ((3, a), (a, b), (b, c)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    net = L.network(*layers, nn.Flatten(), nn.Linear(c * (size // 8) ** 2, h), nn.ReLU(), nn.Linear(h, 10))
    return classifier(L, net, L.images(batch, 3, size, size), L.labels(batch, 10))


def cnn_valid(L: Library, batch: int = 32, scale: float = 1.0, size: int = 64) -> Training:
    """Conv 32-64-128 without padding, each with ReLU and max-pool, FC 1024; 3x64x64."""
    nn, (a, b, c, h) = L.nn, [round(scale * n) for n in (32, 64, 128, 1024)]
    layers, rest = [], size
    for before, after in ((3, a), (a, b), (b, c)):
        layers += [nn.Conv2d(before, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
        rest = (rest - 2) // 2
    net = L.network(*layers, nn.Flatten(), nn.Linear(c * rest**2, h), nn.ReLU(), nn.Linear(h, 2))
    return classifier(L, net, L.images(batch, 3, size, size), L.labels(batch, 2))


def dcgan(L: Library, batch: int = 64, scale: float = 1.0) -> Training:
    """Generator 100-256-128-64-3, discriminator 3-64-128-256-1, 32x32; one step of each (Radford et al. 2016)."""
    nn, (a, b, c) = L.nn, [round(scale * n) for n in (64, 128, 256)]
    up, down = {"stride": 2, "padding": 1, "bias": False}, {"stride": 2, "padding": 1, "bias": False}
    generator = L.network(
        *(nn.ConvTranspose2d(100, c, 4, bias=False), nn.BatchNorm2d(c), nn.ReLU()),
        *(nn.ConvTranspose2d(c, b, 4, **up), nn.BatchNorm2d(b), nn.ReLU()),
        *(nn.ConvTranspose2d(b, a, 4, **up), nn.BatchNorm2d(a), nn.ReLU()),
        *(nn.ConvTranspose2d(a, 3, 4, **up), nn.Tanh()),
    )
    discriminator = L.network(
        *(nn.Conv2d(3, a, 4, **down), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(a, b, 4, **down), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(b, c, 4, **down), nn.BatchNorm2d(c), nn.LeakyReLU(0.2)),
        nn.Conv2d(c, 1, 4, bias=False),
    )
    betas = {"lr": 2e-4, "betas": (0.5, 0.999)}
    g_optimizer, d_optimizer = L.adam(generator, **betas), L.adam(discriminator, **betas)
    real, one, zero = L.images(batch, 3, 32, 32) * 2 - 1, L.lib.ones(batch), L.lib.zeros(batch)
    loss_of = L.F.binary_cross_entropy_with_logits

    def step():
        fake = generator(L.randn(batch, 100, 1, 1))
        d_optimizer.zero_grad()
        d_loss = loss_of(discriminator(real).reshape(-1), one) + loss_of(discriminator(fake.detach()).reshape(-1), zero)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = loss_of(discriminator(fake).reshape(-1), one)
        g_loss.backward()
        g_optimizer.step()
        return g_loss

    return Training(L, [generator, discriminator], step)


def _vae(L: Library, encoder: Any, mean: Any, log_variance: Any, decoder: Any, x: Any) -> Training:
    optimizer = L.adam(encoder, mean, log_variance, decoder, lr=1e-3)
    F, lib = L.F, L.lib

    def step():
        optimizer.zero_grad()
        h = encoder(x)
        mu, logvar = mean(h), log_variance(h)
        z = mu + lib.exp(0.5 * logvar) * L.randn_like(mu)
        reconstruction = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + logvar - mu * mu - lib.exp(logvar)).sum()
        loss = reconstruction + kl
        loss.backward()
        optimizer.step()
        return loss

    return Training(L, [encoder, mean, log_variance, decoder], step)


def vae(L: Library, batch: int = 128, scale: float = 1.0) -> Training:
    """Dense 784-400-20 (Kingma & Welling 2014)."""
    nn, hidden = L.nn, round(400 * scale)
    encoder, decoder = [nn.Linear(784, hidden), nn.ReLU()], [nn.Linear(20, hidden), nn.ReLU(), nn.Linear(hidden, 784)]
    x = L.images(batch, 784)
    return _vae(L, L.network(*encoder), nn.Linear(hidden, 20), nn.Linear(hidden, 20), L.network(*decoder), x)


def vae_big(L: Library, batch: int = 32, scale: float = 1.0) -> Training:
    """Dense 12288-4096-4096-128: 64x64 RGB."""
    nn, h = L.nn, round(4096 * scale)
    encoder = [nn.Linear(12288, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU()]
    decoder = [nn.Linear(128, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 12288)]
    x = L.images(batch, 12288)
    return _vae(L, L.network(*encoder), nn.Linear(h, 128), nn.Linear(h, 128), L.network(*decoder), x)


def lstm(L: Library, batch: int = 128, scale: float = 1.0) -> Training:
    """Two LSTM layers of 128 over the 28 rows of 28x28 images, the last step into a linear layer."""
    nn, hidden = L.nn, round(128 * scale)
    recurrent, head = nn.LSTM(28, hidden, num_layers=2, batch_first=True), nn.Linear(hidden, 10)
    optimizer = L.adam(recurrent, head, lr=1e-3)
    x, labels = L.images(batch, 28, 28), L.labels(batch, 10)

    def step():
        optimizer.zero_grad()
        loss = L.F.cross_entropy(head(recurrent(x)[0][:, -1]), labels)
        loss.backward()
        optimizer.step()
        return loss

    return Training(L, [recurrent, head], step)


def autoencoder(L: Library, batch: int = 128, scale: float = 1.0) -> Training:
    """Convolutional denoising autoencoder of 28x28 images: 1-16-32 and back by transposed convolutions (Vincent et al. 2008)."""
    nn, (a, b) = L.nn, [round(scale * n) for n in (16, 32)]
    net = L.network(
        *(nn.Conv2d(1, a, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.ConvTranspose2d(b, a, 2, stride=2), nn.ReLU()),
        *(nn.ConvTranspose2d(a, 1, 2, stride=2), nn.Sigmoid()),
    )
    optimizer = L.adam(net, lr=1e-3)
    x = L.images(batch, 1, 28, 28)

    def step():
        optimizer.zero_grad()
        noisy = x + 0.3 * L.randn_like(x)
        loss = L.F.mse_loss(net(noisy), x)
        loss.backward()
        optimizer.step()
        return loss

    return Training(L, [net], step)


WORKLOADS: dict[str, Callable[..., Training]] = {
    "CNN 3-64-128-256": cnn,
    "CNN valid 32-64-128": cnn_valid,
    "DCGAN": dcgan,
    "VAE 784-400-20": vae,
    "VAE 12288-4096": vae_big,
    "LSTM 2x128": lstm,
    "autoencoder": autoencoder,
}


# Two steps in a row, through eight layers each: PyTorch's own two settings are 1e-2 apart. (In float64 ours and theirs are
# 1e-13 apart.)
DCGAN_TOLERANCE = {**TOLERANCE, "loss": 1e-4, "gradient": 3e-2, "update": 0.4, "buffer": 1e-3}


def case(name: str, workload: Callable[..., Training], group: str = "", **options: Any) -> Case:
    """A workload in processes of its own; `threads` goes to the case, the other options to the workload."""
    threads = options.pop("threads", None)
    tolerance = DCGAN_TOLERANCE if workload is dcgan else TOLERANCE
    return Case(name, partial(workload, **options), group, threads=threads, alone=True, tolerance=tolerance)


def cases() -> list[Case]:
    return [case(name, workload) for name, workload in WORKLOADS.items()]
