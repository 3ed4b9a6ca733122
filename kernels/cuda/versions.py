"""The versions of the convolution kernels: what `convolution.cuh` instantiates, as numbers for launching them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Gather(NamedTuple):
    """Tile (rows, columns, depth), warp tile, stages, elements that are copied at once, and the element's bytes."""

    name: str
    rows: int
    columns: int
    depth: int
    warp: tuple[int, int]
    stages: int
    vector: int
    itemsize: int = 4

    @property
    def threads(self) -> int:
        return 32 * (self.rows // self.warp[0]) * (self.columns // self.warp[1])

    def shared(self, taps: int) -> int:
        """Bytes of shared memory for so many taps."""
        line = self.depth + 16 // self.itemsize
        return self.stages * (self.rows + self.columns) * line * self.itemsize + 4 * (4 * self.rows + 4 * taps)


class Weight(NamedTuple):
    """As Gather; `vectors` are those of the gradient and of the input."""

    name: str
    rows: int
    columns: int
    depth: int
    warp: tuple[int, int]
    stages: int
    vectors: tuple[int, int]
    itemsize: int = 4

    @property
    def threads(self) -> int:
        return 32 * (self.rows // self.warp[0]) * (self.columns // self.warp[1])

    @property
    def shared(self) -> int:
        pad = 32 // self.itemsize
        lines = self.rows + self.columns + 2 * pad
        return self.stages * self.depth * lines * self.itemsize + 3 * 4 * (self.stages + 1) * self.depth


GATHER = {
    v.name: v
    for v in (
        Gather("gather_tf32_large", 128, 128, 32, (64, 32), 3, 4),
        Gather("gather_tf32", 128, 64, 32, (64, 32), 3, 4),
        Gather("gather_tf32_small", 64, 64, 32, (32, 32), 3, 4),
        Gather("gather_tf32_few", 128, 16, 32, (32, 16), 3, 4),
        Gather("gather_tf32_v1", 128, 64, 16, (64, 32), 3, 1),
        Gather("gather_tf32_few_v1", 128, 16, 16, (32, 16), 3, 1),
        Gather("gather_f32", 64, 64, 16, (32, 32), 3, 4),
        Gather("gather_f32_few", 128, 16, 16, (32, 16), 3, 4),
        Gather("gather_f32_v1", 64, 64, 16, (32, 32), 3, 1),
        Gather("gather_f32_few_v1", 128, 16, 16, (32, 16), 3, 1),
        Gather("gather_f64", 64, 64, 16, (32, 32), 2, 2, 8),
        Gather("gather_f64_v1", 64, 64, 16, (32, 32), 2, 1, 8),
    )
}
WEIGHT = {
    v.name: v
    for v in (
        Weight("weight_tf32_large", 128, 128, 32, (64, 32), 3, (4, 4)),
        Weight("weight_tf32", 64, 64, 32, (32, 32), 3, (4, 4)),
        Weight("weight_tf32_xv1", 64, 64, 32, (32, 32), 3, (4, 1)),
        Weight("weight_tf32_v1", 64, 64, 32, (32, 32), 3, (1, 1)),
        Weight("weight_f32", 64, 64, 16, (32, 32), 3, (4, 4)),
        Weight("weight_f32_v1", 64, 64, 16, (32, 32), 3, (1, 1)),
        Weight("weight_f64", 64, 64, 16, (32, 32), 2, (2, 2), 8),
        Weight("weight_f64_v1", 64, 64, 16, (32, 32), 2, (1, 1), 8),
    )
}
MULTIPROCESSORS = 132  # of an H100 or H200: blocks that run at once are a small multiple


def choose_gather(
    rows: int, columns: int, depth_step: int, dtype: np.dtype, exact: bool, taps: int = 1, shared: int = 163 << 10
) -> Gather:
    """The version for a product of `rows` x `columns` results whose depth comes in runs of `depth_step` elements.

    `shared` are the bytes of shared memory that a block can have: the large tile may not fit.
    """
    double = dtype == np.float64
    kind = "f64" if double else "f32" if exact else "tf32"
    vector = depth_step % (2 if double else 4) == 0
    few = "_few" if columns <= 16 and not double else ""
    size = ""
    if kind == "tf32" and vector and not few:
        blocks = -(-rows // 128) * -(-columns // 128)
        large = columns % 128 == 0 and blocks >= MULTIPROCESSORS and GATHER["gather_tf32_large"].shared(taps) <= shared
        size = "_large" if large else "_small" if 2 * blocks < MULTIPROCESSORS else ""
    return GATHER[f"gather_{kind}{few or size}{'' if vector else '_v1'}"]


def choose_weight(results: int, channels: int, inputs: int, dtype: np.dtype, exact: bool, shared: int = 163 << 10) -> Weight:
    """The version for `results` channels of the gradient, and taps times `inputs` = `channels` columns; `shared` as above."""
    double = dtype == np.float64
    kind, step = "f64" if double else "f32" if exact else "tf32", 2 if double else 4
    both, gradient = results % step == inputs % step == 0, results % step == 0
    if kind == "tf32":
        large = both and results % 128 == 0 and channels >= 512 and WEIGHT["weight_tf32_large"].shared <= shared
        size = "_large" if large else "" if both else "_xv1" if gradient else "_v1"
        return WEIGHT[f"weight_tf32{size}"]
    return WEIGHT[f"weight_{kind}{'' if both else '_v1'}"]


def parts(version: Weight, rows: int, columns: int, pixels: int, groups: int) -> int:
    """Into how many parts the pixels are split: enough blocks for all multiprocessors twice, each with work for a while."""
    blocks = -(-rows // version.rows) * -(-columns // version.columns) * groups
    tiles = -(-pixels // version.depth)
    wanted = -(-2 * MULTIPROCESSORS // blocks)
    return max(1, min(wanted, tiles // 8, 65535 // groups))
