"""Counter-based normal draws that vectorise: a 64-bit hash, then Box-Muller with polynomial log and sine.

A draw depends on nothing but (key, counter), so neither threads nor the cut of a batch can change it. A call
to `np.log` or `np.cos` inside the loop would stop LLVM from vectorising it; the polynomials below do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S1, _S27, _S30, _S31, _S32 = (np.uint64(shift) for shift in (1, 27, 30, 31, 32))
_LOW_32 = np.uint64(0xFFFFFFFF)

# log2(1 + x) / x on 1 + x in [sqrt(1/2), sqrt(2)): Chebyshev interpolation, degree 7; log2 is off by 1e-7 at most.
_LOG2 = tuple(
    np.float32(c)
    for c in (
        1.4426950216293335,
        -0.7213529348373413,
        0.48091670870780945,
        -0.3602251708507538,
        0.2872888743877411,
        -0.24927182495594025,
        0.23265257477760315,
        -0.14275974035263062,
    )
)
# sin(pi r / 2) / r and cos(pi r / 2) in r^2 on r in [-1/2, 1/2]: Chebyshev, degree 3; off by 3e-8 at most.
_SIN = tuple(
    np.float32(c) for c in (1.5707963705062866, -0.6459634900093079, 0.07968021929264069, -0.004602149128913879)
)
_COS = tuple(np.float32(c) for c in (1.0, -1.2336970567703247, 0.25359857082366943, -0.020408159121870995))

_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MINUS_2_LN_2 = np.float32(-1.3862943611198906)
_TWO_TO_MINUS_31 = np.float32(2.0**-31)
_TWO_TO_MINUS_30 = np.float32(2.0**-30)


@intrinsic
def _float_bits(typingctx: Any, value: Any) -> Any:
    """Bits of a float32 as int32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def _bits_float(typingctx: Any, value: Any) -> Any:
    """A float32 from its bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@njit(inline="always")
def hash_counter(key: np.uint64, key_2: np.uint64, counter: np.uint64) -> np.uint64:
    """64 random bits of (key, key_2, counter).

    SplitMix64's finaliser (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195, as published by Vigna) on a
    Weyl sequence. `key_2` enters between the two multiplications: with one key alone two frames would read the
    same orbit from two starting points, and among 1e6 full-size frames some would overlap.
    """
    z = key + counter * GOLDEN
    z = (z ^ (z >> _S30)) * _MIX_1
    z = z ^ key_2
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(inline="always")
def uniform(bits: np.uint64) -> np.float32:
    """A uniform in (0, 1] from the low 32 bits (31 are used); 2^-32 at least, so that its logarithm is finite."""
    low = np.int32((bits & _LOW_32) >> _S1)
    return (np.float32(low) + np.float32(0.5)) * _TWO_TO_MINUS_31


@njit(inline="always")
def log2_poly(u: np.float32) -> np.float32:
    """log2 of a normal positive float32."""
    bits = _float_bits(u)
    exponent = (bits - _SQRT_HALF_BITS) >> np.int32(23)
    x = _bits_float(bits - (exponent << np.int32(23))) - np.float32(1.0)
    p = _LOG2[7]
    p = p * x + _LOG2[6]
    p = p * x + _LOG2[5]
    p = p * x + _LOG2[4]
    p = p * x + _LOG2[3]
    p = p * x + _LOG2[2]
    p = p * x + _LOG2[1]
    p = p * x + _LOG2[0]
    log2: np.float32 = np.float32(exponent) + p * x
    return log2


@njit(inline="always")
def normal_pair(bits: np.uint64) -> tuple[np.float32, np.float32]:
    """Two independent standard normals from 64 random bits (Box & Muller 1958), largest magnitude 6.66."""
    radius = np.sqrt(_MINUS_2_LN_2 * log2_poly(uniform(bits)))
    # The high word is the angle in quarter turns: 2 bits of quadrant, 30 bits of r in [-1/2, 1/2).
    high = np.int32(bits >> _S32)
    quadrant = high >> np.int32(30)
    r = np.float32(np.int32(high << np.int32(2)) >> np.int32(2)) * _TWO_TO_MINUS_30
    q = r * r
    s = ((_SIN[3] * q + _SIN[2]) * q + _SIN[1]) * q + _SIN[0]
    s = s * r
    c = ((_COS[3] * q + _COS[2]) * q + _COS[1]) * q + _COS[0]
    odd = (quadrant & np.int32(1)) != 0
    cosine = s if odd else c
    sine = c if odd else s
    cosine = -cosine if odd else cosine
    flip = np.float32(1.0) - np.float32(quadrant & np.int32(2))
    return radius * cosine * flip, radius * sine * flip


@njit(cache=True)
def normals(key: np.uint64, key_2: np.uint64, first: int, out: np.ndarray) -> None:
    """One normal a counter, first .. first + len(out) - 1; out float32."""
    for i in range(out.shape[0]):
        out[i] = normal_pair(hash_counter(key, key_2, np.uint64(first + i)))[0]


@njit(cache=True)
def uniforms(key: np.uint64, key_2: np.uint64, first: int, out: np.ndarray) -> None:
    """One uniform in (0, 1] a counter, first .. first + len(out) - 1; out float32."""
    for i in range(out.shape[0]):
        out[i] = uniform(hash_counter(key, key_2, np.uint64(first + i)))
