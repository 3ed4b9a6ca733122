"""Einstein summation: each pair of operands is brought into the form of a (batched) matrix product, or of a broadcast product."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any

from .arithmetic import mul
from .arrange import diagonal
from .linalg import matmul
from .reduce import sum
from .shape import squeeze
from .views import permute, reshape

__all__ = ["bilinear", "einsum"]

Labels = list[str]  # one for each dimension; those of an ellipsis are "...0", "...1", counted from the last


def einsum(equation: str, *operands: Any) -> Any:
    """The sum of products that `equation` writes down: "ij,jk->ik" is a matrix product, "bii->b" the trace of each matrix.

    A letter names a dimension (repeated in one operand: its diagonal), "..." those that broadcast. Letters missing right of the
    arrow are summed over; without an arrow the result has the letters that occur once, in alphabetical order.
    Sizes of 1 broadcast. Raises RuntimeError for an equation that is malformed or does not fit the shapes.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, output = _parse(equation, operands)
    sizes: dict[str, int] = {}
    for labels, x in zip(inputs, operands):
        for label, n in zip(labels, x.shape):
            if n != 1 and sizes.get(label, 1) not in (1, n):
                raise RuntimeError(f"einsum {equation!r}: {label!r} has sizes {sizes[label]} and {n}")
            sizes[label] = max(n, sizes.get(label, 1)) if n else 0
    terms = [_distinct(x, labels, sizes) for x, labels in zip(operands, inputs)]
    while len(terms) > 1:
        i, j = min(combinations(range(len(terms)), 2), key=lambda pair: _cost(terms[pair[0]][1], terms[pair[1]][1], sizes))
        rest = [t for k, t in enumerate(terms) if k not in (i, j)]
        needed = set(output).union(*[labels for _, labels in rest])
        terms = [*rest, _pair(*terms[i], *terms[j], needed)]
    y, labels = _sum_out(*terms[0], set(output))
    return permute(y, [labels.index(label) for label in output])


def _parse(equation: str, operands: Sequence[Any]) -> tuple[list[Labels], Labels]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise RuntimeError(f"einsum {equation!r}: names {len(parts)} operands, got {len(operands)}")
    inputs = []
    for part, x in zip(parts, operands):
        before, dots, after = part.partition("...")
        missing = x.ndim - len(before) - len(after)
        if not all(c.isalpha() and c.isascii() for c in before + after) or missing < 0 or (missing and not dots):
            raise RuntimeError(f"einsum {equation!r}: {part!r} does not fit an operand of shape {tuple(x.shape)}")
        inputs.append([*before, *[f"...{k}" for k in reversed(range(missing))], *after])
    counts = Counter(label for labels in inputs for label in labels)
    dotted = sorted([label for label in counts if len(label) > 1], key=lambda label: -int(label[3:]))
    if not arrow:
        return inputs, [*dotted, *sorted(label for label, n in counts.items() if n == 1 and len(label) == 1)]
    before, dots, after = right.partition("...")
    output = [*before, *(dotted if dots else []), *after]
    if len(set(output)) != len(output) or not set(output) <= set(counts):
        raise RuntimeError(f"einsum {equation!r}: each label of the output must occur once, and in an operand")
    return inputs, output


def _distinct(x: Any, labels: Labels, sizes: dict[str, int]) -> tuple[Any, Labels]:
    """Diagonals in the place of repeated labels, and no dimension that only broadcasts."""
    labels = list(labels)
    for label in [label for label, n in Counter(labels).items() if n > 1]:
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                raise RuntimeError(f"einsum: {label!r} is repeated in an operand of shape {tuple(x.shape)}, with different sizes")
            x = diagonal(x, 0, i, j)
            labels = [k for at, k in enumerate(labels) if at not in (i, j)] + [label]
    ones = [i for i, label in enumerate(labels) if x.shape[i] == 1 and sizes[label] != 1]
    return (squeeze(x, ones) if ones else x), [label for i, label in enumerate(labels) if i not in ones]


def _cost(a: Labels, b: Labels, sizes: dict[str, int]) -> int:
    return math.prod([sizes[label] for label in {*a, *b}])


def _sum_out(x: Any, labels: Labels, needed: Collection[str]) -> tuple[Any, Labels]:
    gone = [i for i, label in enumerate(labels) if label not in needed]
    return (sum(x, gone) if gone else x), [label for label in labels if label in needed]


def _pair(a: Any, la: Labels, b: Any, lb: Labels, needed: set[str]) -> tuple[Any, Labels]:
    """The product of two operands, summed over the labels that nobody needs any more."""
    a, la = _sum_out(a, la, needed.union(lb))
    b, lb = _sum_out(b, lb, needed.union(la))
    batch = [k for k in la if k in lb and k in needed]
    inner = [k for k in la if k in lb and k not in needed]
    rows, columns = [k for k in la if k not in lb], [k for k in lb if k not in la]
    a = permute(a, [la.index(k) for k in batch + rows + inner])
    b = permute(b, [lb.index(k) for k in batch + inner + columns])
    n, r, i = len(batch), len(rows), len(inner)
    lead, row_sizes, inner_sizes, column_sizes = a.shape[:n], a.shape[n : n + r], a.shape[n + r :], b.shape[n + i :]
    if not inner:
        y = mul(reshape(a, (*lead, *row_sizes, *[1] * len(columns))), reshape(b, (*lead, *[1] * r, *column_sizes)))
        return y, batch + rows + columns
    left = reshape(a, (*lead, math.prod(row_sizes), math.prod(inner_sizes)))
    right = reshape(b, (*lead, math.prod(inner_sizes), math.prod(column_sizes)))
    return reshape(matmul(left, right), (*lead, *row_sizes, *column_sizes)), batch + rows + columns


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_o = Σ_ij x1_i W_oij x2_j + b_o: (..., I), (..., J) and (O, I, J) to (..., O). Raises RuntimeError."""
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias
