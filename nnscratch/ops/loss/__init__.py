"""Losses, by what they compare: numbers, class scores, distances, a generator and its critic.

All take `reduction='none' | 'mean' | 'sum'`. The input and the target must have the same shape: nothing is broadcast, because a
broadcast loss is almost always a forgotten axis.
"""

from .adversarial import *
from .classification import *
from .margin import *
from .regression import *

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy",
    "discriminator_loss", "gaussian_kl", "gaussian_nll_loss", "generator_loss", "hinge_embedding_loss", "huber_loss",
    "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
    "triplet_margin_loss",
]  # fmt: skip
