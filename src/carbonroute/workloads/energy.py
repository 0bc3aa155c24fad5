"""From joules to grams: emissions of a request's electricity, transport and hardware.

In the sense of the Software Carbon Intensity specification (ISO/IEC 21031): operational emissions plus an
embodied share, per functional unit; the unit here is one request, and each part is kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Index, Integers
from carbonroute.units import J_PER_KWH


@dataclass(frozen=True)
class Energy:
    """Energy and embodied emissions of requests, per workload and region.

    Attributes
    ----------
    request_j
        IT energy that every request takes, J, shape (W,).
    token_j
        IT energy per prompt token and per answer token, J, shape (W, 2).
    hardware_factor
        Energy of a region's hardware relative to that, shape (R,).
    pue
        Power usage effectiveness of each region, shape (R,).
    network_j
        Energy that the network takes for a request, J, shape (W,).
    embodied_g
        Share of the hardware's own emissions in a request, gCO2e, shape (W,).
    """

    request_j: Array
    token_j: Array
    hardware_factor: Array
    pue: Array
    network_j: Array
    embodied_g: Array

    def at_the_wall_j(self, workload: Index, tokens_j: Array) -> Array:
        """Return the energy of requests in each region, network included, J, shape (n, R).

        `workload`, `tokens_j`: workload of each request, and IT energy of its tokens, J, shape (n,).
        """
        it_j = (self.request_j.take(workload) + tokens_j)[:, np.newaxis] * self.hardware_factor
        at_the_wall: Array = it_j * self.pue + self.network_j.take(workload)[:, np.newaxis]
        return at_the_wall


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
    idle_g
        Emissions of switched-on servers beyond those of requests, PUE included; None where the
        power of a server is not stated.
    """

    operational_g: Array
    network_g: Array
    embodied_g: Array
    idle_g: Array | None = None

    @property
    def total_g(self) -> Array:
        """All of them together."""
        total_g = self.operational_g + self.network_g + self.embodied_g
        return total_g if self.idle_g is None else total_g + self.idle_g


def emissions_g(energy_j: Array, pue: Array, carbon_g_per_kwh: Array) -> Array:
    """Return the emissions of energy, gCO2e: energy_j / 3.6e6 · pue · carbon_g_per_kwh.

    >>> float(emissions_g(np.array(3.6e6), np.array(1.2), np.array(400.0)))
    480.0
    """
    # Formula grams.
    emitted: Array = energy_j / J_PER_KWH * pue * carbon_g_per_kwh
    return emitted


def account(
    energy: Energy,
    requests: Integers | Array,
    carbon_sum_g_per_kwh: Array,
    token_sum_j_g_per_kwh: Array,
) -> Emissions:
    """Return the emissions of many requests.

    Parameters
    ----------
    requests
        Number of requests, shape (O, W, R).
    carbon_sum_g_per_kwh
        Sum over those requests of the carbon intensity that they met, shape (O, W, R): all that the energy
        per request needs.
    token_sum_j_g_per_kwh
        Sum over those requests of the IT energy of their tokens, J, times that carbon intensity, shape
        (O, W, R).
    """
    it_j = np.outer(energy.request_j, energy.hardware_factor)
    operational_g = emissions_g(it_j, energy.pue, carbon_sum_g_per_kwh)
    operational_g += emissions_g(energy.hardware_factor, energy.pue, token_sum_j_g_per_kwh)
    return Emissions(
        operational_g=operational_g,
        network_g=emissions_g(energy.network_j[:, np.newaxis], np.ones(()), carbon_sum_g_per_kwh),
        embodied_g=requests * energy.embodied_g[:, np.newaxis],
    )
