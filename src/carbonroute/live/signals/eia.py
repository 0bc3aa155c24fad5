"""U.S. Energy Information Administration: generation by fuel, version 2 of its interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carbonroute.carbon import Accounting
from carbonroute.carbon.eia_fuel_mix import EiaFuelMix, Factor
from carbonroute.files.durations import Duration
from carbonroute.files.strict_json import parse_json
from carbonroute.live.http import Request
from carbonroute.live.secrets import EnvName
from carbonroute.live.signals.provider import BaseUrl, Call, Name, Provider, Reply, points_of

_STEP_MINUTES = 60.0
_RECENT = timedelta(hours=30)
#: Rows of an answer, at most.
PAGE_ROWS = 5000


class LiveEia(Provider):
    """Generation by fuel of a balancing authority, hourly, as carbon intensity of production.

    A zone is a respondent, such as ``"CISO"``. Every fuel that it reports needs a factor.

    Attributes
    ----------
    key_env
        Name of the environment variable that holds the key.
    factors_g_per_kwh
        Emission factor of every fuel, such as ``NG``.
    factors_source
        Where the factors are from, to cite.
    base_url
        Beginning of the addresses: that of the provider, or of a server that answers like it.
    """

    per_minute: ClassVar[int] = 30

    kind: Literal["eia"]
    key_env: EnvName
    factors_g_per_kwh: Annotated[dict[Name, Factor], Field(min_length=1)]
    factors_source: Name
    base_url: BaseUrl = "https://api.eia.gov"
    every: Duration = Duration.parse("15min")
    fresh: Duration = Duration.parse("4h")

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return self._reader.labels

    @property
    def _reader(self) -> EiaFuelMix:
        return EiaFuelMix(
            kind="eia-fuel-mix",
            path="answer.json",
            time_column="period",
            zone_column="respondent",
            factors_g_per_kwh=self.factors_g_per_kwh,
            factors_source=self.factors_source,
        )

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:
        """Return a question per zone about its last day."""
        return tuple(
            Call("latest", (zone,), fuel_mix_request(self.base_url, zone, now - _RECENT, now))
            for zone in zones
        )

    def authorised(self, request: Request) -> Request:
        """Return a request with the key."""
        return with_key(request, self.key_env)

    def parse(self, content: bytes, call: Call) -> Reply:
        """Return the carbon intensity of the mix in an answer."""
        name = f"{self.kind} ({call.name})"
        return Reply(points_of(self._reader.parse_answer(parse_json(content, name), name), _STEP_MINUTES))


def fuel_mix_request(base_url: str, zone: str, start: datetime, end: datetime, offset: int = 0) -> Request:
    """Return the request for the hours of a respondent that end after `start` and up to `end`."""
    params = {
        "frequency": "hourly",
        "data[0]": "value",
        "facets[respondent][]": zone,
        "start": (start + timedelta(hours=1)).strftime("%Y-%m-%dT%H"),
        "end": end.strftime("%Y-%m-%dT%H"),
        "sort[0][column]": "period",
        "sort[0][direction]": "asc",
        "offset": str(offset),
        "length": str(PAGE_ROWS),
    }
    return Request(f"{base_url}/v2/electricity/rto/fuel-type-data/data/", params)


def with_key(request: Request, key: EnvName) -> Request:
    """Return a request with the key that an environment variable holds."""
    return replace(request, params={**request.params, "api_key": key.secret()})
