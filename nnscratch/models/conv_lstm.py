"""A recurrent network with convolutional gates that foresees the next picture of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..ops import arange, cat, full, sigmoid, stack, tanh, zeros
from ..tensor import Tensor

State = tuple[Tensor, Tensor]


class ConvLSTMCell(nn.Module):
    """One step of an LSTM whose states are pictures and whose products are convolutions (Shi et al. 2015, equation 3).

        i = sigmoid(W_xi * x + W_hi * h + w_ci ∘ c + b_i)         f = sigmoid(W_xf * x + W_hf * h + w_cf ∘ c + b_f)
        c' = f ∘ c + i ∘ tanh(W_xc * x + W_hc * h + b_c)          o = sigmoid(W_xo * x + W_ho * h + w_co ∘ c' + b_o)
        h' = o ∘ tanh(c')

    The weights w_c. that look at the cell have one number a channel, so that any size of picture works. The forget gate starts
    open (b_f = 1). x (N, C, H, W), h and c (N, hidden, H, W).
    """

    def __init__(self, in_channels: int, hidden: int, kernel_size: int = 3):
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(in_channels + hidden, 4 * hidden, kernel_size, padding=kernel_size // 2)  # i, f, c, o
        self.peep = nn.Parameter(zeros(3, hidden, 1, 1))
        self.gates.bias.data[hidden : 2 * hidden] = 1.0

    def forward(self, x: Tensor, state: State | None = None) -> State:
        if state is None:
            h = zeros(len(x), self.hidden, *x.shape[2:], dtype=x.dtype, device=x.device)
            state = (h, h)
        h, c = state
        i, f, g, o = self.gates(cat([x, h], 1)).chunk(4, 1)
        c_new = sigmoid(f + self.peep[1] * c) * c + sigmoid(i + self.peep[0] * c) * tanh(g)
        return sigmoid(o + self.peep[2] * c_new) * tanh(c_new), c_new


_NEIGHBOURS = 2  # patches on either side over which motions are averaged


def moved(x: Tensor, motion: Tensor, reach: int) -> Tensor:
    """Pictures x (N, C, H, W) whose content has moved by `motion` (N, 2, H, W) pixels down and right, at most `reach`.

        y(p) = sum_d k(d + motion(p)) x(p + d);   k(s) = 1.5 |s|³ - 2.5 |s|² + 1 up to 1, -0.5 |s|³ + 2.5 |s|² - 4 |s| + 2 up to 2

    along columns first and then along rows: Keys' cubic interpolation (1981, equation 15). Zeros lie around x.
    """
    n, c, h, w = x.shape
    far = reach + 1  # the kernel looks at two pixels on either side
    steps = arange(-far, far + 1, dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)
    for axis, (window, padding) in enumerate((((2 * far + 1, 1), (far, 0)), ((1, 2 * far + 1), (0, far)))):
        distance = (steps + motion[:, axis : axis + 1]).abs()
        a, b = distance.clamp(0, 1), distance.clamp(1, 2)  # each half of k is 0 where the other holds
        weights = ((1.5 * a - 2.5) * a * a + 1) + (((2.5 - 0.5 * b) * b - 4) * b + 2)
        around = F.unfold(x.reshape(n * c, 1, h, w), window, padding=padding).reshape(n, c, -1, h, w)
        x = (around * weights.unsqueeze(1)).sum(2)
    return x


class ConvLSTM(nn.Module):
    """Layers of convolutional LSTMs over a film; from their states together, the next picture.

        h¹_t = cell¹(x_t),  h²_t = cell²(h¹_t), ...;   logits of x_{t+1} = W * [h¹_t, h²_t, ...] + b + s (m_t - ½)

    Films (N, T, C, H, W) with values in 0..1, of any length and of any size that `patch` divides: blocks of `patch` x `patch`
    pixels become channels before, and pixels again after, as in the paper's experiments; beyond it, the last picture is added
    with the learned weight s, so that the states need to tell only what changes. m_t is that picture as it is (`reach` 0), or

        m_t = moved(x_t, u_t), u_t = mean(e v) / mean(e); v = reach tanh(V * [h¹_t, ...] + c),  e = sigmoid(E * [h¹_t, ...] + d)

    with its content moved by up to `reach` pixels, as the states tell: a motion v and how sure of it they are, e, for each patch,
    averaged over 5x5 patches, and in between interpolated. So things are carried on whole, and the states need not tell what they
    look like: without this, what the model makes of its own pictures dissolves (the idea is that of Finn et al. 2016, which has
    one kernel for each pixel).
    """

    def __init__(self, channels: int = 3, hidden: Sequence[int] = (32, 32), kernel_size: int = 3, patch: int = 2, reach: int = 0):
        super().__init__()
        self.config: dict[str, Any] = {
            "channels": channels,
            "hidden": list(hidden),
            "kernel_size": kernel_size,
            "patch": patch,
            "reach": reach,
        }
        self.channels, self.reach = channels, reach
        inner = channels * patch * patch
        self.fold, self.unfold = nn.PixelUnshuffle(patch), nn.PixelShuffle(patch)
        self.cells = nn.ModuleList(ConvLSTMCell(a, b, kernel_size) for a, b in zip((inner, *hidden), hidden))
        self.leave = nn.Conv2d(sum(hidden), inner, 1)
        self.scale = nn.Parameter(full((), 6.0))
        self.motion = nn.Conv2d(sum(hidden), 3, 1) if reach else None  # down, right, and how sure

    def step(self, x: Tensor, states: Sequence[State] | None = None) -> tuple[Tensor, list[State]]:
        """(logits of the next picture (N, C, H, W), states) after the picture x."""
        h, after = self.fold(x), []
        for i, cell in enumerate(self.cells):
            after.append(cell(h, None if states is None else states[i]))
            h = after[-1][0]
        told = cat([h for h, _ in after], 1)
        return self.unfold(self.leave(told)) + (self._carried(x, told) - 0.5) * self.scale, after

    def _carried(self, x: Tensor, told: Tensor) -> Tensor:
        """The picture x with its content moved as the states `told` tell."""
        if self.motion is None:
            return x
        motion = self.motion(told)
        sure = sigmoid(motion[:, 2:]) + 1e-3
        sums = F.avg_pool2d(cat([tanh(motion[:, :2]) * sure, sure], 1), 2 * _NEIGHBOURS + 1, 1, _NEIGHBOURS)
        motion = sums[:, :2] / sums[:, 2:] * self.reach
        return moved(x, F.interpolate(motion, x.shape[2:], mode="bilinear"), self.reach)

    def forward(self, film: Tensor, truncate: int | None = None, seen: int | None = None) -> Tensor:
        """Logits (N, T, C, H, W): at t those of the picture t + 1.

        With `truncate` gradients go back at most so many steps: the states, and pictures of the model's own, are detached after
        every `truncate` pictures. Of the film only the first `seen` pictures are looked at; after them the model gets its own,
        as in `predict`.
        """
        if film.ndim != 5 or film.shape[2] != self.channels:
            raise ValueError(f"ConvLSTM: expected films (N, T, {self.channels}, H, W), got {tuple(film.shape)}")
        if seen is not None and seen < 1:
            raise ValueError(f"ConvLSTM: expected at least one picture to be seen, got {seen}")
        states: list[State] | None = None
        logits: list[Tensor] = []
        for t in range(film.shape[1]):
            x = film[:, t] if seen is None or t < seen else sigmoid(logits[-1])
            if truncate and states and t % truncate == 0:
                states = [(h.detach(), c.detach()) for h, c in states]
                x = x if seen is None or t < seen else x.detach()
            y, states = self.step(x, states)
            logits.append(y)
        return stack(logits, 1)

    def predict(self, film: Tensor, frames: int) -> Tensor:
        """The `frames` pictures (N, frames, C, H, W) that the model expects after `film`, each fed back as the next input."""
        if film.shape[1] < 1 or frames < 1:
            raise ValueError(f"ConvLSTM: expected at least one picture and one to predict, got {film.shape[1]} and {frames}")
        states: list[State] | None = None
        pictures = []
        for t in range(film.shape[1]):
            y, states = self.step(film[:, t], states)
        for t in range(frames):
            pictures.append(sigmoid(y))
            if t + 1 < frames:
                y, states = self.step(pictures[-1], states)
        return stack(pictures, 1)
