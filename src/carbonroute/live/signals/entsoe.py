"""European grid operators (ENTSO-E): generation by production type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carbonroute.carbon import Accounting
from carbonroute.carbon.eia_fuel_mix import Factor
from carbonroute.carbon.entsoe import Entsoe, ProductionType
from carbonroute.carbon.rules import Step
from carbonroute.files.durations import Duration
from carbonroute.files.xml import parse_xml
from carbonroute.live.http import Request
from carbonroute.live.secrets import EnvName
from carbonroute.live.signals.provider import BaseUrl, Call, Name, Provider, Reply, points_of

_RECENT = timedelta(hours=28)


class LiveEntsoe(Provider):
    """Generation by production type of an area, as carbon intensity of production.

    A zone is an area's EIC code, such as ``"10Y1001A1001A82H"``. Every type that it reports needs a factor.

    Attributes
    ----------
    token_env
        Name of the environment variable that holds the security token.
    factors_g_per_kwh
        Emission factor of every production type, such as ``B04`` (gas).
    factors_source
        Where the factors are from, to cite.
    step
        Length of the interval of a value.
    base_url
        Beginning of the addresses: that of the provider, or of a server that answers like it.
    """

    per_minute: ClassVar[int] = 200

    kind: Literal["entsoe"]
    token_env: EnvName
    factors_g_per_kwh: Annotated[dict[ProductionType, Factor], Field(min_length=1)]
    factors_source: Name
    step: Step = Step.parse("15min")
    base_url: BaseUrl = "https://web-api.tp.entsoe.eu"
    every: Duration = Duration.parse("15min")

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return self._reader.labels

    @property
    def _reader(self) -> Entsoe:
        return Entsoe.spelled(
            kind="entsoe",
            path="answer.xml",
            step=self.step.text,
            factors_g_per_kwh=self.factors_g_per_kwh,
            factors_source=self.factors_source,
        )

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:
        """Return a question per zone about its last day."""
        hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return tuple(
            Call("latest", (zone,), generation_request(self.base_url, zone, hour - _RECENT, hour))
            for zone in zones
        )

    def authorised(self, request: Request) -> Request:
        """Return a request with the token."""
        return with_token(request, self.token_env)

    def parse(self, content: bytes, call: Call) -> Reply:
        """Return the carbon intensity of the mix in an answer."""
        name = f"{self.kind} ({call.name})"
        readings = self._reader.parse_document(parse_xml(content, name), name)
        return Reply(points_of(readings, self.step.minutes))


def generation_request(base_url: str, zone: str, start: datetime, end: datetime) -> Request:
    """Return the request for the generation of an area."""
    params = {
        "documentType": "A75",
        "processType": "A16",
        "in_Domain": zone,
        "periodStart": start.strftime("%Y%m%d%H%M"),
        "periodEnd": end.strftime("%Y%m%d%H%M"),
    }
    return Request(f"{base_url}/api", params)


def with_token(request: Request, token: EnvName) -> Request:
    """Return a request with the token that an environment variable holds."""
    return replace(request, params={**request.params, "securityToken": token.secret()})
