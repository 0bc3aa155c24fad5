"""What a policy may know."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import field_validator

from carbonroute.files.durations import whole_hours
from carbonroute.spec import Spec
from carbonroute.workloads import ServiceLaw


class Information(Spec):
    """What a policy may know.

    Attributes
    ----------
    service_time
        ``"mean"`` of the workload, ``"quantile:p"`` of it, or the request's ``"actual"`` time (clairvoyant).
    carbon
        ``"current"``: measured values; ``"forecast"``: what the forecast said of the hour.
    carbon_age
        How old they are: a measured value is that of the hour so long ago, a forecast was issued at least so
        long ago. The account always uses the hour's true values.
    carbon_missing
        Where there is no such value: ``"refuse"`` the run; take the ``"last:<max>"`` one up to so much older;
        ``"static"``, the region's long-run mean; or ``"latency-only"``. An hour in which a region is still
        unknown is routed by latency alone.
    """

    service_time: str = "mean"
    carbon: Literal["current", "forecast"] = "current"
    carbon_age: str = "0h"
    carbon_missing: str = "refuse"

    @field_validator("service_time")
    @classmethod
    def _known_estimate(cls, text: str) -> str:
        if text not in {"mean", "actual"}:
            word, _, number = text.partition(":")
            try:
                share = float(number)
            except ValueError:
                share = math.nan
            if word != "quantile" or not 0 < share < 1:
                raise ValueError(
                    f"found {text!r}; 'mean', 'actual' or 'quantile:p' with 0 < p < 1 is expected"
                )
        return text

    @field_validator("carbon_age")
    @classmethod
    def _whole_hours(cls, text: str) -> str:
        whole_hours(text)
        return text

    @field_validator("carbon_missing")
    @classmethod
    def _known_rule(cls, text: str) -> str:
        if text not in {"refuse", "static", "latency-only"}:
            word, _, longest = text.partition(":")
            if word != "last":
                raise ValueError(
                    f"found {text!r}; 'refuse', 'last:<max>' such as 'last:6h', 'static' or 'latency-only' "
                    "is expected"
                )
            whole_hours(longest)
        return text

    @property
    def clairvoyant(self) -> bool:
        """Whether a policy sees what no router can know."""
        return self.service_time == "actual"

    @property
    def quantile(self) -> float | None:
        """The share of service times that the estimate covers; None where it is the mean."""
        return (
            float(self.service_time.partition(":")[2]) if self.service_time.startswith("quantile:") else None
        )

    @property
    def carbon_age_hours(self) -> int:
        """How old carbon values are."""
        return whole_hours(self.carbon_age)

    @property
    def last_hours(self) -> int:
        """How much older the last value may be that stands for a missing one; 0 where none does."""
        return (
            whole_hours(self.carbon_missing.partition(":")[2])
            if self.carbon_missing.startswith("last:")
            else 0
        )

    def service_estimate_ms(self, law: ServiceLaw) -> float:
        """Return what is known of a workload's service time before it is served, ms."""
        share = self.quantile
        return law.average() if share is None else law.quantile(share)
