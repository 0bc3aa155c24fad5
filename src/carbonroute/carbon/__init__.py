"""Carbon sources: one source, one file, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from carbonroute.carbon.combine import combined
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.profile import Profile
from carbonroute.carbon.signal import Accounting, GridDice, MixedAccounting, Query, Signal, StepValues
from carbonroute.carbon.source import FileSource
from carbonroute.carbon.synthetic import Synthetic

#: Every source: its module in this package, and its class.
_REGISTER = (
    "synthetic:Synthetic",
    "files:CarbonFile",
    "electricity_maps:ElectricityMaps",
    "watttime:WattTime",
    "carbon_aware_sdk:CarbonAwareSdk",
    "neso:Neso",
    "eia_fuel_mix:EiaFuelMix",
    "entsoe:Entsoe",
)


def _source(entry: str) -> type[Synthetic | FileSource]:
    module, _, name = entry.partition(":")
    member: type[Synthetic | FileSource] = getattr(import_module(f"{__name__}.{module}"), name)
    return member


SOURCES = tuple(map(_source, _REGISTER))

if TYPE_CHECKING:
    CarbonSource = Synthetic | FileSource
else:
    CarbonSource = Annotated[Union[SOURCES], Field(discriminator="kind")]  # noqa: UP007  X | Y cannot be written for a list

__all__ = [
    "SOURCES",
    "Accounting",
    "CarbonSource",
    "FileSource",
    "Forecast",
    "GridDice",
    "MixedAccounting",
    "Profile",
    "Query",
    "Signal",
    "StepValues",
    "Synthetic",
    "combined",
]
