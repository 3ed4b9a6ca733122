"""Every layer against the torch layer of the same constructor: repr, state, outputs, gradients, in training and in evaluation."""

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns
from nnscratch import nn

torch = pytest.importorskip("torch")

# (constructor, shapes of the inputs)
LAYERS = [
    ("Identity(3, a=2)", [(2, 3)]),
    ("Linear(3, 4)", [(2, 3)]),
    ("Linear(3, 4, bias=False)", [(2, 5, 3)]),
    ("Bilinear(3, 2, 4)", [(5, 3), (5, 2)]),
    ("Bilinear(3, 2, 4, bias=False)", [(5, 3), (5, 2)]),
    ("Conv1d(4, 6, 3, stride=2, padding=1, groups=2)", [(2, 4, 7)]),
    ("Conv1d(2, 3, 3, padding='same', padding_mode='circular')", [(2, 2, 7)]),
    ("Conv2d(2, 3, 3)", [(2, 2, 5, 6)]),
    ("Conv2d(2, 3, (3, 2), padding=(1, 0), dilation=(1, 2), bias=False)", [(2, 2, 5, 6)]),
    ("Conv2d(2, 3, 3, 1, 1, padding_mode='reflect')", [(2, 2, 5, 6)]),
    ("Conv2d(2, 3, 3, 2, (2, 1), padding_mode='replicate')", [(2, 2, 5, 6)]),
    ("Conv2d(2, 3, 4, padding='same')", [(2, 2, 5, 6)]),
    ("Conv2d(2, 3, 3, padding='valid', padding_mode='reflect')", [(2, 2, 5, 6)]),
    ("Conv2d(2, 3, 3)", [(2, 5, 6)]),
    ("Conv3d(2, 2, 2, stride=(1, 2, 1))", [(1, 2, 3, 4, 3)]),
    ("ConvTranspose1d(4, 6, 3, 2, 1, output_padding=1, groups=2)", [(2, 4, 5)]),
    ("ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1)", [(2, 2, 3, 4)]),
    ("ConvTranspose2d(2, 3, (2, 3), dilation=2, bias=False)", [(2, 2, 3, 4)]),
    ("ConvTranspose3d(2, 2, 2)", [(1, 2, 3, 2, 3)]),
    ("MaxPool1d(2)", [(2, 3, 7)]),
    ("MaxPool2d(3, 2, 1, ceil_mode=True)", [(2, 3, 7, 6)]),
    ("MaxPool2d((2, 3), dilation=2)", [(2, 3, 7, 8)]),
    ("MaxPool3d(2)", [(1, 2, 4, 4, 5)]),
    ("AvgPool1d(3, 2, 1)", [(2, 3, 7)]),
    ("AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)", [(2, 3, 7, 6)]),
    ("AvgPool2d(2, divisor_override=3)", [(2, 3, 4, 6)]),
    ("AvgPool3d(2)", [(1, 2, 4, 4, 5)]),
    ("LPPool1d(2, 3)", [(2, 3, 7)]),
    ("LPPool2d(2, 3, stride=2)", [(2, 3, 7, 6)]),
    ("LPPool3d(2, 2)", [(1, 2, 4, 4, 5)]),
    ("AdaptiveAvgPool1d(3)", [(2, 3, 7)]),
    ("AdaptiveAvgPool2d((2, None))", [(2, 3, 7, 5)]),
    ("AdaptiveAvgPool3d(2)", [(1, 2, 4, 3, 5)]),
    ("AdaptiveMaxPool1d(3)", [(2, 3, 7)]),
    ("AdaptiveMaxPool2d(2)", [(2, 3, 7, 5)]),
    ("AdaptiveMaxPool3d((2, 1, 3))", [(1, 2, 4, 3, 5)]),
    ("BatchNorm1d(3)", [(4, 3)]),
    ("BatchNorm1d(3, momentum=None)", [(4, 3, 5)]),
    ("BatchNorm2d(3, eps=1e-3, affine=False)", [(4, 3, 2, 3)]),
    ("BatchNorm2d(3, track_running_stats=False)", [(4, 3, 2, 3)]),
    ("BatchNorm2d(3, momentum=0.3)", [(4, 3, 2, 3)]),
    ("BatchNorm3d(2)", [(3, 2, 2, 2, 2)]),
    ("InstanceNorm1d(3)", [(2, 3, 5)]),
    ("InstanceNorm1d(3, affine=True)", [(3, 5)]),
    ("InstanceNorm2d(3, affine=True, track_running_stats=True)", [(2, 3, 4, 5)]),
    ("InstanceNorm3d(3)", [(2, 3, 2, 2, 3)]),
    ("LayerNorm(5)", [(2, 3, 5)]),
    ("LayerNorm((3, 5), bias=False)", [(2, 3, 5)]),
    ("LayerNorm(5, elementwise_affine=False)", [(2, 3, 5)]),
    ("GroupNorm(2, 4)", [(2, 4, 3)]),
    ("GroupNorm(2, 4, affine=False)", [(2, 4, 3, 2)]),
    ("RMSNorm(5)", [(2, 3, 5)]),
    ("RMSNorm((3, 5), eps=1e-2, elementwise_affine=False)", [(2, 3, 5)]),
    ("LocalResponseNorm(3, alpha=0.1)", [(2, 5, 3, 3)]),
    ("RNN(3, 4)", [(5, 2, 3)]),
    ("RNN(3, 4, nonlinearity='relu', bias=False, batch_first=True)", [(2, 5, 3)]),
    ("LSTM(3, 4)", [(5, 2, 3)]),
    ("LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)", [(2, 5, 3)]),
    ("LSTM(3, 4, proj_size=2, bias=False)", [(5, 3)]),
    ("LSTM(3, 4, 2, proj_size=2, bidirectional=True)", [(5, 2, 3)]),
    ("GRU(3, 4)", [(5, 3)]),
    ("GRU(3, 4, 2, bidirectional=True)", [(5, 2, 3), (4, 2, 4)]),
    ("RNNCell(3, 4)", [(2, 3)]),
    ("RNNCell(3, 4, bias=False, nonlinearity='relu')", [(2, 3), (2, 4)]),
    ("LSTMCell(3, 4)", [(3,)]),
    ("GRUCell(3, 4)", [(2, 3), (2, 4)]),
    ("PReLU()", [(2, 3)]),
    ("PReLU(3, init=0.1)", [(2, 3, 4)]),
    ("ReLU()", [(2, 3)]),
    ("ReLU6()", [(2, 3)]),
    ("LeakyReLU(0.2)", [(2, 3)]),
    ("ELU(alpha=0.5)", [(2, 3)]),
    ("SELU()", [(2, 3)]),
    ("CELU(0.5)", [(2, 3)]),
    ("GELU()", [(2, 3)]),
    ("GELU(approximate='tanh')", [(2, 3)]),
    ("SiLU()", [(2, 3)]),
    ("Mish()", [(2, 3)]),
    ("Sigmoid()", [(2, 3)]),
    ("Tanh()", [(2, 3)]),
    ("Softplus(beta=2.0, threshold=1.0)", [(2, 3)]),
    ("Softsign()", [(2, 3)]),
    ("Tanhshrink()", [(2, 3)]),
    ("Hardtanh(-0.5, 0.7)", [(2, 3)]),
    ("Hardsigmoid()", [(2, 3)]),
    ("Hardswish()", [(2, 3)]),
    ("Hardshrink(0.3)", [(2, 3)]),
    ("Softshrink(0.3)", [(2, 3)]),
    ("LogSigmoid()", [(2, 3)]),
    ("Threshold(0.1, 20)", [(2, 3)]),
    ("GLU(1)", [(2, 4)]),
    ("Softmax(1)", [(2, 3)]),
    ("LogSoftmax(dim=-1)", [(2, 3)]),
    ("Softmin(0)", [(2, 3)]),
    ("Softmax2d()", [(2, 3, 2, 2)]),
    ("Flatten()", [(2, 3, 4)]),
    ("Flatten(0, 1)", [(2, 3, 4)]),
    ("Unflatten(1, (2, 3))", [(2, 6, 4)]),
    ("PixelShuffle(2)", [(2, 8, 3, 2)]),
    ("PixelUnshuffle(2)", [(2, 2, 4, 6)]),
    ("Upsample(scale_factor=2)", [(2, 3, 3, 4)]),
    ("Upsample((5, 6), mode='bilinear', align_corners=True)", [(2, 3, 3, 4)]),
    ("UpsamplingNearest2d(scale_factor=2)", [(2, 3, 3, 4)]),
    ("UpsamplingBilinear2d(size=(4, 5))", [(2, 3, 3, 4)]),
    ("Unfold(2, padding=1, stride=2)", [(2, 3, 4, 6)]),
    ("Fold((4, 5), 2)", [(2, 12, 12)]),
    *[(f"{kind}Pad{n}d({arg})", [(2, 3, *(4, 5, 3)[:n])]) for kind in ("Zero", "Reflection", "Replication", "Circular")
      for n, arg in ((1, "(2, 1)"), (2, "1"), (3, "(1, 2, 0, 1, 1, 0)"))],
    ("ConstantPad1d(1, 2.5)", [(2, 3, 4)]),
    ("ConstantPad2d((1, 2, 0, 1), -1.0)", [(3, 4, 4)]),
    ("ConstantPad3d(1, 0.5)", [(1, 1, 2, 2, 2)]),
    ("CosineSimilarity()", [(2, 3, 4), (2, 3, 4)]),
    ("CosineSimilarity(dim=-1)", [(2, 3), (2, 3)]),
    ("PairwiseDistance(p=3.0, keepdim=True)", [(2, 3), (2, 3)]),
    ("Dropout(0.3)", [(2, 3)]),
    ("Dropout1d()", [(2, 3, 4)]),
    ("Dropout2d(p=0.2)", [(2, 3, 4, 2)]),
    ("Dropout3d()", [(2, 3, 4, 2, 2)]),
    ("AlphaDropout(0.2)", [(2, 3)]),
    ("FeatureAlphaDropout(0.2)", [(2, 3)]),
    ("RReLU(0.1, 0.3)", [(2, 3)]),
]  # fmt: skip
RANDOM = ("Dropout", "AlphaDropout", "FeatureAlpha", "RReLU")  # in training their outputs are drawn

