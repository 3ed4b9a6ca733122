"""The gradient checker: is this derivative right, and if not, which element, which operation, and why?

Test your own gradient in five lines, whatever computes it:

    >>> import numpy as np
    >>> from nnscratch.gradcheck import check_vjp
    >>> x = np.linspace(-2, 2, 12).reshape(3, 4)
    >>> report = check_vjp(np.tanh, lambda g, y, x: (g * (1 - y**2),), [x])
    >>> report.verdict.name
    'CORRECT'

A wrong one says where:

    >>> def vjp(g, y, x):
    ...     gx = g * (1 - y**2)
    ...     gx[1, 2] *= 1.001
    ...     return (gx,)
    >>> finding = check_vjp(np.tanh, vjp, [x]).findings[0]
    >>> finding.verdict.name, finding.index, round(finding.ratio, 6)
    ('WRONG', (1, 2), 1.001)

Functions on nnscratch tensors, to any order; a wrong op is named with the line that called it:

    >>> import nnscratch as nns
    >>> from nnscratch.gradcheck import gradcheck
    >>> bool(gradcheck(lambda x: nns.exp(x).sum(), x, order=2))
    True

Read the verdict: CORRECT; WRONG; KINK (no derivative here); NOISE_LIMITED (the function's own noise hides small errors);
NONDETERMINISTIC (two calls differ); DEAD (the input has no effect); VACUOUS (nothing could be tested); SIDE_EFFECT (arguments are
written to). `print(report)` explains it and draws the error against the step.

Why does a float32 check fail? A difference quotient in float32 keeps three digits at best. So float32 gradients are held against
float64 here: give float32 arrays, and the kernels that run in float32 are the ones that are tested.

    >>> bool(check_vjp(np.tanh, lambda g, y, x: (g * (1 - y**2),), [x.astype(np.float32)]))
    True
"""

from . import strategies
from .adapters import from_jax, from_torch
from .check import check_vjp
from .faults import assert_detects_wrong_gradient
from .problem import BudgetError
from .report import Curve, Finding, GradcheckError, Report, Verdict
from .tensors import gradcheck, gradgradcheck

__all__ = [
    *("BudgetError", "Curve", "Finding", "GradcheckError", "Report", "Verdict", "assert_detects_wrong_gradient", "check_vjp"),
    *("from_jax", "from_torch", "gradcheck", "gradgradcheck", "strategies"),
]
