"""Datasets, loaders and transforms."""

from . import transforms
from .catalogue import NAMES, load
from .cifar import CIFAR10
from .dataset import ConcatDataset, Dataset, MapDataset, Subset, TensorDataset, stack
from .digits import Digits
from .files import DataError, read_cifar10, read_idx
from .folder import ImageFolder, read_image
from .images import ImageSet
from .loader import DataLoader, default_collate
from .mnist import KMNIST, MNIST, FashionMNIST
from .moving import MovingShapes
from .randomness import current_generator
from .sampler import BatchSampler, RandomSampler, SequentialSampler, WeightedRandomSampler
from .shapes import COLOURS, SHAPES, Shapes, render_shapes
from .split import random_split

__all__ = [
    "CIFAR10",
    "COLOURS",
    "KMNIST",
    "MNIST",
    "NAMES",
    "SHAPES",
    "BatchSampler",
    "ConcatDataset",
    "DataError",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "ImageSet",
    "MapDataset",
    "MovingShapes",
    "RandomSampler",
    "SequentialSampler",
    "Shapes",
    "Subset",
    "TensorDataset",
    "WeightedRandomSampler",
    "current_generator",
    "default_collate",
    "load",
    "random_split",
    "read_cifar10",
    "read_idx",
    "read_image",
    "render_shapes",
    "stack",
    "transforms",
]
