"""Web API of the Green Software Foundation's Carbon Aware SDK."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import model_validator

from carbonroute.carbon import Accounting
from carbonroute.carbon.carbon_aware_sdk import CarbonAwareSdk
from carbonroute.carbon.rules import Step
from carbonroute.live.http import Request
from carbonroute.live.signals.provider import BaseUrl, Call, FormatProvider, utc

_RECENT = timedelta(hours=3)


class LiveCarbonAwareSdk(FormatProvider):
    """A server of the Carbon Aware SDK: ``/emissions/bylocations`` and ``/emissions/forecasts/current``.

    A zone is one of its locations, such as ``"eastus"``. A rating of −1 is not known.

    Attributes
    ----------
    base_url
        Where the server is.
    accounting
        Accounting of the ratings: that depends on where the server has them from, and `rate` must be stated.
    step
        Length of the interval that one value stands for.
    forecast
        Whether forecasts are asked for too.
    """

    per_minute: ClassVar[int] = 60

    kind: Literal["carbon-aware-sdk"]
    base_url: BaseUrl
    accounting: Accounting
    step: Step = Step.parse("1h")
    forecast: bool = False

    @model_validator(mode="after")
    def _rate_is_stated(self) -> LiveCarbonAwareSdk:
        if self.accounting.rate is None:
            raise ValueError(
                "the server does not say what its ratings count; state accounting.rate: 'marginal' where it "
                "has them from WattTime, 'average' where from Electricity Maps"
            )
        return self

    @property
    def reader(self) -> CarbonAwareSdk:
        """The source that reads an answer."""
        return CarbonAwareSdk.spelled(
            kind="carbon-aware-sdk", path="answer.json", step=self.step.text, accounting=self.accounting
        )

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:
        """Return one question about the last hours of all locations, and one about their forecasts."""
        named = tuple(dict.fromkeys(zones))
        asked = [Call("latest", named, self.request(named, now - _RECENT, now))]
        if self.forecast:
            url = f"{self.base_url}/emissions/forecasts/current"
            asked.append(Call("forecast", named, Request(url, {"location": named})))
        return tuple(asked)

    def request(self, zones: Sequence[str], start: datetime, end: datetime) -> Request:
        """Return the request for the ratings of some locations."""
        params = {"location": tuple(zones), "time": utc(start), "toTime": utc(end)}
        return Request(f"{self.base_url}/emissions/bylocations", params)
