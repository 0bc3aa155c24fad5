"""Carbon sources: one source, one file, and one line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonroute.carbon.carbon_aware_sdk import CarbonAwareSdk
from carbonroute.carbon.combine import combined
from carbonroute.carbon.eia_fuel_mix import EiaFuelMix
from carbonroute.carbon.electricity_maps import ElectricityMaps
from carbonroute.carbon.files import CarbonFile
from carbonroute.carbon.forecast import Forecast
from carbonroute.carbon.neso import Neso
from carbonroute.carbon.profile import Profile
from carbonroute.carbon.signal import Accounting, MixedAccounting, Query, Signal
from carbonroute.carbon.synthetic import Synthetic
from carbonroute.carbon.watttime import WattTime

CarbonSource = Annotated[
    Synthetic | CarbonFile | ElectricityMaps | WattTime | CarbonAwareSdk | Neso | EiaFuelMix,
    Field(discriminator="kind"),
]

__all__ = [
    "Accounting",
    "CarbonAwareSdk",
    "CarbonFile",
    "CarbonSource",
    "EiaFuelMix",
    "ElectricityMaps",
    "Forecast",
    "MixedAccounting",
    "Neso",
    "Profile",
    "Query",
    "Signal",
    "Synthetic",
    "WattTime",
    "combined",
]
