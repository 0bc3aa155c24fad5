"""Live carbon signals: one provider, one file, and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbonroute.live.signals.provider import Provider
from carbonroute.spec import any_of, members

#: Every provider: its module in this package, and its class.
_REGISTER = (
    "electricity_maps:LiveElectricityMaps",
    "watttime:LiveWattTime",
    "neso:LiveNeso",
    "eia:LiveEia",
    "entsoe:LiveEntsoe",
    "carbon_aware_sdk:LiveCarbonAwareSdk",
    "file:LiveFile",
    "prometheus:LivePrometheus",
)

PROVIDERS: tuple[type[Provider], ...] = members(__name__, _REGISTER)

if TYPE_CHECKING:
    AnyProvider = Provider
else:
    AnyProvider = any_of(PROVIDERS)

__all__ = ["PROVIDERS", "AnyProvider", "Provider"]
