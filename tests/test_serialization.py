"""save and load: what comes back, what is refused, and what a crash leaves."""

import errno
import json
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as nns
from nnscratch import nn, serialization
from nnscratch.serialization import load, save


def same(a, b):
    if isinstance(a, nns.Tensor):
        return isinstance(b, nns.Tensor) and same(a.data, b.data)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
arrays = st.builds(
    lambda shape, dtype, seed: np.random.default_rng(seed).integers(0, 2, shape).astype(dtype),
    st.lists(st.integers(0, 3), max_size=4),
    st.sampled_from(DTYPES),
    st.integers(0, 9),
)
leaves = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5) | arrays | arrays.map(nns.tensor)
)
keys = st.text(max_size=4) | st.integers(0, 5) | st.sampled_from(["$tensor", "$dict", "a.b", "a"])
nests = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2).map(tuple),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(nests)
def test_every_nest_comes_back(tmp_path_factory, obj):
    path = tmp_path_factory.getbasetemp() / "nest.safetensors"
    save(obj, path)
    assert same(obj, load(path))


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    from safetensors.numpy import load_file, save_file

    w = np.arange(6, dtype=np.float32).reshape(2, 3).T  # not contiguous
    save({"layer.weight": nns.tensor(w, requires_grad=True), "n": nns.tensor(3)}, tmp_path / "a.safetensors")
    seen = load_file(tmp_path / "a.safetensors")
    assert seen["layer.weight"].tolist() == w.tolist()
    assert seen["n"] == 3

    save_file({"x": np.ones((2, 2), np.float16)}, tmp_path / "b.safetensors")
    assert same(load(tmp_path / "b.safetensors"), {"x": nns.tensor(np.ones((2, 2), np.float16))})


def test_loaded_tensors_can_be_written(tmp_path):
    save([nns.tensor([1.0, 2.0]), np.zeros(3)], tmp_path / "a")
    tensor, array = load(tmp_path / "a")
    tensor.data += 1
    array += 1
    assert tensor.data.tolist() == [2, 3]


def test_modules_and_optimizers_stand_for_their_state(tmp_path):
    layer = nn.Linear(2, 3)
    save(layer, tmp_path / "a")
    assert list(load(tmp_path / "a")) == ["weight", "bias"]


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"a": [1, {"b": object()}]}, r"a\.1\.b, which is a object"),
        (lambda: 0, "the object, which is a function"),
        ({"a": np.array(["x"])}, "a is an array of <U1"),
        ({"a": np.zeros(2, complex)}, "complex128"),
    ],
)
def test_refuses_what_it_cannot_save(tmp_path, obj, message):
    with pytest.raises(TypeError, match=message):
        save(obj, tmp_path / "a")
    assert not any(tmp_path.iterdir())


def header(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


HOSTILE = {
    "empty": b"",
    "short": b"\x03",
    "length beyond the file": struct.pack("<Q", 1 << 62) + b"{}",
    "length of 4 GiB": struct.pack("<Q", 1 << 32) + b"{}",
    "not JSON": header("hello"),
    "not UTF-8": header(b"\xff\xfe{}"),
    "offsets beyond the data": header('{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
    "shape against offsets": header('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}') + b"\0\0\0\0",
    "negative offset": header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'),
    "overlap": header('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}')
    + b"\0\0\0",
    "unknown dtype": header('{"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,4]}}') + b"\0\0\0\0",
    "structure not JSON": header(json.dumps({"__metadata__": {"nnscratch": "{"}})),
    "structure names a missing tensor": header(json.dumps({"__metadata__": {"nnscratch": '{"$tensor":"b"}'}})),
    "structure of a wrong form": header(json.dumps({"__metadata__": {"nnscratch": '{"$dict":5}'}})),
    "structure nested too deeply": header(json.dumps({"__metadata__": {"nnscratch": "[" * 100_000 + "]" * 100_000}})),
    "a pickle": b"\x80\x04\x95" + b"\0" * 40,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_damaged_and_hostile_files_are_named(tmp_path, name):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        load(path)


def test_every_truncation_is_noticed(tmp_path):
    save({"w": nns.tensor(np.arange(5.0)), "k": 3}, tmp_path / "good")
    data = (tmp_path / "good").read_bytes()
    for n in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:n])
        with pytest.raises(ValueError, match="cut"):
            load(tmp_path / "cut")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file.*nothing"):
        load(tmp_path / "nothing")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    save({"a": 1}, tmp_path / "file")

    def fsync(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(serialization.os, "fsync", fsync)
    with pytest.raises(OSError, match="could not write .*file.*No space left.*unchanged"):
        save({"a": 2}, tmp_path / "file")
    assert load(tmp_path / "file") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_names_that_the_format_cannot_hold(tmp_path):
    path = tmp_path / "file"
    obj = {"__metadata__": nns.ones(2), "__metadata__#1": nns.zeros(1), "\udcff": nns.ones(3)}
    save(obj, path)
    assert same(load(path), obj)


def test_an_object_that_contains_itself(tmp_path):
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        save(loop, tmp_path / "file")


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double here")
def test_extended_precision_is_refused(tmp_path):
    with pytest.raises(TypeError, match="save: w is an array of"):
        save({"w": np.ones(2, np.longdouble)}, tmp_path / "file")


@pytest.mark.parametrize(
    ("dtype", "shape", "size"), [("F32", [0, 2**62], 0), ("F32", [1] * 70, 4), ("C64", [1], 8), ("BF16", [2], 4)]
)
def test_arrays_that_numpy_cannot_hold(tmp_path, dtype, shape, size):
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    path = tmp_path / "file"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with pytest.raises(ValueError, match="file: not a readable safetensors file"):
        load(path)


def test_booleans_from_a_file_are_0_or_1(tmp_path):
    header = json.dumps({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "file"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\x07\x00")
    assert load(path)["a"].data.view(np.uint8).tolist() == [1, 0]


def test_threads_writing_to_one_path_do_not_mix(tmp_path):
    path = tmp_path / ("long name " * 24)
    save({"a": np.zeros(100_000)}, path)
    faults = []

    def write(k):
        try:
            for _ in range(5):
                save({"a": np.full(100_000, float(k))}, path)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        assert np.unique(load(path)["a"]).size == 1
    assert not faults and list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_no_rest(tmp_path, monkeypatch):
    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(serialization.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save({"a": np.ones(2)}, tmp_path / "file")
    assert not list(tmp_path.iterdir())
