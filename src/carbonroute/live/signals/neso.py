"""Great Britain's National Energy System Operator: its carbon intensity interface, which needs no key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from carbonroute.carbon.neso import Neso
from carbonroute.files.durations import Duration
from carbonroute.live.http import Request
from carbonroute.live.signals.provider import BaseUrl, Call, FormatProvider, utc

_GB = "GB"
_RECENT = timedelta(hours=26)


class LiveNeso(FormatProvider):
    """National values of Great Britain: measured ones of the last day, and the forecast of the next.

    It serves regions of zone ``"GB"``, and those that `zones` names. When a forecast was made is not said: it
    counts from when it was asked for.

    Attributes
    ----------
    forecast
        Whether forecasts are asked for too; measured values come half an hour late and more.
    base_url
        Beginning of the addresses: that of the provider, or of a server that answers like it.
    """

    per_minute: ClassVar[int] = 30

    kind: Literal["neso"]
    base_url: BaseUrl = "https://api.carbonintensity.org.uk"
    forecast: bool = True
    every: Duration = Duration.parse("10min")

    @property
    def reader(self) -> Neso:
        """The source that reads an answer."""
        return Neso(kind="neso", path="answer.json", zone=_GB)

    def zone_of(self, region: str, zone: str | None) -> str | None:
        """Return ``"GB"`` for a region in Great Britain."""
        return _GB if region in self.zones or (not self.zones and zone == _GB) else None

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:
        """Return a question about the last day, and one about the next."""
        past = Call("latest", (_GB,), self.request(f"{utc(now - _RECENT)}/{utc(now)}"))
        ahead = Call("forecast", (_GB,), self.request(f"{utc(now)}/fw24h"), now)
        return ((past, ahead) if self.forecast else (past,)) if zones else ()

    def request(self, times: str) -> Request:
        """Return the request of some times."""
        return Request(f"{self.base_url}/intensity/{times}", headers={"Accept": "application/json"})
