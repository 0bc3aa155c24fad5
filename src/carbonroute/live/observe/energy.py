"""Marginal energy of a request, by regression: joules divided by requests charge it for idle servers too.

::

    ΔJ = P · Δt + Σ e_w · Δn_w

with idle power P and energy e_w of one more request of workload w (or of one more token). Where ΔJ / Δn is
taken instead, regions with little traffic seem wasteful, get less traffic, and seem more wasteful still.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array
from carbonroute.live.regression import UNKNOWN, Estimate, least_squares

#: Windows that are kept: a day of minutes.
_KEPT = 1440


@dataclass(frozen=True)
class MarginalEnergy:
    """Idle power and energy of one more request.

    Attributes
    ----------
    idle_w
        Power that is drawn without any request, W.
    per_count_j
        Energy of one more of each count, J; a tuple of W.
    windows
        How many windows of time it is estimated from.
    unknown
        Why nothing is known; empty where it is.
    """

    idle_w: Estimate
    per_count_j: tuple[Estimate, ...]
    windows: int
    unknown: str = ""


def marginal_energy(passed_s: Array, counts: Array, energy_j: Array) -> MarginalEnergy:
    """Return idle power and energy per count, by least squares over K windows of time.

    Windows are weighted by 1/Δt, as errors add up over time; windows with an unknown value are left out.
    Standard errors take those of different windows to be independent, so windows must not overlap.

    Parameters
    ----------
    passed_s
        Length of each window, s, shape (K,).
    counts
        Requests, or tokens, of W kinds in each, shape (K, W).
    energy_j
        Energy of each, J, shape (K,).

    Examples
    --------
    >>> n = np.array([[100.0], [300.0], [200.0], [400.0]])
    >>> fit = marginal_energy(np.full(4, 60.0), n, 70.0 * 60 + 2.5 * n[:, 0] + [1, -1, 1, -1])
    >>> round(fit.idle_w.value), round(fit.per_count_j[0].value, 2)
    (70, 2.49)
    """
    columns = np.column_stack([passed_s, counts])
    usable = np.isfinite(columns).all(axis=1) & np.isfinite(energy_j) & (passed_s > 0)
    columns, joules = columns[usable], energy_j[usable]
    windows, kinds = len(columns), counts.shape[1]
    if windows <= kinds + 1:
        return _nothing(kinds, windows, f"{windows} windows of time are too few")
    if not columns.any(axis=0).all():
        return _nothing(kinds, windows, "there were no requests")
    estimates = least_squares(columns, joules, 1 / columns[:, 0])
    if estimates is None:
        return _nothing(kinds, windows, "requests rise with time alone: their rate must vary")
    idle_w, *per_count_j = estimates
    return MarginalEnergy(idle_w, tuple(per_count_j), windows)


def _nothing(kinds: int, windows: int, why: str) -> MarginalEnergy:
    return MarginalEnergy(UNKNOWN, (UNKNOWN,) * kinds, windows, why)


class EnergyLog:
    """Windows of time with their requests and energy, of each region, for the regression.

    `by_workload`: whether requests are counted by workload: else all of a region's are of one kind.
    """

    def __init__(self, regions: int, *, by_workload: bool) -> None:
        self._by_workload = by_workload
        self._windows: list[deque[tuple[float, Array, float]]] = [deque(maxlen=_KEPT) for _ in range(regions)]
        self._end_s = -math.inf

    def add(self, now_s: float, range_s: float, requests: Array, energy_j: Array) -> None:
        """Keep the window that ends now, unless it overlaps the one before; unknown values are left out.

        `now_s`, `range_s`: end and length of the window, s.
        `requests`, `energy_j`: in the window, shapes (W, R) and (R,); NaN where unknown.
        """
        if now_s - range_s < self._end_s or np.isnan(energy_j).all():
            return
        self._end_s = now_s
        counts = requests if self._by_workload else requests.sum(axis=0, keepdims=True)
        for region, windows in enumerate(self._windows):
            if np.isfinite(energy_j[region]) and np.isfinite(counts[:, region]).all():
                windows.append((range_s, counts[:, region].copy(), float(energy_j[region])))

    def of(self, region: int) -> MarginalEnergy:
        """Return the marginal energy of a region, from its windows so far."""
        windows = self._windows[region]
        if not windows:
            return _nothing(1, 0, "no energy was measured")
        passed_s, counts, energy_j = zip(*windows, strict=True)
        return marginal_energy(np.array(passed_s), np.array(counts), np.array(energy_j))

    def per_request_j(self, workloads: int) -> Array:
        """Return the energy of one more request, J, shape (W, R); NaN where it is not known to be above 0."""
        columns = []
        for region in range(len(self._windows)):
            each = [one.value if one.known else math.nan for one in self.of(region).per_count_j]
            columns.append(np.broadcast_to(each, workloads))
        return np.column_stack(columns)
