"""The size of a replica's cache, where nobody states it: the one whose times are nearest to a log's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from carbonroute.analysis.replica_fit.fitting import Problem, costs
from carbonroute.arrays import Array
from carbonroute.intervals import CONFIDENCE

#: Sizes that are tried, as multiples of the one to begin with.
_SIZES = np.geomspace(0.25, 4.0, 57)
#: A cache is determined where half of its interval is below this part of its size.
_DETERMINED = 0.25


@dataclass(frozen=True)
class Cache:
    """Tokens that the cache of a replica holds.

    Attributes
    ----------
    start, tokens
        Of the data sheet, or guessed; and as fitted: the former where the log does not determine it.
    interval
        Of 95 %, of a jackknife over blocks of consecutive requests; NaN where it is not determined.
    determined
        Whether the log determines it: it does not where the cache is never full.
    """

    start: int
    tokens: int
    interval: tuple[float, float]
    determined: bool


def fit_cache(problem: Problem, multiples: Mapping[str, float]) -> Cache:
    """Return the cache that serves the fitted requests best, at some multiples of the coefficients."""
    start, block = problem.server.pool.kv_cache_tokens, problem.server.pool.block_tokens
    needed = int((problem.log.prompt + problem.log.output).max())
    sizes = [int(size * start) // block * block for size in _SIZES]
    sizes = sorted({size for size in sizes if size >= needed} | {max(start, -(-needed // block) * block)})
    by_block = np.stack([_costs(problem, multiples, size) for size in sizes])
    best = int(by_block.sum(axis=1).argmin())
    without = by_block.sum(axis=1, keepdims=True) - by_block
    half = _half_width(np.array(sizes, dtype=np.float64)[without.argmin(axis=0)])
    tokens, at_an_end = sizes[best], best in {0, len(sizes) - 1}
    if not at_an_end:
        half = float(np.hypot(half, (sizes[best + 1] - sizes[best - 1]) / 2))
    if half > _DETERMINED * tokens or at_an_end:
        return Cache(start, max(start, needed), (np.nan, np.nan), False)
    return Cache(start, tokens, (max(tokens - half, float(needed)), tokens + half), True)


def _costs(problem: Problem, multiples: Mapping[str, float], tokens: int) -> Array:
    """Return the sum that the fit makes small, of each block of requests."""
    found = replace(problem, server=problem.server.caching(tokens))
    by_block = np.zeros(problem.blocks.max() + 1)
    np.add.at(by_block, problem.blocks, costs(found.residuals(multiples).mean(axis=0)))
    return by_block


def _half_width(without: Array) -> float:
    """Return half of the interval of a value, by its values without each of the blocks."""
    from scipy.stats import t

    groups = len(without)
    error = np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    return float(t.ppf((1 + CONFIDENCE) / 2, groups - 1) * error)
