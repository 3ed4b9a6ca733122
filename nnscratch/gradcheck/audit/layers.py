"""Every layer of nnscratch.nn, its parameters among the inputs of the check."""

from ... import nn
from .draw import apart, below, given, normal, positive, shares, signs, within
from .entry import Entry, Fresh, layer

ACTIVATIONS = (
    "ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Softplus", "Softsign", "Tanhshrink", "Tanh",
    "Sigmoid", "Hardtanh", "Hardsigmoid", "Hardswish", "Hardshrink", "Softshrink", "LogSigmoid",
)  # fmt: skip
DROPOUTS = {
    "Dropout": normal(3, 4), "Dropout1d": normal(2, 4, 2), "Dropout2d": normal(2, 4, 2, 2), "Dropout3d": normal(2, 3, 2, 1, 2),
    "AlphaDropout": normal(3, 4), "FeatureAlphaDropout": normal(2, 4, 2), "RReLU": normal(3, 4),
}  # fmt: skip
SPATIAL = (normal(1, 2, 4), normal(1, 2, 3, 4), normal(1, 2, 3, 2, 3))


def hooked(module: nn.Module) -> nn.Module:
    """With a backward hook that changes nothing."""
    module.register_full_backward_hook(lambda module, gx, gy: gx)
    return module


PLAIN: list[Entry] = [
    layer("Identity", (), normal(2, 3)),
    layer("Linear", (3, 4), normal(2, 3)),
    layer("Linear", (3, 4), normal(2, 2, 3), bias=False),
    layer("Bilinear", (3, 2, 4), normal(5, 3), normal(5, 2)),
    layer("Embedding", (5, 3), below(5, 2, 4)),
    layer("Embedding", (5, 3), given([0, 1, 1]), padding_idx=2),
    layer("Sequential", (Fresh(lambda: nn.Linear(3, 4), "Linear"), Fresh(nn.Tanh, "Tanh")), normal(2, 3)).alone(),
    layer("Linear", (3, 4), normal(2, 3), wrap=hooked).alone(),
    layer("Linear", (3, 4), normal(2, 3), wrap=nn.utils.weight_norm).alone(),
    layer("Conv2d", (2, 3, 2), normal(1, 2, 3, 3), wrap=nn.utils.weight_norm).alone(),
    layer("Linear", (3, 4), normal(2, 3), wrap=nn.utils.spectral_norm).eval().alone(),
    layer("Flatten", (), normal(2, 3, 2)),
    layer("Unflatten", (1, (2, 3)), normal(2, 6)),
    layer("CosineSimilarity", (), normal(4, 3), normal(4, 3)),
    layer("PairwiseDistance", (), normal(4, 3), normal(4, 3), p=3.0),
]

ACTIVATION: list[Entry] = [
    *(layer(name, (), normal(3, 5)) for name in ACTIVATIONS),
    *(layer(name, (), array).drawing() for name, array in DROPOUTS.items()),
    *(layer(name, (), array).eval() for name, array in DROPOUTS.items()),
    layer("PReLU", (3,), normal(2, 3, 2)),
    layer("Threshold", (0.1, 20.0), normal(3, 5)),
    layer("GLU", (1,), normal(2, 4)),
    layer("Softmax", (1,), normal(2, 4)),
    layer("Softmin", (1,), normal(2, 4)),
    layer("LogSoftmax", (1,), normal(2, 4)),
    layer("Softmax2d", (), normal(2, 3, 2, 1)),
]

WINDOW: list[Entry] = [
    layer("Conv1d", (4, 6, 3), normal(2, 4, 6), stride=2, padding=1, groups=2),
    layer("Conv2d", (2, 3, 3), normal(2, 2, 4, 5), padding=1),
    layer("Conv2d", (2, 3, (3, 2)), normal(1, 2, 5, 5), stride=2, dilation=(1, 2), bias=False),
    layer("Conv2d", (2, 3, 3), normal(1, 2, 4, 4), padding=1, padding_mode="reflect"),
    layer("Conv3d", (2, 2, 2), normal(1, 2, 3, 3, 2), padding=(0, 1, 0)),
    layer("ConvTranspose1d", (2, 3, 3), normal(2, 2, 4), stride=2, padding=1, output_padding=1),
    layer("ConvTranspose2d", (4, 6, 3), normal(1, 4, 3, 2), stride=2, groups=2),
    layer("ConvTranspose3d", (2, 2, 2), normal(1, 2, 2, 2, 2)),
    layer("Unfold", (2,), normal(1, 2, 3, 4), padding=1),
    layer("Fold", ((3, 4), 2), normal(1, 8, 6)),
    *(layer(f"MaxPool{n}d", (2,), apart(1, 2, *(5, 4, 2)[:n])) for n in (1, 2, 3)),
    layer("MaxPool2d", (3, 2, 1), apart(1, 2, 5, 4), ceil_mode=True, return_indices=True),
    *(layer(f"AvgPool{n}d", (2,), normal(1, 2, *(5, 4, 2)[:n])) for n in (1, 2, 3)),
    *(layer(f"LPPool{n}d", (3, 2), positive(1, 2, *(5, 4, 2)[:n])) for n in (1, 2, 3)),
    *(layer(f"AdaptiveAvgPool{n}d", (2,), normal(1, 2, *(5, 3, 3)[:n])) for n in (1, 2, 3)),
    *(layer(f"AdaptiveMaxPool{n}d", (2,), apart(1, 2, *(5, 3, 3)[:n])) for n in (1, 2, 3)),
    layer("MaxUnpool1d", (2,), normal(1, 1, 3), given([[[0, 3, 5]]])),
    layer("MaxUnpool2d", (2,), normal(1, 1, 2, 2), given([[[[0, 3], [9, 14]]]])),
    layer("MaxUnpool3d", (2,), normal(1, 1, 1, 1, 2), given([[[[[0, 7]]]]])),
    *(
        layer(f"{kind}Pad{n}d", (1,), SPATIAL[n - 1])
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for n in (1, 2, 3)
    ),
    *(layer(f"ConstantPad{n}d", (1, 0.5), SPATIAL[n - 1]) for n in (1, 2, 3)),
    layer("PixelShuffle", (2,), normal(1, 8, 2, 1)),
    layer("PixelUnshuffle", (2,), normal(1, 2, 2, 4)),
    layer("Upsample", (), normal(1, 2, 2, 3), scale_factor=2, mode="bilinear"),
    layer("UpsamplingNearest2d", (), normal(1, 2, 2, 3), scale_factor=2),
    layer("UpsamplingBilinear2d", (), normal(1, 2, 2, 3), size=(3, 5)),
]

