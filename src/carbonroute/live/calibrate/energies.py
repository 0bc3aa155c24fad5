"""Energy of a request: the marginal one of each region, and the workload's that they agree on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from carbonroute.live.calibrate.evidence import Measurements
from carbonroute.live.calibrate.rows import Part, QuantityRow
from carbonroute.live.observe.energy import MarginalEnergy, marginal_energy
from carbonroute.live.regression import Estimate
from carbonroute.scenario import Scenario


def energies(evidence: Measurements, scenario: Scenario) -> Part:
    """Return marginal energies per request by region, and the energies to set."""
    passed_s, requests, energy_j = evidence.energy
    if not np.isfinite(energy_j).any():
        return Part(notes=("energies: the journal has no measured energy",))
    rows: list[QuantityRow] = []
    notes: list[str] = []
    known: dict[int, list[tuple[float, Estimate]]] = {}
    for region, name in enumerate(one.name for one in scenario.regions):
        each, fit = _of_region(passed_s, requests[:, :, region], energy_j[:, region])
        if fit.unknown:
            notes.append(f"energies: {name}: {fit.unknown}")
            continue
        factor = scenario.regions[region].hardware_factor
        rows.append(QuantityRow(f"idle power, {name}", "W", math.nan, fit.idle_w.value, fit.idle_w.interval))
        for place, one in enumerate(each):
            workload = scenario.workloads[place]
            stated = math.nan if workload.energy_j is None else workload.energy_j * factor
            title = f"energy of one more request, {workload.id}, {name}"
            rows.append(QuantityRow(title, "J", stated, one.value, one.interval, f"{fit.windows} windows"))
            if one.known:
                known.setdefault(place, []).append((factor, one))
    changes: dict[str, Any] = {}
    for place, estimates in known.items():
        workload = scenario.workloads[place]
        if workload.energy_j is None or workload.energy_j_per_token != (None, None):
            notes.append(f"energies: {workload.id} states energy per token, or none, and stays as it is")
            continue
        weight = np.array([(factor / max(one.error, 1e-12)) ** 2 for factor, one in estimates])
        value = np.array([one.value / factor for factor, one in estimates])
        changes[f"workloads[{place}].energy_j"] = float(f"{weight @ value / weight.sum():.6g}")
    return Part(tuple(rows), changes, tuple(notes))


def _of_region(
    passed_s: np.ndarray, requests: np.ndarray, energy_j: np.ndarray
) -> tuple[tuple[Estimate, ...], MarginalEnergy]:
    """Return each workload's energy; where they cannot be told apart, the mean of all for each."""
    fit = marginal_energy(passed_s, requests, energy_j)
    if fit.unknown and requests.shape[1] > 1:
        fit = marginal_energy(passed_s, requests.sum(axis=1, keepdims=True), energy_j)
        return fit.per_count_j * requests.shape[1], fit
    return fit.per_count_j, fit
