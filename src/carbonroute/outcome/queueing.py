"""Waits, rejections and server time where capacity is finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from carbonroute.arrays import Array
from carbonroute.outcome.distribution import Counts, LatencyDistribution, Sums, joined


@dataclass(frozen=True)
class Queueing:
    """Counts of a run with queues, over S slots of time and P pools of servers.

    Attributes
    ----------
    rejected
        Number of requests that no server took, shape (O, W, R).
    wait_sum_ms
        Sum over the served requests of their time in a queue, ms, shape (O, W, R).
    wait
        Distribution of that time over the served requests.
    utilisation
        Share of the time of switched-on servers in which they were busy, 0…1, shape (S, P); NaN before the
        end of the warm-up.
    servers
        Mean number of servers switched on, inf where nothing limits them, shape (S, P).
    waiting
        Mean number of waiting requests, shape (S, P).
    offered
        Work that was sent there, in servers that it keeps busy, shape (S, P).
    hours_over_capacity
        Hours in which a pool was sent more than it can carry, shape (P,).
    flips_per_day
        How often a cell's main region changes in a day: mean over cells and routers; NaN where not known.
    server_worth_g_per_h
        Saving by one more server in a region, gCO2e/h, shape (R,), or None where no policy worked
        it out.
    slot_s
        Length of a slot, s: a part of an hour, or an hour.
    left_out
        Number of requests before the end of the warm-up: served, not counted.
    runs
        Of how many runs these are the sums and means.
    """

    rejected: Counts
    wait_sum_ms: Sums
    wait: LatencyDistribution
    utilisation: Array
    servers: Array
    waiting: Array
    offered: Array
    hours_over_capacity: Array
    flips_per_day: float
    server_worth_g_per_h: Array | None = None
    slot_s: float = 3600.0
    left_out: int = 0
    runs: int = 1

    @classmethod
    def merged(cls, parts: Sequence[Queueing | None]) -> Queueing | None:
        """Return that of several runs, or None where one of them has none.

        Counts and sums add up; values by the hour, pool or day are means over the runs.
        """
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        runs = [part.runs for part in known]
        worth = [part.server_worth_g_per_h for part in known if part.server_worth_g_per_h is not None]
        return cls(
            rejected=reduce(np.add, [part.rejected for part in known]),
            wait_sum_ms=reduce(np.add, [part.wait_sum_ms for part in known]),
            wait=joined([part.wait for part in known]),
            utilisation=_mean([part.utilisation for part in known], runs),
            servers=_mean([part.servers for part in known], runs),
            waiting=_mean([part.waiting for part in known], runs),
            offered=_mean([part.offered for part in known], runs),
            hours_over_capacity=_mean([part.hours_over_capacity for part in known], runs),
            flips_per_day=float(_mean([np.array(part.flips_per_day) for part in known], runs)),
            server_worth_g_per_h=_mean(worth, runs) if len(worth) == len(known) else None,
            slot_s=known[0].slot_s,
            left_out=sum(part.left_out for part in known),
            runs=sum(runs),
        )


def _mean(values: Sequence[Array], runs: Sequence[int]) -> Array:
    """Return the mean over all runs of the averages of their parts."""
    total: Array = reduce(np.add, [value * count for value, count in zip(values, runs, strict=True)])
    return total / sum(runs)
