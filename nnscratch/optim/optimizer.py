"""Optimizer: parameter groups, state, and the loop that applies an update rule to every parameter.

A subclass gives the rule in three parts: `_buffers` names its state arrays, `_coefficients` computes the scalars of one step,
and `_update` changes one block of a parameter in a few NumPy passes. A block is a flat, contiguous run of at most BLOCK
elements, so that all passes over it find it in the cache. Where `compiled` names the same rule among the kernels, these do all
parameters in one pass, and with the same bits.
"""

# ruff: noqa: ARG002  (every rule has the same signature)

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import backend
from ..autograd import enable_grad, mark_written
from ..kernels import optimizer as kernels
from ..tensor import Tensor
from .clipping import clip_factor, total_norm

BLOCK = 1 << 15


class Optimizer:
    """Base class of all optimisers, with torch's semantics.

    `params` is an iterable of tensors, of (name, tensor) pairs, or of dicts {"params": ..., option: value} that override
    `defaults` for their group. `param_groups` holds the groups and may be changed between steps; `state[p]` what the rule
    remembers about parameter p. A parameter whose grad is None is skipped.
    Raises TypeError or ValueError for an empty list, a tensor that is not a leaf, a duplicate, or an option out of range.
    """

    compiled: str | None = None  # the kernels' name of the rule, where they have it

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "_update" in vars(cls):  # a rule of its own
            cls.compiled = vars(cls).get("compiled")

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors or dicts, got one tensor: put it in a list"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._slots: dict[Tensor, _Slot] = {}
        self._apart: bool | None = None  # whether no two parameters share memory, once it has been looked at
        self._scratch: dict[Any, list[Any]] = {}
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(dict(group))

    # -------------------------------------------------------------------------------------------- what a rule defines

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for an option out of range."""

    def _buffers(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names of the state arrays of one parameter; each has the parameter's shape, dtype and layout."""
        return ()

    def _initial(self, name: str, p: Any, group: dict[str, Any]) -> Any:
        """The array that buffer `name` of parameter array `p` starts as."""
        return np.zeros_like(p)

    def _coefficients(self, group: dict[str, Any], state: dict[str, Any]) -> tuple[Any, ...]:
        """Advance the state's counters and return the numbers that `_update` needs in this step."""
        raise NotImplementedError(f"{type(self).__name__}: define _coefficients and _update, or override step")

    def _update(self, c: tuple[Any, ...], p: Any, g: Any, t: Any, u: Any, *buffers: Any) -> None:
        """Change block `p` of a parameter (and of its buffers) in place, given its gradient `g` and two temporaries `t`, `u`."""

    # ------------------------------------------------------------------------------------------------------- the loop

    def step(self, closure: Callable[[], Any] | None = None, *, max_norm: float | None = None) -> Any:
        """Update every parameter that has a gradient. `closure` recomputes the loss first; its value is returned.

        With `max_norm` gradients count min(1, max_norm / (norm + 1e-6)) times, norm being that of all of them together: what
        nn.utils.clip_grad_norm_ before the step would do, with the same bits, but `.grad` stays as it is.
        """
        loss = None
        if max_norm is not None and not max_norm > 0:
            raise ValueError(f"{type(self).__name__}.step: max_norm must be > 0, got {max_norm}")
        if closure is not None:
            with enable_grad():
                loss = closure()
        token = backend.ignore_float_errors()
        try:
            jobs, factor = [], 1.0
            if max_norm is not None:
                gradients = [p._grad.data for group in self.param_groups for p in group["params"] if p._grad is not None]
                factor = clip_factor(total_norm(gradients), max_norm)
            for group in self.param_groups:
                common = _common(group, factor)
                jobs += [(*self._job(p, group), common) for p in group["params"] if p._grad is not None]
            for slot, *_ in jobs:
                mark_written(slot.data)
            for job in self._run_compiled(jobs):
                self._run(*job)
        finally:
            backend.restore_float_errors(token)
        return loss

    def _job(self, p: Tensor, group: dict[str, Any]) -> tuple[_Slot, Any, tuple[Any, ...]]:
        """The parameter's slot, its gradient, and the rule's coefficients."""
        state = self.state[p]
        c = self._coefficients(group, state)
        return self._slot(p, state, group), p._grad.data, c  # type: ignore[union-attr]

    def _run_compiled(self, jobs: list[Any]) -> list[Any]:
        """Do what the kernels take; returns the jobs that are left."""
        if self.compiled is None:
            return jobs
        mine = [job for job in jobs if job[0].run is not None]
        if self._apart is None:
            self._apart = kernels.apart([slot.data for slot in self._slots.values() if slot.run is not None])
        runs, gradients = [job[0].run for job in mine], [job[1] for job in mine]
        if not self._apart or not kernels.step(self.compiled, runs, gradients, [(*common, c) for _, _, c, common in mine]):
            return jobs
        return [job for job in jobs if job[0].run is None]

    def _run(self, slot: _Slot, grad: Any, c: tuple[Any, ...], common: tuple[float, float, float]) -> None:
        shrink, sign, decay = common
        grad = slot.flat(grad)
        for at, x, v, t, u, buffers in slot.blocks(self._scratch):
            g = grad if at is None else grad[at]
            if shrink != 1:
                np.multiply(x, shrink, out=x)
            if sign != 1:
                g = np.multiply(g, sign, out=v)
            if decay:
                g = np.add(np.multiply(x, decay, out=t), g, out=v)
            self._update(c, x, g, t, u, *buffers)

    def _slot(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> _Slot:
        slot = self._slots.get(p)
        names = self._buffers(group)
        if slot is not None and slot.data is p.data and slot.names == names:
            for name, buffer in zip(names, slot.buffers):
                if state.get(name) is not buffer:
                    break
            else:
                return slot
        for name in names:
            if name not in state:
                state[name] = Tensor(self._initial(name, p.data, group))
        slot = self._slots[p] = _Slot(p.data, names, [state[name] for name in names])
        self._apart = None
        return slot

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None:
                    p._grad = Tensor(np.zeros_like(p._grad.data))

    # --------------------------------------------------------------------------------------------- groups and saving

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group {"params": tensors, option: value, ...}; missing options take the optimiser's defaults."""
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{name}: a parameter group is a dict with the key 'params', got {param_group!r}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError(f"{name}: parameters must be in an order that stays the same; a set has none, use a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        if params and isinstance(params[0], tuple):
            param_group = {**param_group, "param_names": [label for label, _ in params]}
            params = [p for _, p in params]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: expected tensors to optimise, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}: cannot optimise a tensor that was computed (shape {tuple(p.shape)}); only leaves")
            if id(p) in known:
                raise ValueError(f"{name}: a parameter of shape {tuple(p.shape)} is given twice")
            known.add(id(p))
        group = {**param_group, "params": params}
        for option, value in self.defaults.items():
            group.setdefault(option, value)
        self._check(group)
        self.param_groups.append(group)

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {...}}, "param_groups": [...]}: parameters are numbered through all groups. Shares memory."""
        number = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": {number[id(p)]: dict(s) for p, s in self.state.items() if id(p) in number}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a copy of `state_dict`. Raises ValueError when its groups do not match this optimiser's."""
        groups, saved = state_dict["param_groups"], {int(k): v for k, v in state_dict["state"].items()}
        name = type(self).__name__
        if len(groups) != len(self.param_groups):
            raise ValueError(f"{name}: the state has {len(groups)} parameter groups, this optimiser has {len(self.param_groups)}")
        for i, (theirs, ours) in enumerate(zip(groups, self.param_groups)):
            if len(theirs["params"]) != len(ours["params"]):
                raise ValueError(
                    f"{name}: group {i} of the state has {len(theirs['params'])} parameters, ours {len(ours['params'])}"
                )
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for theirs, ours in zip(groups, self.param_groups):
            buffers = self._buffers({**ours, **theirs})
            for index, p in zip(theirs["params"], ours["params"]):
                for key, value in saved.get(index, {}).items():
                    state[p][key] = _restored(value, p, key in buffers, f"{name}: {key} of parameter {index}")
        self.state = state
        self._slots.clear()
        for theirs, ours in zip(groups, self.param_groups):
            for option, value in theirs.items():
                if option not in ("params", "param_names"):
                    ours[option] = tuple(value) if isinstance(value, list) else value

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _restored(value: Any, p: Tensor, buffer: bool, what: str) -> Any:
    """A saved state value: a counter as a number, an array as a copy with the parameter's dtype, device and memory layout."""
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    array = value.data if isinstance(value, Tensor) else value if backend.is_array(value) else np.asarray(value)
    if array.shape == () and not buffer:
        return array.item()
    if array.shape != p.shape:
        raise ValueError(f"{what} has shape {tuple(array.shape)}, the parameter has {tuple(p.shape)}")
    copy = np.empty_like(p.data)
    copy[...] = backend.to_device(array, p.device)
    return Tensor(copy)


