"""Traffic: when requests come, from where, and for what. One kind, one file, and one line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonroute.traffic.ratefile import RateFile
from carbonroute.traffic.renewal import GammaRenewal, Poisson
from carbonroute.traffic.replay import Replay
from carbonroute.traffic.requests import Arrivals, Demand, Pending, Requests, pick
from carbonroute.traffic.synthetic import FixedRate

Traffic = Annotated[
    FixedRate | Poisson | GammaRenewal | RateFile | Replay,
    Field(discriminator="kind"),
]

__all__ = [
    "Arrivals",
    "Demand",
    "FixedRate",
    "GammaRenewal",
    "Pending",
    "Poisson",
    "RateFile",
    "Replay",
    "Requests",
    "Traffic",
    "pick",
]
