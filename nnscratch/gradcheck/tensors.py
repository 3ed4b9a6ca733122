"""`gradcheck`: functions on nnscratch tensors, to any order, in reverse and forward mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import autograd, backend
from ..nn.module import Module
from ..tensor import Tensor
from . import oploc
from .check import BUDGET, check_vjp
from .modules import free_parameters, functional
from .report import FAULTS, GradcheckError, Report, Verdict
from .vectors import signs

Function = Callable[..., Any]


def gradcheck(
    f: Function,
    inputs: Any,
    *,
    order: int = 1,
    mode: str = "reverse",
    projections: int | str = 8,
    seed: int = 0,
    budget: int | None = BUDGET,
    subgradient: bool = False,
    raise_exception: bool = True,
    _attribute: bool = True,
) -> Report:
    """Hold the derivatives of f, a function of nnscratch tensors, against numeric ones, at orders 1 to `order`.

    `inputs`: an array or tensor, or a tuple of them. Floating-point inputs are differentiated (only those that require grad, if
    any tensor among them does); others are passed as they are. If f is a module, its parameters are checked too, after the
    inputs and under their own names ("0.weight"), and it is left as it was. At order n the function under test is <∇^(n-1) f,
    u> for random u, its dependence on u included. `mode="forward"` tests `jvp` as well: <J v, u> against <v, J'u> and against
    the numeric J v.
    A wrong gradient is traced to the element and to the recorded op: see `Finding`.
    Raises GradcheckError for a faulty gradient unless `raise_exception=False`; ValueError for a bad option; see `check_vjp`.
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order: expected a positive integer, got {order!r}")
    if mode not in ("reverse", "forward"):
        raise ValueError(f"mode: expected 'reverse' or 'forward', got {mode!r}")
    given = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    arrays, fixed, device = _arrays(given)
    name = getattr(f, "__name__", type(f).__name__)
    rng = np.random.default_rng([seed, 1])
    positions = [i for i in range(len(given)) if i not in fixed]
    names = [f"input {i}" for i in positions]
    if isinstance(f, Module):
        parameters = free_parameters(f)
        f = functional(f, len(given))
        arrays += _arrays(list(parameters.values()))[0]
        positions += range(len(given), len(given) + len(parameters))
        names += parameters
    function = _on_free(f, given, fixed)
    evaluations, excess, notes = 0, 0.0, []
    report: Report | None = None
    current, xs = function, list(arrays)
    for n in range(1, order + 1):
        later = check_vjp(
            *_adapter(current, device), xs, projections=projections, seed=seed, budget=budget, subgradient=subgradient, name=name,
            names=names, jvp=_pusher(current, device) if mode == "forward" else None, order=n,
        )  # fmt: skip
        if n > 1:
            _forgive_linear(later)
        evaluations += later.evaluations
        notes += [note for note in later.notes if note not in notes]
        excess = max(excess, later.excess)
        if report is None or later.verdict > report.verdict:
            report = later
        if later.verdict in FAULTS:
            break
        if n < order:
            current, more, extra = _next(current, xs, device, rng)
            if not more:
                break
            xs, names = xs + more, names + [f"cotangent {k}" if n == 1 else f"cotangent {k} of order {n}" for k in extra]
    assert report is not None
    report.evaluations, report.excess, report.notes = evaluations, excess, notes
    if report.verdict is Verdict.WRONG and _attribute:
        oploc.attribute(report, function, arrays, device, subgradient)
    _restore_positions(report, positions, names)
    if raise_exception and report.verdict in FAULTS:
        raise GradcheckError(report)
    return report


def gradgradcheck(f: Function, inputs: Any, **options: Any) -> Report:
    """`gradcheck` of the first and second derivatives: order=2."""
    return gradcheck(f, inputs, **{"order": 2, **options})


def _arrays(given: Sequence[Any]) -> tuple[list[np.ndarray], set[int], str]:
    """The differentiable inputs as arrays, the positions of the others, and the device that they live on."""
    datas = [x.data if isinstance(x, Tensor) else x for x in given]
    device = next((backend.device_of(d) for d in datas if backend.is_array(d)), "cpu")
    chosen = any(isinstance(x, Tensor) and x.requires_grad for x in given)
    arrays, fixed = [], set()
    for i, (x, d) in enumerate(zip(given, datas)):
        d = backend.to_device(d, "cpu") if backend.is_array(d) else np.asarray(d)
        if d.dtype.kind == "f" and not (chosen and isinstance(x, Tensor) and not x.requires_grad):
            arrays.append(d)
        else:
            fixed.add(i)
    return arrays, fixed, device


