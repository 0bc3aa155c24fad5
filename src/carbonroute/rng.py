"""Random number streams, keyed by seed, purpose and block, never by worker or order of use."""

from __future__ import annotations

import hashlib

import numpy as np

#: Requests per logical block. Part of the meaning of a seed: another size draws other numbers.
BLOCK = 65_536

#: `RandomState` takes no larger seed, and one rule for both sampling schemes is enough.
MAX_SEED = 2**32 - 1


def stream(seed: int, purpose: str, block: int = 0) -> np.random.Generator:
    """Return the generator of one purpose and block.

    Streams of different purposes or blocks are statistically independent (`numpy.random.SeedSequence`).

    Parameters
    ----------
    seed
        The scenario's seed, 0 … `MAX_SEED`.
    purpose
        Use of the numbers, such as ``"service"``. Where they belong to a named thing, its name is part
        of the purpose, so that they stay when others are added or reordered.
    block
        Index of the block of `BLOCK` requests.

    Examples
    --------
    >>> bool(stream(42, "service", 3).random() == stream(42, "service", 3).random())
    True
    >>> bool(stream(42, "service", 3).random() == stream(42, "jitter", 3).random())
    False
    """
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key, block))))


def published(seed: int) -> np.random.RandomState:
    """Return the legacy generator with which the published study draws its users and its carbon noise."""
    return np.random.RandomState(seed)
