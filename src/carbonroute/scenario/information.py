"""What a policy may know."""

from __future__ import annotations

import math

from pydantic import field_validator

from carbonroute.spec import Spec
from carbonroute.workloads import ServiceLaw


class Information(Spec):
    """What a policy may know.

    Attributes
    ----------
    service_time
        ``"mean"`` of the workload, ``"quantile:p"`` of it, or the request's ``"actual"`` time (clairvoyant).
    """

    service_time: str = "mean"

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

    @property
    def clairvoyant(self) -> bool:
        """Whether a policy sees what no router can know."""
        return self.service_time == "actual"

    def service_estimate_ms(self, law: ServiceLaw) -> float:
        """Return what is known of a workload's service time before it is served, ms."""
        if self.service_time.startswith("quantile:"):
            return law.quantile(float(self.service_time.partition(":")[2]))
        return law.average()