NORM: list[Entry] = [
    layer("BatchNorm1d", (3,), normal(4, 3)),
    layer("BatchNorm1d", (3,), normal(3, 3, 2)).eval(),
    layer("BatchNorm2d", (2,), normal(3, 2, 2, 3)),
    layer("BatchNorm2d", (2,), normal(3, 2, 2, 3)).eval(),
    layer("BatchNorm3d", (2,), normal(2, 2, 2, 2, 1), momentum=None),
    *(layer(f"InstanceNorm{n}d", (2,), normal(2, 2, *(4, 2, 2)[:n]), affine=True) for n in (1, 2, 3)),
    layer("InstanceNorm1d", (2,), normal(2, 2, 4), affine=True, track_running_stats=True).eval(),
    layer("LayerNorm", (4,), normal(2, 3, 4)),
    layer("LayerNorm", ((3, 4),), normal(2, 3, 4), bias=False),
    layer("GroupNorm", (2, 4), normal(2, 4, 3)),
    layer("RMSNorm", (4,), normal(2, 3, 4)),
    layer("LocalResponseNorm", (3,), normal(2, 5, 3), alpha=0.5),
]

RECURRENT: list[Entry] = [
    layer("RNN", (3, 2), normal(3, 2, 3), normal(1, 2, 2)),
    layer("RNN", (3, 4), normal(3, 4, 3), nonlinearity="relu", batch_first=True, bias=False),
    layer("LSTM", (3, 2), normal(3, 2, 3), (normal(1, 2, 2), normal(1, 2, 2))),
    layer("LSTM", (2, 2), normal(2, 2, 2), num_layers=2, bidirectional=True, bias=False, proj_size=1),
    layer("LSTM", (2, 2), normal(2, 2, 2), num_layers=2, bias=False, dropout=0.5).drawing(),
    layer("GRU", (3, 2), normal(3, 2, 3), normal(1, 2, 2)),
    layer("GRU", (2, 2), normal(2, 2, 2), num_layers=2, bias=False, bidirectional=True, batch_first=True),
    layer("RNNCell", (3, 2), normal(2, 3), normal(2, 2)),
    layer("LSTMCell", (3, 2), normal(2, 3), (normal(2, 2), normal(2, 2))),
    layer("GRUCell", (3, 2), normal(2, 3), normal(2, 2)),
]

CHANCES = within(0.4, 0.6, 4, 3)  # far enough from 0 and 1 for the steps of the numeric derivative
X, T, CLASSES = normal(4, 3), normal(4, 3), given([0, 2, 1, 2])
LABELS = given([[0, 2, -1], [1, -1, 0], [-1, 0, 1], [2, 1, 0]])

LOSS: list[Entry] = [
    *(layer(name, (), X, T) for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")),
    layer("CrossEntropyLoss", (), X, CLASSES),
    layer("CrossEntropyLoss", (positive(3),), X, CLASSES, label_smoothing=0.1, reduction="sum"),
    layer("NLLLoss", (positive(3),), X, CLASSES),
    layer("BCELoss", (), CHANCES, CHANCES),
    layer("BCEWithLogitsLoss", (), X, within(0, 1, 4, 3), pos_weight=positive(3)),
    layer("KLDivLoss", (), X, shares(4, 3), reduction="batchmean"),
    layer("GaussianNLLLoss", (), X, T, positive(4, 3), full=True),
    layer("PoissonNLLLoss", (), X, T),
    layer("HingeEmbeddingLoss", (), positive(4, 3), signs(4, 3)),
    layer("MarginRankingLoss", (0.3,), normal(4), normal(4), signs(4)),
    layer("CosineEmbeddingLoss", (-0.5,), X, T, signs(4)),
    layer("SoftMarginLoss", (), X, signs(4, 3)),
    layer("TripletMarginLoss", (3.0,), X, T, normal(4, 3)),
    layer("MultiMarginLoss", (), X, CLASSES, p=2),
    layer("MultiLabelMarginLoss", (), X, LABELS),
    layer("MultiLabelSoftMarginLoss", (positive(3),), X, within(0, 1, 4, 3)),
]
