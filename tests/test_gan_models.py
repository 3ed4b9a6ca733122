"""The generative adversarial networks: shapes by hand, initial weights, scales, and being rebuilt from their configuration."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import models, nn
from nnscratch.models import DCGAN, GAN, WGANGP
from nnscratch.models.dcgan import kernel, sides


def test_the_dense_gan_is_that_of_the_article():
    model = GAN()
    weights = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert weights == {
        "generator.0.weight": (128, 100),
        "generator.0.bias": (128,),
        "generator.2.weight": (784, 128),
        "generator.2.bias": (784,),
        "discriminator.1.weight": (128, 784),
        "discriminator.1.bias": (128,),
        "discriminator.3.weight": (1, 128),
        "discriminator.3.bias": (1,),
    }
    z = nns.randn(3, 100)
    w1, b1, w2, b2 = (p.detach().numpy() for p in model.generator.parameters())
    expected = 1 / (1 + np.exp(-(np.maximum(z.numpy() @ w1.T + b1, 0) @ w2.T + b2)))
    np.testing.assert_allclose(model.decode(z).detach().numpy().reshape(3, 784), expected, rtol=1e-4, atol=1e-6)
    x = nns.rand(3, 1, 28, 28)
    v1, c1, v2, c2 = (p.detach().numpy() for p in model.discriminator.parameters())
    h = x.numpy().reshape(3, 784) @ v1.T + c1
    expected = np.where(h > 0, h, 0.2 * h) @ v2.T + c2
    np.testing.assert_allclose(model(model.to_scale(x)).detach().numpy(), expected[:, 0], rtol=1e-3, atol=1e-5)


def convolutions(network):
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for layer in network
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    ]


@pytest.mark.parametrize(
    ("shape", "up", "down"),
    [
        (
            (3, 32, 32),
            [(100, 256, 4, 1), (256, 128, 4, 2), (128, 64, 4, 2), (64, 3, 4, 2)],
            [(3, 64, 4, 2), (64, 128, 4, 2), (128, 256, 4, 2), (256, 1, 4, 1)],
        ),
        (
            (1, 28, 28),
            [(100, 256, 4, 1), (256, 128, 3, 2), (128, 64, 4, 2), (64, 1, 4, 2)],
            [(1, 64, 4, 2), (64, 128, 4, 2), (128, 256, 3, 2), (256, 1, 4, 1)],
        ),
        (
            (3, 64, 64),
            [(100, 512, 4, 1), (512, 256, 4, 2), (256, 128, 4, 2), (128, 64, 4, 2), (64, 3, 4, 2)],
            [(3, 64, 4, 2), (64, 128, 4, 2), (128, 256, 4, 2), (256, 512, 4, 2), (512, 1, 4, 1)],
        ),
    ],
)
def test_dcgan_is_that_of_the_articles(shape, up, down):
    model = DCGAN(shape)
    assert (convolutions(model.generator), convolutions(model.discriminator)) == (up, down)
    assert not any("bias" in name and p.ndim == 4 for name, p in model.named_parameters())
    kinds = [type(layer).__name__ for layer in model.discriminator]
    inner = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *inner * (len(down) - 2), "Conv2d", "Flatten"], "none in the first layer"
    assert [type(layer).__name__ for layer in model.generator].count("BatchNorm2d") == len(up) - 1
    for name, p in model.named_parameters():
        if p.ndim == 4:
            assert p.data.std() == pytest.approx(0.02, rel=0.1) and abs(p.data.mean()) < 0.002, name
        elif name.endswith("weight"):
            assert p.data.mean() == pytest.approx(1, abs=0.01), name


@pytest.mark.parametrize("size", [8, 9, 13, 16, 28, 31, 48, 65])
@pytest.mark.parametrize("kind", [DCGAN, WGANGP])
def test_any_size_comes_out_as_it_went_in(size, kind):
    model = kind((3, size, size), latent=5, width=2)
    x = model.sample(2, nns.Generator(0))
    assert x.shape == (2, 3, size, size)
    assert 0 <= x.numpy().min() < x.numpy().max() <= 1
    assert model(model.to_scale(x)).shape == (2,)
    path = sides(size)
    assert path[-1] == size and 3 <= path[0] <= 4
    for small, large in zip(path, path[1:]):
        assert (small - 1) * 2 - 2 + kernel(large) == large


@pytest.mark.parametrize(("name", "config"), [("gan", {"hidden": 7}), ("dcgan", {"width": 2}), ("wgan-gp", {"width": 2})])
def test_rebuilding_and_repeating(name, config):
    model = models.build(name, {"image_shape": [1, 8, 8], "latent": 3, **config})
    again = models.build(name, model.config)
    again.load_state_dict(model.state_dict())
    a, b = (m.eval().sample(4, nns.Generator(1)) for m in (model, again))
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not a.requires_grad
    assert (model.sample(4, nns.Generator(2)).numpy() != a.numpy()).any()


def test_the_scale_leads_there_and_back():
    model = DCGAN((1, 8, 8), latent=3, width=2)
    x = nns.rand(2, 1, 8, 8)
    assert (model.to_scale(nns.tensor([0.0, 0.5, 1.0])).numpy() == [-1, 0, 1]).all()
    model.generator = nn.Identity()
    np.testing.assert_allclose(model.decode(model.to_scale(x)).numpy(), x.numpy(), atol=1e-6)


def test_the_critic_of_wgan_gp_scores_each_image_by_itself():
    model = WGANGP((1, 28, 28), width=4)
    x = model.to_scale(nns.rand(5, 1, 28, 28))
    alone = np.concatenate([model(x[k : k + 1]).detach().numpy() for k in range(5)])
    np.testing.assert_allclose(model(x).detach().numpy(), alone, rtol=1e-3, atol=1e-6)
    mixing = DCGAN((1, 28, 28), width=4)
    alone = np.concatenate([mixing(x[k : k + 1]).detach().numpy() for k in range(5)])
    assert np.abs(mixing(x).detach().numpy() - alone).max() > 1e-4, "batch norm does not"


def test_spectral_norm_bounds_every_layer():
    model = DCGAN((1, 16, 16), width=4, spectral_norm=True)
    assert model.config["norm"] == "none"
    x = nns.rand(2, 1, 16, 16)
    for _ in range(60):
        model(x)
    for layer in model.discriminator:
        if isinstance(layer, nn.Conv2d):
            matrix = layer.weight.detach().numpy().reshape(layer.out_channels, -1)
            assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, abs=0.02)


def test_wrong_arguments():
    for call, message in [
        (lambda: DCGAN((1, 28, 32)), "expected square images of at least 8x8 pixels, got 28x32"),
        (lambda: DCGAN((1, 4, 4)), "got 4x4"),
        (lambda: WGANGP((1, 8, 8), norm="instance"), "WGANGP: unknown norm 'instance', expected one of batch, layer, none"),
        (lambda: GAN((28, 28)), r"expected image_shape \(C, H, W\)"),
        (lambda: GAN(latent=0), "latent of at least 1"),
        (lambda: models.build("dcgan", {"depth": 3}), "depth"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