PROB, SIGN, CLASS, LABELS = "probability", "sign", "class", "labels"
LOSSES = [
    ("MSELoss()", [(4, 3), (4, 3)]),
    ("MSELoss(reduction='sum')", [(4, 3), (4, 3)]),
    ("L1Loss(reduction='none')", [(4, 3), (4, 3)]),
    ("SmoothL1Loss(beta=0.5)", [(4, 3), (4, 3)]),
    ("HuberLoss('sum', 0.7)", [(4, 3), (4, 3)]),
    ("HuberLoss(delta=0.7)", [(4, 3), (4, 3)]),
    ("CrossEntropyLoss()", [(4, 3), (CLASS, 4)]),
    ("CrossEntropyLoss(WEIGHT, ignore_index=1, label_smoothing=0.1)", [(4, 3), (CLASS, 4)]),
    ("CrossEntropyLoss(reduction='none')", [(4, 3, 2), (CLASS, 4, 2)]),
    ("NLLLoss(WEIGHT)", [(4, 3), (CLASS, 4)]),
    ("NLLLoss(ignore_index=1, reduction='sum')", [(4, 3, 2), (CLASS, 4, 2)]),
    ("BCELoss()", [(PROB, 4, 3), (PROB, 4, 3)]),
    ("BCELoss(WEIGHT)", [(PROB, 4, 3), (PROB, 4, 3)]),
    ("BCEWithLogitsLoss()", [(4, 3), (PROB, 4, 3)]),
    ("BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT)", [(4, 3), (PROB, 4, 3)]),
    ("KLDivLoss(reduction='batchmean')", [(4, 3), (PROB, 4, 3)]),
    ("KLDivLoss(reduction='sum', log_target=True)", [(4, 3), (4, 3)]),
    ("GaussianNLLLoss(full=True)", [(4, 3), (4, 3), (PROB, 4, 3)]),
    ("PoissonNLLLoss(log_input=False, full=True)", [(PROB, 4, 3), (PROB, 4, 3)]),
    ("PoissonNLLLoss()", [(4, 3), (PROB, 4, 3)]),
    ("HingeEmbeddingLoss(0.5)", [(4, 3), (SIGN, 4, 3)]),
    ("MarginRankingLoss(0.1)", [(4,), (4,), (SIGN, 4)]),
    ("CosineEmbeddingLoss(0.1)", [(4, 3), (4, 3), (SIGN, 4)]),
    ("SoftMarginLoss()", [(4, 3), (SIGN, 4, 3)]),
    ("TripletMarginLoss(margin=0.5, p=3.0, swap=True)", [(4, 3), (4, 3), (4, 3)]),
    ("MultiMarginLoss(2, 0.7, WEIGHT)", [(4, 3), (CLASS, 4)]),
    ("MultiLabelMarginLoss()", [(4, 3), (LABELS, 4)]),
    ("MultiLabelSoftMarginLoss(WEIGHT)", [(4, 3), (PROB, 4, 3)]),
]


