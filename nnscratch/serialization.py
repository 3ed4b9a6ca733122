"""save and load: tensors as safetensors, everything around them as JSON in the file's metadata. Nothing is ever pickled.

A saved state_dict is an ordinary safetensors file that any other program reads under the same names.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from . import backend
from .tensor import Tensor

_KEY = "nnscratch"  # the entry of the safetensors metadata that holds the structure
_count = itertools.count()  # of the files written by this process: two threads may write to one path


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write a state_dict, or any nest of dicts, lists, tuples, tensors, arrays, strings, numbers, booleans and None.

    A Module or an optimiser stands for its `state_dict()`. The file appears under its name only when it is whole: a crash or a
    full disk leaves an older file of that name as it was. Raises TypeError for anything else, naming where it was found.
    """
    from safetensors.numpy import save as to_bytes

    if callable(getattr(obj, "state_dict", None)):
        obj = obj.state_dict()
    arrays: dict[str, np.ndarray] = {}
    try:
        structure = json.dumps(_pack(obj, (), arrays))
    except RecursionError:
        raise ValueError("save: the object is nested too deeply, or contains itself") from None
    atomic_write(path, to_bytes(arrays, metadata={_KEY: structure}))


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    *,
    map_location: str | None = None,
    weights_only: bool = True,  # noqa: ARG001
) -> Any:
    """What `save` wrote, with its tensors on `device`; of any other safetensors file, a dict of its tensors.

    `map_location` is torch's name for the device; `weights_only` makes no difference, as a file never holds code here.
    Raises FileNotFoundError, or ValueError that names a file that is truncated, damaged or not in this format.
    """
    from safetensors import SafetensorError, safe_open

    if map_location is not None:
        if not isinstance(map_location, str):
            raise TypeError(f"load: map_location is a device such as 'cpu', got {type(map_location).__name__}")
        device = map_location
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: _sound(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118  (it is not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, TypeError, KeyError, AttributeError, ValueError, MemoryError) as fault:
        raise ValueError(f"{path}: not a readable safetensors file: {fault}") from fault
    if _KEY not in metadata:
        return {name: Tensor(backend.to_device(array, device)) for name, array in arrays.items()}
    try:
        return _unpack(json.loads(metadata[_KEY]), arrays, device)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as fault:
        raise ValueError(f"{path}: the description of its contents is damaged: {fault!r}") from fault


def _sound(array: np.ndarray) -> np.ndarray:
    """An array from a file, writeable, with booleans of 0 and 1 only. Raises TypeError for other than real numbers."""
    if array.dtype.kind not in "fiub":
        raise TypeError(f"it holds {array.dtype} values")
    if array.dtype == backend.bool_:
        return np.asarray(array.view(np.uint8) != 0)
    return array if array.flags.writeable else array.copy()


def _pack(obj: Any, where: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """`obj` as JSON, with its arrays moved to `arrays`. A JSON object with a key that begins with '$' is one of ours."""
    if isinstance(obj, Tensor) or backend.is_array(obj) or isinstance(obj, np.generic):
        array = backend.to_device(obj.data if isinstance(obj, Tensor) else obj, "cpu") if not isinstance(obj, np.generic) else obj
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise TypeError(f"save: {'.'.join(where) or 'the object'} is an array of {array.dtype}; expected numbers or booleans")
        base = ".".join(where).encode(errors="backslashreplace").decode() or "tensor"
        name = base if base != "__metadata__" else "__metadata__#1"  # the format's own entry
        k = 1
        while name in arrays:
            k += 1
            name = f"{base}#{k}"
        arrays[name] = np.asarray(array, order="C")
        return {"$tensor" if isinstance(obj, Tensor) else "$array": name}
    if isinstance(obj, Mapping):
        packed = [(key, _pack(value, (*where, str(key)), arrays)) for key, value in obj.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in obj):
            return dict(packed)
        return {"$dict": [[_pack(key, (*where, "key"), arrays), value] for key, value in packed]}
    if isinstance(obj, (list, tuple)):
        packed_items = [_pack(value, (*where, str(i)), arrays) for i, value in enumerate(obj)]
        return {"$tuple": packed_items} if isinstance(obj, tuple) else packed_items
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    raise TypeError(f"save: cannot save {'.'.join(where) or 'the object'}, which is a {type(obj).__name__}")


def _unpack(packed: Any, arrays: dict[str, np.ndarray], device: str) -> Any:
    if isinstance(packed, list):
        return [_unpack(value, arrays, device) for value in packed]
    if not isinstance(packed, dict):
        return packed
    if "$tensor" in packed:
        return Tensor(backend.to_device(arrays[packed["$tensor"]], device))
    if "$array" in packed:
        return arrays[packed["$array"]]
    if "$tuple" in packed:
        return tuple(_unpack(value, arrays, device) for value in packed["$tuple"])
    if "$dict" in packed:
        return {_unpack(key, arrays, device): _unpack(value, arrays, device) for key, value in packed["$dict"]}
    return {key: _unpack(value, arrays, device) for key, value in packed.items()}


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Make `path` hold `data`: wholly, on the disk, or not at all. An OSError says so and leaves the old file in place."""
    path = Path(path)
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.{next(_count)}.tmp")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except OSError as fault:
        raise OSError(fault.errno, f"could not write {path} ({fault.strerror}); what was there before is unchanged") from fault
    finally:
        with suppress(OSError):
            temporary.unlink()
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk, where the system offers that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
