"""Recurrent networks: one step in plain Python, whole stacks against torch, fused sequences against their definitions."""

import itertools
import math

import numpy as np
import pytest
from support import check_grads

import nnscratch as nns
from nnscratch import ops
from nnscratch.nn.utils import rnn as rnn_utils
from nnscratch.ops.recurrent.fused_gru import gru_sequence
from nnscratch.ops.recurrent.fused_lstm import lstm_sequence
from nnscratch.ops.recurrent.fused_rnn import rnn_sequence

rng = np.random.default_rng(0)
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def normal(*shape):
    return rng.standard_normal(shape)


# ------------------------------------------------------------------------------------------------------ cells


def sigma(a):
    return 1 / (1 + math.exp(-a))


def affine(w, b, x, row):
    return b[row] + sum(w[row][j] * x[j] for j in range(len(x)))


def lstm_by_hand(x, h, c, w_ih, w_hh, b_ih, b_hh):
    size = len(h)
    h_new, c_new = [], []
    for k in range(size):
        i, f, g, o = (affine(w_ih, b_ih, x, n * size + k) + affine(w_hh, b_hh, h, n * size + k) for n in range(4))
        c_new.append(sigma(f) * c[k] + sigma(i) * math.tanh(g))
        h_new.append(sigma(o) * math.tanh(c_new[k]))
    return h_new, c_new


def gru_by_hand(x, h, w_ih, w_hh, b_ih, b_hh):
    size = len(h)
    h_new = []
    for k in range(size):
        (r_x, z_x, n_x), (r_h, z_h, n_h) = (
            [affine(w, b, v, n * size + k) for n in range(3)] for w, b, v in ((w_ih, b_ih, x), (w_hh, b_hh, h))
        )
        r, z = sigma(r_x + r_h), sigma(z_x + z_h)
        h_new.append((1 - z) * math.tanh(n_x + r * n_h) + z * h[k])
    return h_new


def test_one_step_by_hand():
    x, h, c = normal(2, 3), normal(2, 4), normal(2, 4)
    lstm_weights = [normal(16, 3), normal(16, 4), normal(16), normal(16)]
    gru_weights = [normal(12, 3), normal(12, 4), normal(12), normal(12)]
    h_lstm, c_lstm = ops.lstm_cell(x, (h, c), *lstm_weights)
    y_lstm, h_seq, c_seq = ops.lstm(x[None], h[None], c[None], [tuple(lstm_weights)])
    h_gru = ops.gru_cell(x, h, *gru_weights)
    y_gru, _ = ops.gru(x[None], h[None], [tuple(gru_weights)])
    for b in range(2):
        by_hand = lstm_by_hand(x[b], h[b], c[b], *[w.tolist() for w in lstm_weights])
        for ours in ((h_lstm, c_lstm), (y_lstm[0], c_seq[0]), (h_seq[0], c_seq[0])):
            np.testing.assert_allclose([ours[0][b], ours[1][b]], by_hand, rtol=1e-12)
        by_hand = gru_by_hand(x[b], h[b], *[w.tolist() for w in gru_weights])
        np.testing.assert_allclose(h_gru[b], by_hand, rtol=1e-12)
        np.testing.assert_allclose(y_gru[0, b], by_hand, rtol=1e-12)


