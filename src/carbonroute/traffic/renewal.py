"""Random traffic: a Poisson process, and one with gaps that vary more or less."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from carbonroute.traffic.diurnal import SLOT_S, Diurnal
from carbonroute.traffic.intensity import Intensity, Variation
from carbonroute.traffic.requests import Arrivals, Demand
from carbonroute.traffic.source import TrafficSource
from carbonroute.units import S_PER_HOUR

RequestsPerHour = Annotated[float, Field(gt=0, le=1e12)]


def steady(demand: Demand, requests_per_hour: float, diurnal: Diurnal | None) -> Intensity:
    """Return the intensity of traffic that is the same every day.

    The rate of an origin is its share of `requests_per_hour`, times the day's shape in its local time.
    """
    if diurnal is None:
        edges_s = S_PER_HOUR * np.arange(demand.hours + 1, dtype=np.float64)
        rates = np.full(demand.hours, requests_per_hour / S_PER_HOUR)
        return Intensity(edges_s, rates, demand.origin_share[np.newaxis])
    edges_s = SLOT_S * np.arange(round(demand.hours * S_PER_HOUR / SLOT_S) + 1, dtype=np.float64)
    share = diurnal.of_slots(demand) * demand.origin_share
    rates = np.resize(share.sum(axis=1), len(edges_s) - 1) * (requests_per_hour / S_PER_HOUR)
    return Intensity(edges_s, rates, share)


class Poisson(TrafficSource):
    """Requests that know nothing of each other: a Poisson process, the same every day.

    Attributes
    ----------
    requests_per_hour
        Of all origins together, on average.
    diurnal
        How that changes over the day; without, it does not.
    """

    kind: Literal["poisson"]
    requests_per_hour: RequestsPerHour
    diurnal: Diurnal | None = None

    def arrivals(self, demand: Demand) -> Arrivals:
        """Return the requests of a horizon."""
        return steady(demand, self.requests_per_hour, self.diurnal).arrivals(demand, 1.0)


class GammaRenewal(TrafficSource):
    """Requests in bursts (`cv` > 1) or evenly (`cv` < 1): a renewal process with gamma gaps.

    Attributes
    ----------
    requests_per_hour, diurnal
        As of kind ``"poisson"``.
    cv
        Coefficient of variation of the gaps, where the rate does not change. Gaps are drawn in operational
        time, so that they shrink where the rate is high; 1 makes a Poisson process.
    """

    kind: Literal["gamma-renewal"]
    requests_per_hour: RequestsPerHour
    cv: Variation
    diurnal: Diurnal | None = None

    def arrivals(self, demand: Demand) -> Arrivals:
        """Return the requests of a horizon."""
        return steady(demand, self.requests_per_hour, self.diurnal).arrivals(demand, self.cv)
