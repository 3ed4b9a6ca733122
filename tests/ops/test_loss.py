"""Every loss against torch over the grid of its arguments, at orders 0 to 2; extremes; fused ops against their definitions."""

import functools
import itertools
import math

import numpy as np
import pytest
from support import against_torch, check_grads

import nnscratch as nns
from nnscratch import ops
from nnscratch.ops.loss.classification import soft_nll, softmax_nll

REDUCTIONS = ("none", "mean", "sum")
rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape)


def uniform(*shape):
    return rng.uniform(0.05, 0.95, shape)


def signs(*shape):
    return rng.choice([-1.0, 1.0], shape)


def probabilities(*shape):
    e = np.exp(rng.standard_normal(shape))
    return e / e.sum(axis=min(1, len(shape) - 1), keepdims=True)


def grid(**options):
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]


x, t = normal(4, 3), normal(4, 3)
ELEMENTWISE = [  # name, arguments, options
    ("mse_loss", (x, t), [{}]),
    ("l1_loss", (x, t), [{}]),
    ("smooth_l1_loss", (x, t), grid(beta=[0.0, 0.3, 1.0, 5.0])),
    ("huber_loss", (x, t), grid(delta=[0.3, 1.0, 5.0])),
    ("binary_cross_entropy", (uniform(4, 3), uniform(4, 3)), [{}]),
    ("binary_cross_entropy", (uniform(4, 3), uniform(4, 3), uniform(3)), [{}]),
    ("binary_cross_entropy_with_logits", (4 * x, uniform(4, 3)), [{}]),
    ("binary_cross_entropy_with_logits", (4 * x, uniform(4, 3), uniform(3)), [{}]),
    ("kl_div", (np.log(probabilities(4, 3)), probabilities(4, 3)), [{}]),
    ("kl_div", (np.log(probabilities(4, 3)), np.log(probabilities(4, 3))), [{"log_target": True}]),
    ("gaussian_nll_loss", (x, t, uniform(4, 3)), grid(full=[False, True])),
    ("gaussian_nll_loss", (x, t, uniform(4, 1)), [{}]),
    ("gaussian_nll_loss", (x, t, uniform(4)), [{}]),
    ("gaussian_nll_loss", (x, t, np.array(1e-9) + np.zeros((4, 1))), [{"eps": 1e-2}]),
    ("poisson_nll_loss", (x, 3 * uniform(4, 3)), grid(log_input=[True], full=[False, True])),
    ("poisson_nll_loss", (uniform(4, 3), 3 * uniform(4, 3)), grid(log_input=[False], full=[False, True], eps=[1e-8, 0.1])),
    ("hinge_embedding_loss", (x, signs(4, 3)), grid(margin=[0.5, 1.0])),
    ("margin_ranking_loss", (x, t, signs(4, 3)), grid(margin=[0.0, 0.5])),
    ("cosine_embedding_loss", (x, t, signs(4)), grid(margin=[0.0, -0.5])),
    ("cosine_embedding_loss", (x[0], t[0], signs()), [{}]),
    ("soft_margin_loss", (3 * x, signs(4, 3)), [{}]),
    ("triplet_margin_loss", (x, t, normal(4, 3)), grid(margin=[0.5, 2.0], p=[2.0, 1.0, 3.0], swap=[False, True])),
    ("triplet_margin_loss", (x[0], t[0], normal(3)), [{}]),
    ("multilabel_soft_margin_loss", (x, uniform(4, 3)), [{}]),
    ("multilabel_soft_margin_loss", (x, uniform(4, 3), uniform(3)), [{}]),
]
CASES = [(name, args, kw) for name, args, options in ELEMENTWISE for kw in options]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "args", "kw"), CASES, ids=[f"{n}-{k}" for k, (n, _, _) in enumerate(CASES)])
def test_like_torch(name, args, kw, reduction):
    torch = pytest.importorskip("torch")
    kw = {**kw, "reduction": reduction}
    ours = functools.partial(getattr(ops, name), **kw)
    theirs = functools.partial(getattr(torch.nn.functional, name), **kw)
    # torch refuses to differentiate these by their constant arguments
    constant = {"binary_cross_entropy_with_logits": (2,), "hinge_embedding_loss": (1,), "margin_ranking_loss": (2,)}.get(name, ())
    constant += {"cosine_embedding_loss": (2,), "soft_margin_loss": (1,), "poisson_nll_loss": (1,)}.get(name, ())
    constant += {"multilabel_soft_margin_loss": (2,), "binary_cross_entropy": (1, 2)}.get(name, ())
    free = [a for i, a in enumerate(args) if i not in constant]

    def filled(f, tensor):
        def call(*given):
            given = list(given)
            return f(*[tensor(args[i]) if i in constant else given.pop(0) for i in range(len(args))])

        return call

    against_torch(filled(ours, nns.tensor), filled(theirs, torch.tensor), *free)


