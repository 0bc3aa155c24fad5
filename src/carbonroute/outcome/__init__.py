"""The result of every engine, and the only source of tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.outcome.distribution import Counts, LatencyDistribution, Sums, joined
from carbonroute.outcome.histogram import Histogram
from carbonroute.outcome.mixture import Mixture
from carbonroute.outcome.paired import Paired
from carbonroute.outcome.queueing import Queueing
from carbonroute.outcome.samples import Samples
from carbonroute.outcome.serving import Serving
from carbonroute.workloads.energy import Emissions

__all__ = [
    "Counts",
    "Histogram",
    "LatencyDistribution",
    "Mixture",
    "Outcome",
    "Paired",
    "Queueing",
    "Samples",
    "Serving",
    "Sums",
    "joined",
]


@dataclass(frozen=True)
class Outcome:
    """Results of a run's requests under a policy, by origin × workload × region, shape (O, W, R).

    Attributes
    ----------
    clairvoyant
        Whether the policy decided on something that no router can know.
    requests
        Number of requests, also of those that no server took.
    violations
        Number of requests over their SLO, or rejected.
    latency_sum_ms
        Sum of latencies of the served requests, ms.
    carbon_sum_g_per_kwh
        Sum over served requests of the carbon intensity of their region and hour, gCO2e/kWh.
    latency
        Distribution of latency of the served requests.
    emissions
        Emissions of the requests, or None where the scenario states no energies.
    latency_square_sum_ms2, carbon_square_sum
        Sums over requests of the square of their latency, ms², and of their carbon intensity, (gCO2e/kWh)²;
        None where nobody keeps them.
    paired
        The baseline on the same requests, or None where they met others, or nobody looked.
    queueing
        Waits, rejections and utilisation; None where capacity plays no part.
    serving
        First and further tokens, and batches; None where no pool batches continuously.
    """

    policy: str
    clairvoyant: bool
    requests: Counts
    violations: Counts
    latency_sum_ms: Sums
    carbon_sum_g_per_kwh: Sums
    latency: LatencyDistribution
    emissions: Emissions | None = None
    latency_square_sum_ms2: Sums | None = None
    carbon_square_sum: Sums | None = None
    paired: Paired | None = None
    queueing: Queueing | None = None
    serving: Serving | None = None

    @property
    def served(self) -> Counts:
        """Number of requests that a server took: all that have a latency and emit, shape (O, W, R)."""
        return self.requests if self.queueing is None else self.requests - self.queueing.rejected

    @classmethod
    def merged(cls, parts: Sequence[Outcome]) -> Outcome:
        """Return the outcome of one policy from those of parts of its requests, added up in their order.

        `parts`: at least one: outcomes of the same policy over other requests of the same origins, workloads
        and regions. Policy and clairvoyance are those of the first; a field that one of them lacks is left
        out.
        """
        emissions = [part.emissions for part in parts if part.emissions]
        paired = [part.paired for part in parts if part.paired]
        return replace(
            parts[0],
            requests=_sum(part.requests for part in parts),
            violations=_sum(part.violations for part in parts),
            latency_sum_ms=_sum(part.latency_sum_ms for part in parts),
            carbon_sum_g_per_kwh=_sum(part.carbon_sum_g_per_kwh for part in parts),
            latency=joined([part.latency for part in parts]),
            emissions=Emissions(
                operational_g=_sum(part.operational_g for part in emissions),
                network_g=_sum(part.network_g for part in emissions),
                embodied_g=_sum(part.embodied_g for part in emissions),
                idle_g=_sum_known([part.idle_g for part in emissions]),
            )
            if emissions
            else None,
            latency_square_sum_ms2=_sum_known([part.latency_square_sum_ms2 for part in parts]),
            carbon_square_sum=_sum_known([part.carbon_square_sum for part in parts]),
            paired=reduce(Paired.__add__, paired) if len(paired) == len(parts) else None,
            queueing=Queueing.merged([part.queueing for part in parts]),
            serving=Serving.merged([part.serving for part in parts]),
        )


def _sum(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return reduce(np.add, parts)


def _sum_known(parts: Sequence[Sums | None]) -> Sums | None:
    """Return the sum, or None where one of them is not known."""
    known = [part for part in parts if part is not None]
    return _sum(known) if len(known) == len(parts) else None
