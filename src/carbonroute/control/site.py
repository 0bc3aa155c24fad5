"""Static facts of the regions that a router knows: round trips, SLOs, laws, energies and capacity."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from carbonroute.arrays import Array, Mask
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
    allowed
        Whether a region may serve a cell, shape (O, W, R), one region of each cell at least; None where all
        may serve all. No request is ever sent elsewhere, even where none of these takes requests.
    ttft_slo_ms, tpot_slo_ms
        Limits of the time to the first token and of each further one, ms, shape (W,); inf where none is set.
    latency
        Law of service time and jitter.
    """

    rtt_ms: Array
    slo_ms: Array
    laws: tuple[ServiceLaw, ...]
    jitter: Jitter
    energy: Energy | None
    capacity: Capacity
    carbon_reference_g_per_kwh: Array | None
    workload_share: Array
    allowed: Mask | None = None
    ttft_slo_ms: Array = field(default_factory=lambda: np.full(1, np.inf))
    tpot_slo_ms: Array = field(default_factory=lambda: np.full(1, np.inf))
    latency: Latency = field(init=False)

    def __post_init__(self) -> None:
        for name in ("ttft_slo_ms", "tpot_slo_ms"):
            object.__setattr__(self, name, np.broadcast_to(getattr(self, name), self.slo_ms.shape))
        object.__setattr__(self, "latency", Latency(self.laws, self.jitter, self.rtt_ms, self.slo_ms))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of origins, workloads and regions."""
        origins, regions = self.rtt_ms.shape
        return origins, len(self.slo_ms), regions

    @property
    def has_tokens(self) -> bool:
        """Whether service times or energies depend on a request's tokens."""
        by_energy = self.energy is not None and bool(self.energy.token_j.any())
        return by_energy or any(law.per_request for law in self.laws)

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