def _common(group: dict[str, Any], factor: float) -> tuple[float, float, float]:
    """1 - decoupled weight decay, what gradients are multiplied by, and the weight decay that is added to them."""
    decay, sign = group.get("weight_decay", 0), -factor if group.get("maximize", False) else factor
    if decay and group.get("decoupled_weight_decay", False):
        return 1 - group["lr"] * decay, sign, 0
    return 1.0, sign, decay


class _Slot:
    """One parameter and its buffers, as the kernels take them and as NumPy does: cut into blocks."""

    def __init__(self, data: Any, names: tuple[str, ...], buffers: list[Tensor]):
        self.data, self.names, self.buffers = data, names, buffers
        self.order = _memory_order(data)
        self.plain = self.order == tuple(range(data.ndim))
        self.arrays = [data, *(b.data for b in buffers)]
        if any(b.strides != data.strides for b in self.arrays):
            self.order = None
        self.run = kernels.prepare(data, self.arrays[1:])
        self._blocks: list[Any] | None = None

    def blocks(self, scratch: dict[Any, list[Any]]) -> list[Any]:
        """(where, x, three temporaries, buffers) of each block: views that are made once."""
        if self._blocks is None:
            self._blocks = self._cut(scratch)
        return self._blocks

    def _cut(self, scratch: dict[Any, list[Any]]) -> list[Any]:
        data, arrays = self.data, self.arrays
        if self.order is None:
            return [(None, data, *[np.empty_like(data) for _ in range(3)], arrays[1:])]
        length = min(data.size, BLOCK) if isinstance(data, np.ndarray) else data.size
        key = (data.dtype, backend.device_of(data))
        if key not in scratch or scratch[key][0].size < length:
            scratch[key] = [backend.array_module(data).empty(length, data.dtype) for _ in range(3)]
        flat, blocks = [self.flat(a) for a in arrays], []
        for start in range(0, data.size, max(length, 1)):
            at = slice(start, min(start + length, data.size))
            temporaries = [t[: at.stop - at.start] for t in scratch[key]]
            x, *rest = [a[at] for a in flat]
            blocks.append((None if length == data.size else at, x, *temporaries, rest))
        return blocks

    def flat(self, a: Any) -> Any:
        """The elements of `a` in the order in which the parameter has them in memory: a view when `a` is laid out alike."""
        if self.order is None:
            return a
        return a.reshape(-1) if self.plain else a.transpose(self.order).reshape(-1)


def _memory_order(a: Any) -> tuple[int, ...] | None:
    """The axes from slowest to fastest where `a` is one dense run of memory in that order, else None."""
    if a.flags.c_contiguous:
        return tuple(range(a.ndim))
    order = tuple(sorted(range(a.ndim), key=lambda i: -abs(a.strides[i])))
    return order if a.transpose(order).flags.c_contiguous else None


def check_range(optimizer: Optimizer, group: dict[str, Any], **conditions: str) -> None:
    """Raise ValueError for a group whose option is out of range: `check_range(self, group, lr=">= 0", betas="[0, 1)")`."""
    for option, condition in conditions.items():
        for value in group[option] if isinstance(group[option], (tuple, list)) else [group[option]]:
            inside = {">= 0": value >= 0, "> 0": value > 0, "[0, 1)": 0 <= value < 1, "[0, 1]": 0 <= value <= 1}[condition]
            if not inside:
                raise ValueError(
                    f"{type(optimizer).__name__}: {option} must be {condition.replace('[', 'in [')}, got {group[option]}"
                )
