"""A variational autoencoder that looks at one thing through a window: where it is, and apart from that what it looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..ops import abs, arange, cat, exp, full, relu
from ..tensor import Tensor, tensor
from .vae import VAE, label_reader

PLACE = 3  # numbers of the code that say where the window is


def weights(centre: Tensor, half: Tensor, pixels: int, cells: int) -> tuple[Tensor, Tensor]:
    """The matrices that draw a window on a picture (N, pixels, cells) and read it from there (N, cells, pixels), for one axis.

        draw_ij = max(0, 1 - |u_i - j|),   u_i the place of pixel i in the window, in cells
        read_ji = max(0, 1 - |p_j - i|),   p_j the place of cell j in the picture, in pixels

    Linear interpolation both ways; what lies outside is 0. `centre` and `half` (N,) are in halves of the picture.
    """
    i, j = (arange(n, dtype=centre.dtype, device=centre.device) for n in (pixels, cells))
    centre, half = centre.reshape(-1, 1), half.reshape(-1, 1)
    u = ((i + 0.5) * (2 / pixels) - 1 - centre) / half * (cells / 2) + (cells - 1) / 2
    p = (centre + half * ((j + 0.5) * (2 / cells) - 1)) * (pixels / 2) + (pixels - 1) / 2
    return relu(1 - abs(u.reshape(-1, pixels, 1) - j)), relu(1 - abs(p.reshape(-1, cells, 1) - i))


class WindowVAE(VAE):
    """The VAE with three numbers of its code for the place and size of a square window, and the others for what is in it.

        find      q(z_1..3 | x, y): mean 2x2 - Linear - ReLU, then linear to means and log-variances
        read      g = Ry x Rx', `window` x `window` cells, from the mean place (see `weights`)
        look      q(z_4.. | g, y): Linear - ReLU, Linear - ReLU, then linear to means and log-variances
        window    (u, v, log half side) = m + s (z_1, z_2, z_3), in halves of the picture; m and s are learned
        draw      Linear - ReLU, Linear - ReLU, Linear -> a patch P of `window` x `window` cells, from z_4.. and y
        decoder   f(z, y) = Dy P Dx' + the background, one number for each channel

    The window is DRAW's (Gregor et al. 2015, equations 25 to 29) with linear interpolation for its Gaussians, and finds one
    thing once, as in Eslami et al. (2016), "Attend, infer, repeat". It is for one thing on an even background. Sharp outlines
    that turn are learned in minutes, since a network for what is in the window need not know them at every place and size; and
    another label changes the thing and leaves it where it is. Everything else is the VAE's. Raises ValueError.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        latent: int = 11,
        *,
        hidden: int = 256,
        window: int = 20,
        likelihood: str = "bernoulli",
        sigma: float = 0.1,
        classes: int = 0,
        reader: bool = False,
    ):
        nn.Module.__init__(self)  # not the VAE's, whose networks would be made in vain
        channels, height, width = image_shape
        if height % 2 or width % 2:
            raise ValueError(f"WindowVAE: the sides must be even, got {height}x{width}")
        if (
            likelihood not in ("bernoulli", "gaussian")
            or latent <= PLACE
            or window < 2
            or hidden < 1
            or classes < 0
            or sigma <= 0
        ):
            raise ValueError(
                "WindowVAE: expected likelihood bernoulli or gaussian, latent > 3, window >= 2, hidden >= 1, classes >= 0 and "
                f"sigma > 0, got {likelihood!r}, {latent}, {window}, {hidden}, {classes} and {sigma}"
            )
        self.config = {
            "image_shape": list(image_shape),
            "latent": latent,
            "hidden": hidden,
            "window": window,
            "likelihood": likelihood,
            "sigma": sigma,
            "classes": classes,
            "reader": reader,
        }
        self.image_shape, self.classes, self.likelihood, self.sigma = tuple(image_shape), classes, likelihood, sigma
        self.latent, self.window = latent, window
        cells, what = channels * window * window, latent - PLACE
        self.find = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(channels * height * width // 4, hidden), nn.ReLU())
        self.place_mu, self.place_logvar = nn.Linear(hidden + classes, PLACE), nn.Linear(hidden + classes, PLACE)
        self.look = nn.Sequential(nn.Flatten(), nn.Linear(cells, hidden), nn.ReLU())
        self.tell = nn.Sequential(nn.Linear(hidden + classes, hidden), nn.ReLU())
        self.mu, self.logvar = nn.Linear(hidden, what), nn.Linear(hidden, what)
        self.draw = nn.Sequential(
            nn.Linear(what + classes, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, cells),
            nn.Unflatten(1, (channels, window, window)),
        )
        # For z ~ N(0, 1): mostly within the picture, and some 0.6 of it wide.
        self.usual_place = nn.Parameter(tensor([[0.0, 0.0, math.log(0.6)], [0.4, 0.4, 0.25]]))
        # Black at first to a Bernoulli likelihood: it would take long to come there.
        self.background = nn.Parameter(full((channels, 1, 1), -6.0 if likelihood == "bernoulli" else 0.0))
        self.reader = label_reader(latent, classes) if reader else None

    def encode(self, x: Tensor, labels: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (N, latent) of q(z | x)."""
        x = x.reshape(-1, *self.image_shape)
        h = self._beside(self.find(x), labels)
        place = self.place_mu(h)
        inside = self.tell(self._beside(self.look(self.read(x, place)), labels))
        return cat([place, self.mu(inside)], 1), cat([self.place_logvar(h), self.logvar(inside)], 1)

    def decode(self, z: Tensor, labels: Any = None) -> Tensor:
        patch = self.draw(self._beside(z[:, PLACE:], labels))
        down, across = self._matrices(z, 0)
        return down @ patch @ across.transpose(2, 3) + self.background

    def read(self, x: Tensor, place: Tensor) -> Tensor:
        """What is in the windows `place` (N, 3) of images (N, C, H, W): (N, C, window, window)."""
        down, across = self._matrices(place, 1)
        return down @ x @ across.transpose(2, 3)

    def _matrices(self, z: Tensor, which: int) -> tuple[Tensor, Tensor]:
        """For the vertical and the horizontal axis, to draw (0) or to read (1); the same for every channel."""
        place = self.usual_place[0] + self.usual_place[1] * z[:, :PLACE]
        x, y, half = place[:, 0], place[:, 1], exp(place[:, 2])
        sides = zip((y, x), self.image_shape[1:])
        down, across = (weights(centre, half, pixels, self.window)[which] for centre, pixels in sides)
        return down.reshape(len(z), 1, *down.shape[1:]), across.reshape(len(z), 1, *across.shape[1:])
