"""What no policy can change: a single region, and limits that are too short for the nearest one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.scenario.resolved.capacity import mean_service_ms
from carbonroute.scenario.written.model import Scenario
from carbonroute.units import pct
from carbonroute.workloads import ServiceLaw

#: Room for this many mean service times is enough: the law is not asked, and its functions not imported.
AMPLE = 2
#: A share that is no more over the limit is not told: of a normal law, some requests are always late.
NEGLIGIBLE = 1e-9


def reach_notes(
    scenario: Scenario, laws: Sequence[ServiceLaw], rtt_ms: Array, allowed: Mask | None
) -> Iterator[str]:
    """Yield why routing is of no use, or why no policy keeps the limit on violations.

    Of each workload at least P(S > SLO − min RTT(o, r)) is late, over all origins and regions, whatever the
    policy and the origins' shares: jitter and waits are not negative.

    `rtt_ms`: round trips, ms, shape (O, R).
    `allowed`: whether a region may serve a cell, shape (O, W, R); None where all may serve all.
    """
    if len(scenario.regions) == 1:
        yield f"{scenario.regions[0].name} is the only region: there is nowhere else to route to"
    mean_ms = mean_service_ms(scenario, laws)
    for index, (workload, law) in enumerate(zip(scenario.workloads, laws, strict=True)):
        logged = any(
            any(scenario.traffic.measures(column, workload.id))
            for column in ("prompt_tokens", "answer_tokens")
        )
        open_ms = rtt_ms if allowed is None else np.where(allowed[:, index], rtt_ms, np.inf)
        room_ms = workload.slo_ms - open_ms.min()
        if logged or not room_ms <= AMPLE * mean_ms[index]:  # NaN: a log tells
            continue
        late = float(law.beyond(np.array(room_ms))) if room_ms > 0 else 1.0
        if late > scenario.limits.violations + NEGLIGIBLE:
            digits = max(1, -math.floor(math.log10(pct(late))))  # never "at least 0.0 %"
            share = f"{pct(late):.{digits}f} %"
            yield (
                f"At least {share} of {workload.name} is late under every policy: its limit, "
                f"{workload.slo_ms:g} ms, is too short for its service time and the round trip to the "
                "nearest region"
            )
