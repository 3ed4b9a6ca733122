"""Datasets, loaders and transforms."""

from .dataset import ConcatDataset, Dataset, MapDataset, Subset, TensorDataset, stack
from .digits import Digits
from .files import DataError, read_cifar10, read_idx
from .images import ImageSet
from .loader import DataLoader, default_collate
from .mnist import KMNIST, MNIST, FashionMNIST
from .randomness import current_generator
from .sampler import BatchSampler, RandomSampler, SequentialSampler, WeightedRandomSampler
from .split import random_split

__all__ = [
    "KMNIST",
    "MNIST",
    "BatchSampler",
    "ConcatDataset",
    "DataError",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageSet",
    "MapDataset",
    "RandomSampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "WeightedRandomSampler",
    "current_generator",
    "default_collate",
    "random_split",
    "read_cifar10",
    "read_idx",
    "stack",
]
