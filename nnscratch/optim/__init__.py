"""Optimisers, learning-rate schedules and weight averaging, with the names and semantics of `torch.optim`."""

from . import lr_scheduler
from .adagrad import Adadelta, Adagrad, RMSprop
from .adam import Adam, Adamax, AdamW
from .ema import EMA
from .nadam import NAdam, RAdam
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "EMA",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
]
