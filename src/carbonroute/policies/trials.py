"""Parameters of policies that an analysis of trade-offs tries, and the grids that they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from carbonroute.arrays import Array

#: Service times that a router may reckon with, besides the mean: shares of requests that are no slower.
QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
#: Preferred numbers, 24 to a decade: IEC 60063, series E24. As text: 1.2e-05 shall be spelt so.
E24 = (
    *("1", "1.1", "1.2", "1.3", "1.5", "1.6", "1.8", "2", "2.2", "2.4", "2.7", "3"),
    *("3.3", "3.6", "3.9", "4.3", "4.7", "5.1", "5.6", "6.2", "6.8", "7.5", "8.2", "9.1"),
)
#: Risks that are tried: every power of ten times E24, up to the highest.
POWERS, HIGHEST_RISK = (-5, -4, -3, -2, -1), 0.5
#: Margins that are tried per estimate of service times.
MOST_MARGINS = 100


@dataclass(frozen=True)
class Setting:
    """The facts of a scenario that decide which parameters are worth trying.

    Attributes
    ----------
    rtt_ms
        Round-trip times, shape (O, R).
    slo_ms
        Latency limits, shape (W,).
    service_ms
        Returns the estimate of service times, shape (W,), for an `Information.service_time`.
    has_reference
        Whether long-run means of carbon are known before the run.
    risks
        Risks per request to try besides those of the grid, 0…1.
    """

    rtt_ms: Array
    slo_ms: Array
    service_ms: Callable[[str], Array]
    has_reference: bool = False
    risks: Sequence[float] = ()

    def margins_ms(self) -> Iterator[tuple[float, str]]:
        """Yield margins, ms, and estimates of service times that make another set of regions eligible."""
        seen = set()
        for estimate in ("mean", *(f"quantile:{share:g}" for share in QUANTILES)):
            needed_ms = self.rtt_ms[:, :, np.newaxis] + self.service_ms(estimate)
            for margin_ms in _between(self.slo_ms - needed_ms):
                eligible = (needed_ms <= self.slo_ms - margin_ms).tobytes()
                if eligible not in seen:
                    seen.add(eligible)
                    yield margin_ms, estimate

    def all_risks(self) -> list[float]:
        """Return the scenario's own risks, then those of the grid."""
        grid = (float(f"{number}e{power}") for number in E24 for power in POWERS)
        return list(dict.fromkeys(risk for risk in (*self.risks, *grid) if risk <= HIGHEST_RISK))


def _between(slack_ms: Array) -> list[float]:
    """Return 0 and a margin between any two neighbours of the slack under the limits, as round as can be."""
    edges = np.unique(np.append(slack_ms[slack_ms > 0], 0.0))
    intervals = list(pairwise(edges))
    kept = np.unique(np.linspace(0, len(intervals) - 1, min(len(intervals), MOST_MARGINS)).astype(int))
    return [0.0, *(roundest(*intervals[place]) for place in kept)]


def roundest(low: float, high: float) -> float:
    """Return the roundest number between two, and of several the one nearest to their middle.

    >>> roundest(3.2, 17.9), roundest(0.004, 0.007), roundest(81.2, 97)
    (10.0, 0.005, 90.0)
    """
    middle = float(low + high) / 2
    rounded = (round(middle, digits) for digits in range(-1, 12))
    return next((number for number in rounded if low < number < high), middle)
