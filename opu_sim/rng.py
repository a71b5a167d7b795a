"""One seed, many named streams: a stream depends on its name and index alone, never on what was drawn before."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from opu_sim.errors import ConfigError


class StreamKey(NamedTuple):
    """The 128-bit key of one stream, as the two words that the counter hash of the kernels takes."""

    first: np.uint64
    second: np.uint64


def stream_key(seed: int, name: str, *index: int) -> StreamKey:
    """Key of the stream `name` (for example "camera.temporal") of this seed.

    Hashing the name means that a new noise source never shifts the numbers of an old one.

    Raises
    ------
    ConfigError
        The seed is not an integer in 0 .. 2^63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise ConfigError(f"seed = {seed!r}: must be an integer in 0 .. 2^63 - 1")
    text = "/".join([str(int(seed)), name, *map(str, index)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    first, second = np.frombuffer(digest, dtype="<u8")
    return StreamKey(np.uint64(first), np.uint64(second))


def stream(seed: int, name: str, *index: int) -> np.random.Generator:
    """NumPy generator of the stream `name`, for what is drawn outside kernels (weights, order of samples)."""
    key = stream_key(seed, name, *index)
    return np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))
