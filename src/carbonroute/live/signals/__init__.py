"""Live carbon signals: one provider, one file, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from carbonroute.live.signals.provider import Provider

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


def _provider(entry: str) -> type[Provider]:
    module, _, name = entry.partition(":")
    member: type[Provider] = getattr(import_module(f"{__name__}.{module}"), name)
    return member


PROVIDERS = tuple(map(_provider, _REGISTER))

if TYPE_CHECKING:
    AnyProvider = Provider
else:
    AnyProvider = Annotated[Union[PROVIDERS], Field(discriminator="kind")]  # noqa: UP007  X | Y cannot be written for a list

__all__ = ["PROVIDERS", "AnyProvider", "Provider"]
