"""Constrained Hybrid: the cleanest grid among the regions that can keep the SLO."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from carbonroute.policies.base import Array, Policy, View
from carbonroute.spec import Spec


class ConstrainedHybrid(Spec, Policy):
    """Choose the lowest carbon intensity among regions with rtt + service ≤ SLO − margin.

    With the request's actual service time in view, as in the published study, it is clairvoyant: no router
    knows that time before serving. Jitter is not in the budget; the margin leaves room for it.

    Attributes
    ----------
    margin_ms
        Taken off the SLO budget, ms.

    Examples
    --------
    >>> import numpy as np
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0))
    >>> int(ConstrainedHybrid().choose(view)), int(ConstrainedHybrid(margin_ms=20).choose(view))
    (0, 1)
    """

    margin_ms: float = Field(default=0.0, ge=0)

    @property
    def name(self) -> str:
        """Display name, with the margin if there is one."""
        return (
            f"Constrained Hybrid ({self.margin_ms:g} ms margin)" if self.margin_ms else "Constrained Hybrid"
        )

    def cost(self, view: View) -> Array:
        """Return the carbon intensity, gCO2e/kWh, and +inf where the SLO would be missed."""
        budget_ms = view.slo_ms - self.margin_ms
        in_time = view.rtt_ms + view.service_ms[..., np.newaxis] <= budget_ms[..., np.newaxis]
        return np.where(in_time, view.carbon_g_per_kwh, np.inf)
