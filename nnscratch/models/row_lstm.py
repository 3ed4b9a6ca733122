"""A recurrent network that writes an image row by row, pixel by pixel, and says how likely each pixel was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..backend import generator_or_default
from ..nn import functional as F
from ..ops import cat, relu, zeros_like
from ..tensor import Tensor, as_tensor, to_numpy


class MaskedRow(nn.Module):
    """Logits of the pixels of a row, each from those to its left and a context (MADE of one hidden layer, Germain et al. 2015).

        a = relu((M1 ∘ W) x + U h + b),   logits = (M2 ∘ V) a + (M3 ∘ D) x + S h + c

    Hidden unit k sees the pixels j < m(k), M1[k, j] = [j < m(k)]; output i sees the units that saw no more than it may,
    M2[i, k] = [m(k) <= i], and M3[i, j] = [j < i]. Row (..., width) and context (..., context) -> logits (..., width).
    """

    def __init__(self, width: int, context: int, hidden: int):
        super().__init__()
        self.see, self.direct, self.tell = nn.Linear(width, hidden), nn.Linear(width, width), nn.Linear(hidden, width)
        self.context, self.hint = nn.Linear(context, hidden, bias=False), nn.Linear(context, width, bias=False)
        degree, place = np.arange(hidden) * width // hidden, np.arange(width)
        masks = {
            "see": place < degree[:, None],
            "tell": degree <= place[:, None],
            "direct": place < place[:, None],
        }
        for name, mask in masks.items():
            self.register_buffer(f"{name}_mask", as_tensor(mask.astype(np.float32)), persistent=False)

    def forward(self, row: Tensor, h: Tensor) -> Tensor:
        a = relu(F.linear(row, self.see.weight * self.see_mask, self.see.bias) + self.context(h))
        y = F.linear(a, self.tell.weight * self.tell_mask, self.tell.bias) + self.hint(h)
        return y + F.linear(row, self.direct.weight * self.direct_mask, self.direct.bias)


class RowLSTM(nn.Module):
    """An exact likelihood for images of zeros and ones, by the chain rule over rows and within them (after Theis & Bethge 2015).

        p(x) = prod_t prod_i p(x_ti | x_t<i, h_t),   h_t = LSTM(x_{t-1}, h_{t-1}),   x_{-1} = 0

    The LSTM has read every row above; within the row `MaskedRow` lets each pixel see those to its left. So the logits of all
    pixels come from one pass over a known image, and -log p(x) is in nats, with nothing left out.

    Images (N, C, H, W), grey values taken as 0 or 1 at 1/2. The width is the model's, the height is free. Colours of one pixel
    follow each other in its row.
    """

    def __init__(self, image_shape: Sequence[int] = (1, 28, 28), hidden: int = 256, layers: int = 2, row_hidden: int = 512):
        super().__init__()
        self.config: dict[str, Any] = {
            "image_shape": list(image_shape),
            "hidden": hidden,
            "layers": layers,
            "row_hidden": row_hidden,
        }
        self.image_shape = tuple(image_shape)
        width = image_shape[0] * image_shape[2]
        self.lstm = nn.LSTM(width, hidden, layers, batch_first=True)
        self.row = MaskedRow(width, hidden, row_hidden)

    # ------------------------------------------------------------------------------------------------------ likelihood

    def rows(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> rows (N, H, W C). Raises ValueError for other widths or channels."""
        channels, _, width = self.image_shape
        if x.ndim != 4 or (x.shape[1], x.shape[3]) != (channels, width):
            raise ValueError(f"RowLSTM: expected images (N, {channels}, H, {width}), got {tuple(x.shape)}")
        return x.permute(0, 2, 3, 1).reshape(len(x), x.shape[2], -1)

    def images(self, rows: Tensor) -> Tensor:
        """Rows (N, H, W C) -> images (N, C, H, W)."""
        channels, _, width = self.image_shape
        return rows.reshape(*rows.shape[:2], width, channels).permute(0, 3, 1, 2)

    def logits(self, rows: Tensor) -> Tensor:
        """The logits of every pixel (N, H, W C), each given the rows above and the pixels to its left."""
        above = cat([zeros_like(rows[:, :1]), rows[:, :-1]], 1)
        return self.row(rows, self.lstm(above)[0])

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) (N,) in nats. Grey values are cut at 1/2: draw zeros and ones from them first for another reading."""
        rows = (self.rows(x) > 0.5).to(dtype=x.dtype)
        return -F.binary_cross_entropy_with_logits(self.logits(rows), rows, reduction="none").sum((1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """The probabilities of white (N, C, H, W) of every pixel of x, each from what comes before it."""
        return self.images(self.logits((self.rows(x) > 0.5).to(dtype=x.dtype)).sigmoid())

    # --------------------------------------------------------------------------------------------------------- writing

    def sample(self, n: int, generator: Any = None) -> Tensor:
        """n images (N, C, H, W) of zeros and ones, drawn pixel by pixel from p."""
        shape = (n, *self.image_shape)
        weight = self.row.tell.weight
        empty = as_tensor(np.zeros(shape, weight.dtype)).to(device=weight.device)
        return self.complete(empty, empty[:, :1], generator)

    def complete(self, x: Tensor, known: Tensor, generator: Any = None, *, candidates: int = 1) -> Tensor:
        """x (N, C, H, W) with the pixels where `known` (N or 1, 1, H, W) is 0 drawn anew, those where it is 1 kept as 0 or 1.

        A pixel is drawn from what is above it and to its left, so the result is a draw from p(unknown | known) where all that is
        known comes first, as an upper half does. Elsewhere `candidates` > 1 takes the pixels known later into account: so many
        completions are drawn, and one is chosen with a probability proportional to w = prod p(known pixel | what came before),
        which tends to the conditional distribution (importance resampling, Rubin 1988).
        """
        draw = generator_or_default(generator).numpy
        with no_grad():
            given = to_numpy(self.rows(x) > 0.5).repeat(candidates, 0)
            kept = np.broadcast_to(to_numpy(known) > 0.5, (len(x), 1, *x.shape[2:]))
            kept = kept[:, 0].repeat(self.image_shape[0], 2).repeat(candidates, 0)  # the colours of a pixel together
            noise = draw.random(given.shape)
            written, weight = self._write(given, kept, noise, x)
        n, steps = len(x), given.shape[1:]
        written, weight = written.reshape(n, candidates, *steps), weight.reshape(n, candidates)
        share = np.cumsum(np.exp(weight - weight.max(1, keepdims=True)), 1)
        chosen = (share < draw.random((n, 1)) * share[:, -1:]).sum(1)
        best = written[np.arange(n), chosen].astype(x.dtype)
        return self.images(as_tensor(best).to(device=x.device))

    def _write(self, given: np.ndarray, kept: np.ndarray, noise: np.ndarray, like: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """All rows, a pixel at a time: (written (n, H, W C), the log-probability of the kept pixels (n,))."""
        n, height, width = given.shape
        written, weight = np.zeros(given.shape, bool), np.zeros(n)
        above, state = zeros_like(as_tensor(given[:, :1].astype(like.dtype))).to(device=like.device), None
        for t in range(height):
            output, state = self.lstm(above, state)
            row = np.where(kept[:, t], given[:, t], False)
            for i in range(width):
                if i == 0 or not kept[:, t].all():
                    logits = to_numpy(self.row(as_tensor(row.astype(like.dtype)).to(device=like.device), output[:, 0]))
                white = noise[:, t, i] < 1 / (1 + np.exp(-logits[:, i].astype(np.float64)))
                row[:, i] = np.where(kept[:, t, i], given[:, t, i], white)
                signed = np.where(row[:, i], -logits[:, i], logits[:, i]).astype(np.float64)
                weight -= np.where(kept[:, t, i], np.logaddexp(0, signed), 0)
            written[:, t] = row
            above = as_tensor(row[:, None].astype(like.dtype)).to(device=like.device)
        return written, weight
