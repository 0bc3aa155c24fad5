"""Savings of a live controller: as intended when it decided, settled with final carbon, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.chain import records
from carbonroute.control.decisions import DecisionRecord
from carbonroute.errors import Fault, InputError, RunFolderError
from carbonroute.intervals import t_half_width
from carbonroute.live.baselines import emissions_of_all
from carbonroute.scenario import load, resolve
from carbonroute.units import S_PER_HOUR

#: Weights of the policy: as they were in force, or in a shadow as they would have been.
POLICY = "policy"
#: Records that are farther apart than so many times what was read have others between them that are missing.
_MOST_GAP = 1.5


Arm = Literal["policy", "baseline"]


@dataclass(frozen=True)
class Interval:
    """Requests routed between two decisions.

    Attributes
    ----------
    start, seconds
        When it began, UTC, and its length, s.
    arm
        Whose weights are known to have been in force, for the measured difference: the policy's, or by lot
        the baseline's; None where neither.
    intended_g, settled_g
        Emissions of the policy's weights (`POLICY`) and of each baseline, g: by the carbon known at the
        decision, and by final values; NaN where a value is unknown.
    """

    start: datetime
    seconds: float
    requests: float
    arm: Arm | None
    intended_g: Mapping[str, float]
    settled_g: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """Grams per request in intervals of the policy and of the baseline, drawn by lot.

    Attributes
    ----------
    policy_g, baseline_g
        Per request, g.
    saving_pct, half_width_pct
        Of the baseline's, %, and the half-width of its 95 % interval.
    intervals
        Of the policy, and of the baseline.
    """

    policy_g: float
    baseline_g: float
    saving_pct: float
    half_width_pct: float
    intervals: tuple[int, int]


@dataclass(frozen=True)
class Savings:
    """Sums over a journal.

    Attributes
    ----------
    first, last
        When it begins and ends, UTC.
    intended_g, settled_g
        Sums of `Interval`'s over intervals in which all values are known; the second is empty without final
        carbon.
    left_out
        Intervals that are not counted, by reason.
    measured
        From switchback intervals, or None.
    expected
        Whether requests are those that the scenario expects, as nothing measures.
    """

    mode: str
    first: datetime
    last: datetime
    requests: float
    intended_g: Mapping[str, float]
    settled_g: Mapping[str, float]
    left_out: Mapping[str, int] = field(default_factory=dict)
    measured: Difference | None = None
    expected: bool = False


class FinalCarbon:
    """The carbon of a scenario's regions over a span of the calendar.

    `scenario`: the scenario file, whose carbon source has the final values.
    `first`, `last`: the span, UTC.
    Raises InputError if the scenario cannot be used, or its source has no values of that time.
    """

    def __init__(self, scenario: Path, first: datetime, last: datetime, *, code: bool) -> None:
        self._start = first.replace(minute=0, second=0, microsecond=0)
        hours = int((last - self._start) / timedelta(hours=1)) + 1
        changes = {"horizon.start": self._start, "horizon.hours": hours}
        written = load(scenario, changes, code=code)
        if written.carbon.kind == "synthetic":
            fault = Fault(
                "carbon.kind", "is 'synthetic': it has no final values", "name a source of measured ones"
            )
            raise InputError(str(scenario), [fault])
        inputs = resolve(written)
        self.regions = [region.name for region in inputs.scenario.regions]
        self._g_per_kwh = inputs.carbon.g_per_kwh

    def over(self, start: datetime, seconds: float) -> Array:
        """Return the mean over an interval, gCO2e/kWh, shape (R,): each hour by its part."""
        begun_h = (start - self._start).total_seconds() / S_PER_HOUR
        ends_h = begun_h + seconds / S_PER_HOUR
        hours = np.arange(int(begun_h), min(int(np.ceil(max(ends_h, begun_h + 1e-9))), len(self._g_per_kwh)))
        part = np.minimum(hours + 1, ends_h) - np.maximum(hours, begun_h)
        part = np.where(part.sum() > 0, part, 1.0)
        mean: Array = part @ self._g_per_kwh[hours] / part.sum()
        return mean


def savings(journal: Path, scenario: Path | None = None, *, code: bool = True) -> list[Savings]:
    """Return the savings of a live journal, of each mode that it ran in.

    `scenario`: whose carbon source has the final values, or None.
    Raises RunFolderError if there are no records of a live controller, or some are damaged; InputError if the
    scenario cannot be used.
    """
    spans = _spans(journal)
    first, last = min(one for one, _ in spans.values()), max(one for _, one in spans.values())
    final = None if scenario is None else FinalCarbon(scenario, first, last, code=code)
    accounts = {mode: SavingsAccount() for mode in spans}
    left_out: dict[str, dict[str, int]] = {mode: {} for mode in spans}
    expected = dict.fromkeys(spans, False)
    for before, interval in _intervals(journal, final):
        mode = before.mode
        if isinstance(interval, str):
            left_out[mode][interval] = left_out[mode].get(interval, 0) + 1
        else:
            accounts[mode].add(interval)
            expected[mode] |= before.live is not None and before.live.traffic == "expected"
    return [
        Savings(
            mode=mode,
            first=span[0],
            last=span[1],
            requests=accounts[mode].requests,
            intended_g=accounts[mode].intended_g,
            settled_g=accounts[mode].settled_g,
            left_out=left_out[mode],
            measured=accounts[mode].difference(),
            expected=expected[mode],
        )
        for mode, span in spans.items()
    ]


def _spans(journal: Path) -> dict[str, tuple[datetime, datetime]]:
    """Return the times of the first and of the last record of each mode."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for record in records(journal):
        if record.live is None:
            problem = f"{journal}: holds decisions of a simulation, whose tables have its savings"
            raise RunFolderError(f"{problem}; name the journal of `carbonroute live run`")
        time = datetime.fromisoformat(record.time_utc)
        first, last = spans.get(record.mode, (time, time))
        spans[record.mode] = min(first, time), max(last, time)
    if not spans:
        raise RunFolderError(f"{journal}: has no decision records; name the journal of a live file")
    return spans


