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
    >>> report = gradcheck(lambda x: (x * x.detach()).sum(), x, raise_exception=False)
    >>> report.findings[0].hint
    'times 1/2 everywhere'

Read the verdict. `print(report)` explains it and draws the error against the step; of several findings the gravest counts.

    >>> verdict = lambda f, vjp, x=x: check_vjp(f, vjp, [x]).verdict.name
    >>> verdict(np.floor, lambda g, y, x: (0 * g,))  # its derivative is zero wherever it has one: nothing was tested
    'VACUOUS'
    >>> verdict(lambda x: np.ones(3), lambda g, y, x: (0 * x,))  # the input has no effect
    'DEAD'
    >>> verdict(lambda x: np.sin(np.float32(x)) + 0.0 * x, lambda g, y, x: (g * np.cos(x),))  # float32 inside hides small faults
    'NOISE_LIMITED'
    >>> verdict(lambda x: x * np.random.rand(), lambda g, y, x: (g,))  # two calls differ
    'NONDETERMINISTIC'
    >>> verdict(lambda x: np.multiply(x, 2, out=x), lambda g, y, x: (2 * g,))  # the argument is written to
    'SIDE_EFFECT'
    >>> verdict(np.abs, lambda g, y, x: (g * np.where(x == 0, 5, np.sign(x)),), np.zeros(2))  # not between the slopes
    'KINK'

Inputs on a kink are moved off it, so that the right derivative of relu or a maximum is CORRECT at any inputs; `subgradient=True`
stays, and accepts whatever lies between the one-sided derivatives:

    >>> relu = lambda x: np.maximum(x, 0)
    >>> verdict(relu, lambda g, y, x: (g * (x > 0),), np.zeros(3))
    'CORRECT'
    >>> half = lambda g, y, x: (g * np.where(x == 0, 0.5, x > 0),)
    >>> check_vjp(relu, half, [np.zeros(3)], subgradient=True).verdict.name
    'CORRECT'

Why does a float32 check fail? A difference quotient in float32 keeps three or four digits at best, whatever its step:

    >>> x32, h = x.astype(np.float32), np.float32(1e-3)
    >>> bool(np.abs((np.sin(x32 + h) - np.sin(x32 - h)) / (2 * h) - np.cos(x32)).max() > 1e-5)
    True

So float32 gradients are held against float64 here: give float32 arrays, and the kernels that run in float32 are the ones tested.

    >>> bool(check_vjp(np.sin, lambda g, y, x: (g * np.cos(x),), [x32]))
    True
    >>> verdict(np.sin, lambda g, y, x: (g * np.cos(x) * np.float32(1.001),), x32)
    'WRONG'
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
