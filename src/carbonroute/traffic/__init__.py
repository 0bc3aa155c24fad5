"""Traffic: when requests arrive, from where, and of which workload. One kind, one file, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

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


def _member(entry: str) -> type[TrafficSource]:
    module, _, name = entry.partition(":")
    member: type[TrafficSource] = getattr(import_module(f"{__name__}.{module}"), name)
    return member


KINDS = tuple(map(_member, _REGISTER))

if TYPE_CHECKING:
    Traffic = TrafficSource
else:
    Traffic = Annotated[Union[KINDS], Field(discriminator="kind")]  # noqa: UP007  X | Y cannot be written for a list

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
