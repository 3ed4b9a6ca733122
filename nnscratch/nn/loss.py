"""Losses as layers. reduction: 'mean', 'sum' or 'none'; l below is the loss of one element before it.

What torch lists before `reduction` and has given up (size_average, reduce) does not exist here, so what comes after it there is
keyword-only.
"""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .stateless import KW_ONLY, Stateless


class _Loss(Stateless):
    _shown = ()


class MSELoss(_Loss):
    """l = (x - t)²."""

    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """l = |x - t|."""

    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """l = d² / (2 beta) where d = |x - t| < beta, d - beta / 2 elsewhere (Girshick 2015)."""

    _: KW_ONLY
    reduction: str = "mean"
    beta: float = 1.0

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """l = d² / 2 where d = |x - t| <= delta, delta (d - delta / 2) elsewhere (Huber 1964)."""

    reduction: str = "mean"
    delta: float = 1.0

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_Loss):
    """l = -w_t log softmax(x)_t: logits (N, C, *) and classes (N, *) or probabilities (N, C, *).

    `weight` (C) scales classes, `ignore_index` leaves targets out, `label_smoothing` mixes the target with the uniform one.
    The mean is over the weights of the targets that count.
    """

    weight: Tensor | None = None
    _: KW_ONLY
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0
    _buffer_fields = ("weight",)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """l = -w_t x_t: log-probabilities (N, C, *) and classes (N, *), weighted as in CrossEntropyLoss."""

    weight: Tensor | None = None
    _: KW_ONLY
    ignore_index: int = -100
    reduction: str = "mean"
    _buffer_fields = ("weight",)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(_Loss):
    """l = -w (t log x + (1 - t) log(1 - x)) for probabilities x; the logarithms are held above -100."""

    weight: Tensor | None = None
    _: KW_ONLY
    reduction: str = "mean"
    _buffer_fields = ("weight",)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """l = -w (pos_weight t log sigmoid(x) + (1 - t) log sigmoid(-x)) for logits x, finite for any of them."""

    weight: Tensor | None = None
    _: KW_ONLY
    reduction: str = "mean"
    pos_weight: Tensor | None = None
    _buffer_fields = ("weight", "pos_weight")

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """l = t (log t - x) for log-probabilities x; log_target: t is a logarithm too. reduction may also be 'batchmean'."""

    _: KW_ONLY
    reduction: str = "mean"
    log_target: bool = False

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class GaussianNLLLoss(_Loss):
    """l = (log max(var, eps) + (x - t)² / max(var, eps)) / 2, with log(2π) / 2 added when `full` (Nix & Weigend 1994)."""

    _: KW_ONLY
    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """l = e^x - t x (log_input) or x - t log(x + eps); `full` adds Stirling's term t log t - t + log(2π t) / 2 where t > 1."""

    log_input: bool = True
    full: bool = False
    _: KW_ONLY
    eps: float = 1e-8
    reduction: str = "mean"

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class HingeEmbeddingLoss(_Loss):
    """l = x where t = 1, max(0, margin - x) where t = -1."""

    margin: float = 1.0
    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """l = max(0, -t (x1 - x2) + margin), t = ±1."""

    margin: float = 0.0
    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """l = 1 - cos(x1, x2) where t = 1, max(0, cos(x1, x2) - margin) where t = -1."""

    margin: float = 0.0
    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """l = log(1 + e^(-t x)), t = ±1."""

    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """l = max(0, ‖a - p‖ - ‖a - n‖ + margin) in the p-norm; swap: the smaller of ‖a - n‖ and ‖p - n‖ (Balntas et al. 2016)."""

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor, positive, negative, margin=self.margin, p=self.p, eps=self.eps, swap=self.swap, reduction=self.reduction
        )


class MultiMarginLoss(_Loss):
    """l = sum over i ≠ t of w_t max(0, margin - x_t + x_i)^p / C, p = 1 or 2."""

    p: int = 1
    margin: float = 1.0
    weight: Tensor | None = None
    _: KW_ONLY
    reduction: str = "mean"
    _buffer_fields = ("weight",)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """l = sum over targets t and other classes i of max(0, 1 - x_t + x_i) / C; a row of targets ends at its first -1."""

    _: KW_ONLY
    reduction: str = "mean"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """l = -mean over classes of w (t log sigmoid(x) + (1 - t) log sigmoid(-x))."""

    weight: Tensor | None = None
    _: KW_ONLY
    reduction: str = "mean"
    _buffer_fields = ("weight",)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)
