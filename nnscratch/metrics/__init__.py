"""Metrics of classification, of image quality, and of generators.

Those of generators compare the features of two sets of images, arrays (N, D) from any fixed network; `judge` has such networks.
"""

from ..training.metrics import *
from .features import frechet_distance, inception_score, kid, mode_coverage
from .neighbours import density_coverage, precision_recall_of_generator
