"""malloc's habits: whether it keeps the memory of large temporaries, or returns it and clears it anew each time."""

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
INITIAL, NEVER = 128 << 10, (1 << 31) - 1  # glibc's own thresholds, and the largest


def tune_malloc(keep: bool = True) -> bool:
    """Let malloc keep what is freed, for the whole process; returns whether this C library can (glibc's does).

    NumPy's larger results and temporaries come as fresh pages, cleared at their first touch, and go back as soon as they are
    freed. Afterwards they stay with the process, which then remains as large as it has once been, until `tune_malloc(False)`:
    that restores the initial thresholds and returns what is free.
    """
    if _library() is None:
        return False
    mallopt, malloc_trim = _library()
    done = mallopt(M_MMAP_THRESHOLD, NEVER if keep else INITIAL) and mallopt(M_TRIM_THRESHOLD, NEVER if keep else INITIAL)
    if not keep:
        malloc_trim(0)
    return bool(done)


@cache
def _library():
    try:
        library = ctypes.CDLL(None)
        mallopt, malloc_trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # another library than glibc, another system
        return None
    mallopt.argtypes, malloc_trim.argtypes = (ctypes.c_int, ctypes.c_int), (ctypes.c_size_t,)
    return mallopt, malloc_trim
