"""The tests of the CUDA kernels on the CPU once more, with AddressSanitizer and UndefinedBehaviorSanitizer watching the kernels.

    python tests/cuda_shim/sanitized.py [options of pytest]

Memory errors end the run with a report, and a whole run fails where a kernel was left out.
ASan must be in the process before Python is, so the tests have one of their own.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]


def main(arguments):
    os.environ["CUDA_SHIM_SANITIZE"] = "1"
    from nnscratch.kernels.cuda import loader

    from cuda_shim import library

    if not library.usable():
        print("not run: needs g++ on x86-64 Linux")
        return 0
    place = subprocess.run([library.compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(place.stdout.strip()).is_absolute():
        print("not run: the compiler has no libasan")
        return 0
    with ThreadPoolExecutor(2) as pool:  # the compiler takes longest
        list(pool.map(library.build, loader.FAMILIES))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "LD_PRELOAD": place.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    tests = sorted(map(str, (ROOT / "tests" / "kernels").glob("test_cuda_*.py")))
    tests = [
        t for t in tests if not t.endswith(("_compile.py", "_script.py"))
    ]  # which run no kernels, or none that others do not
    options = arguments or ["-p", "cuda_shim.coverage"]
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", *options, *tests], env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