def _on_free(f: Function, given: Sequence[Any], fixed: set[int]) -> Function:
    """f as a function of its differentiable inputs alone."""
    if not fixed:
        return f

    def function(*free: Tensor) -> Any:
        rest = iter(free)
        return f(*[_constant(x) if i in fixed else next(rest) for i, x in enumerate(given)], *rest)

    return function


def _constant(x: Any) -> Tensor:
    return x.detach() if isinstance(x, Tensor) else Tensor(np.copy(np.asarray(x)))


def _tensor(array: np.ndarray, device: str, requires_grad: bool = False) -> Tensor:
    return Tensor(backend.to_device(array, device), requires_grad=requires_grad)


def _listed(y: Any) -> list[Tensor]:
    """The tensors of a result, nested as they may be (the output and final states of a recurrent layer)."""
    if isinstance(y, (tuple, list)):
        return [t for part in y for t in _listed(part)]
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: the function must return a tensor or a tuple of tensors, got {type(y).__name__}")
    return [y]


def _adapter(f: Function, device: str) -> tuple[Function, Function]:
    """forward and vjp on arrays, as `check_vjp` wants them."""

    def forward(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        with autograd.no_grad():
            return tuple(t.data for t in _listed(f(*[_tensor(a, device) for a in arrays])))

    def vjp(us: Any, _ys: Any, *arrays: np.ndarray) -> tuple[Any, ...]:
        leaves = [_tensor(a, device, requires_grad=True) for a in arrays]
        with autograd.enable_grad():
            pairs = [(t, u) for t, u in zip(_listed(f(*leaves)), us) if t.requires_grad]
        if not pairs:
            return (None,) * len(leaves)
        cotangents = [_tensor(u, device) for _, u in pairs]
        gs = autograd.grad([t for t, _ in pairs], leaves, cotangents, retain_graph=True, allow_unused=True)
        return tuple(None if g is None else g.data for g in gs)

    forward.__name__ = getattr(f, "__name__", type(f).__name__)
    return forward, vjp


def _pusher(f: Function, device: str) -> Function:
    def jvp(vs: Sequence[np.ndarray], *arrays: np.ndarray) -> list[Any]:
        _, tangents = autograd.jvp(
            lambda *xs: tuple(_listed(f(*xs))), [_tensor(a, device) for a in arrays], [_tensor(v, device) for v in vs]
        )
        return [t.data for t in tangents]

    return jvp


def _next(
    f: Function, xs: Sequence[np.ndarray], device: str, rng: np.random.Generator
) -> tuple[Function, list[np.ndarray], list[int]]:
    """(x, u) -> the gradients of <f(x), u>, differentiable; the u to begin with; and the outputs that they belong to."""
    with autograd.enable_grad():
        outputs = _listed(f(*[_tensor(x, device, requires_grad=True) for x in xs]))
    live = [k for k, t in enumerate(outputs) if t.requires_grad]
    us = [np.asarray(signs(rng, outputs[k].shape), outputs[k].dtype) for k in live]
    count = len(xs)

    def gradient(*tensors: Tensor) -> tuple[Tensor, ...]:
        recording = autograd.is_grad_enabled()
        with autograd.enable_grad():
            leaves = [t if t.requires_grad else t.detach().requires_grad_() for t in tensors[:count]]
            ys = _listed(f(*leaves))
            pairs = [(ys[k], u) for k, u in zip(live, tensors[count:]) if ys[k].requires_grad]
            gs: Sequence[Any] = [None] * count
            if pairs:
                gs = autograd.grad(
                    [y for y, _ in pairs], leaves, [u for _, u in pairs], create_graph=recording, allow_unused=True
                )
        return tuple(Tensor(backend.array_module(x.data).zeros_like(x.data)) if g is None else g for g, x in zip(gs, leaves))

    gradient.__name__ = getattr(f, "__name__", "function")
    return gradient, us, live


def _forgive_linear(report: Report) -> None:
    """Beyond the first order a derivative that is zero, or an input without effect, is what a linear function has."""
    report.findings = [f for f in report.findings if f.verdict not in (Verdict.DEAD, Verdict.VACUOUS)]
    report.verdict = max((f.verdict for f in report.findings), default=Verdict.CORRECT)


def _restore_positions(report: Report, positions: Sequence[int], names: Sequence[str]) -> None:
    """Number the inputs as the caller does."""
    for f in report.findings:
        if f.input is not None and f.input < len(positions):
            f.name = f.name or names[f.input]
            f.input = positions[f.input]
    if report.curve.input is not None and report.curve.input < len(positions):
        report.curve.input = positions[report.curve.input]
