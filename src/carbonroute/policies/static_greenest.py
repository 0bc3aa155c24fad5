"""Static-Greenest: one region for each origin and workload, chosen once on long-run means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import Policy, Trial, View
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec


class StaticGreenest(Spec, Policy):
    """Choose the lowest long-run carbon intensity among regions with rtt + service ≤ SLO, whatever the hour.

    The baseline that keeps hourly routing honest: where one grid is almost always the cleanest, a fixed
    choice earns the whole saving. It knows stated means, or those of the period before the run, and nothing
    of the run itself.

    Attributes
    ----------
    hindsight
        Choose on the means of the run itself, weighted by the expected requests of each hour: the best that a
        fixed choice could have been. Clairvoyant.

    Examples
    --------
    >>> import numpy as np
    >>> rtt_ms, now, mean = np.array([65.0, 5.0]), np.array([900.0, 400.0]), np.array([30.0, 400.0])
    >>> int(StaticGreenest().choose(View(rtt_ms, now, np.array(18.0), np.array(100.0), mean)))
    0
    """

    hindsight: bool = False

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield the choice from before the run, and the one in hindsight."""
        yield cls()
        yield cls(hindsight=True)

    @classmethod
    def trials(cls, setting: Setting) -> Iterator[Trial]:
        """Yield the policy where long-run means are known."""
        if setting.has_reference:
            yield Trial(cls())

    @property
    def name(self) -> str:
        """Display name."""
        return "Static-Greenest (hindsight)" if self.hindsight else "Static-Greenest"

    @property
    def in_hindsight(self) -> bool:
        """Whether it is shown the means of the run."""
        return self.hindsight

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that it reads: in hindsight, the run's means are shown as every hour's carbon."""
        means = "carbon_g_per_kwh" if self.hindsight else "carbon_reference_g_per_kwh"
        return frozenset({"rtt_ms", "service_ms", "slo_ms", means})

    def cost(self, view: View) -> Array:
        """Return the long-run carbon intensity, gCO2e/kWh, and +inf where the SLO would be missed."""
        means = view.carbon_g_per_kwh if self.hindsight else view.carbon_reference_g_per_kwh
        if means is None:
            raise ValueError(
                "no long-run carbon means are known before the run; state them, "
                "or take a carbon file that begins a day or more before horizon.start"
            )
        in_time = view.rtt_ms + view.service_ms[..., np.newaxis] <= view.slo_ms[..., np.newaxis]
        return np.where(in_time, means, np.inf)

    def breaks_ms(self, view: View) -> Array:
        """Return the service times beyond which a region is too late, ms, shape (…, R)."""
        return view.slo_ms[..., np.newaxis] - view.rtt_ms
