"""The facts of its regions that a router knows before it measures anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.capacity import Capacity
from carbonroute.control.latency import Latency
from carbonroute.network import Jitter
from carbonroute.workloads import ServiceLaw, Tokens
from carbonroute.workloads.energy import Energy


@dataclass(frozen=True)
class Site:
    """Facts that do not change from tick to tick. O origins, W workloads, R regions.

    Attributes
    ----------
    rtt_ms
        Network round trips, ms, shape (O, R).
    slo_ms
        Latency limits, ms, shape (W,).
    laws
        Laws of service time, one per workload.
    jitter
        Law of the network jitter.
    energy
        Energy of a request in each region; None where it is not known.
    capacity
        Pools of servers: nothing limits a region where none is stated.
    carbon_reference_g_per_kwh
        Long-run mean of each region's carbon intensity, gCO2e/kWh, shape (R,); None where it is not known.
    workload_share
        Expected part of each workload in all requests, shape (W,).
    """

    rtt_ms: Array
    slo_ms: Array
    laws: tuple[ServiceLaw, ...]
    jitter: Jitter
    energy: Energy | None
    capacity: Capacity
    carbon_reference_g_per_kwh: Array | None
    workload_share: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of origins, workloads and regions."""
        origins, regions = self.rtt_ms.shape
        return origins, len(self.slo_ms), regions

    @cached_property
    def latency(self) -> Latency:
        """The law of service time and jitter."""
        return Latency(self.laws, self.jitter, self.rtt_ms, self.slo_ms)

    @cached_property
    def violation_share(self) -> Array:
        """P(rtt + service + jitter > slo) by origin, workload and region, shape (O, W, R).

        NaN for a workload whose prompts come with its requests: see `Latency.late_share`.
        """
        return self.latency.violation_share()

    @property
    def average_tokens(self) -> Array:
        """Mean lengths of prompts and answers, tokens, shape (W, 2); 0 where only the traffic tells them."""
        return np.array(
            [
                (law.prompt_tokens.average() if law.prompt_tokens else 0.0, law.answer_tokens.average())
                if isinstance(law, Tokens)
                else (0.0, 0.0)
                for law in self.laws
            ]
        )