def build(text, library):
    weight = np.array([0.3, 1.2, 2.0])
    module = nn if library is nns else torch.nn
    return eval(text, {"WEIGHT": library.tensor(weight), **vars(module)}).double()


def arrays(shapes, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        PROB: lambda s: rng.uniform(0.1, 0.9, s),
        SIGN: lambda s: rng.choice([-1.0, 1.0], s),
        LABELS: lambda s: np.array([[2, -1, 0], [0, 1, -1], [1, 2, 0], [-1, 0, 1]]),
        CLASS: lambda s: rng.integers(0, 3, s),
    }
    return [draw[s[0]](s[1:]) if s and s[0] in draw else rng.standard_normal(s) for s in shapes]


def flat(y):
    if isinstance(y, (tuple, list)):
        return [t for part in y for t in flat(part)]
    return [y]


def compare(ours, theirs, inputs):
    """Outputs, and the gradients of a random projection of them with respect to inputs and parameters."""
    wants = [a.dtype.kind == "f" and not (np.abs(a) == 1).all() for a in inputs]  # no gradients for targets of ±1
    a = [nns.tensor(x, requires_grad=w) for x, w in zip(inputs, wants)]
    b = [torch.tensor(x, requires_grad=w) for x, w in zip(inputs, wants)]
    ours.zero_grad()
    theirs.zero_grad()
    ya, yb = flat(ours(*a)), flat(theirs(*b))
    assert len(ya) == len(yb)
    rng = np.random.default_rng(1)
    la, lb = 0.0, 0.0
    for p, q in zip(ya, yb):
        assert tuple(p.shape) == tuple(q.shape)
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-9, atol=1e-11)
        u = rng.standard_normal(p.shape)
        la, lb = la + (p * nns.tensor(u)).sum(), lb + (q * torch.tensor(u)).sum()
    la.backward()
    lb.backward()
    for p, q in zip([*a, *ours.parameters()], [*b, *theirs.parameters()]):
        if q.grad is None:
            assert p.grad is None
        else:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-7, atol=1e-10)  # torch's 1/6 is a float32


