"""Rates of requests: of each cell with its interval, and the total and shares that a scenario states.

The number N of a cell has the variance φ·N. The dispersion φ follows from differences of successive windows,
so that a slow rise or fall is no dispersion::

    φ = mean((n₂/m₂ − n₁/m₁)² / (1/m₁ + 1/m₂)),        m: expected counts of the windows; φ ≥ 1

and the interval is that of a Poisson count of N/φ (Garwood), times φ.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from carbonroute.arrays import Array
from carbonroute.intervals import CONFIDENCE, Interval, clopper_pearson
from carbonroute.live.calibrate.evidence import Measurements
from carbonroute.live.calibrate.rows import Part, QuantityRow
from carbonroute.scenario import Scenario
from carbonroute.traffic import Traffic
from carbonroute.units import S_PER_HOUR

#: Windows that a dispersion is told from: more add counts below one to it, fewer leave it uncertain.
_MOST_WINDOWS = 48
_LEAST_WINDOWS = 8
#: Standard deviations from which on cells are said not to be a product of shares.
_FAR = 4.0


def rates(evidence: Measurements, scenario: Scenario, expected_per_s: Array) -> Part:
    """Return the rates, and the total and shares that reproduce them.

    Expected are requests of each hour, origin and workload of a scenario.
    """
    counted = evidence.counted
    if not counted.any():
        return Part(notes=("rates: in no interval were all requests counted",))
    requests, passed_s = evidence.requests[counted], evidence.passed_s[counted]
    expected = expected_per_s[evidence.hour[counted]] * passed_s[:, np.newaxis, np.newaxis]
    hours, total = float(passed_s.sum()) / S_PER_HOUR, expected.sum()
    names = [(origin.name, workload.id) for origin in scenario.origins for workload in scenario.workloads]
    rows = [_rate("requests", requests.sum(axis=(1, 2)), expected.sum(axis=(1, 2)), hours)]
    if len(names) > 1:
        flat, flat_expected = (values.reshape(len(values), -1) for values in (requests, expected))
        rows += [
            _rate(f"requests, {origin}, {workload}", flat[:, cell], flat_expected[:, cell], hours)
            for cell, (origin, workload) in enumerate(names)
        ]
    if not total or not requests.sum():
        return Part(tuple(rows), notes=("rates: none were expected, or none came; they stay as they are",))
    shares = _Shares(requests, expected, scenario)
    of_rate = _of_rate(requests.sum() / total, scenario.traffic)
    return Part((*rows, *shares.rows), {**of_rate, **shares.changes}, shares.notes)


def dispersion(counts: Array, expected: Array) -> float:
    """Return the index of dispersion φ of counts, 1 at least.

    `counts`, `expected`: of successive windows, shape (K,); windows in which nothing is expected do not
    count.
    """
    some = expected > 0
    counts, expected = counts[some], expected[some]
    size = max(1, math.ceil(len(counts) / _MOST_WINDOWS))
    starts = np.arange(0, len(counts) - size + 1, size)
    if len(starts) < _LEAST_WINDOWS or not counts.sum():
        return 1.0
    n, m = np.add.reduceat(counts, starts), np.add.reduceat(expected, starts)
    m = m * (n.sum() / m.sum())
    steps = np.diff(n / m) ** 2 / (1 / m[1:] + 1 / m[:-1])
    return max(1.0, float(steps.mean()))


def count_interval(count: float, phi: float) -> Interval:
    """Return the 95 % interval of an expected count, of which one is known: Garwood's for φ = 1.

    >>> low, high = count_interval(100.0, 1.0)
    >>> round(low, 1), round(high, 1)
    (81.4, 121.6)
    """
    from carbonroute.special import gammaincinv

    tail = (1 - CONFIDENCE) / 2
    low = float(gammaincinv(count / phi, tail)) * phi if count > 0 else 0.0
    return low, float(gammaincinv(count / phi + 1, 1 - tail)) * phi


def _rate(quantity: str, counts: Array, expected: Array, hours: float) -> QuantityRow:
    phi, count = dispersion(counts, expected), float(counts.sum())
    low, high = count_interval(count, phi)
    note = f"{count:,.0f} requests; dispersion {phi:.2f}"
    return QuantityRow(
        quantity, "1/h", float(expected.sum()) / hours, count / hours, (low / hours, high / hours), note
    )


def _of_rate(factor: float, traffic: Traffic) -> dict[str, Any]:
    """Return the change of the key that all rates are proportional to."""
    key = traffic.rate_key
    if key is None:
        return {}
    value = getattr(traffic, key) * factor
    whole = isinstance(getattr(traffic, key), int)
    return {f"traffic.{key}": max(1, round(value)) if whole else float(f"{value:.6g}")}


class _Shares:
    """Shares of origins and workloads, as rows and as changes."""

    def __init__(self, requests: Array, expected: Array, scenario: Scenario) -> None:
        self.rows: list[QuantityRow] = []
        self.changes: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()
        if scenario.traffic.rate_key is None:
            self.notes = ("rates: the scenario's requests are those of a log, and stay as they are",)
            return
        if scenario.traffic.rate_key != "requests_per_hour":
            self.notes = ("rates: shares are those of the rate file, and stay as they are",)
            return
        whole, whole_expected = requests.sum(axis=(1, 2)), expected.sum(axis=(1, 2))
        phi = dispersion(whole, whole_expected)
        for kind, axis, members in (
            ("origins", 2, [(one.name, one.share) for one in scenario.origins]),
            ("workloads", 1, [(one.id, one.share) for one in scenario.workloads]),
        ):
            if len(members) == 1:
                continue
            counts, fitted = requests.sum(axis=(0, axis)), expected.sum(axis=(0, axis))
            self._add(kind, members, counts, fitted / fitted.sum(), phi)
        product = np.multiply.outer(requests.sum(axis=(0, 2)), requests.sum(axis=(0, 1))) / requests.sum()
        far = np.abs(requests.sum(axis=0) - product) / np.sqrt(phi * np.maximum(product, 1.0))
        if far.max() > _FAR:
            self.notes = (
                "rates: workloads have other shares in some origins than in others, which the scenario "
                "cannot state but by a file of rates (traffic.kind = 'rate-file')",
            )

    def _add(
        self, kind: str, members: list[tuple[str, float]], counts: Array, fitted: Array, phi: float
    ) -> None:
        total = counts.sum()
        low, high = clopper_pearson(counts / phi, total / phi)
        stated = np.array([share for _, share in members])
        # Where shares vary with the hour, the measured hours tell by how much all of them are off.
        new = np.divide(stated * counts / total, fitted, out=np.zeros(len(counts)), where=fitted > 0)
        new = _rounded(new / new.sum()) if new.sum() > 0 else stated
        for place, (name, _) in enumerate(members):
            self.rows.append(
                QuantityRow(
                    f"share of {kind.removesuffix('s')} {name}",
                    "",
                    float(fitted[place]),
                    float(counts[place] / total),
                    (float(low[place]), float(high[place])),
                )
            )
            self.changes[f"{kind}[{place}].share"] = float(new[place])


def _rounded(shares: Array) -> Array:
    """Return shares of six digits that sum to 1; the largest takes the rest."""
    rounded = shares.round(6)
    largest = int(rounded.argmax())
    rounded[largest] = round(1 - float(np.delete(rounded, largest).sum()), 6)
    return rounded
