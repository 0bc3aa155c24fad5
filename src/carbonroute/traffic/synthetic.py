"""Made-up traffic."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from carbonroute.spec import Spec
from carbonroute.traffic.requests import Index


class FixedRate(Spec):
    """Exactly the same number of requests in every hour.

    Attributes
    ----------
    requests_per_hour
        Of all origins together.
    """

    kind: Literal["fixed-rate"]
    requests_per_hour: int = Field(ge=1, le=10**12)

    def requests(self, hours: int) -> int:
        """Return the number of requests in that many hours."""
        return hours * self.requests_per_hour

    def hour(self, first: int, last: int) -> Index:
        """Return the hour of the requests first … last − 1, shape (last − first,)."""
        return np.arange(first, last, dtype=np.intp) // self.requests_per_hour