@pytest.mark.parametrize(("name", "args", "kw"), CASES, ids=[f"{n}-{k}" for k, (n, _, _) in enumerate(CASES)])
def test_single_numbers(name, args, kw):
    """0-d inputs, where NumPy's functions give scalars rather than arrays."""
    if any(np.ndim(a) != 2 for a in args) or name in ("cosine_embedding_loss", "triplet_margin_loss") or "multilabel" in name:
        return
    row = getattr(ops, name)(*[nns.tensor(a[:1, 0]) for a in args], **kw)
    xs = [nns.tensor(a[0, 0], requires_grad=True) for a in args]
    loss = getattr(ops, name)(*xs, **kw)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(row.item(), rel=1e-12)
    loss.backward()
    assert xs[0].grad.shape == ()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_like_torch(name, reduction):
    torch = pytest.importorskip("torch")
    against_torch(
        lambda x, t, w: getattr(ops, name)(x, t, weight=w, reduction=reduction),
        lambda x, t, w: getattr(torch.nn.functional, name)(x, t, weight=w, reduction=reduction),
        *(x, t, uniform(4, 3)),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_pos_weight_like_torch(reduction):
    torch = pytest.importorskip("torch")
    target = uniform(4, 3)
    for weight, pos_weight in itertools.product([None, uniform(4, 1)], [uniform(3), 5 * uniform(4, 3)]):

        def run(f, tensor, x, weight=weight, pos_weight=pos_weight):
            w = None if weight is None else tensor(weight)
            return f(x, tensor(target), w, reduction=reduction, pos_weight=tensor(pos_weight))

        f, g = ops.binary_cross_entropy_with_logits, torch.nn.functional.binary_cross_entropy_with_logits
        against_torch(functools.partial(run, f, nns.tensor), functools.partial(run, g, torch.tensor), 4 * x)


def test_constants_are_differentiable_too():
    w, s = uniform(4, 3), signs(4, 3)
    check_grads(lambda x, t, w, p: ops.binary_cross_entropy_with_logits(x, t, w, pos_weight=p), x, w, uniform(3), uniform(3))
    check_grads(lambda x, t, w: ops.binary_cross_entropy(x, t, w), uniform(4, 3), w, uniform(3))
    check_grads(lambda x, w: ops.cross_entropy(x, nns.tensor([0, 2, 1, 1]), w), x, uniform(3))
    check_grads(lambda x, w: ops.cross_entropy(x, nns.tensor([0, 2, 1, 1]), w, label_smoothing=0.3), x, uniform(3))
    check_grads(lambda x, t: ops.soft_margin_loss(x, t), x, s)


# ------------------------------------------------------------------------------------------------------ classes


def targets_for(shape, classes, ignored=None):
    target = rng.integers(0, classes, shape)
    if ignored is not None and target.size:
        target.reshape(-1)[:: max(2, target.size // 2)] = ignored
    return target


SHAPES = [(5,), (4, 5), (3, 4, 2), (2, 3, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_indices_like_torch(shape, reduction):
    torch = pytest.importorskip("torch")
    classes = shape[min(1, len(shape) - 1)]
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()
    for weighted, ignored, smoothing in itertools.product([False, True], [None, -100, 1], [0.0, 0.1, 1.0]):
        if not rest and ignored is not None:
            continue
        w = uniform(classes) if weighted else None
        kw = {"reduction": reduction, "label_smoothing": smoothing} | ({} if ignored is None else {"ignore_index": ignored})
        target = targets_for(rest, classes, ignored)
        against_torch(
            lambda x: ops.cross_entropy(x, nns.tensor(target), None if w is None else nns.tensor(w), **kw),
            lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(target), None if w is None else torch.tensor(w), **kw),
            3 * normal(*shape),
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_probabilities_like_torch(shape, reduction):
    torch = pytest.importorskip("torch")
    for weighted, smoothing in itertools.product([False, True], [0.0, 0.1]):
        w = uniform(shape[min(1, len(shape) - 1)]) if weighted else None
        kw = {"reduction": reduction, "label_smoothing": smoothing}
        against_torch(
            lambda x, t: ops.cross_entropy(x, t, None if w is None else nns.tensor(w), **kw),
            lambda x, t: torch.nn.functional.cross_entropy(x, t, None if w is None else torch.tensor(w), **kw),
            *(normal(*shape), probabilities(*shape)),
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_like_torch(shape, reduction):
    torch = pytest.importorskip("torch")
    classes = shape[min(1, len(shape) - 1)]
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()
    for weighted, ignored in itertools.product([False, True], [-100, 1] if rest else [-100]):
        w = uniform(classes) if weighted else None
        target = targets_for(rest, classes, ignored if rest else None)
        kw = {"reduction": reduction, "ignore_index": ignored}
        against_torch(
            lambda x: ops.nll_loss(x, nns.tensor(target), None if w is None else nns.tensor(w), **kw),
            lambda x: torch.nn.functional.nll_loss(x, torch.tensor(target), None if w is None else torch.tensor(w), **kw),
            normal(*shape),
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multi_margin_like_torch(reduction):
    torch = pytest.importorskip("torch")
    for (x, target), p, margin, weighted in itertools.product(
        [(normal(4, 5), targets_for(4, 5)), (normal(5), np.array(3))], [1, 2], [0.5, 1.0], [False, True]
    ):
        w = uniform(5) if weighted else None
        kw = {"p": p, "margin": margin, "reduction": reduction}
        against_torch(
            lambda x: ops.multi_margin_loss(x, nns.tensor(target), weight=None if w is None else nns.tensor(w), **kw),
            lambda x: torch.nn.functional.multi_margin_loss(
                x, torch.tensor(target), weight=None if w is None else torch.tensor(w), **kw
            ),
            x,
            order=1,  # torch has no second derivative here
        )
        check_grads(lambda x: ops.multi_margin_loss(x, nns.tensor(target), **kw), x)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_margin_like_torch(reduction):
    torch = pytest.importorskip("torch")
    for x, target in [(normal(3, 4), [[2, 0, -1, 1], [-1, 2, 2, 2], [1, 1, 3, -1]]), (normal(4), [3, -1, 0, 0])]:
        against_torch(
            lambda x: ops.multilabel_margin_loss(x, nns.tensor(target), reduction=reduction),
            lambda x: torch.nn.functional.multilabel_margin_loss(x, torch.tensor(target), reduction=reduction),
            x,
            order=1,
        )


def test_channels_last_scores_give_channels_last_gradients():
    scores = np.moveaxis(normal(2, 3, 4, 5), -1, 1)
    x = nns.tensor(scores, requires_grad=True)
    ops.cross_entropy(x, nns.tensor(targets_for((2, 3, 4), 5))).backward()
    assert np.moveaxis(x.grad.numpy(), 1, -1).flags.c_contiguous


# ------------------------------------------------------------------------------------------------------ fused


@pytest.mark.parametrize(("shape", "axis"), [((5,), 0), ((4, 5), 1), ((2, 3, 4), 1), ((0, 3), 1)])
@pytest.mark.parametrize(
    ("op", "kw"),
    [(softmax_nll, {"reduction": r}) for r in REDUCTIONS] + [(soft_nll, {})],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_fused_is_its_definition(op, kw, shape, axis):
    scores = 2 * normal(*shape)
    rest = shape[:axis] + shape[axis + 1 :]
    other = rng.integers(0, shape[axis], rest) if op is softmax_nll else uniform(*shape)
    wanted = 1 if op is softmax_nll else 2
    g, h = normal(*(rest if kw.get("reduction", "none") == "none" else ())), [normal(*shape), normal(*shape)]
    results = []
    for f, create in [(op, False), (op, True), (op.definition, True)]:
        args = [nns.tensor(scores, requires_grad=True), nns.tensor(other, requires_grad=op is soft_nll)]
        y = f(*args, axis=axis, **kw)
        first = nns.grad(y, args[:wanted], nns.tensor(g), create_graph=create)
        second = () if not create else nns.grad(sum((a * nns.tensor(b)).sum() for a, b in zip(first, h)), args[:wanted])
        results.append([y.detach().numpy(), *[a.detach().numpy() for a in first], *[a.numpy() for a in second]])
    for fused_first, fused, definition in itertools.zip_longest(*results):
        np.testing.assert_allclose(fused, definition, rtol=1e-12, atol=1e-13)
        if fused_first is not None:
            np.testing.assert_allclose(fused_first, definition, rtol=1e-12, atol=1e-13)
    if scores.size:
        check_grads(lambda *a: op(*a, *[] if wanted == 2 else [nns.tensor(other)], axis=axis, **kw), *[scores, other][:wanted])


@pytest.mark.parametrize("target", [lambda x: x, lambda x: ops.softmax(x, 1) * x], ids=["the scores", "made from the scores"])
def test_a_target_that_depends_on_the_scores(target):
    """Both arguments of a fused op come from one tensor: each gradient counts once, on either path through the op."""
    x = nns.tensor(normal(3, 4), requires_grad=True)
    results = []
    for f, create in [(soft_nll, False), (soft_nll, True), (soft_nll.definition, True)]:
        results.append(nns.grad(f(x, target(x), axis=1).sum(), [x], create_graph=create)[0].detach().numpy())
    np.testing.assert_allclose(results[0], results[2], rtol=1e-12)
    np.testing.assert_allclose(results[1], results[2], rtol=1e-12)


# ------------------------------------------------------------------------------------------------------ extremes


def test_logits_of_ten_thousand():
    logits = np.array([1e4, -1e4, 1e4, -1e4, 0.0], np.float32)
    target = np.array([1.0, 0.0, 0.0, 1.0, 0.5], np.float32)
    x = nns.tensor(logits, requires_grad=True)
    for pos_weight in (None, nns.tensor(np.float32([2.0]))):
        loss = ops.binary_cross_entropy_with_logits(x, nns.tensor(target), pos_weight=pos_weight, reduction="none")
        p = 1 if pos_weight is None else 2
        np.testing.assert_allclose(loss.detach().numpy(), [0, 0, 1e4, p * 1e4, (1 + p) / 2 * math.log(2)], rtol=1e-6)
        (g,) = nns.grad(loss.sum(), [x])
        np.testing.assert_allclose(g.numpy(), [0, 0, 1, -p, (1 - p) / 4], atol=1e-6)
        assert loss.dtype == np.float32 == g.dtype
    two = nns.tensor(np.stack([logits, -logits], 1), requires_grad=True)
    loss = ops.cross_entropy(two, nns.tensor([0, 1, 1, 0, 0]), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [0, 0, 2e4, 2e4, math.log(2)], rtol=1e-6)
    loss.sum().backward()
    assert np.isfinite(two.grad.numpy()).all()


def test_small_losses_of_logits_are_exact():
    x = nns.tensor(np.float32([20, -20, -20, np.inf]), requires_grad=True)
    target, small = nns.tensor(np.float32([1, 0, 0, 0])), math.exp(-20)
    for pos_weight in (None, nns.tensor(np.float32([1.0]))):
        loss = ops.binary_cross_entropy_with_logits(x, target, pos_weight=pos_weight, reduction="none")
        np.testing.assert_allclose(loss.detach().numpy(), [small, small, small, np.inf], rtol=1e-6)
        np.testing.assert_allclose(nns.grad(loss.sum(), [x])[0].numpy()[1:], [small, small, 1], rtol=1e-6)


def test_impossible_classes():
    scores = np.array([[0.0, -np.inf, 1.0], [2.0, -np.inf, -np.inf]])
    x = nns.tensor(scores, requires_grad=True)
    loss = ops.cross_entropy(x, nns.tensor([2, 0]), reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert np.isfinite(x.grad.numpy()).all()


def test_probabilities_of_exactly_0_and_1_like_torch():
    torch = pytest.importorskip("torch")
    p, t = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.5])
    for dtype in (np.float64, np.float32):
        against_torch(
            lambda x: ops.binary_cross_entropy(x, nns.tensor(t.astype(dtype)), reduction="none"),
            lambda x: torch.nn.functional.binary_cross_entropy(x, torch.tensor(t.astype(dtype)), reduction="none"),
            p.astype(dtype),
            order=1,
            rtol=1e-6,
        )
    assert ops.binary_cross_entropy(nns.tensor(p), nns.tensor(t), reduction="none").tolist()[:4] == [0, 100, 100, 0]


def test_kinks_like_torch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    x, t = np.array([0.0, 1.0, -1.0, 2.0]), np.zeros(4)
    for name, kw in [("l1_loss", {}), ("smooth_l1_loss", {}), ("huber_loss", {}), ("smooth_l1_loss", {"beta": 0.0})]:
        against_torch(functools.partial(getattr(ops, name), **kw), functools.partial(getattr(F, name), **kw), x, t, order=1)
    one = np.ones(4)
    against_torch(
        lambda x: ops.margin_ranking_loss(x, nns.tensor(t), nns.tensor(one), 1.0),
        lambda x: F.margin_ranking_loss(x, torch.tensor(t), torch.tensor(one), 1.0),
        x,
        order=1,
    )
    against_torch(
        lambda x: ops.hinge_embedding_loss(x, nns.tensor(-one)),
        lambda x: F.hinge_embedding_loss(x, torch.tensor(-one)),
        x,
        order=1,
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_empty_batches_like_torch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    empty = np.zeros((0, 3), np.float32)
    indices = np.zeros(0, np.int64)
    for reduction in REDUCTIONS:
        for name in ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"):
            ours = getattr(ops, name)(nns.tensor(empty), nns.tensor(empty), reduction=reduction)
            theirs = getattr(F, name)(torch.tensor(empty), torch.tensor(empty), reduction=reduction)
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=name)
        ours = ops.cross_entropy(nns.tensor(empty), nns.tensor(indices), reduction=reduction)
        theirs = F.cross_entropy(torch.tensor(empty), torch.tensor(indices), reduction=reduction)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_all_targets_ignored():
    x = nns.tensor(normal(3, 4), requires_grad=True)
    nothing = nns.tensor([-100, -100, -100])
    assert math.isnan(ops.cross_entropy(x, nothing).item())
    assert ops.cross_entropy(x, nothing, reduction="sum").item() == 0
    assert ops.cross_entropy(x, nothing, reduction="none").tolist() == [0, 0, 0]


# ------------------------------------------------------------------------------------------------------ extensions


def test_gaussian_kl_is_the_divergence():
    torch = pytest.importorskip("torch")
    mu, logvar = normal(5, 3), normal(5, 3)

    def divergence(mu, logvar, reduction):
        normal = torch.distributions.Normal
        kl = torch.distributions.kl_divergence(normal(mu, torch.exp(0.5 * logvar)), normal(torch.zeros(()), torch.ones(())))
        return {"none": kl, "mean": kl.mean(), "sum": kl.sum(), "batchmean": kl.sum() / 5}[reduction]

    for reduction in (*REDUCTIONS, "batchmean"):
        against_torch(
            lambda m, v: ops.gaussian_kl(m, v, reduction=reduction), lambda m, v: divergence(m, v, reduction), mu, logvar
        )
    assert ops.gaussian_kl(nns.tensor(mu), nns.tensor(logvar)).item() == pytest.approx(
        -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum() / 5
    )
    tiny = ops.gaussian_kl(nns.tensor([[0.0]]), nns.tensor([[1e-4]])).item()
    assert tiny == pytest.approx(0.25e-8, rel=1e-2, abs=0)  # in float32, where 1 + logvar - exp(logvar) is 0


def test_batchmean_like_torch():
    torch = pytest.importorskip("torch")
    p, q = np.log(probabilities(4, 3)), probabilities(4, 3)
    against_torch(
        lambda p, q: ops.kl_div(p, q, reduction="batchmean"),
        lambda p, q: torch.nn.functional.kl_div(p, q, reduction="batchmean"),
        *(p, q),
    )


def softplus(v):
    return np.logaddexp(0, v)


@pytest.mark.parametrize(
    ("kind", "generator", "discriminator"),
    [
        ("non-saturating", lambda f: softplus(-f), lambda r, f: softplus(-r).mean() + softplus(f).mean()),
        ("hinge", lambda f: -f, lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean()),
        ("wasserstein", lambda f: -f, lambda r, f: f.mean() - r.mean()),
        ("least-squares", lambda f: (f - 1) ** 2 / 2, lambda r, f: (((r - 1) ** 2).mean() + (f**2).mean()) / 2),
    ],
)
def test_adversarial_losses(kind, generator, discriminator):
    real, fake = 2 * normal(6, 1), 2 * normal(4, 1)
    assert ops.generator_loss(nns.tensor(fake), kind).item() == pytest.approx(generator(fake).mean())
    assert ops.discriminator_loss(nns.tensor(real), nns.tensor(fake), kind).item() == pytest.approx(discriminator(real, fake))
    check_grads(lambda f: ops.generator_loss(f, kind), fake)
    check_grads(lambda r, f: ops.discriminator_loss(r, f, kind), real, fake)


def test_label_smoothing_is_one_sided():
    real, fake = normal(5), normal(5)
    r, f = nns.tensor(real), nns.tensor(fake)
    smooth = ops.discriminator_loss(r, f, label_smoothing=0.1).item()
    assert smooth == pytest.approx((0.9 * softplus(-real) + 0.1 * softplus(real)).mean() + softplus(fake).mean())
    squares = ops.discriminator_loss(r, f, "least-squares", label_smoothing=0.1).item()
    assert squares == pytest.approx((((real - 0.9) ** 2).mean() + (fake**2).mean()) / 2)


def test_arrays_in_arrays_out():
    for name, args, kw in CASES:
        y = getattr(ops, name)(*args, **kw)
        assert not isinstance(y, nns.Tensor)
        assert float(y) == pytest.approx(getattr(ops, name)(*[nns.tensor(a) for a in args], **kw).item())
    assert float(ops.cross_entropy(x, np.array([0, 1, 2, 0]))) > 0


# ------------------------------------------------------------------------------------------------------ errors


def tensors(*arrays):
    return [nns.tensor(a) for a in arrays]


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_shapes_must_agree_and_reductions_be_known(name):
    args = next(args for n, args, _ in CASES if n == name)
    with pytest.raises(ValueError, match=r"reduction 'avg'.*'none', 'mean', 'sum'"):
        getattr(ops, name)(*tensors(*args), reduction="avg")
    wrong = list(args)
    wrong[1] = normal(4, 1)
    with pytest.raises(ValueError, match=rf"{name}.*\(4, 3\).*\(4, 1\)"):
        getattr(ops, name)(*tensors(*wrong))


def test_class_targets_are_checked():
    scores = nns.tensor(normal(3, 4))
    for f in (ops.cross_entropy, ops.nll_loss, ops.multi_margin_loss):
        with pytest.raises(IndexError, match="target 4 is out of range for 4 classes"):
            f(scores, nns.tensor([0, 4, 1]))
        with pytest.raises(IndexError, match="target -1 is out of range"):
            f(scores, nns.tensor([0, -1, 1]))
        with pytest.raises(ValueError, match=r"\(3, 4\).*\(3,\).*\(2,\)"):
            f(scores, nns.tensor([0, 1]))
        with pytest.raises(ValueError, match=r"weight has shape \(3,\).*\(4,\)"):
            f(scores, nns.tensor([0, 1, 1]), weight=nns.tensor([1.0, 1.0, 1.0]))
    with pytest.raises(TypeError, match="float"):
        ops.nll_loss(scores, nns.tensor([0.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3,\)"):
        ops.cross_entropy(scores, nns.tensor([0.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="label_smoothing"):
        ops.cross_entropy(scores, nns.tensor([0, 1, 1]), label_smoothing=1.5)
    with pytest.raises(IndexError, match="target 4 is out of range"):
        ops.cross_entropy(scores, nns.tensor([2, 4, 1]), ignore_index=2)
    with pytest.raises(IndexError, match="target 7 is out of range"):
        ops.multilabel_margin_loss(nns.tensor(normal(3)), nns.tensor([7, -1, 0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a, b: ops.binary_cross_entropy(a * 0 + 1.5, b), RuntimeError, r"\[0, 1\].*1.5"),
        (lambda a, b: ops.binary_cross_entropy(a * math.nan, b), RuntimeError, "nan"),
        (lambda a, b: ops.smooth_l1_loss(a, b, beta=-1.0), RuntimeError, "beta"),
        (lambda a, b: ops.huber_loss(a, b, delta=0.0), RuntimeError, "delta"),
        (lambda a, b: ops.mse_loss(a, b, weight=a[:1]), ValueError, "weight"),
        (lambda a, b: ops.gaussian_nll_loss(a, b, b * 0 - 1), ValueError, "negative"),
        (lambda a, b: ops.gaussian_nll_loss(a, b, -1.0), ValueError, "negative"),
        (lambda a, b: ops.gaussian_nll_loss(a, b, b[:, :2] * 0), ValueError, r"\(4, 2\)"),
        (lambda a, b: ops.triplet_margin_loss(a, b, b, margin=0.0), ValueError, "margin"),
        (lambda a, b: ops.multi_margin_loss(a, nns.tensor([0, 0, 0, 0]), p=3), ValueError, "p must be 1 or 2"),
        (lambda a, b: ops.generator_loss(a, "lsgan"), ValueError, "'lsgan'.*'least-squares'"),
        (lambda a, b: ops.discriminator_loss(a, b, "wgan"), ValueError, "'wgan'"),
        (lambda a, b: ops.discriminator_loss(a, b, "hinge", 0.1), ValueError, "label"),
        (lambda a, b: ops.discriminator_loss(a, b, label_smoothing=-0.1), ValueError, "label_smoothing"),
        (lambda a, b: ops.gaussian_kl(a, b, reduction="batch"), ValueError, "'batchmean'"),
        (lambda a, b: ops.cross_entropy(nns.tensor(1.0), b), ValueError, "0-d"),
    ],
)
def test_errors_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(*tensors(x, t))


def test_number_as_variance():
    a, b = tensors(x, t)
    like = ops.gaussian_nll_loss(a, b, nns.tensor(np.full_like(x, 0.7)), reduction="none")
    np.testing.assert_allclose(ops.gaussian_nll_loss(a, b, 0.7, reduction="none").numpy(), like.numpy())


ONE_PASS = {
    "mse": ops.mse_loss,
    "l1": ops.l1_loss,
    "huber": lambda x, t, **k: ops.huber_loss(x, t, delta=0.7, **k),
    "smooth_l1": lambda x, t, **k: ops.smooth_l1_loss(x, t, beta=0.5, **k),
    "bce": lambda x, t, **k: ops.binary_cross_entropy(x * 0.2 + 0.5, t, **k),
    "logits": ops.binary_cross_entropy_with_logits,
    "gaussian_kl": lambda x, t, **k: ops.gaussian_kl(x, t, **k),
}


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("name", ONE_PASS)
def test_one_compiled_pass(name, layout, reduction, monkeypatch):
    """Large arrays by kernels against the ops that define the loss: values, first and second derivatives."""
    pytest.importorskip("numba")
    from nnscratch.kernels import compiled, pairs, use

    monkeypatch.setattr(compiled, "LARGE", 1)
    taken, real = [], pairs.each
    monkeypatch.setattr(pairs, "each", lambda mode, *args: taken.append(mode) or real(mode, *args))
    rng = np.random.default_rng(0)
    x, t, h = rng.uniform(-2, 2, (2, 3, 4, 5)), rng.uniform(0.1, 0.9, (2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    if layout == "channels last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    def results():
        leaves = [nns.Tensor(a).requires_grad_() for a in (x, t)]
        y = ONE_PASS[name](*leaves, reduction=reduction)
        total = (y * (nns.tensor(h) if reduction == "none" else 3.0)).sum()
        first = nns.grad(total, leaves, retain_graph=True)
        slopes = nns.grad(total, leaves, create_graph=True)
        loss = sum((g * g * nns.tensor(h)).sum() for g in slopes)
        second = nns.grad(loss, leaves, allow_unused=True) if loss.requires_grad else ()
        return [a.detach().numpy() for a in (y, *first, *slopes, *second) if a is not None]

    fast = results()
    assert {"by_x", "by_t"} <= set(taken)
    with use("im2col"):
        slow = results()
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
