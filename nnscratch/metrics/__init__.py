"""Metrics of classification, of image quality, of generators, and bounds on likelihoods.

Those of generators compare the features of two sets of images, arrays (N, D) from any fixed network; `judge` has such networks.
"""

from ..training.bounds import elbo, importance_bound
from ..training.metrics import *
from .features import frechet_distance, inception_score, kid, mode_coverage
from .neighbours import density_coverage, precision_recall_of_generator
