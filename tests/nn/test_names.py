"""The face of torch.nn: which names exist, their arguments, and their place in the library."""

import inspect

import pytest

from nnscratch import nn

MODULES = """
Module Parameter Buffer Sequential ModuleList ModuleDict ParameterList ParameterDict Identity Flatten Unflatten Linear
Bilinear Embedding Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Unfold Fold MaxPool1d MaxPool2d
MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d LPPool3d AdaptiveAvgPool1d
AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d Upsample UpsamplingNearest2d
UpsamplingBilinear2d PixelShuffle PixelUnshuffle ZeroPad1d ZeroPad2d ZeroPad3d ConstantPad1d ConstantPad2d ConstantPad3d
ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d CircularPad1d
CircularPad2d CircularPad3d BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d LayerNorm
GroupNorm RMSNorm LocalResponseNorm RNN LSTM GRU RNNCell LSTMCell GRUCell Dropout Dropout1d Dropout2d Dropout3d
AlphaDropout FeatureAlphaDropout ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Softplus Softsign
Tanhshrink Tanh Sigmoid Hardtanh Hardsigmoid Hardswish Hardshrink Softshrink LogSigmoid Threshold GLU Softmax LogSoftmax
Softmin Softmax2d CosineSimilarity PairwiseDistance MSELoss L1Loss SmoothL1Loss HuberLoss CrossEntropyLoss NLLLoss
BCELoss BCEWithLogitsLoss KLDivLoss GaussianNLLLoss PoissonNLLLoss HingeEmbeddingLoss MarginRankingLoss
CosineEmbeddingLoss SoftMarginLoss TripletMarginLoss MultiMarginLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss
""".split()
VARIADIC = {"Sequential", "Identity", "Parameter", "Buffer", "RNN", "LSTM", "GRU", "RNNBase"}  # torch hides their arguments
NOT_OURS = {
    "size_average",
    "reduce",
    "args",
    "kwargs",
    "min_value",
    "max_value",
}  # given up by torch, or standing for no arguments


@pytest.mark.parametrize("name", MODULES)
def test_signature_is_torchs(name):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert issubclass(ours, nn.Module) or name in ("Parameter", "Buffer")
    assert ours.__doc__
    assert "nnscratch.nn" in ours.__module__
    if name in VARIADIC:
        return
    a = inspect.signature(ours).parameters
    b = {k: p for k, p in inspect.signature(theirs).parameters.items() if k not in NOT_OURS}
    assert list(a) == list(b)
    for key, p in b.items():
        assert a[key].default == p.default, key


def test_functional_arguments_are_torchs():
    F = pytest.importorskip("torch").nn.functional
    checked = 0
    for name in [n for n in vars(nn.functional) if not n.startswith("_") and n not in ("sigmoid", "tanh")]:
        try:
            theirs = dict(inspect.signature(getattr(F, name)).parameters)
        except (AttributeError, ValueError):  # ours alone, or without a signature
            continue
        if "args" in theirs:
            continue
        theirs = {k: p for k, p in theirs.items() if k not in NOT_OURS | {"_stacklevel", "out", "scale_grad_by_freq", "sparse"}}
        ours = dict(inspect.signature(getattr(nn.functional, name)).parameters)
        assert ours.pop("generator", None) is None or "dropout" in name or name in ("rrelu", "gumbel_softmax")
        assert list(ours) == list(theirs), name
        for key, p in theirs.items():
            assert ours[key].default == p.default or (key == "dim" and p.default is None), (name, key)  # ours must be told
        checked += 1
    assert checked > 50


def test_functional_names_are_torchs():
    torch = pytest.importorskip("torch")
    names = [n for n in vars(nn.functional) if n.isidentifier() and not n.startswith("_")]  # pytest adds others
    ours = {"gaussian_kl", "generator_loss", "discriminator_loss"}
    assert ours <= set(names)
    for name in set(names) - ours:
        assert hasattr(torch.nn.functional, name), name
    assert len(names) >= 100
