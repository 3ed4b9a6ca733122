"""Element by element: arithmetic, powers, trigonometry, comparisons that choose, activations, noise."""

from .draw import apart, coins, nonzero, normal, positive, within
from .entry import SEEDED, Entry, case

ANYWHERE = (
    "abs", "neg", "square", "exp", "exp2", "expm1", "sin", "cos", "sinh", "cosh", "tanh", "atan", "asinh", "sigmoid", "erf",
    "erfc", "sinc", "deg2rad", "rad2deg", "positive", "frac", "clone", "nan_to_num",
)  # fmt: skip
ABOVE_ZERO = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt")
STEPS = ("floor", "ceil", "trunc", "round", "sign")
ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "tanhshrink",
    "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "logsigmoid",
)  # fmt: skip

ARITHMETIC: list[Entry] = [
    *(case(name, normal(2, 3)) for name in ANYWHERE),
    *(case(name, positive(2, 3)) for name in ABOVE_ZERO),
    *(case(name, normal(2, 3)).flat() for name in STEPS),
    case("exp", normal()),
    case("reciprocal", nonzero(2, 3)),
    case("tan", within(-1, 1, 2, 3)),
    case("asin", within(-0.8, 0.8, 2, 3)),
    case("acos", within(-0.8, 0.8, 2, 3)),
    case("atanh", within(-0.8, 0.8, 2, 3)),
    case("erfinv", within(-0.8, 0.8, 2, 3)),
    case("acosh", within(1.2, 3, 2, 3)),
    case("add", normal(2, 3), normal(3)),
    case("add", normal(2, 1), normal(1, 3), alpha=-2.5),
    case("sub", normal(2, 3), normal(2, 1)),
    case("sub", normal(3), normal(2, 1, 1), alpha=2),
    case("mul", normal(2, 3), normal()),
    case("mul", normal(4, 1, 3), normal(2, 1)),
    case("mul", normal(2, 3), -1.5),
    case("div", normal(2, 3), nonzero(3)),
    case("div", normal(1), nonzero(2, 3)),
    case("div", within(0.1, 0.9, 2, 3), nonzero(3), rounding_mode="floor").flat(),
    case("floor_divide", within(0.1, 0.9, 2, 3), nonzero(3)).flat(),
    case("remainder", within(3.2, 3.8, 2, 3), within(1.3, 1.5, 3)),
    case("fmod", within(-3.8, -3.2, 2, 3), within(1.3, 1.5, 3)),
    case("pow", positive(2, 3), normal(3)),
    case("pow", normal(2, 3), 3),
    case("pow", nonzero(2, 3), -2),
    case("pow", 1.7, normal(2, 3)),
    case("float_power", positive(2, 3), normal(3)),
    case("atan2", nonzero(2, 3), nonzero(3)),
    case("hypot", nonzero(2, 3), nonzero(2, 1)),
    case("logaddexp", normal(2, 3), normal(3)),
    case("xlogy", normal(2, 3), positive(3)),
    case("lerp", normal(2, 3), normal(3), within(0, 1, 2, 1)),
    case("lerp", normal(2, 3), normal(2, 3), 0.3),
    case("addcmul", normal(2, 3), normal(3), normal(2, 1), value=0.5),
    case("addcdiv", normal(2, 3), normal(3), nonzero(2, 1), value=0.5),
    case("maximum", normal(4, 5), normal(5)),
    case("minimum", normal(4, 5), normal(4, 1)),
    case("fmax", normal(4, 5), normal(5)),
    case("fmin", normal(4, 5), normal(4, 1)),
    case("clamp", normal(3, 4), -0.7, 0.6),
    case("clamp", apart(3, 4), within(-0.9, -0.8, 4), within(0.8, 0.9, 3, 1)),
    case("clamp_min", normal(3, 4), -0.3),
    case("clamp_max", normal(3, 4), 0.3),
    case("where", coins(2, 3), normal(2, 3), normal(3)),
    case("where", coins(3), normal(2, 3), 0.0),
    case("masked_fill", normal(2, 3), coins(2, 3), 1.5),
    case("masked_fill", normal(2, 3), coins(3), normal()),
]

ACTIVATION: list[Entry] = [
    *(case(name, normal(3, 5)) for name in ACTIVATIONS),
    case("hardswish", within(-5, 5, 3, 5)),
    case("hardsigmoid", within(-5, 5, 3, 5)),
    case("relu6", within(-3, 9, 3, 5)),
    case("leaky_relu", normal(3, 5), 0.3),
    case("elu", normal(3, 5), 0.6),
    case("celu", normal(3, 5), 0.6),
    case("gelu", normal(3, 5), approximate="tanh"),
    case("softplus", within(-3, 3, 3, 5), 2.0, 3.0),
    case("hardtanh", normal(3, 5), -0.4, 0.6),
    case("hardshrink", normal(3, 5), 0.3),
    case("softshrink", normal(3, 5), 0.3),
    case("threshold", normal(3, 5), 0.1, 20.0),
    case("prelu", normal(2, 3, 4), normal(3)),
    case("prelu", normal(2, 3), normal(1)),
    case("glu", normal(2, 4)),
    case("glu", normal(4, 3), 0),
    case("softmax", normal(2, 4), 1),
    case("softmax", normal(3, 2, 2), 0),
    case("softmin", normal(2, 4), 1),
    case("log_softmax", normal(2, 4), -1),
    case("log_softmax", normal(3, 2, 2), 1),
]

NOISE: list[Entry] = [
    case("dropout", normal(3, 4), 0.4, generator=SEEDED).alone(),
    case("dropout", normal(3, 4), 0.4, False),
    case("ops.noise._dropped", normal(3, 4), p=0.4, scale=1.7, key=(3, 5)).alone(),  # dropout of many elements on a GPU
    case("dropout1d", normal(3, 4, 2), 0.4, generator=SEEDED).alone(),
    case("dropout2d", normal(2, 4, 2, 2), 0.4, generator=SEEDED).alone(),
    case("dropout3d", normal(2, 3, 2, 1, 2), 0.4, generator=SEEDED).alone(),
    case("alpha_dropout", normal(3, 4), 0.4, True, generator=SEEDED).alone(),
    case("feature_alpha_dropout", normal(3, 4, 2), 0.4, True, generator=SEEDED).alone(),
    case("rrelu", normal(3, 4), training=True, generator=SEEDED).alone(),
    case("rrelu", normal(3, 4)),
    case("gumbel_softmax", normal(3, 4), 0.7, generator=SEEDED).alone(),
]