def same_state(ours, theirs):
    a, b = ours.state_dict(), theirs.state_dict()
    assert [(k, tuple(v.shape), str(v.dtype)) for k, v in a.items()] == [
        (k, tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in b.items()
    ]
    return a, b


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("text", "shapes"), LAYERS + LOSSES, ids=[text for text, _ in LAYERS + LOSSES])
def test_as_torch(text, shapes):
    ours, theirs = build(text, nns), build(text, torch)
    assert repr(ours) == repr(theirs)
    _, b = same_state(ours, theirs)
    ours.load_state_dict({k: v.numpy() for k, v in b.items()})
    inputs = arrays(shapes)
    for training in (True, False):
        if training and text.startswith(RANDOM):
            continue
        ours.train(training)
        theirs.train(training)
        for _ in range(2 if training and "Norm" in text else 1):  # running statistics move twice
            compare(ours, theirs, inputs)
        a, b = same_state(ours, theirs)
        for key, value in b.items():
            np.testing.assert_allclose(a[key].numpy(), value.numpy(), rtol=1e-12, err_msg=key)


# One of each kind with parameters or a rule of its own: central differences at orders 1 and 2, in inputs and parameters.
SECOND = [case for case in LAYERS if case[0] in {
    "Linear(3, 4)", "Bilinear(3, 2, 4)", "Conv1d(2, 3, 3, padding='same', padding_mode='circular')", "Conv2d(2, 3, 3)",
    "Conv2d(2, 3, 3, 1, 1, padding_mode='reflect')", "ConvTranspose2d(2, 3, (2, 3), dilation=2, bias=False)", "MaxPool1d(2)",
    "AvgPool1d(3, 2, 1)", "LPPool1d(2, 3)", "AdaptiveAvgPool2d((2, None))", "AdaptiveMaxPool1d(3)", "BatchNorm1d(3)",
    "InstanceNorm1d(3, affine=True)", "LayerNorm(5)", "GroupNorm(2, 4)", "RMSNorm(5)", "LocalResponseNorm(3, alpha=0.1)",
    "RNN(3, 4)", "LSTM(3, 4)", "GRU(3, 4)", "LSTMCell(3, 4)", "RNNCell(3, 4)", "GRUCell(3, 4)", "PReLU()", "GELU()", "GLU(1)",
    "Softmax(1)", "Fold((4, 5), 2)", "UpsamplingBilinear2d(size=(4, 5))", "CosineSimilarity()", "PixelShuffle(2)",
    "Conv3d(2, 2, 2, stride=(1, 2, 1))", "ReflectionPad1d((2, 1))",
}] + LOSSES  # fmt: skip


