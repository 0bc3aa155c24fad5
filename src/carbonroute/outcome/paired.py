"""Two policies on the same requests: common variation drops out of their difference."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from carbonroute.arrays import Array, Mask


@dataclass(frozen=True)
class Paired:
    """Sums over requests of the differences between one policy and another.

    Attributes
    ----------
    policy
        The other one's display name.
    latency_ms, latency_square_ms2
        Sums of the difference in latency, and of its square.
    carbon_g_per_kwh, carbon_square
        The same of the carbon intensity that a request meets, gCO2e/kWh.
    late_here, late_there
        Requests over their SLO under this policy alone, and under the other one alone.
    """

    policy: str
    requests: int = 0
    latency_ms: float = 0.0
    latency_square_ms2: float = 0.0
    carbon_g_per_kwh: float = 0.0
    carbon_square: float = 0.0
    late_here: int = 0
    late_there: int = 0

    def __add__(self, other: Paired) -> Paired:
        """Return the sums over the requests of both."""
        names = [field.name for field in fields(self) if field.name != "policy"]
        return Paired(self.policy, *(getattr(self, name) + getattr(other, name) for name in names))

    @classmethod
    def of(
        cls,
        policy: str,
        latency_ms: tuple[Array, Array],
        late: tuple[Mask, Mask],
        carbon_g_per_kwh: tuple[Array, Array],
    ) -> Paired:
        """Return the sums over n requests, of each under this policy and under the other, shape (n,)."""
        longer_ms = latency_ms[0] - latency_ms[1]
        more = carbon_g_per_kwh[0] - carbon_g_per_kwh[1]
        late_here, late_there = late
        # No dot product: its last bits depend on how many threads there are.
        return cls(
            policy,
            len(longer_ms),
            float(longer_ms.sum()),
            float(np.square(longer_ms, out=longer_ms).sum()),
            float(more.sum()),
            float(np.square(more, out=more).sum()),
            int(np.count_nonzero(late_here & ~late_there)),
            int(np.count_nonzero(late_there & ~late_here)),
        )
