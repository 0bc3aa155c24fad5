"""The information of a policy: age and gaps of carbon values, and the estimate of service times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import model_validator

from carbonroute.files.durations import Duration, whole_hours
from carbonroute.spec import Spec, Spelled
from carbonroute.units import MINUTES_PER_HOUR
from carbonroute.workloads import ServiceLaw


@dataclass(frozen=True, eq=False, repr=False)
class ServiceEstimate(Spelled):
    """The estimate of a service time: ``"mean"``, ``"quantile:0.95"``, or the ``"actual"`` time.

    `share`: of service times that the estimate covers; None where it is no quantile.
    """

    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the estimate that a text spells."""
        if text in {"mean", "actual"}:
            return cls(text)
        word, _, number = text.partition(":")
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if word != "quantile" or not 0 < share < 1:
            raise ValueError(f"found {text!r}; 'mean', 'actual' or 'quantile:p' with 0 < p < 1 is expected")
        return cls(text, share)


@dataclass(frozen=True, eq=False, repr=False)
class MissingRule(Spelled):
    """The stand-in for a missing carbon value: ``"refuse"``, ``"last:6h"``, ``"static"``, ``"latency-only"``.

    `last_hours`: how much older the last value may be that stands for it; 0 where none does.
    """

    last_hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a text spells."""
        if text in {"refuse", "static", "latency-only"}:
            return cls(text)
        word, _, longest = text.partition(":")
        if word != "last":
            raise ValueError(
                f"found {text!r}; 'refuse', 'last:<max>' such as 'last:6h', 'static' or 'latency-only' "
                "is expected"
            )
        return cls(text, whole_hours(longest))


class Information(Spec):
    """Age and gaps of the carbon values that a policy sees, and its estimate of service times.

    Attributes
    ----------
    service_time
        ``"mean"`` of the workload, ``"quantile:p"`` of it, or the request's ``"actual"`` time (clairvoyant).
    carbon
        ``"current"``: measured values; ``"forecast"``: the forecast of the hour.
    carbon_age
        How old they are: a measured value is that of the interval so long ago, a forecast was issued at least
        so long ago, in whole hours. The account always uses the hour's true values.
    carbon_missing
        Where there is no such value: ``"refuse"`` the run; take the ``"last:<max>"`` one up to so much older;
        ``"static"``, the region's long-run mean; or ``"latency-only"``. An hour in which a region is still
        unknown is routed by latency alone.
    """

    service_time: ServiceEstimate = ServiceEstimate("mean")
    carbon: Literal["current", "forecast"] = "current"
    carbon_age: Duration = Duration("0h")
    carbon_missing: MissingRule = MissingRule("refuse")

    @model_validator(mode="after")
    def _forecasts_by_the_hour(self) -> Self:
        if self.carbon == "forecast" and self.carbon_age.minutes % MINUTES_PER_HOUR:
            raise ValueError(
                f"carbon_age of a forecast: found {str(self.carbon_age)!r}; "
                "whole hours are expected, such as '1h'"
            )
        return self

    @property
    def clairvoyant(self) -> bool:
        """Whether a policy sees values that no router can know."""
        return self.service_time == "actual"

    @property
    def quantile(self) -> float | None:
        """The share of service times that the estimate covers; None where it is the mean."""
        return self.service_time.share

    @property
    def carbon_age_hours(self) -> int:
        """The age in whole hours, rounded down."""
        return self.carbon_age.minutes // MINUTES_PER_HOUR

    @property
    def last_hours(self) -> int:
        """How much older the last value may be that stands for a missing one; 0 where none does."""
        return self.carbon_missing.last_hours

    def service_estimate_ms(self, law: ServiceLaw) -> float:
        """Return the estimate of a workload's service time, ms."""
        share = self.quantile
        return law.average() if share is None else law.quantile(share)
