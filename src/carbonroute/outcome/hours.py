"""When requests come: what part of their differences is one of hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array


@dataclass(frozen=True)
class Hours:
    """Requests by hour × workload × region.

    Attributes
    ----------
    requests
        Their number, shape (H, W, R).
    """

    requests: Array

    def variance_between(self, values: Array) -> float:
        """Return the variance, over requests, of the mean that the requests of their hour have of something.

        It is part of the variance of that over all requests, and no part of what a mean over them varies by
        where every hour has a fixed number: then there is always as much of each hour.

        Parameters
        ----------
        values
            What a request is expected to have, by hour × workload × region; any shape that broadcasts.

        Examples
        --------
        >>> carbon_g_per_kwh = np.array([[100.0], [300.0]])  # 2 hours, 1 region
        >>> Hours(np.ones((2, 1, 1))).variance_between(carbon_g_per_kwh[:, np.newaxis])
        10000.0
        """
        number, sums = (part.sum(axis=(1, 2)) for part in (self.requests, self.requests * values))
        means = np.divide(sums, number, out=np.zeros_like(sums), where=number > 0)
        return float(number @ (means - sums.sum() / number.sum()) ** 2 / number.sum())
