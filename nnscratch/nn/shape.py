"""Layers that rearrange, border or resize, and two that compare."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..tensor import Tensor
from . import functional as F
from .conv import Size
from .stateless import Stateless


class Flatten(Stateless):
    """Dimensions start_dim to end_dim as one."""

    start_dim: int = 1
    end_dim: int = -1

    def forward(self, input: Tensor) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)


class Unflatten(Stateless):
    """Dimension `dim` as several, of sizes `unflattened_size` (one of them may be -1)."""

    dim: int
    unflattened_size: tuple[int, ...]

    def forward(self, input: Tensor) -> Tensor:
        return ops.unflatten(input, self.dim, self.unflattened_size)


class PixelShuffle(Stateless):
    """(N, C r², H, W) to (N, C, H r, W r): channels become r × r blocks of pixels (Shi et al. 2016)."""

    upscale_factor: int

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Stateless):
    """(N, C, H r, W r) to (N, C r², H, W): the inverse of PixelShuffle."""

    downscale_factor: int

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)


class Upsample(Stateless):
    """Resize the last dimensions to `size` or by `scale_factor`: mode 'nearest', 'linear', 'bilinear', 'trilinear', ..."""

    size: Any = None
    scale_factor: Any = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def _setup(self) -> None:
        if self.scale_factor is not None:
            factors = self.scale_factor
            self.scale_factor = tuple(map(float, factors)) if isinstance(factors, (tuple, list)) else float(factors)

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        which = "size" if self.scale_factor is None else "scale_factor"
        return f"{which}={getattr(self, which)!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample(mode="nearest") of (N, C, H, W)."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample(mode="bilinear", align_corners=True) of (N, C, H, W)."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class Unfold(Stateless):
    """Sliding blocks as columns: (N, C, H, W) to (N, C kh kw, number of blocks)."""

    kernel_size: Size
    dilation: Size = 1
    padding: Size = 0
    stride: Size = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Stateless):
    """Columns summed back into an image of `output_size`: the adjoint of Unfold."""

    output_size: Size
    kernel_size: Size
    dilation: Size = 1
    padding: Size = 0
    stride: Size = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)


class _Pad(Stateless):
    """A border on the last `dims` dimensions: one width for all sides, or (left, right, top, bottom, front, back)."""

    padding: Any
    dims: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def _setup(self) -> None:
        sides = 2 * self.dims
        self.padding = (self.padding,) * sides if isinstance(self.padding, int) else tuple(self.padding)
        if len(self.padding) != sides:
            raise ValueError(f"{type(self).__name__}: expected a number or {sides} widths, got {self.padding}")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    value: float

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


def _pads(base: type, mode: str, formula: str) -> list[type]:
    """The 1-, 2- and 3-dimensional layer of one padding mode."""
    prefix = {"constant": "Constant" if base is _ConstantPad else "Zero", "reflect": "Reflection", "replicate": "Replication"}
    made = []
    for n, axes in ((1, "L"), (2, "H, W"), (3, "D, H, W")):
        name = f"{prefix.get(mode, mode.capitalize())}Pad{n}d"
        doc = f"A border of {formula} around (N, C, {axes}) or (C, {axes}): one width, or {2 * n}, last axis first."
        made.append(type(base)(name, (base,), {"dims": n, "mode": mode, "__doc__": doc, "__module__": __name__}))
    return made


ZeroPad1d, ZeroPad2d, ZeroPad3d = _pads(_Pad, "constant", "zeros")
ConstantPad1d, ConstantPad2d, ConstantPad3d = _pads(_ConstantPad, "constant", "`value`")
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _pads(_Pad, "reflect", "the mirrored input, its edge not repeated,")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _pads(_Pad, "replicate", "the repeated edge")
CircularPad1d, CircularPad2d, CircularPad3d = _pads(_Pad, "circular", "the opposite side's values")


class CosineSimilarity(Stateless):
    """x1 · x2 / max(‖x1‖ ‖x2‖, eps) along `dim`."""

    dim: int = 1
    eps: float = 1e-8
    _shown = ()

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Stateless):
    """‖x1 - x2 + eps‖_p along the last dimension."""

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False
    _shown = ()

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)