@pytest.mark.parametrize(("text", "shapes"), SECOND, ids=[text for text, _ in SECOND])
def test_second_derivatives(text, shapes):
    layer = build(text, nns)
    names = [name for name, _ in layer.named_parameters()]
    inputs = arrays(shapes, seed=5)
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f" and shapes[i][0] != SIGN]

    def f(*values):
        args = [nns.tensor(x) for x in inputs]
        for i, x in zip(floats, values):
            args[i] = x
        for name, value in zip(names, values[len(floats) :]):  # tensors in the place of parameters, for this call
            path, _, last = name.rpartition(".")
            owner = layer.get_submodule(path)
            owner._parameters.pop(last, None)
            owner.__dict__[last] = value
        return tuple(flat(layer(*args)))

    state = [p.detach().numpy().copy() for p in layer.parameters()]
    check_grads(f, *[inputs[i] for i in floats], *state, order=2, projections=1)


def test_inplace_is_accepted_and_changes_nothing():
    x = nns.tensor([-1.0, 2.0])
    layer = nn.ReLU(inplace=True)
    assert repr(layer) == "ReLU(inplace=True)"
    assert layer(x).tolist() == [0, 2]
    assert x.tolist() == [-1, 2]


def test_max_pool_indices_and_unpool():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6))
    y, i = nn.MaxPool2d(2, return_indices=True)(nns.tensor(x))
    ty, ti = torch.nn.MaxPool2d(2, return_indices=True)(torch.tensor(x))
    assert (i.numpy() == ti.numpy()).all()
    for n in (1, 2, 3):
        assert repr(getattr(nn, f"MaxUnpool{n}d")(2)) == repr(getattr(torch.nn, f"MaxUnpool{n}d")(2))
    np.testing.assert_array_equal(nn.MaxUnpool2d(2)(y, i).numpy(), torch.nn.MaxUnpool2d(2)(ty, ti).numpy())
    y, i = nn.AdaptiveMaxPool2d(2, return_indices=True)(nns.tensor(x))
    _, ti = torch.nn.AdaptiveMaxPool2d(2, return_indices=True)(torch.tensor(x))
    assert (i.numpy() == ti.numpy()).all()


def test_transposed_convolution_takes_an_output_size():
    ours, theirs = (
        build("ConvTranspose2d(2, 3, 3, stride=2, padding=1)", nns),
        build("ConvTranspose2d(2, 3, 3, stride=2, padding=1)", torch),
    )
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 4))
    y = ours(nns.tensor(x), output_size=(6, 7))
    np.testing.assert_allclose(y.detach().numpy(), theirs(torch.tensor(x), output_size=(6, 7)).detach().numpy(), atol=1e-12)
    with pytest.raises(ValueError, match="output_size"):
        ours(nns.tensor(x), output_size=(9, 7))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_same_padding_with_a_stride_and_a_border_mode(mode):
    conv = nn.Conv2d(1, 1, 3, stride=2, padding="same", padding_mode=mode, dtype=np.float64)
    x = nns.tensor(np.random.default_rng(0).standard_normal((1, 1, 6, 7)))
    bordered = nn.functional.pad(x, [1, 1, 0, 1], mode=mode)  # TensorFlow: 7 needs 1 + 1, 6 needs 0 + 1
    expected = nn.functional.conv2d(bordered, conv.weight, conv.bias, 2)
    np.testing.assert_array_equal(conv(x).detach().numpy(), expected.detach().numpy())


def test_packed_sequences_run_as_in_torch():
    theirs = torch.nn.LSTM(3, 4, bidirectional=True).double()
    ours = nn.LSTM(3, 4, bidirectional=True).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, lengths = np.random.default_rng(0).standard_normal((5, 3, 3)), [3, 5, 2]
    rnn = nn.utils.rnn
    a = rnn.pack_padded_sequence(nns.tensor(x), lengths, enforce_sorted=False)
    b = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, enforce_sorted=False)
    ya, (ha, ca) = ours(a)
    yb, (hb, cb) = theirs(b)
    for p, q in zip([*ya[:2], ha, ca], [*yb[:2], hb, cb]):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(
        rnn.pad_packed_sequence(ya)[0].detach().numpy(),
        torch.nn.utils.rnn.pad_packed_sequence(yb)[0].detach().numpy(),
        atol=1e-12,
    )


