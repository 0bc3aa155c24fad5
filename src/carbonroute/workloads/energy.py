"""From joules to grams: what a request's electricity, transport and hardware emit.

In the sense of the Software Carbon Intensity specification (ISO/IEC 21031): operational emissions plus an
embodied share, per functional unit; the unit here is one request, and each part is kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute.units import J_PER_KWH

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Energy:
    """What requests cost, per workload and region.

    Attributes
    ----------
    it_j
        IT energy of a request, J, shape (W, R): the workload's, times the region's hardware factor.
    pue
        Power usage effectiveness of each region, shape (R,).
    network_j
        Energy that the network takes for a request, J, shape (W,).
    embodied_g
        Share of the hardware's own emissions in a request, gCO2e, shape (W,).
    """

    it_j: Array
    pue: Array
    network_j: Array
    embodied_g: Array


@dataclass(frozen=True)
class Emissions:
    """Grams of CO2e by origin × workload × region, shape (O, W, R).

    Attributes
    ----------
    operational_g
        Electricity of the data centres, PUE included.
    network_g
        Electricity of the network, at the serving region's carbon intensity and without PUE.
    embodied_g
        Share of the hardware's manufacture.
    """

    operational_g: Array
    network_g: Array
    embodied_g: Array

    @property
    def total_g(self) -> Array:
        """All three together."""
        return self.operational_g + self.network_g + self.embodied_g


def emissions_g(energy_j: Array, pue: Array, carbon_g_per_kwh: Array) -> Array:
    """Return what energy emits: energy_j / 3.6e6 · pue · carbon_g_per_kwh.

    >>> float(emissions_g(np.array(3.6e6), np.array(1.2), np.array(400.0)))
    480.0
    """
    emitted: Array = energy_j / J_PER_KWH * pue * carbon_g_per_kwh
    return emitted


def account(energy: Energy, requests: NDArray[np.int64], carbon_sum_g_per_kwh: Array) -> Emissions:
    """Return the emissions of many requests.

    Parameters
    ----------
    energy
        What one request costs.
    requests
        Number of requests, shape (O, W, R).
    carbon_sum_g_per_kwh
        Sum over those requests of the carbon intensity that they met, shape (O, W, R). All requests of a
        workload cost the same in a region, so their emissions follow from that sum alone.
    """
    return Emissions(
        operational_g=emissions_g(energy.it_j, energy.pue, carbon_sum_g_per_kwh),
        network_g=emissions_g(energy.network_j[:, np.newaxis], np.ones(()), carbon_sum_g_per_kwh),
        embodied_g=requests * energy.embodied_g[:, np.newaxis],
    )
