"""Carbon-First: serve every request on the cleanest grid, however far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from carbonroute.arrays import Array
from carbonroute.policies.base import Policy, Trial, View
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec


class CarbonFirst(Spec, Policy):
    """Choose the region with the lowest carbon intensity known at decision time.

    Examples
    --------
    >>> import numpy as np
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0))
    >>> int(CarbonFirst().choose(view))
    0
    """

    reads: ClassVar[frozenset[str]] = frozenset({"carbon_g_per_kwh"})

    @classmethod
    def trials(cls, _setting: Setting) -> Iterator[Trial]:
        """Yield the policy itself."""
        yield Trial(cls())

    @property
    def name(self) -> str:
        """Display name."""
        return "Carbon-First"

    def cost(self, view: View) -> Array:
        """Return the carbon intensity, gCO2e/kWh."""
        return view.carbon_g_per_kwh
