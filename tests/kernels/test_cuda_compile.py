"""Every CUDA kernel compiled by NVRTC for an A100 and an H100 or H200, without a GPU: registers within bounds, nothing spilled.

Needs NVRTC: `pip install -e ".[nvrtc]"`.
"""

import re
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import pack

import pytest
from nnscratch.kernels.cuda import loader, nvrtc, versions

ARCHITECTURES = ("sm_80", "sm_90a")
FILE = 65536  # registers of a multiprocessor, handed out to warps in portions of 256
# Kernel name's beginning -> blocks that must fit a multiprocessor at once by their registers.
BLOCKS = {
    "gather_tf32_large": 1,
    "gather_tf32_v1": 3,
    "gather_tf32_small": 4,
    "gather_tf32_few": 5,
    "gather_tf32": 3,
    "gather_f32": 4,
    "gather_f64": 2,
    "weight_tf32_large": 2,
    "weight_tf32": 4,
    "weight_f32": 5,
    "weight_f64": 3,
    "": 4,  # all others: half of a multiprocessor's threads at least, most of them all
}
ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers",
    re.DOTALL,
)


@pytest.fixture(scope="module")
def compiled():
    """{(family, architecture): (cubin, {kernel: (stack, spilled, registers)})}"""
    try:
        nvrtc.version()
    except nvrtc.CompilationError as fault:
        pytest.skip(str(fault))

    def one(job):
        code, log = loader.compiled(*job, "--ptxas-options=-v")
        kernels = {
            m["name"]: (int(m["stack"]), int(m["stores"]) + int(m["loads"]), int(m["registers"])) for m in ENTRY.finditer(log)
        }
        return job, (code, kernels)

    # The longest first: convolution for both architectures, side by side.
    jobs = [(family, architecture) for family in loader.FAMILIES for architecture in ARCHITECTURES]
    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(one, jobs))


def threads_of(name):
    version = versions.GATHER.get(name) or versions.WEIGHT.get(name)
    return version.threads if version else 128 if re.match(r"(softmax|nll)", name) and "wide" not in name else 256


def blocks_of(name):
    return next(blocks for beginning, blocks in BLOCKS.items() if name.startswith(beginning))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("family", loader.FAMILIES)
def test_registers_and_spills(compiled, family, architecture):
    code, kernels = compiled[family, architecture]
    assert code.startswith(b"\x7fELF")
    assert kernels.keys() == {name.decode() for name in re.findall(rb"\.text\.(\w+)\0", code)}
    for name, (stack, spilled, registers) in kernels.items():
        assert (name, stack, spilled) == (name, 0, 0)
        per_warp = -(-registers * 32 // 256) * 256
        fit = FILE // (per_warp * (threads_of(name) // 32))
        assert fit >= blocks_of(name), f"{name} ({architecture}): {registers} registers let {fit} blocks in"


def test_all_versions_are_there(compiled):
    _, kernels = compiled["convolution", "sm_90a"]
    sums = {"sum_parts_f32", "sum_parts_f64"}
    assert kernels.keys() == {*versions.GATHER, *versions.WEIGHT, *sums}


@pytest.mark.usefixtures("compiled")
def test_a_fault_is_shown_with_the_compiler_s_words():
    with pytest.raises(nvrtc.CompilationError, match=r'(?s)bad.cuh does not compile with --gpu-architecture=sm_90a:.*"nonsense"'):
        nvrtc.compile("nonsense x;", "bad.cuh", ["--gpu-architecture=sm_90a"])


def test_without_nvrtc_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(nvrtc, "NAMES", ("libnvrtc-of-no-machine.so",))
    monkeypatch.setattr(sys, "path", [])
    nvrtc.library.cache_clear()
    try:
        with pytest.raises(nvrtc.CompilationError, match="pip install nvidia-cuda-nvrtc"):
            nvrtc.library()
    finally:
        nvrtc.library.cache_clear()


@pytest.mark.parametrize("major", [12, 13])
def test_cupy_s_own_nvrtc_comes_first(monkeypatch, major):
    """The driver may be too old for what a newer one compiles."""
    asked = []
    monkeypatch.setattr(nvrtc, "CDLL", lambda place: asked.append(place) or place)
    monkeypatch.setattr(nvrtc, "_declared", lambda found: found)
    fake = types.SimpleNamespace(cuda=types.SimpleNamespace(nvrtc=types.SimpleNamespace(getVersion=lambda: (major, 0))))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    nvrtc.library.cache_clear()
    try:
        assert nvrtc.library() == asked[0] == f"libnvrtc.so.{major}"
    finally:
        nvrtc.library.cache_clear()


# As short as an ELF can be: a header that says that a table of one section follows, and the table.
CUBIN = b"\x7fELF".ljust(40, b"\0") + pack("<Q", 64) + bytes(10) + pack("<HH", 64, 1) + bytes(2) + bytes(64)


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """The options of each compilation, which gives CUBIN; what is made is kept in the test's folder."""
    calls = []
    monkeypatch.setenv("NNSCRATCH_CUDA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nvrtc, "version", lambda: (13, 0))
    monkeypatch.setattr(nvrtc, "compile", lambda source, name, options: (calls.append(options), (CUBIN, ""))[1])
    return calls


def test_cubins_are_kept_by_content(monkeypatch, tmp_path, compilations):
    calls = compilations
    path, new = loader.cubin("random", "sm_80")
    assert (path.read_bytes(), new, path.parent) == (CUBIN, True, tmp_path / "cache")
    assert loader.cubin("random", "sm_80") == (path, False)
    assert calls == [("--gpu-architecture=sm_80", *loader.OPTIONS, "--fmad=false")]
    others = {loader.cubin("random", "sm_90a")[0], loader.cubin("rows", "sm_80")[0]}
    monkeypatch.setattr(nvrtc, "version", lambda: (12, 9))
    others.add(loader.cubin("random", "sm_80")[0])
    original = loader.source("random")
    monkeypatch.setattr(loader, "source", lambda family: original + "// changed")
    others.add(loader.cubin("random", "sm_80")[0])
    assert len({path, *others}) == 5
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".cubin"] * 5  # nothing half-written lies about


def test_a_failed_write_leaves_nothing(monkeypatch, tmp_path):
    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(loader.os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        loader._write(tmp_path / "a.cubin", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"\x7fELF", CUBIN[:-1], bytes(len(CUBIN)), b"\x7fELF" + b"\xff" * 200])
def test_a_damaged_file_is_made_anew(compilations, damage):
    path, _ = loader.cubin("rows", "sm_80")
    path.write_bytes(damage)
    assert loader.cubin("rows", "sm_80") == (path, True)
    assert path.read_bytes() == CUBIN
    assert loader.cubin("rows", "sm_80") == (path, False)


def test_writers_side_by_side(compilations):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: loader.cubin("pool", "sm_80")[0], range(64)))
    assert len(set(found)) == 1 and found[0].read_bytes() == CUBIN
    assert [p.name for p in found[0].parent.iterdir()] == [found[0].name]


