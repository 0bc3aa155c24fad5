"""Made-up traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from carbonroute import rng
from carbonroute.spec import Spec
from carbonroute.traffic.requests import Arrivals, Demand, Index, Requests, pick


class FixedRate(Spec):
    """Exactly the same number of requests in every hour.

    Attributes
    ----------
    requests_per_hour
        Of all origins together.
    """

    kind: Literal["fixed-rate"]
    requests_per_hour: int = Field(ge=1, le=10**12)

    def requests(self, hours: int) -> int:
        """Return the number of requests in that many hours."""
        return hours * self.requests_per_hour

    def hour(self, first: int, last: int) -> Index:
        """Return the hour of the requests first … last − 1, shape (last − first,)."""
        return np.arange(first, last, dtype=np.intp) // self.requests_per_hour

    def arrivals(self, demand: Demand) -> Arrivals:
        """Return the requests of a horizon."""
        count = self.requests(demand.hours)

        def blocks() -> Iterator[Requests]:
            for index, first in enumerate(range(0, count, rng.BLOCK)):
                hour = self.hour(first, min(first + rng.BLOCK, count))
                origin = rng.stream(demand.seed, "origin", index).random(len(hour))
                workload = rng.stream(demand.seed, "workload", index).random(len(hour))
                yield Requests(hour, pick(origin, demand.origin_share), pick(workload, demand.workload_share))

        return Arrivals(count, blocks)