@pytest.mark.parametrize("options", ["", "padding_idx=1", "padding_idx=-2, max_norm=1.0", "max_norm=0.5, norm_type=1.0"])
def test_embedding(options):
    ours, theirs = build(f"Embedding(5, 3, {options})", nns), build(f"Embedding(5, 3, {options})", torch)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    compare(ours, theirs, [np.array([[1, 3, 3], [0, 4, 1]])])
    np.testing.assert_allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-6)


def test_embedding_from_pretrained_and_padding_row():
    table = nns.tensor(np.arange(6.0).reshape(3, 2))
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(nns.tensor([2])).numpy().tolist() == [[4.0, 5.0]]
    assert (nn.Embedding(4, 3, padding_idx=-1).weight[3].detach().numpy() == 0).all()
    with pytest.raises(ValueError, match="padding_idx"):
        nn.Embedding(4, 3, padding_idx=4)


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"])
def test_dropout_is_seeded_and_off_in_evaluation(name):
    layer = getattr(nn, name)(0.5)
    x = nns.tensor(np.ones((4, 50, 2, 2, 2)[: {"Dropout1d": 3, "Dropout2d": 4}.get(name, 5)]))
    nns.manual_seed(3)
    a = layer(x).numpy()
    nns.manual_seed(3)
    assert (layer(x).numpy() == a).all()
    assert (a != 1).any()
    assert (layer.eval()(x).numpy() == 1).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        getattr(nn, name)(1.5)


BAD = [
    ("Conv2d(3, 4, 3, groups=2)", "divisible by groups=2"),
    ("Conv2d(3, 4, 3, groups=0)", "groups must be a positive"),
    ("Conv2d(3, 4, (3, 3, 3))", "2 values"),
    ("Conv2d(3, 4, 3, padding='full')", "'same' or 'valid'"),
    ("Conv2d(3, 4, 3, padding_mode='mirror')", "padding_mode"),
    ("ConvTranspose2d(3, 4, 3, padding_mode='reflect')", "zeros"),
    ("LSTM(3, 4, proj_size=4)", "proj_size"),
    ("LSTM(3, 0)", "positive"),
    ("LSTM(3, 4, dropout=2.0)", "dropout"),
    ("RNN(3, 4, nonlinearity='sigmoid')", "nonlinearity"),
    ("RNNCell(3, 4, nonlinearity='sigmoid')", "nonlinearity"),
    ("GroupNorm(3, 4)", "divisible"),
    ("Hardtanh(1.0, -1.0)", "min_val"),
    ("ZeroPad2d((1, 2))", "4 widths"),
    ("Bilinear(0, 1, 2)", "in1_features"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_bad_arguments(text, message):
    with pytest.raises(ValueError, match=message):
        eval(text, vars(nn))


def test_wrong_arguments_name_the_layer_and_inputs_are_checked():
    with pytest.raises(TypeError, match="ELU: .*beta"):
        nn.ELU(beta=1)
    with pytest.raises(TypeError, match="MSELoss"):
        nn.MSELoss(True)
    with pytest.raises(ValueError, match="expected 4-d input"):
        nn.BatchNorm2d(3)(nns.tensor(np.zeros((2, 3))))
    with pytest.raises(ValueError, match="3-d or 4-d"):
        nn.Softmax2d()(nns.tensor(np.zeros((2, 3))))
    with pytest.raises(ValueError, match="num_features=3"):
        nn.InstanceNorm2d(3)(nns.tensor(np.zeros((1, 2, 4, 4))))


def test_dtype_of_new_layers():
    assert nn.Linear(2, 3).weight.dtype == np.float32
    assert nn.Conv2d(2, 3, 1, dtype=nns.float64).bias.dtype == np.float64
    bn = nn.BatchNorm2d(3, dtype=nns.float64, device="cpu")
    assert bn.running_var.dtype == np.float64
    assert bn.num_batches_tracked.dtype == np.int64
    with nns.backend.default_dtype(np.float64):
        assert nn.LSTM(2, 3).weight_ih_l0.dtype == np.float64
