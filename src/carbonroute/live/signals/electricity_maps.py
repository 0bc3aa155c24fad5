"""Electricity Maps: versions 3 and 4 of its interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal

from carbonroute.carbon.electricity_maps import ElectricityMaps
from carbonroute.files.durations import Duration
from carbonroute.live.http import Request
from carbonroute.live.secrets import EnvName
from carbonroute.live.signals.provider import BaseUrl, Call, FormatProvider, Topic


class LiveElectricityMaps(FormatProvider):
    """Electricity Maps, ``/carbon-intensity/`` ``latest`` and ``forecast``.

    A zone is named as there, such as ``"DE"`` or ``"US-CAL-CISO"``. The caller's own place never stands in
    for a zone that the provider does not know.

    Attributes
    ----------
    token_env
        Name of the environment variable that holds the token.
    version
        Of the interface.
    scope
        Which emission factors: combustion alone, or the whole life cycle.
    estimated
        Whether values that the source estimated are kept, or count as missing.
    forecast
        Whether forecasts are asked for too; they need a plan that has them.
    base_url
        Beginning of the addresses: that of the provider, or of a server that answers like it.
    """

    per_minute: ClassVar[int] = 60

    kind: Literal["electricity-maps"]
    token_env: EnvName
    base_url: BaseUrl = "https://api.electricitymaps.com"
    version: Literal["v3", "v4"] = "v3"
    scope: Literal["direct", "lifecycle"] = "lifecycle"
    estimated: Literal["keep", "missing"] = "keep"
    forecast: bool = False
    every: Duration = Duration.parse("15min")

    @property
    def reader(self) -> ElectricityMaps:
        """The source that reads an answer."""
        return ElectricityMaps(
            kind="electricity-maps", path=self.kind, scope=self.scope, estimated=self.estimated
        )

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:  # noqa: ARG002  the latest needs no time
        """Return a question per zone, and one about its forecast."""
        topics: tuple[Topic, ...] = ("latest", "forecast") if self.forecast else ("latest",)
        return tuple(
            Call(topic, (zone,), self.request(topic, {"zone": zone})) for zone in zones for topic in topics
        )

    def request(self, endpoint: str, params: dict[str, str]) -> Request:
        """Return the request of an endpoint; the caller's own place never stands in for a zone."""
        url = f"{self.base_url}/{self.version}/carbon-intensity/{endpoint}"
        of_all = {
            "disableCallerLookup": "true",
            "emissionFactorType": self.scope,
            "temporalGranularity": "hourly",
        }
        return Request(url, {**params, **of_all})

    def authorised(self, request: Request) -> Request:
        """Return a request with the token."""
        return replace(request, headers={**request.headers, "auth-token": self.token_env.secret()})
