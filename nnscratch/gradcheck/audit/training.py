"""What training runs: float32, large enough for the compiled kernels, fused as nn.Sequential fuses it."""

from ... import nn
from ...kernels import ConvSpec
from .draw import normal, shares
from .entry import Entry, Fresh, case, layer


def _spec(x: tuple[int, ...], w: tuple[int, ...], **geometry: int) -> Fresh:
    return Fresh(lambda: ConvSpec.of(x, w, **geometry), ", ".join(f"{key} {value}" for key, value in geometry.items()))


def _transposed(x: tuple[int, ...], w: tuple[int, ...], **geometry: int) -> Fresh:
    return Fresh(lambda: ConvSpec.transposed(x, w, **geometry), ", ".join(f"{key} {value}" for key, value in geometry.items()))


SMALL, KERNEL = (2, 3, 5, 7), (4, 3, 3, 3)
BLOCK, TRANSPOSED_BLOCK = "ops.conv_block.conv_block", "ops.conv_block.conv_transpose_block"
PADDED, STRIDED = _spec(SMALL, KERNEL, padding=1), _spec(SMALL, KERNEL, padding=1, stride=2)
DOUBLED = _transposed((2, 4, 3, 4), KERNEL, stride=2, padding=1)

FUSED: list[Entry] = [
    case(BLOCK, normal(*SMALL), normal(*KERNEL), normal(4), spec=PADDED, slope=0.0, pool=True).alone(),
    case(BLOCK, normal(*SMALL), normal(*KERNEL), normal(4), spec=PADDED, slope=1.0, pool=True).alone(),
    case(BLOCK, normal(*SMALL), normal(*KERNEL), normal(4), spec=STRIDED, slope=0.2, pool=False).alone(),
    case(BLOCK, normal(*SMALL), normal(*KERNEL), None, spec=STRIDED, slope=0.0, pool=False).alone(),
    case(TRANSPOSED_BLOCK, normal(2, 4, 3, 4), normal(*KERNEL), normal(3), spec=DOUBLED, slope=0.0).alone(),
    case(TRANSPOSED_BLOCK, normal(2, 4, 3, 4), normal(*KERNEL), None, spec=DOUBLED, slope=0.2).alone(),
]

IMAGES, FILTERS, BIAS = normal(2, 16, 10, 10), normal(24, 16, 3, 3), normal(24)

TRAINING: list[Entry] = [
    entry.training()
    for entry in (
        case("conv2d", IMAGES, FILTERS, BIAS, padding=1),  # Winograd
        case("conv2d", normal(2, 16, 12, 12), normal(24, 16, 4, 4), BIAS, stride=2, padding=1),
        case("conv2d", normal(4, 3, 16, 16), normal(16, 3, 3, 3), normal(16), padding=1),  # a first layer
        case("conv2d", normal(4, 16, 9, 9), normal(64, 16, 1, 1), normal(64)),
        case("conv2d", normal(2, 32, 14, 14), normal(32, 1, 3, 3), normal(32), padding=1, groups=32),
        case("conv_transpose2d", normal(2, 24, 6, 6), normal(24, 16, 4, 4), normal(16), stride=2, padding=1),
        case("conv_transpose2d", IMAGES, normal(16, 3, 4, 4), normal(3), stride=2, padding=1),  # a last layer
        case(BLOCK, IMAGES, FILTERS, BIAS, spec=_spec(IMAGES.shape, FILTERS.shape, padding=1), slope=0.0, pool=True),
        case(BLOCK, IMAGES, FILTERS, BIAS, spec=_spec(IMAGES.shape, FILTERS.shape, padding=1), slope=0.2, pool=False),
        case(TRANSPOSED_BLOCK, normal(2, 24, 6, 6), normal(24, 16, 4, 4), normal(16),
             spec=_transposed((2, 24, 6, 6), (24, 16, 4, 4), stride=2, padding=1), slope=0.0),
        layer("Sequential", (Fresh(lambda: nn.Conv2d(16, 24, 3, padding=1), "Conv2d"), Fresh(nn.ReLU, "ReLU"),
                             Fresh(lambda: nn.MaxPool2d(2), "MaxPool2d")), IMAGES),
        layer("Sequential", (Fresh(lambda: nn.ConvTranspose2d(24, 16, 4, stride=2, padding=1), "ConvTranspose2d"),
                             Fresh(lambda: nn.LeakyReLU(0.2), "LeakyReLU")), normal(2, 24, 6, 6)),
        case("max_pool2d", normal(4, 32, 24, 24), 2),
        case("max_pool2d", normal(4, 32, 24, 24), 3, 2, 1),
        case("avg_pool2d", normal(4, 32, 24, 24), 3, 2, 1),
        case("batch_norm", normal(16, 32, 12, 12), None, None, normal(32), normal(32), training=True),
        case("layer_norm", normal(64, 256), (256,), normal(256), normal(256)),
        case("linear", normal(64, 128), normal(96, 128), normal(96)),
        case("cross_entropy", normal(256, 10), shares(256, 10)),
        layer("LSTM", (28, 32), normal(7, 16, 28)),
        layer("GRU", (28, 32), normal(7, 16, 28)),
        layer("RNN", (28, 32), normal(7, 16, 28)),
        *(case(name, normal(64, 256)) for name in ("relu", "tanh", "sigmoid", "gelu", "exp")),
    )
]  # fmt: skip
