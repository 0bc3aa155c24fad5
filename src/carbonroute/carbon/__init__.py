"""Carbon sources: one source, one file, and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbonroute.carbon.combine import combined
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.profile import Profile
from carbonroute.carbon.signal import Accounting, GridDice, MixedAccounting, Query, Signal, StepValues
from carbonroute.carbon.source import FileSource
from carbonroute.carbon.synthetic import Synthetic
from carbonroute.spec import any_of, members

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

SOURCES: tuple[type[Synthetic | FileSource], ...] = members(__name__, _REGISTER)

if TYPE_CHECKING:
    CarbonSource = Synthetic | FileSource
else:
    CarbonSource = any_of(SOURCES)

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