@pytest.mark.parametrize("name", ["rnn_tanh_cell", "rnn_relu_cell", "gru_cell", "lstm_cell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(2,), ()])
def test_cells_like_torch(name, bias, batch):
    torch = pytest.importorskip("torch")
    from support import against_torch

    gates = GATES[name.split("_")[0]]
    states = [normal(*batch, 4) for _ in range(2 if name == "lstm_cell" else 1)]
    weights = [normal(gates * 4, 3), normal(gates * 4, 4)] + ([normal(gates * 4), normal(gates * 4)] if bias else [])

    def call(f, x, *rest):
        h = tuple(rest[: len(states)]) if len(states) == 2 else rest[0]
        return f(x, h, *rest[len(states) :])

    def theirs(*args):  # torch's function takes no unbatched input, its modules do
        args = [a if batch or k > len(states) else a[None] for k, a in enumerate(args)]
        y = call(getattr(torch, name), *args)
        if batch:
            return y
        return tuple(part[0] for part in y) if isinstance(y, tuple) else y[0]

    against_torch(lambda *a: call(getattr(ops, name), *a), theirs, normal(*batch, 3), *states, *weights)


# ------------------------------------------------------------------------------------------------------ stacks


def torch_net(kind, layers, bidirectional, bias, proj, **options):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[kind]
    options = options | ({"proj_size": proj} if proj else {})
    return make(3, 4, layers, bias=bias, bidirectional=bidirectional, **options).double()


def weights_of(net, layers, bidirectional, bias):
    """Our tensors on copies of torch's parameters: as they are passed to the ops, and by name."""
    named = {k: nns.tensor(v.detach().numpy().copy(), requires_grad=True) for k, v in net.named_parameters()}
    groups = []
    for layer, suffix in itertools.product(range(layers), ("", "_reverse")[: 1 + bidirectional]):
        take = lambda what: named.get(f"{what}_l{layer}{suffix}")  # noqa: B023
        group = [take(what) for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        groups.append(tuple(group + [take("weight_hr")] if take("weight_hr") is not None else group))
    return groups, named


def run_ours(kind, x, states, groups, **options):
    states = states or ((None, None) if kind == "lstm" else (None,))
    return getattr(ops, kind)(x, *states, groups, **options)


def compare(kind, net, groups, named, x, states, theirs, **options):
    """Outputs, last states and the gradients of everything; `theirs` runs the torch net."""
    torch = pytest.importorskip("torch")
    ours_in = [nns.tensor(a, requires_grad=True) for a in (x, *states)]
    their_in = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    ours = run_ours(kind, ours_in[0], tuple(ours_in[1:]), groups, **options)
    y, last = theirs(their_in[0], *their_in[1:])
    expected = (y, *last) if isinstance(last, tuple) else (y, last)
    cotangents = [normal(*e.shape) for e in expected]
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
    sum((a * nns.tensor(g)).sum() for a, g in zip(ours, cotangents)).backward()
    net.zero_grad()
    sum((b * torch.tensor(g)).sum() for b, g in zip(expected, cotangents)).backward()
    for a, b in zip(ours_in, their_in):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(named[name].grad.numpy(), parameter.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


STACKS = [  # kind, torch's options for it
    *[("lstm", {"proj": p}) for p in (0, 2)],
    ("gru", {}),
    *[("rnn", {"nonlinearity": f}) for f in ("tanh", "relu")],
]


@pytest.mark.parametrize(("kind", "more"), STACKS, ids=str)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_stacks_like_torch(kind, more, layers, bidirectional, bias):
    more = dict(more)
    proj = more.pop("proj", 0)
    for batch_first, batch, given in itertools.product([False, True], [2, None], [False, True]):
        net = torch_net(kind, layers, bidirectional, bias, proj, batch_first=batch_first, **more)
        groups, named = weights_of(net, layers, bidirectional, bias)
        shape = (5, 3) if batch is None else (batch, 5, 3) if batch_first else (5, batch, 3)
        rows = (layers * (1 + bidirectional), *([] if batch is None else [batch]))
        states = [normal(*rows, proj or 4), normal(*rows, 4)][: 2 if kind == "lstm" else 1] if given else []

        def theirs(x, *states, net=net):
            return net(x, (states if kind == "lstm" else states[0]) if states else None)

        options = {"bidirectional": bidirectional, "batch_first": batch_first, **more}
        compare(kind, net, groups, named, normal(*shape), states, theirs, **options)


@pytest.mark.parametrize(("kind", "more"), STACKS, ids=str)
@pytest.mark.parametrize("lengths", [[5, 3, 1], [2, 6, 4], [6, 6, 6]], ids=str)
def test_lengths_like_packed_sequences(kind, more, lengths):
    torch = pytest.importorskip("torch")
    rnn = torch.nn.utils.rnn
    more = dict(more)
    proj = more.pop("proj", 0)
    for bidirectional, given in itertools.product([False, True], [False, True]):
        net = torch_net(kind, 2, bidirectional, True, proj, batch_first=True, **more)
        groups, named = weights_of(net, 2, bidirectional, True)
        rows = (2 * (1 + bidirectional), 3)
        states = [normal(*rows, proj or 4), normal(*rows, 4)][: 2 if kind == "lstm" else 1] if given else []

        def theirs(x, *states, net=net):
            packed = rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
            y, last = net(packed, (states if kind == "lstm" else states[0]) if states else None)
            return rnn.pad_packed_sequence(y, batch_first=True, total_length=6)[0], last

        options = {"bidirectional": bidirectional, "batch_first": True, "lengths": lengths, **more}
        compare(kind, net, groups, named, normal(3, 6, 3), states, theirs, **options)


def make_groups(kind, features, size, layers, directions=1, dtype=np.float64):
    n = GATES[kind] * size
    ins = [features if k < directions else size * directions for k in range(layers * directions)]
    return [tuple(0.5 * normal(*s).astype(dtype) for s in [(n, f), (n, size), (n,), (n,)]) for f in ins]


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_dropout_acts_between_layers(kind):
    x, groups = normal(6, 4, 3), make_groups(kind, 3, 4, 2)
    generator = nns.Generator(7)
    state = generator.get_state()
    y, *_ = run_ours(kind, x, None, groups, dropout=0.5, training=True, generator=generator)
    generator.set_state(state)
    first, *_ = run_ours(kind, x, None, groups[:1])
    second, *_ = run_ours(kind, ops.dropout(first, 0.5, True, generator=generator), None, groups[1:])
    np.testing.assert_allclose(y, second, rtol=1e-12)
    plain, *_ = run_ours(kind, x, None, groups)
    assert not np.allclose(y, plain)
    np.testing.assert_array_equal(run_ours(kind, x, None, groups, dropout=0.5)[0], plain)
    np.testing.assert_array_equal(run_ours(kind, x, None, groups[:1], dropout=0.5, training=True)[0], first)


def test_padding_is_not_read():
    x, groups = normal(5, 3, 3), make_groups("lstm", 3, 4, 1, directions=2)
    groups = [(*group[:1], normal(16, 2), *group[2:], normal(2, 4)) for group in groups]  # with a projection
    lengths = np.array([2, 5, 3])
    spoiled = x.copy()
    for k, n in enumerate(lengths):
        spoiled[n:, k] = np.nan
    options = {"bidirectional": True, "lengths": nns.tensor(lengths)}
    results = []
    for array in (x, spoiled):
        weights = [tuple(nns.tensor(w, requires_grad=True) for w in group) for group in groups]
        given = nns.tensor(array, requires_grad=True)
        y, h, c = ops.lstm(given, None, None, weights, **options)
        (y.sum() + (h * h).sum() + c.sum()).backward()
        results.append([y, h, c, given.grad, *[w.grad for group in weights for w in group]])
    for a, b in zip(*results):
        assert np.isfinite(a.detach().numpy()).all()
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_float32_stays_float32():
    x = nns.tensor(normal(5, 2, 3).astype(np.float32), requires_grad=True)
    for kind in GATES:
        groups = [tuple(nns.tensor(w, requires_grad=True) for w in g) for g in make_groups(kind, 3, 4, 2, 2, np.float32)]
        for lengths in (None, [5, 2]):
            y, *last = run_ours(kind, x, None, groups, bidirectional=True, lengths=lengths)
            assert {a.dtype for a in (y, *last)} == {np.dtype(np.float32)}
            y.sum().backward()
            assert groups[0][1].grad.dtype == np.float32


# ------------------------------------------------------------------------------------------------------ fused


def sequence_arrays(gates, state, *more):
    """x, states and weights for 2 features and 2 units, or with w_hr."""
    outs = state[0]
    return [normal(4, 3, 2), *(normal(3, n) for n in state), normal(2 * gates, 2), normal(2 * gates, outs), *more]


def biases(gates):
    return normal(2 * gates), normal(2 * gates)


SEQUENCES = {
    "lstm": (lstm_sequence, lambda: sequence_arrays(4, (2, 2), *biases(4)), (None,), {}),
    "lstm without biases": (lstm_sequence, lambda: sequence_arrays(4, (2, 2)), (None, None, None), {}),
    "lstm with projection": (lstm_sequence, lambda: sequence_arrays(4, (1, 2), *biases(4), normal(1, 2)), (), {}),
    "gru": (gru_sequence, lambda: sequence_arrays(3, (2,), *biases(3)), (), {}),
    "gru without biases": (gru_sequence, lambda: sequence_arrays(3, (2,)), (None, None), {}),
    "tanh": (rnn_sequence, lambda: sequence_arrays(1, (2,), *biases(1)), (), {"nonlinearity": "tanh"}),
    "relu": (rnn_sequence, lambda: sequence_arrays(1, (2,), *biases(1)), (), {"nonlinearity": "relu"}),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", [None, (3, 3, 2, 1)])
@pytest.mark.parametrize("name", SEQUENCES)
def test_fused_is_its_definition(name, sizes, reverse):
    op, make, rest, options = SEQUENCES[name]
    arrays = make()
    options = options | {"sizes": sizes, "reverse": reverse}
    directions = [normal(*a.shape) for a in arrays]
    results, cotangents = [], None
    for f, create in [(op, False), (op, True), (op.definition, True)]:
        args = [nns.tensor(a, requires_grad=True) for a in arrays]
        ys = f(*args, *rest, **options)
        cotangents = cotangents or [normal(*y.shape) for y in ys]
        first = nns.grad(ys, args, [nns.tensor(g) for g in cotangents], create_graph=create)
        again = sum((g * nns.tensor(v)).sum() for g, v in zip(first, directions))
        second = nns.grad(again, args) if create else ()
        results.append([t.detach().numpy() for t in (*ys, *first, *second)])
    fast, slow, definition = results
    for a, b in zip(slow, definition, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    for a, b in zip(fast, definition):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SEQUENCES)
def test_fused_against_differences(name):
    op, make, rest, options = SEQUENCES[name]
    check_grads(lambda *a: op(*a, *rest, sizes=(3, 3, 2, 1), reverse=True, **options), *make(), projections=1)
    check_grads(lambda *a: op(*a, *rest, **options), *make(), order=1)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_one_output_alone(part):
    """The cotangents of the others are absent, not zeros."""
    args = SEQUENCES["lstm"][1]()
    check_grads(lambda *a: lstm_sequence(*a, None)[part], *args, order=1)


def test_shared_weights():
    """One set of weights in both layers: the second layer's input depends on the weights that it multiplies."""
    (w_ih, w_hh, b_ih, b_hh) = make_groups("lstm", 2, 2, 1)[0]

    def run(w_ih, w_hh):
        return ops.lstm(nns.tensor(x), None, None, [(w_ih, w_hh, nns.tensor(b_ih), nns.tensor(b_hh))] * 2)[0]

    x = normal(3, 2, 2)
    check_grads(run, w_ih, w_hh, order=1)
    weights = [nns.tensor(w, requires_grad=True) for w in (w_ih, w_hh)]
    plain = nns.grad(run(*weights).sum(), weights)
    recorded = nns.grad(run(*weights).sum(), weights, create_graph=True)
    for a, b in zip(plain, recorded):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-10)


# ------------------------------------------------------------------------------------------------------ packing


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[4, 2, 2], [1, 4, 3], [2, 3, 1]], ids=str)
def test_packing_like_torch(batch_first, lengths):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    x = normal(*((3, 4, 2) if batch_first else (4, 3, 2)))
    ordered = lengths == sorted(lengths, reverse=True)
    a = rnn_utils.pack_padded_sequence(nns.tensor(x), lengths, batch_first, enforce_sorted=ordered)
    b = theirs.pack_padded_sequence(torch.tensor(x), lengths, batch_first, enforce_sorted=ordered)
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        p, q = getattr(a, name), getattr(b, name)
        assert (p is None) == (q is None), name
        if p is not None:
            np.testing.assert_array_equal(p.numpy(), q.numpy(), err_msg=name)
    for kw in ({}, {"padding_value": 7.0}, {"total_length": 6}, {"batch_first": True}):
        padded, n = rnn_utils.pad_packed_sequence(a, **kw)
        padded_b, n_b = theirs.pad_packed_sequence(b, **kw)
        np.testing.assert_array_equal(padded.numpy(), padded_b.numpy())
        np.testing.assert_array_equal(n.numpy(), n_b.numpy())
    for p, q in zip(rnn_utils.unpack_sequence(a), theirs.unpack_sequence(b), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_pad_sequence_like_torch(side, batch_first):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    xs = [normal(n, 2) for n in (2, 4, 1)]
    a = rnn_utils.pad_sequence([nns.tensor(x) for x in xs], batch_first, -1.0, side)
    b = theirs.pad_sequence([torch.tensor(x) for x in xs], batch_first, -1.0, side)
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    packed = rnn_utils.pack_sequence([nns.tensor(x) for x in xs], enforce_sorted=False)
    np.testing.assert_array_equal(
        packed.data.numpy(), theirs.pack_sequence([torch.tensor(x) for x in xs], enforce_sorted=False).data.numpy()
    )
    for x, y in zip(xs, rnn_utils.unpack_sequence(packed), strict=True):
        np.testing.assert_array_equal(x, y.numpy())


def test_packing_is_differentiable():
    def there_and_back(x):
        packed = rnn_utils.pack_padded_sequence(x, [1, 3, 2], enforce_sorted=False)
        return rnn_utils.pad_packed_sequence(packed)[0] * x

    check_grads(there_and_back, normal(3, 3, 2))


# ------------------------------------------------------------------------------------------------------ errors


X, W = np.zeros((5, 2, 3)), make_groups("lstm", 3, 4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.lstm(X[0, 0], None, None, W), r"lstm: input must have shape.*\(3,\)"),
        (lambda: ops.lstm(X[..., :2], None, None, W), "layer 0 expects 3 features, the input gives 2"),
        (lambda: ops.lstm(X, None, None, W[:1] * 2), "layer 1 expects 3 features, layer 0 gives 4"),
        (lambda: ops.lstm(X, np.zeros((2, 3, 4)), None, W), r"h0 has shape \(2, 3, 4\), expected \(2, 2, 4\)"),
        (lambda: ops.lstm(X, None, np.zeros((2, 4)), W), r"c0 has shape \(2, 4\), expected \(2, 2, 4\)"),
        (lambda: ops.lstm(X, None, None, W[:1], bidirectional=True), "weights for 1 layers.*multiple of 2"),
        (lambda: ops.lstm(X, None, None, []), "weights for 0"),
        (lambda: ops.lstm(X, None, None, W, dropout=1.5), "dropout.*1.5"),
        (lambda: ops.lstm(X, None, None, W, lengths=[5]), r"2 integers.*\(1,\)"),
        (lambda: ops.lstm(X, None, None, W, lengths=[5, 0]), "from 1 to 5, got 0 to 5"),
        (lambda: ops.lstm(X, None, None, W, lengths=[5, 6]), "from 1 to 5, got 5 to 6"),
        (lambda: ops.lstm(X, None, None, W, lengths=[5.0, 4.0]), "float64"),
        (lambda: ops.rnn(X, None, [w[:2] for w in W], nonlinearity="elu"), "'tanh' or 'relu', got 'elu'"),
        (lambda: ops.gru_cell(X[0], np.zeros((2, 4)), *W[0]), "gru_cell: w_ih of shape"),
        (lambda: ops.lstm_cell(X[0], (np.zeros((2, 4)), np.zeros((1, 4))), *W[0]), r"state of shape \(1, 4\)"),
        (lambda: ops.lstm_cell(X, (X, X), *W[0]), r"lstm_cell: input of shape \(5, 2, 3\)"),
        (lambda: rnn_utils.pack_padded_sequence(nns.tensor(X), [2, 3]), r"must fall, got \[2, 3\].*enforce_sorted"),
        (lambda: rnn_utils.pack_padded_sequence(nns.tensor(X), [6, 3]), r"from 1 to 5.*\[6, 3\]"),
        (lambda: rnn_utils.pad_sequence([]), "no sequences"),
        (lambda: rnn_utils.pad_sequence([X, X[..., :1]]), "differ behind"),
        (lambda: rnn_utils.pad_sequence([X], padding_side="top"), "'top'"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("wrong", ["input", "h0", "w_ih", "w_hh", "b_hh"])
def test_types_must_be_equal(wrong):
    """As torch's: nothing is converted silently."""
    names = ["w_ih", "w_hh", "b_ih", "b_hh"]
    groups = [[a.astype(np.float32) if n == wrong else a for n, a in zip(names, make_groups("gru", 3, 4, 1)[0])]]
    x = X.astype(np.float32) if wrong == "input" else X
    h0 = np.zeros((1, 2, 4), np.float32 if wrong == "h0" else np.float64)
    with pytest.raises(RuntimeError, match="gru: expected equal dtypes, got float"):
        ops.gru(x, h0, groups)
