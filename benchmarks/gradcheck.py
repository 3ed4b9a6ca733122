"""What a gradient checker finds, and how long it takes: nnscratch.gradcheck beside torch.autograd.gradcheck.

    python benchmarks/gradcheck.py [--faults quick|all] [--rounds 5] [--output results/gradcheck.md]

The first table injects the faults of nnscratch.gradcheck.mutations into the library's derivatives and shows them to three
checkers: ours, and torch's in its default and its fast mode, through a torch.autograd.Function that runs nnscratch. Faults of
order 2 go to gradcheck(order=2) and to torch.autograd.gradgradcheck. "and attributed" counts those that were put down to the
right op. The sound originals are shown to all of them too: what is refused there is a false alarm.

The second times the default check of a layer with all its parameters, ours on nnscratch.nn and torch's full mode on torch.nn, on
the same weights and inputs, as `nnscratch bench` measures everything; each has to give the same output and to pass its layer
before it is timed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nnscratch as nns
from nnscratch import autograd
from nnscratch.bench import Case, Library, Subject, command, table
from nnscratch.bench.measure import Options
from nnscratch.gradcheck import Verdict, gradcheck, mutations
from nnscratch.gradcheck.audit import layer
from nnscratch.gradcheck.audit.draw import normal
from nnscratch.gradcheck.mutations.inject import DISTORTIONS

LAYERS = {
    "Linear(64, 32), batch 16": layer("Linear", (64, 32), normal(16, 64)),
    "Conv2d(3, 8, 3, padding=1), 2x3x8x8": layer("Conv2d", (3, 8, 3), normal(2, 3, 8, 8), padding=1),
    "ConvTranspose2d(4, 3, 4, stride=2), 2x4x5x5": layer("ConvTranspose2d", (4, 3, 4), normal(2, 4, 5, 5), stride=2),
    "BatchNorm2d(4), 4x4x6x6": layer("BatchNorm2d", (4,), normal(4, 4, 6, 6)),
    "LayerNorm(32), 16x32": layer("LayerNorm", (32,), normal(16, 32)),
    "LSTM(8, 8), 6x2x8": layer("LSTM", (8, 8), normal(6, 2, 8)),
}

# ------------------------------------------------------------------------------------------------------- torch's checker


def as_torch(f: Any) -> Any:
    """f, on nnscratch tensors, as a function of torch tensors with the gradients that nnscratch gives it, to any order."""
    import torch

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *xs):
            ctx.save_for_backward(*xs)
            with nns.no_grad():
                return tuple(torch.from_numpy(y.numpy().copy()) for y in f(*[nns.tensor(x.detach().numpy()) for x in xs]))

        @staticmethod
        def backward(ctx, *us):
            return as_torch(pullback(f, len(ctx.saved_tensors)))(*ctx.saved_tensors, *us)

    return lambda *xs: Wrapped.apply(*xs)


def pullback(f: Any, count: int) -> Any:
    """(x, u) -> the gradients of <f(x), u> in the first `count` arguments, on nnscratch tensors, differentiable again."""

    def gradients(*tensors):
        again = autograd.is_grad_enabled()
        with nns.enable_grad():
            xs = [t if t.requires_grad else t.detach().requires_grad_() for t in tensors[:count]]
            pairs = [(y, u) for y, u in zip(f(*xs), tensors[count:]) if y.requires_grad]
            gs: Any = [None] * count
            if pairs:
                gs = nns.grad([y for y, _ in pairs], xs, [u for _, u in pairs], create_graph=again, allow_unused=True)
        return tuple(nns.zeros_like(x) if g is None else g for g, x in zip(gs, xs))

    return gradients


def torch_accepts(function: Any, inputs: list[np.ndarray], order: int, fast: bool) -> bool:
    """Whether torch.autograd.gradcheck, and for order 2 gradgradcheck, find nothing wrong."""
    import torch

    xs = [torch.tensor(x, requires_grad=True) for x in inputs]
    wrapped = as_torch(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if not torch.autograd.gradcheck(wrapped, xs, fast_mode=fast, raise_exception=False):
            return False
        return order == 1 or torch.autograd.gradgradcheck(wrapped, xs, fast_mode=fast, raise_exception=False)


# ----------------------------------------------------------------------------------------------------------- the faults


def chosen(family: list[Any], quick: bool) -> list[Any]:
    """All faults of a family, or those of their own kind and one distortion in five."""
    plain = [m for m in family if m.name.rpartition(": ")[2] not in DISTORTIONS]
    rest = [m for m in family if m.name.rpartition(": ")[2] in DISTORTIONS]
    return family if not quick else plain + rest[:: len(DISTORTIONS) + 1]


def trial(m: Any, seed: int) -> dict[str, bool]:
    """Which checkers see something wrong, with or without the fault in place."""
    report = mutations.check_sound(m, seed=seed)
    sample = m.entry.draw(seed)
    with m.setting():
        accepted = {fast: torch_accepts(sample.function, sample.inputs, m.order, fast) for fast in (False, True)}
    return {
        "ours": report.verdict is not Verdict.CORRECT,
        "attributed": mutations.attributed(m, report),
        "torch": not accepted[False],
        "fast": not accepted[True],
    }


def faults_table(quick: bool, seed: int) -> list[str]:
    """Faults caught by each checker, by family; false alarms on the sound originals in the last row."""
    columns = ("ours", "attributed", "torch", "fast")
    lines = [
        "| faults in | number | nnscratch caught | and attributed | torch gradcheck | torch fast mode |",
        "|---|---|---|---|---|---|",
    ]
    total = dict.fromkeys(columns, 0)
    count, missed, sound = 0, [], {}
    for name, family in mutations.FAMILIES.items():
        hits = dict.fromkeys(columns, 0)
        members = chosen(family, quick)
        for m in members:
            with m.patch():
                seen = trial(m, seed)
            hits = {c: hits[c] + seen[c] for c in columns}
            missed += [m.name] if not seen["ours"] else []
            sound.setdefault((m.entry.label, m.order, m.options), m)
        count += len(members)
        total = {c: total[c] + hits[c] for c in columns}
        lines.append(f"| {name} | {len(members)} | " + " | ".join(f"{hits[c]}" for c in columns) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    lines.append(f"| all | {count} | " + " | ".join(f"{total[c]} ({total[c] / count:.1%})" for c in columns) + " |")
    alarms = [trial(m, seed) for m in sound.values()]
    cells = [str(sum(a[c] for a in alarms)) if c != "attributed" else "" for c in columns]
    lines.append(f"| false alarms, sound originals | {len(alarms)} | " + " | ".join(cells) + " |")
    return lines + [f"\nMissed by nnscratch: {', '.join(missed) or 'none'}."]


# ------------------------------------------------------------------------------------------------------------ the times


def check_of(L: Library, entry: Any) -> Subject:
    """A layer's check in one library, validated by its verdict and the layer's first output."""
    sample = entry.draw(0)
    if L.name == "nnscratch":
        check = lambda: bool(gradcheck(sample.function, sample.inputs, raise_exception=False))
        with nns.no_grad():
            y = sample.function(*[nns.tensor(x) for x in sample.inputs])[0]
    else:
        check, y = torch_check(L.lib, entry, sample)
    return Subject(check, lambda: {"output": y, "passed": np.array(check())})


def torch_check(torch: Any, entry: Any, sample: Any) -> tuple[Any, Any]:
    built, options = entry.built
    module = getattr(torch.nn, entry.name.removeprefix("nn."))(*built, **options).double()
    names = [key for key, _ in module.named_parameters()]
    xs = [torch.tensor(x, requires_grad=True) for x in sample.inputs]

    def f(*tensors):
        own, parameters = tensors[: -len(names)], dict(zip(names, tensors[-len(names) :]))
        y = torch.func.functional_call(module, parameters, own)
        return (y[0], *y[1]) if isinstance(y, tuple) else y

    y = f(*xs)
    return lambda: torch.autograd.gradcheck(f, xs, raise_exception=False), y[0] if isinstance(y, tuple) else y


def cases() -> list[Case]:
    return [
        Case(label, partial(check_of, entry=entry), threads=1, tolerance={"": 1e-9, "passed": 0})
        for label, entry in LAYERS.items()
    ]


def times_table(rounds: int) -> str:
    """nnscratch's default check beside torch's full mode."""
    options = Options(rounds, 0, 3)
    return table.markdown(command.measure(__file__, cases(), options, ["nnscratch", "eager"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", choices=("quick", "all", "none"), default="quick", help="which faults to inject")
    parser.add_argument("--rounds", type=int, default=5, help="how often the two processes take turns; 0: no timing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    lines = [f"Gradient checkers on {platform.processor() or platform.machine()}, NumPy {np.__version__}, one thread, float64."]
    if options.faults != "none":
        lines += ["", *faults_table(options.faults == "quick", options.seed)]
    if options.rounds:
        lines += ["", times_table(options.rounds)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)


if __name__ == "__main__":
    main()
