"""Random numbers as a function of their place: Philox 4x32-10 (Salmon et al., "Parallel random numbers", 2011).

Every formula here is written on operators that NumPy arrays and the vectors of `cpu.random` share, and uses only operations that
IEEE 754 rounds in one way. So both give the same bits, on any machine and any number of threads.

Places come in groups: counters 16b to 16b + 15 make group b, word 0 of all of them first, then word 1, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np

from .polynomials import COS, LOG, LOG_2, SIN, SQRT_HALF_BITS

GROUP = 16  # counters whose words stand together
LOW = 0xFFFFFFFF
MULTIPLIERS, INCREMENTS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)

Word = Any  # 32 bits in a uint64, or an array of them
Real = Any


def philox(counter: tuple[Word, Word, Word, Word], key: tuple[Word, Word]) -> tuple[Word, Word, Word, Word]:
    """Four random words for a counter of four words and a key of two."""
    a, b, c, d = counter
    left, right = key
    for _ in range(10):
        p, q = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (q >> 32) ^ b ^ left, q & LOW, (p >> 32) ^ d ^ right, p & LOW
        left, right = (left + INCREMENTS[0]) & LOW, (right + INCREMENTS[1]) & LOW
    return a, b, c, d


def joined(words: Sequence[Word]) -> list[Word]:
    """Words of 64 bits from pairs of 32."""
    return [low | (high << 32) for low, high in zip(words[::2], words[1::2])]


def uniform(on: Any, words: Sequence[Word]) -> list[Real]:
    """On [0, 1): 24 bits of a word in float32, 53 of two in float64."""
    if on.double:
        return [on.real(w >> 11) * 2.0**-53 for w in joined(words)]
    return [on.real(w >> 8) * 2.0**-24 for w in words]


def normal(on: Any, words: Sequence[Word]) -> list[Real]:
    """Standard normal: pairs by Box and Muller's transform, as many as `uniform` gives."""
    bits = 64 if on.double else 32
    words = joined(words) if on.double else words
    pairs = zip(words[::2], words[1::2])
    return [n for a, b in pairs for n in _box_muller(on, a, b, bits)]


def _box_muller(on: Any, a: Word, b: Word, bits: int) -> tuple[Real, Real]:
    """√(-2 log u) times the cosine and sine of an angle: u and the angle from all the bits of two words."""
    u = on.real(a) * 2.0**-bits + 2.0 ** -(bits + 1)
    radius = on.sqrt(_log(on, u) * -2.0)
    turned = (b + (1 << (bits - 3))) & ((1 << bits) - 1)
    quarter, rest = turned >> (bits - 2), turned & ((1 << (bits - 2)) - 1)
    angle = on.real_signed(rest - (1 << (bits - 3))) * (pi / 2 / 2.0 ** (bits - 2))  # between -π/4 and π/4
    z = angle * angle
    sine = angle + angle * z * _polynomial(SIN[on.double], z)
    cosine = z * z * _polynomial(COS[on.double], z) - z * 0.5 + 1.0
    x, y = on.choose(quarter & 1, sine, cosine), on.choose(quarter & 1, cosine, sine)
    x, y = on.choose((quarter + 1) & 2, x * -1.0, x), on.choose(quarter & 2, y * -1.0, y)
    return radius * x, radius * y


def _log(on: Any, u: Real) -> Real:
    k, f = on.split(u)  # u = 2^k (1 + f), and 1 + f between √½ and √2
    high, low = LOG_2[on.double]
    half = f * f * 0.5
    if on.double:
        s = f / (f + 2.0)
        z = s * s
        rest = s * (half + z * _polynomial(LOG[True], z))
    else:
        rest = f * f * f * _polynomial(LOG[False], f)
    return k * high + (f - (half - (rest + k * low)))


def _polynomial(coefficients: tuple[float, ...], x: Real) -> Real:
    y = x * coefficients[0] + coefficients[1]
    for c in coefficients[2:]:
        y = y * x + c
    return y


class OnArrays:
    """What the formulas need beside operators, on NumPy arrays."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype, self.double = dtype, dtype == np.float64

    def real(self, word: np.ndarray) -> np.ndarray:
        return word.astype(self.dtype)

    def real_signed(self, word: np.ndarray) -> np.ndarray:
        return word.view(np.int64).astype(self.dtype)

    def sqrt(self, x: np.ndarray) -> np.ndarray:
        return np.sqrt(x)

    def choose(self, word: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a where the word is not 0, else b."""
        return np.where(word != 0, a, b)

    def split(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        digits = 52 if self.double else 23
        bits: np.ndarray = u.view(np.int64 if self.double else np.int32)
        k = (bits - SQRT_HALF_BITS[self.double]) >> digits
        return k.astype(self.dtype), (bits - (k << digits)).view(self.dtype) - 1.0


def words(first: int, groups: int, key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """The words of some groups from the `first` on, (groups, GROUP) each; `key` is of two 64-bit numbers, key and stream."""
    counter = np.arange(first * GROUP, (first + groups) * GROUP, dtype=np.uint64).reshape(groups, GROUP)
    stream = np.full_like(counter, key[1] & LOW), np.full_like(counter, key[1] >> 32)
    return philox((counter & LOW, counter >> 32, *stream), (key[0] & LOW, key[0] >> 32))
