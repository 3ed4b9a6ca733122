"""Losses, with all their reductions and weights, and the recurrent functions."""

from .draw import below, given, normal, positive, shares, signs, within
from .entry import SEEDED, Entry, case

CHANCES = within(0.4, 0.6, 4, 3)  # far enough from 0 and 1 for the steps of the numeric derivative
X, T, W = normal(4, 3), normal(4, 3), positive(4, 3)
CLASSES, LABELS = given([0, 2, 1, 2]), given([[0, 2, -1], [1, -1, 0], [-1, 0, 1], [2, 1, 0]])

REGRESSION: list[Entry] = [
    *(case(name, X, T, reduction=r) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss") for r in ("mean", "sum")),
    case("mse_loss", X, T, reduction="none"),
    case("mse_loss", X, T, weight=W.fixed),
    case("l1_loss", X, T, reduction="none", weight=W.fixed),
    case("smooth_l1_loss", X, T, reduction="none", beta=0.4),
    case("huber_loss", X, T, "none", 0.6),
    case("kl_div", normal(4, 3), shares(4, 3), reduction="batchmean"),
    case("kl_div", normal(4, 3), normal(4, 3), log_target=True, reduction="sum"),
    case("kl_div", normal(4, 3), shares(4, 3).fixed, reduction="none"),
    case("gaussian_nll_loss", X, T, positive(4, 3)),
    case("gaussian_nll_loss", X, T, positive(4, 1), True, reduction="sum"),
    case("poisson_nll_loss", X, T),
    case("poisson_nll_loss", positive(4, 3), within(1.5, 4, 4, 3), False, True, reduction="sum"),
    case("gaussian_kl", X, normal(4, 3)).alone(),
    case("gaussian_kl", X, normal(4, 3), reduction="none").alone(),
]

CLASSIFICATION: list[Entry] = [
    case("cross_entropy", X, CLASSES),
    case("cross_entropy", X, CLASSES, reduction="none"),
    case("cross_entropy", X, CLASSES, reduction="sum", label_smoothing=0.1),
    case("cross_entropy", X, CLASSES, positive(3).fixed, ignore_index=1),
    case("cross_entropy", X, CLASSES, positive(3).fixed, label_smoothing=0.2),
    case("cross_entropy", normal(2, 3, 2, 2), below(3, 2, 2, 2)),
    case("cross_entropy", normal(3), given(2)),
    case("cross_entropy", X, shares(4, 3)),
    case("cross_entropy", X, shares(4, 3).fixed, positive(3).fixed, reduction="sum", label_smoothing=0.1),
    case("nll_loss", X, CLASSES),
    case("nll_loss", X, CLASSES, positive(3).fixed, reduction="sum"),
    case("nll_loss", normal(2, 3, 2), below(3, 2, 2), reduction="none"),
    case("binary_cross_entropy", CHANCES, CHANCES),
    case("binary_cross_entropy", CHANCES, within(0, 1, 4, 3).fixed, W.fixed, reduction="none"),
    case("binary_cross_entropy_with_logits", X, within(0, 1, 4, 3)),
    case("binary_cross_entropy_with_logits", X, within(0, 1, 4, 3).fixed, W.fixed, pos_weight=positive(3).fixed),
    case("soft_margin_loss", X, signs(4, 3)),
    case("multilabel_soft_margin_loss", X, within(0, 1, 4, 3).fixed, positive(3).fixed),
]

MARGIN: list[Entry] = [
    case("hinge_embedding_loss", positive(4, 3), signs(4, 3)),
    case("margin_ranking_loss", normal(4), normal(4), signs(4), 0.3),
    case("cosine_embedding_loss", X, T, signs(4), -0.5),
    case("triplet_margin_loss", X, T, normal(4, 3), 3.0),
    case("triplet_margin_loss", X, T, normal(4, 3), 3.0, swap=True, reduction="sum"),
    case("multi_margin_loss", X, CLASSES),
    case("multi_margin_loss", X, CLASSES, 2, 0.8, positive(3).fixed),
    case("multilabel_margin_loss", X, LABELS),
]

ADVERSARIAL: list[Entry] = [
    *(case("generator_loss", X, kind).alone() for kind in ("non-saturating", "hinge", "wasserstein", "least-squares")),
    *(case("discriminator_loss", X, T, k).alone() for k in ("non-saturating", "hinge", "wasserstein", "least-squares")),
    case("discriminator_loss", X, normal(2, 2), label_smoothing=0.1).alone(),
]


def _weights(gates: int, size: int, inputs: int, bias: bool = True, projected: int = 0) -> tuple:
    """(w_ih, w_hh, b_ih, b_hh[, w_hr]) of one layer and direction."""
    biases = (normal(gates * size), normal(gates * size)) if bias else (None, None)
    extra = (normal(projected, size),) if projected else ()
    return (normal(gates * size, inputs), normal(gates * size, projected or size), *biases, *extra)


RECURRENT: list[Entry] = [
    case("rnn_tanh_cell", normal(2, 3), normal(2, 2), *_weights(1, 2, 3)),
    case("rnn_relu_cell", normal(3, 3), normal(3, 4), *_weights(1, 4, 3)),
    case("lstm_cell", normal(2, 3), (normal(2, 2), normal(2, 2)), *_weights(4, 2, 3)),
    case("gru_cell", normal(2, 3), normal(2, 2), *_weights(3, 2, 3)),
    case("rnn", normal(3, 2, 3), normal(1, 2, 2), [_weights(1, 2, 3)]).alone(),
    case("rnn", normal(3, 4, 3), None, [_weights(1, 4, 3, False)], nonlinearity="relu", batch_first=True).alone(),
    case("lstm", normal(3, 2, 3), normal(1, 2, 2), normal(1, 2, 2), [_weights(4, 2, 3)]).alone(),
    case("lstm", normal(2, 2, 2), None, None, [_weights(4, 3, 2, False, 2)] * 2, bidirectional=True).alone(),
    case("lstm", normal(2, 2, 2), None, None, [_weights(4, 2, 2, False)] * 2, dropout=0.5, training=True,
         generator=SEEDED).alone(),
    case("lstm", normal(3, 3, 2), normal(2, 3, 2), normal(2, 3, 2), [_weights(4, 2, 2, False)] * 2, bidirectional=True,
         lengths=given([1, 3, 2])).alone(),
    case("gru", normal(3, 2, 3), normal(1, 2, 2), [_weights(3, 2, 3)]).alone(),
    case("gru", normal(3, 3, 2), None, [_weights(3, 2, 2)] * 2, bidirectional=True, lengths=given([1, 3, 2])).alone(),
]  # fmt: skip
