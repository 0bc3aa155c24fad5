"""Traffic of a fixed number of requests an hour."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from carbonroute import rng
from carbonroute.arrays import Array, Index
from carbonroute.traffic.requests import Arrivals, Demand, Pending, Requests, pick
from carbonroute.traffic.source import TrafficSource
from carbonroute.units import S_PER_HOUR


class FixedRate(TrafficSource):
    """Exactly the same number of requests in every hour.

    Attributes
    ----------
    requests_per_hour
        Of all origins together.
    """

    is_random: ClassVar[bool] = False

    kind: Literal["fixed-rate"]
    requests_per_hour: int = Field(ge=1, le=10**12)

    def requests(self, hours: int) -> int:
        """Return the number of requests in that many hours."""
        return hours * self.requests_per_hour

    def hour(self, first: int, last: int) -> Index:
        """Return the hour of the requests first … last − 1, shape (last − first,)."""
        hours = np.arange(first // self.requests_per_hour, (last - 1) // self.requests_per_hour + 1)
        ends = np.minimum((hours + 1) * self.requests_per_hour, last)
        return np.repeat(hours, np.diff(ends, prepend=first))

    def arrivals(self, demand: Demand) -> Arrivals:
        """Return the requests of a horizon."""
        count = self.requests(demand.hours)
        return Arrivals(
            count,
            partial(self._pending, demand),
            partial(self._expected, demand),
            partial(self._times, demand.seed),
        )

    def _pending(self, demand: Demand) -> Iterator[Pending]:
        blocks = -(-self.requests(demand.hours) // rng.BLOCK)
        return (partial(self._block, demand, index) for index in range(blocks))

    def _block(self, demand: Demand, index: int) -> Requests:
        first = index * rng.BLOCK
        hour = self.hour(first, min(first + rng.BLOCK, self.requests(demand.hours)))
        origin = rng.stream(demand.seed, "origin", index).random(len(hour))
        workload = rng.stream(demand.seed, "workload", index).random(len(hour))
        return Requests(hour, pick(origin, demand.origin_share), pick(workload, demand.workload_share))

    def _times(self, seed: int, index: int, requests: Requests) -> Array:
        """Return when a block's requests come, s: each at a random place in its equal part of the hour."""
        count = len(requests)
        number = (index * rng.BLOCK + np.arange(count)) % self.requests_per_hour
        part: Array = (number + rng.stream(seed, "time", index).random(count)) / self.requests_per_hour
        ends_s: Array = np.nextafter((requests.hour + 1) * S_PER_HOUR, 0)  # which rounding must not reach
        return np.minimum((requests.hour + part) * S_PER_HOUR, ends_s)

    def _expected(self, demand: Demand) -> Array:
        in_an_hour = self.requests_per_hour * np.outer(demand.origin_share, demand.workload_share)
        return np.tile(in_an_hour, (demand.hours, 1, 1))
