"""Traffic: when requests arrive, from where, and of which workload. One kind, one file, and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbonroute.spec import any_of, members
from carbonroute.traffic.requests import Arrivals, Demand, Pending, Requests, pick
from carbonroute.traffic.source import TrafficSource

#: Every kind: its module in this package, and its class.
_REGISTER = (
    "fixed_rate:FixedRate",
    "renewal:Poisson",
    "renewal:GammaRenewal",
    "replay:Replay",
    "ratefile:RateFile",
)

KINDS: tuple[type[TrafficSource], ...] = members(__name__, _REGISTER)

if TYPE_CHECKING:
    Traffic = TrafficSource
else:
    Traffic = any_of(KINDS)

__all__ = [
    "KINDS",
    "Arrivals",
    "Demand",
    "Pending",
    "Requests",
    "Traffic",
    "TrafficSource",
    "pick",
]