class Driver:
    """CuPy, as far as loading goes, whose driver refuses files that do not hold `good`, as late as CuPy does."""

    def __init__(self, good, attributes=None):
        self.good, self.loads = good, []
        self.cuda = types.SimpleNamespace(
            Device=lambda index=0: types.SimpleNamespace(
                id=index, compute_capability="86", attributes={"MaxSharedMemoryPerBlockOptin": 99 << 10}
            )
        )

    def RawModule(self, *, path):  # noqa: N802 - CuPy's name
        self.loads.append(path)
        driver = self

        class Kernel:
            def __setattr__(self, name, value):
                assert (name, value) == ("max_dynamic_shared_size_bytes", 99 << 10)
                if Path(path).read_bytes() != driver.good:
                    raise RuntimeError("CUDA_ERROR_INVALID_IMAGE")

        return types.SimpleNamespace(get_function=lambda name: Kernel())


@pytest.fixture
def driver(monkeypatch, compilations):
    """The Driver, with nothing loaded before and nothing afterwards."""
    fake = Driver(CUBIN)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    caches = loader._module, loader._function, loader.largest_shared, loader._own_folder
    for cached in caches:
        cached.cache_clear()
    yield fake
    for cached in caches:
        cached.cache_clear()


def test_what_the_driver_refuses_is_compiled_again(driver, compilations):
    path, _ = loader.cubin("rows", "sm_86")
    path.write_bytes(CUBIN + b"of another kind")
    loader.function("rows", "softmax_f32")
    loader.function("rows", "softmax_f32"), loader.function("rows", "nll_f32")
    assert (len(compilations), driver.loads) == (2, [str(path)] * 2)


def test_what_the_driver_refuses_twice_is_its_error(driver):
    driver.good = b"never"
    with pytest.raises(RuntimeError, match="INVALID_IMAGE"):
        loader.function("rows", "softmax_f32")


def test_a_folder_that_cannot_be_written_to(driver, compilations, monkeypatch, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("NNSCRATCH_CUDA_CACHE", str(blocked / "cache"))
    with pytest.warns(RuntimeWarning, match=r"cannot be kept in .*cache \(.*\): this process compiles its own; set NNSCRATCH"):
        loader.function("rows", "softmax_f32")
    loader.function("rows", "nll_f32")
    (path,) = {Path(p) for p in driver.loads}
    assert path.read_bytes() == CUBIN and blocked.read_text() == ""


def test_sources_include_each_file_once():
    text = loader.source("convolution")
    assert "#include" not in text and text.count("mma_tf32(float (&d)[4]") == 1
    assert {p.stem for p in Path(loader.HERE).glob("*.cuh")} == {*loader.FAMILIES, "device", "tiles"}
    for family in loader.FAMILIES:
        assert "// Version" in (loader.HERE / f"{family}.cuh").read_text()[:2500], (
            f"{family}: its versions are not stated at the top"
        )
