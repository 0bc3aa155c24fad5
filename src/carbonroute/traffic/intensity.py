"""Requests at random times, as often as a rate that changes in steps says.

A renewal process with mean gap 1 runs in operational time: the number of requests expected so far. The
inverse of that number as a function of time makes times of it, so the rate is right at every moment, whatever
the law of the gaps. For equilibrium renewal processes see D. R. Cox, Renewal Theory, 1962; for the change of
time E. Çinlar, Introduction to Stochastic Processes, 1975.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.traffic.requests import Arrivals, Demand, Pending, Requests, pick
from carbonroute.units import S_PER_HOUR

#: Coefficient of variation of the gaps between requests, in operational time. 1 makes a Poisson process.
Variation = Annotated[float, Field(ge=1e-3, le=100)]


@dataclass(frozen=True)
class Intensity:
    """How many requests are expected per second, constant within each of S slots.

    Attributes
    ----------
    edges_s
        Where the slots begin, and the end of the horizon, shape (S + 1,); from 0, ascending.
    requests_per_s
        Of all origins together, shape (S,).
    origin_share
        Each origin's part, shape (P, O): slot s has row s mod P.
    """

    edges_s: Array
    requests_per_s: Array
    origin_share: Array

    def arrivals(self, demand: Demand, variation: float) -> Arrivals:
        """Return the requests of a renewal process with gamma gaps; parameters as of `pending`."""
        return Arrivals(
            count=float(self.expected()[-1]),
            pending=partial(self.pending, demand, variation),
            expected=partial(self.by_hour, demand),
        )

    def expected(self) -> Array:
        """Return the number of requests that are expected before each edge, shape (S + 1,)."""
        return np.append(0.0, np.cumsum(np.diff(self.edges_s) * self.requests_per_s))

    def by_hour(self, demand: Demand) -> Array:
        """Return the number of requests that are expected by hour × origin × workload, shape (H, O, W)."""
        in_slot = np.diff(self.edges_s) * self.requests_per_s
        whole = np.maximum(self.origin_share.sum(axis=1), np.finfo(float).tiny)  # a row of zeros has none
        hours_s = S_PER_HOUR * np.arange(demand.hours + 1)
        by_origin = np.empty((demand.hours, len(demand.origins)))
        for origin, share in enumerate(self.origin_share.T / whole):
            before = np.append(0.0, np.cumsum(in_slot * np.resize(share, len(in_slot))))
            by_origin[:, origin] = np.diff(np.interp(hours_s, self.edges_s, before))
        return np.maximum(by_origin, 0.0)[:, :, np.newaxis] * demand.workload_share

    def pending(self, demand: Demand, variation: float) -> Iterator[Pending]:
        """Yield the blocks of a renewal process with gamma gaps, in order of time.

        Gap, origin and workload of request i of block k are the same for any horizon. Of a block that is
        skipped, only the gaps are drawn: they say where the next one begins.

        `demand`: gives workload shares and seed.
        `variation`: coefficient of variation of the gaps: gamma with shape 1/variation² and scale variation².
        """
        edges = self.expected()
        whole, part = np.floor(edges), edges % 1
        limits = np.cumsum(self.origin_share, axis=1)
        limits /= np.maximum(limits[:, -1:], np.finfo(float).tiny)  # a row of zeros has no requests
        # What came before is a whole number and a fraction: after 10⁹ requests a gap is as exact as at first.
        before, fraction, index = 0.0, 0.0, 0
        while True:
            gaps = _gaps(demand.seed, index, variation)
            passed = fraction + np.cumsum(gaps)
            last = np.searchsorted(passed, (whole[-1] - before) + part[-1])
            if last:
                yield partial(self._block, demand, index, passed[:last], (whole, part, before), limits)
            if last < len(passed):
                return
            step = np.floor(passed[-1])
            before, fraction, index = before + step, float(passed[-1] - step), index + 1

    def _block(
        self, demand: Demand, index: int, reached: Array, edges: tuple[Array, Array, float], limits: Array
    ) -> Requests:
        """Return requests that come when so many were expected since the whole number before."""
        whole, part, before = edges
        ahead = (whole - before) + part
        slot = np.searchsorted(ahead, reached, side="right") - 1
        # Formula renewal.
        time_s = self.edges_s[slot] + (reached - ahead[slot]) / self.requests_per_s[slot]
        time_s = np.minimum(time_s, np.nextafter(self.edges_s[slot + 1], 0))
        uniform = rng.stream(demand.seed, "origin", index).random(len(time_s))
        origin = np.zeros(len(time_s), dtype=np.intp)
        for limit in limits[slot % len(limits)].T[:-1]:
            origin += uniform >= limit
        workload = pick(rng.stream(demand.seed, "workload", index).random(len(time_s)), demand.workload_share)
        return Requests((time_s // S_PER_HOUR).astype(np.intp), origin, workload, time_s)


def _gaps(seed: int, index: int, variation: float) -> Array:
    """Return the gaps before the requests of a block, shape (BLOCK,): mean 1, as many as a block holds.

    The horizon begins at any moment of the process, not at a request: the gap that it falls into is drawn in
    proportion to its length, and the first request comes after a uniform part of it.
    """
    dice = rng.stream(seed, "arrivals", index)
    # Formula renewal.
    shape, scale = variation**-2, variation**2
    gaps = dice.standard_gamma(shape, rng.BLOCK) * scale
    if index == 0:
        gaps[0] = dice.standard_gamma(shape + 1) * scale * dice.random()
    return gaps
