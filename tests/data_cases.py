"""The settings of the data tests' random cases, and writers of data files in published formats."""

import struct

import numpy as np
from hypothesis import settings

PROFILE = settings(max_examples=60, deadline=None)
IDX_CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(array):
    """The bytes of an IDX file."""
    header = struct.pack(">HBB", 0, IDX_CODES[array.dtype.str.replace("|", "")], array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def cifar_records(labels):
    """CIFAR-10 records with the given labels and random pixels: uint8 (N, 3073)."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3072), "u1")
    return np.concatenate([np.array(labels, "u1")[:, None], pixels], axis=1)
