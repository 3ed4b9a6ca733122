"""What training runs: float32, large enough for the compiled kernels, fused as nn.Sequential fuses it."""

from ... import nn
from ...kernels import ConvSpec
from .draw import below, normal, positive, within
from .entry import SEEDED, Entry, Fresh, case, layer


def _spec(x: tuple[int, ...], w: tuple[int, ...], **geometry: int) -> Fresh:
    return Fresh(lambda: ConvSpec.of(x, w, **geometry), ", ".join(f"{key} {value}" for key, value in geometry.items()))


def _transposed(x: tuple[int, ...], w: tuple[int, ...], **geometry: int) -> Fresh:
    return Fresh(lambda: ConvSpec.transposed(x, w, **geometry), ", ".join(f"{key} {value}" for key, value in geometry.items()))


SMALL, KERNEL = (2, 3, 5, 7), (4, 3, 3, 3)
BLOCK, TRANSPOSED_BLOCK = "ops.conv_block.conv_block", "ops.conv_block.conv_transpose_block"
PADDED, STRIDED = _spec(SMALL, KERNEL, padding=1), _spec(SMALL, KERNEL, padding=1, stride=2)
DOUBLED = _transposed((2, 4, 3, 4), KERNEL, stride=2, padding=1)
BATCH_NORM = "ops.batchnorm._batch_norm"

FUSED: list[Entry] = [
    case(BLOCK, normal(*SMALL), normal(*KERNEL), normal(4), spec=PADDED, slope=0.0, pool=True).alone(),
    case(BLOCK, normal(*SMALL), normal(*KERNEL), normal(4), spec=PADDED, slope=1.0, pool=True).alone(),
    case(BLOCK, normal(*SMALL), normal(*KERNEL), normal(4), spec=STRIDED, slope=0.2, pool=False).alone(),
    case(BLOCK, normal(*SMALL), normal(*KERNEL), None, spec=STRIDED, slope=0.0, pool=False).alone(),
    case(TRANSPOSED_BLOCK, normal(2, 4, 3, 4), normal(*KERNEL), normal(3), spec=DOUBLED, slope=0.0).alone(),
    case(TRANSPOSED_BLOCK, normal(2, 4, 3, 4), normal(*KERNEL), None, spec=DOUBLED, slope=0.2).alone(),
    case(BATCH_NORM, normal(3, 2, 2, 3), normal(2), normal(2), eps=1e-5, slope=0.0).alone(),
    case(BATCH_NORM, normal(4, 3), normal(3), normal(3), eps=0.1, slope=0.2).alone(),
    case(BATCH_NORM, normal(3, 2, 4), None, None, eps=1e-5, slope=0.2).alone(),
    case("ops.linalg.linear_block", normal(4, 3), normal(5, 3), normal(5)).alone(),
    case("ops.linalg.linear_act", normal(4, 3), normal(5, 3), normal(5), slope=0.0).alone(),
    case("ops.linalg.linear_act", normal(4, 3), normal(5, 3), normal(5), slope=0.2).alone(),
]

IMAGES, FILTERS, BIAS = normal(2, 16, 10, 10), normal(24, 16, 3, 3), normal(24)
ROWS, TABLE = normal(512, 64), (64, 512)  # enough elements for the kernels that take large arrays alone

TRAINING: list[Entry] = [
    entry.training()
    for entry in (
        case("conv2d", IMAGES, FILTERS, BIAS, padding=1),  # Winograd
        case("conv2d", normal(2, 16, 12, 12), normal(24, 16, 4, 4), BIAS, stride=2, padding=1),
        case("conv2d", normal(4, 3, 16, 16), normal(16, 3, 3, 3), normal(16), padding=1),  # a first layer
        case("conv2d", normal(4, 16, 9, 9), normal(64, 16, 1, 1), normal(64)),
        case("conv2d", normal(4, 32, 14, 14), normal(32, 1, 3, 3), normal(32), padding=1, groups=32),
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
        case("avg_pool2d", normal(4, 64, 32, 32), 3, 2, 1),
        case("batch_norm", normal(16, 32, 12, 12), None, None, normal(32), normal(32), training=True),
        layer("Sequential", (Fresh(lambda: nn.BatchNorm2d(32), "BatchNorm2d"), Fresh(nn.ReLU, "ReLU")), normal(8, 32, 12, 12)),
        case("group_norm", normal(4, 32, 18, 18), 8, normal(32), normal(32)),
        case("layer_norm", normal(128, 256), (256,), normal(256), normal(256)),
        case("linear", normal(128, 128), normal(96, 128), normal(96)),
        case("matmul", normal(128, 96), normal(96, 96)),
        case("softmax", ROWS, 1),
        case("log_softmax", ROWS, 1),
        case("cross_entropy", ROWS, below(64, 512)),
        *(case(name, normal(*TABLE), normal(*TABLE)) for name in ("mse_loss", "l1_loss", "huber_loss", "gaussian_kl")),
        case("mse_loss", normal(*TABLE), normal(*TABLE), reduction="none"),
        case("binary_cross_entropy", within(0.4, 0.6, *TABLE), within(0.4, 0.6, *TABLE)),
        case("binary_cross_entropy_with_logits", normal(*TABLE), within(0, 1, *TABLE)),
        layer("LSTM", (28, 32), normal(10, 16, 28)),
        layer("GRU", (28, 32), normal(12, 16, 28)),
        layer("RNN", (40, 32), normal(16, 32, 40)),
        case("dropout", normal(*TABLE), 0.4, generator=SEEDED),
        *(case(name, normal(*TABLE)) for name in
          ("relu", "leaky_relu", "elu", "hardtanh", "softplus", "tanh", "sigmoid", "gelu", "silu", "mish", "exp")),
        case("gelu", normal(*TABLE), approximate="tanh"),
        case("log", positive(*TABLE)),
    )
]  # fmt: skip
