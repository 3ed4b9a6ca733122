"""Metrics of classification and of image quality."""

from .training.metrics import *  # noqa: F403
