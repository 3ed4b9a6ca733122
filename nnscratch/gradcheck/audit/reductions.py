"""Reductions, order statistics, cumulative ops."""

import math

from .draw import apart, at, nonzero, normal
from .entry import Entry, case

REDUCTION: list[Entry] = [
    *(
        case(name, normal(2, 3, 2), *dims)
        for name in ("sum", "mean", "logsumexp")
        for dims in ((1,), ((0, 2), True), ((0, 1, 2),))
    ),
    case("sum", normal(2, 3)),
    case("sum", normal()),
    case("mean", normal(2, 3)),
    case("nansum", at([[0.5, math.nan, 2.0]]), 1),
    case("nansum", normal(2, 3), 1),
    case("nanmean", normal(2, 3), 1),
    case("var", normal(3, 4)),
    case("var", normal(3, 4), 0, correction=0),
    case("std", normal(3, 4), 1),
    case("std", normal(3, 4), (0, 1), keepdim=True),
    case("var_mean", normal(3, 4), 0),
    case("std_mean", normal(3, 4), 1),
    case("prod", nonzero(2, 3)),
    case("prod", nonzero(2, 3), 1),
    case("prod", at([1.5, 0.0, -2.0])),
    case("prod", at([[2.0, 0.0, -1.0], [0.0, 0.0, 3.0]]), 1),
    case("amax", apart(2, 3), 1),
    case("amax", apart(2, 3, 2), (0, 2), True),
    case("amin", apart(2, 3), 0),
    case("aminmax", apart(2, 3), dim=1),
    case("norm", normal(2, 3)),
    case("norm", normal(2, 3), 3, 1),
    case("vector_norm", normal(2, 3), 1).like("linalg.vector_norm"),
    case("vector_norm", normal(2, 3), 2, 1, True).like("linalg.vector_norm"),
    case("vector_norm", normal(2, 3), 3.5, 0).like("linalg.vector_norm"),
    case("vector_norm", apart(2, 3), math.inf, 1).like("linalg.vector_norm"),
    case("vector_norm", apart(2, 3), -math.inf).like("linalg.vector_norm"),
    case("sum_to", normal(2, 3, 4), (3, 1)).like("Tensor.sum_to_size"),
]

ORDER: list[Entry] = [
    *(case(name, apart(3, 4), 1) for name in ("max", "min", "median", "cummax", "cummin")),
    case("max", apart(3, 4)),
    case("min", apart(3, 4)),
    case("median", apart(5)),
    case("kthvalue", apart(3, 4), 2, 0),
    case("sort", apart(3, 4)),
    case("sort", apart(3, 4), 0, descending=True),
    case("topk", apart(2, 5), 3),
    case("topk", apart(5, 2), 2, 0, largest=False),
    case("cumsum", normal(3, 4), 1),
    case("cumsum", normal(2, 3, 2), 0),
    case("cumprod", nonzero(3, 4), 1),
    case("logcumsumexp", normal(3, 4), 1),
    case("diff", normal(3, 4)),
    case("diff", normal(5, 2), 2, 0),
]
