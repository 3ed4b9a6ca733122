import gzip
import os
import struct

import numpy as np
import pytest
from data_cases import IDX_CODES, PROFILE, cifar_records, idx
from hypothesis import given
from hypothesis import strategies as st

from nnscratch.data import DataError, read_cifar10, read_idx
from nnscratch.data.archive import extract_tar

GOOD = idx(np.arange(24, dtype="u1").reshape(2, 3, 4))


@PROFILE
@given(st.sampled_from(list(IDX_CODES)), st.lists(st.integers(0, 4), min_size=1, max_size=4), st.booleans())
def test_idx_round_trip(tmp_path_factory, code, shape, compressed):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(code)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
    read = read_idx(path)
    assert read.dtype == array.dtype.newbyteorder("=") and read.dtype.isnative
    np.testing.assert_array_equal(read, array)


HOSTILE = {
    "empty": (b"", "truncated"),
    "short magic": (b"\0\0\x08", "truncated"),
    "wrong magic": (b"\x01" + GOOD[1:], "not an IDX file"),
    "unknown dtype": (GOOD[:2] + b"\x0a" + GOOD[3:], "not an IDX file"),
    "no dimensions": (GOOD[:3] + b"\0" + GOOD[4:], "0 dimensions"),
    "255 dimensions": (GOOD[:3] + b"\xff" + GOOD[4:], "255 dimensions"),
    "short sizes": (GOOD[:10], "truncated"),
    "one value short": (GOOD[:-1], r"2 x 3 x 4 .* 23 bytes"),
    "one value more": (GOOD + b"x", r"2 x 3 x 4 .* 25 bytes"),
    "absurd sizes": (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "more than the limit"),
    "web page": (b"<!DOCTYPE html><html>not found</html>", "not an IDX file"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("compressed", [False, True])
def test_hostile_idx(tmp_path, name, compressed):
    data, fault = HOSTILE[name]
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(gzip.compress(data) if compressed else data)
    if compressed and name == "one value short":
        fault = "ends after 23 bytes"
    if compressed and name == "one value more":
        fault = "more bytes follow"
    with pytest.raises(DataError, match=fault) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_impossible_sizes_are_refused_before_anything_is_unpacked(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(GOOD[:4] + struct.pack(">3I", 1000, 1000, 1000)))
    with pytest.raises(DataError, match="impossible for"):
        read_idx(path)


def test_decompression_bomb_stops_at_the_declared_size(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(GOOD + bytes(50_000_000)))
    with pytest.raises(DataError, match="more bytes follow"):
        read_idx(path)
    with pytest.raises(DataError, match="more than the limit of 10"):
        read_idx(path, max_bytes=10)


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b[:30] + b"\xff\x00" + b[32:], lambda b: b[:-6] + b"\0" * 6])
def test_damaged_gzip(tmp_path, change):
    path = tmp_path / "file.gz"
    path.write_bytes(change(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, 500).astype("u1")))))
    with pytest.raises(DataError, match="file.gz"):
        read_idx(path)


def test_missing_idx_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for read in (read_idx, read_cifar10, lambda path: extract_tar(path, tmp_path / "out", {"a": 1})):
        with pytest.raises(DataError, match="pipe: cannot be read: not a regular file"):
            read(path)


def test_sizes_beyond_numpy_of_an_empty_array(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 0, 2**32 - 1, 2**32 - 1))
    with pytest.raises(DataError, match="file: header declares 0 x 4294967295"):
        read_idx(path)


@PROFILE
@given(st.binary(max_size=80))
def test_random_bytes_never_read_or_raise_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("idx") / "file"
    for content in (data, b"\0\0\x08" + data, b"\x1f\x8b" + data):
        path.write_bytes(content)
        for read in (read_idx, read_cifar10):
            try:
                read(path)
            except DataError as fault:
                assert str(path) in str(fault)
            else:
                assert content[:3] == b"\0\0\x08"


def test_cifar10_layout(tmp_path):
    data = cifar_records([3, 9])
    (tmp_path / "batch.bin").write_bytes(data.tobytes())
    images, labels = read_cifar10(tmp_path / "batch.bin")
    assert labels.tolist() == [3, 9] and images.shape == (2, 3, 32, 32)
    assert images[1, 2, 5, 7] == data[1, 1 + 2 * 1024 + 5 * 32 + 7]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "0 bytes"),
        (cifar_records([1, 2]).tobytes()[:-1], "6145 bytes"),
        (cifar_records([1, 2]).tobytes() + b"x", "6147 bytes"),
        (cifar_records([1, 10, 2]).tobytes(), "label 10 of sample 1"),
        (gzip.compress(cifar_records([1]).tobytes()), "gzipped"),
    ],
)
def test_hostile_cifar10(tmp_path, data, fault):
    (tmp_path / "batch.bin").write_bytes(data)
    with pytest.raises(DataError, match=fault):
        read_cifar10(tmp_path / "batch.bin")


def test_cifar10_file_of_absurd_size(tmp_path):
    with open(tmp_path / "batch.bin", "wb") as file:
        file.truncate(3073 * 100_001)
    with pytest.raises(DataError, match="100001 records"):
        read_cifar10(tmp_path / "batch.bin")