def _intervals(journal: Path, final: FinalCarbon | None) -> Iterator[tuple[DecisionRecord, Interval | str]]:
    """Yield each record but the last with what was routed from it to the next, or why that does not count."""
    before: DecisionRecord | None = None
    for record in records(journal):
        if before is not None:
            yield before, _interval(before, record, final)
        before = record


def _interval(before: DecisionRecord, record: DecisionRecord, final: FinalCarbon | None) -> Interval | str:
    """Return the requests routed between two decisions, or why it does not count."""
    reading, live, after = record.read(), before.live, record.live
    if live is None or after is None or reading is None:
        return "nothing was measured"
    regions = before.regions if final is None else final.regions
    if problem := _unfit(before, record, float(reading.passed_s[0]), regions):
        return problem
    if after.changed_by_others:
        return "others changed the weights"
    if after.traffic == "unknown" or live.energy_j is None:
        return "requests are unknown" if live.energy_j else "no energy of a request is known"
    requests = reading.requests[0].reshape(len(before.cells.origins), len(before.cells.workloads))
    start, seconds = datetime.fromisoformat(before.time_utc), float(reading.passed_s[0])
    followed = live.planned if before.mode == "shadow" else live.in_force
    weights = {POLICY: followed, **live.baselines}
    arrays = {name: np.array(each, dtype=float) for name, each in weights.items()}
    energy_j = np.array(live.energy_j, dtype=float)

    def grams(carbon: Array) -> dict[str, float]:
        return emissions_of_all(arrays, requests, energy_j, carbon)

    intended_g = grams(before.carbon().g_per_kwh[0])
    settled_g = {} if final is None else grams(final.over(start, seconds))
    if not np.isfinite([*intended_g.values(), *settled_g.values()]).all():
        return "carbon was unknown"
    arm = arm_of(before.mode, live.by, switchback=live.switchback)
    return Interval(start, seconds, float(requests.sum()), arm, intended_g, settled_g)


def arm_of(mode: str, by: str, *, switchback: bool) -> Arm | None:
    """Return whose weights an interval measures: the policy's, the baseline's by lot, or none."""
    if mode == "shadow":
        return None
    if by == "baseline":
        return "baseline" if switchback else None
    return "policy" if by == "policy" else None


def _unfit(before: DecisionRecord, record: DecisionRecord, seconds: float, regions: list[str]) -> str:
    """Return why two records do not follow each other; empty where they do."""
    if (before.cells, before.regions) != (record.cells, record.regions):
        return "the scenario changed"
    if before.mode != record.mode or not seconds > 0:
        return "the controller was started again"
    if record.monotonic_s - before.monotonic_s > _MOST_GAP * seconds + 1.0:
        return "decisions between are missing"
    return "" if before.regions == regions else "the scenario of the final carbon has other regions"


class SavingsAccount:
    """Sums of intervals: emissions, and the measured difference by switchback."""

    def __init__(self) -> None:
        self.requests, self.seconds, self.count = 0.0, 0.0, 0
        self.intended_g: dict[str, float] = {}
        self.settled_g: dict[str, float] = {}
        self._arms: dict[Arm, _Sums] = {"policy": _Sums(), "baseline": _Sums()}

    def add(self, interval: Interval) -> None:
        """Count an interval whose values are all known."""
        self.requests += interval.requests
        self.seconds += interval.seconds
        self.count += 1
        for sums, grams in ((self.intended_g, interval.intended_g), (self.settled_g, interval.settled_g)):
            for name, value in grams.items():
                sums[name] = sums.get(name, 0.0) + value
        if interval.requests > 0 and interval.arm is not None:
            grams = interval.settled_g or interval.intended_g
            self._arms[interval.arm].add(grams[POLICY], interval.requests)

    def difference(self) -> Difference | None:
        """Return the measured difference, where both kinds of intervals were drawn at least twice."""
        policy, base = self._arms["policy"], self._arms["baseline"]
        if min(policy.count, base.count) < 2 or base.g == 0:
            return None
        # By the delta method, the variance of 1 − p/b is (Var p + (p/b)² Var b) / b².
        share = policy.ratio / base.ratio
        variance = (policy.variance + share**2 * base.variance) / base.ratio**2
        # t of the smaller arm: the half-width of a mean of n values with deviation √(n·variance).
        few = min(policy.count, base.count)
        half = float(t_half_width(np.sqrt(variance * few), few))
        return Difference(policy.ratio, base.ratio, 100 * (1 - share), 100 * half, (policy.count, base.count))


@dataclass
class _Sums:
    """Sums over the intervals of one kind, however many: g grams and n requests in each."""

    count: int = 0
    g: float = 0.0
    n: float = 0.0
    gg: float = 0.0
    gn: float = 0.0
    nn: float = 0.0

    def add(self, g: float, n: float) -> None:
        self.count += 1
        self.g, self.n = self.g + g, self.n + n
        self.gg, self.gn, self.nn = self.gg + g * g, self.gn + g * n, self.nn + n * n

    @property
    def ratio(self) -> float:
        """Grams per request: r = Σg / Σn."""
        return self.g / self.n

    @property
    def variance(self) -> float:
        """Of the ratio estimator: Σ(g − r·n)² / (Σn)² · k/(k − 1) over k intervals."""
        squares = self.gg - 2 * self.ratio * self.gn + self.ratio**2 * self.nn
        return max(squares, 0.0) / self.n**2 * self.count / (self.count - 1)
