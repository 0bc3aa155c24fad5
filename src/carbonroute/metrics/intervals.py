"""How sure each figure is: one row per interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from carbonroute.arrays import Array
from carbonroute.intervals import (
    CONFIDENCE,
    Interval,
    clopper_pearson,
    mean_interval,
    paired_share_interval,
    rule_of_three,
    share_interval,
    t_half_width,
)
from carbonroute.metrics.averages import counted, queued
from carbonroute.metrics.long import DIFFERENCE, KEY
from carbonroute.outcome import Outcome, Paired
from carbonroute.scenario import Inputs
from carbonroute.units import pct

SCHEMA = {
    "policy": pl.String,
    "workload": pl.String,
    "figure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "n": pl.Int64,
    "confidence": pl.Float64,
}
VIOLATIONS = "slo_violation_pct"
CLOPPER_PEARSON, RULE_OF_THREE = "clopper-pearson", "rule of three"
#: Where it counts hours: requests of an hour may all be late together.
BY_THE_HOUR = f"{RULE_OF_THREE} by the hour"

#: Shares in percent; those of the requests that a region serves are 0…1.
_SHARES_PCT = (VIOLATIONS, "rejected_pct", "unlimited_slo_violation_pct")
_OF_REGION = "share_"
#: Figures that may be negative.
_SIGNED = ("reduction_pct", DIFFERENCE)


def within_a_run(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return what one run tells of its own luck: violation shares, and differences from the baseline.

    Nothing where requests are expected ones: no luck is in them. Nor where they queue: one that waits makes
    others wait, and so they say less than as many independent ones.
    """
    if not all(counted(outcome) for outcome in outcomes) or queued(outcomes):
        return pl.DataFrame(schema=SCHEMA)
    differences = [
        row for outcome in outcomes if outcome.paired for row in _paired(outcome.policy, outcome.paired)
    ]
    return pl.concat([violations(inputs, outcomes), pl.DataFrame(differences, SCHEMA, orient="row")])


def ends(figure: str, mean: Array, std: Array, n: Array) -> tuple[Array, Array]:
    """Return the 95 % intervals of a figure from independent values, such as those of several seeds.

    Parameters
    ----------
    figure
        Its name: a column of the policy table, ``share_<region>``, or the name of a difference.
    mean, std, n
        The figure, its values' standard deviation (n − 1 in the denominator) and their number; shape (m,).

    Returns
    -------
    Lower and upper ends in the figure's unit, no further out than it can be, shape (m,). NaN for fewer than
    two values, and where a share is 0 in all of them, or 1, or differs in none from another share.
    """
    if whole := _whole(figure):
        low, high = share_interval(mean / whole, std / whole, n)
        return whole * low, whole * high
    least, most = _range(figure)
    half_width = t_half_width(std, n)
    if figure == VIOLATIONS + DIFFERENCE:
        half_width = np.where(std > 0, half_width, np.nan)
    return np.clip(mean - half_width, least, most), np.clip(mean + half_width, least, most)


def over_replications(
    inputs: Inputs,
    outcomes: Sequence[Outcome],
    baseline: str,
    figures: pl.DataFrame,
    replications: pl.DataFrame,
) -> pl.DataFrame:
    """Return the intervals of all figures, from how much they differ between replications.

    A share that is 0 in all replications, or 1, does not differ between them: then independent trials are
    counted, see `_Trials`. Where requests queue, nobody knows how many there are, and it has no interval.

    Parameters
    ----------
    inputs, outcomes
        The scenario, and the outcomes of all replications, merged.
    baseline
        Label of what differences are from.
    figures
        The figures of all replications together.
    replications
        Those of each, one below the other.
    """
    spread = replications.group_by(KEY).agg(pl.col("value").std().alias("std"), pl.len().alias("n"))
    table = figures.join(spread, on=KEY, nulls_equal=True, maintain_order="left")
    names, value, std, n = (table[name].to_numpy() for name in ("figure", "value", "std", "n"))
    low, high = np.full((2, table.height), np.nan)
    for figure in dict.fromkeys(names):
        rows = names == figure
        low[rows], high[rows] = ends(figure, value[rows], std[rows], n[rows])
    trials = {} if queued(outcomes) else dict(_trials(inputs, outcomes))
    rows = [
        _row(row, interval, trials.get(row["policy"]), baseline)
        for row, *interval in zip(table.rows(named=True), low.tolist(), high.tolist(), strict=True)
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _row(
    row: Mapping[str, Any], interval: Sequence[float], trials: _Trials | None, baseline: str
) -> tuple[Any, ...]:
    """Return a figure with its interval, by trials that are counted where replications do not differ."""
    policy, workload, figure, value, n = (row[name] for name in (*KEY, "value", "n"))
    low, high = (None if math.isnan(end) else end for end in interval)
    whole = _whole(figure)
    method = f"{'t' if whole is None else 'Korn-Graubard'} over {n} replications"
    if low is None and n > 1 and trials:
        method, n = trials.of(figure, workload, n)
        low, high = _counted(value, whole, n)
    if figure.endswith(DIFFERENCE):
        method = f"paired with {baseline}, {method}"
    return policy, workload, figure, value, low, high, method, n, CONFIDENCE


def _counted(value: float, whole: float | None, n: int) -> Interval:
    """Return the interval of a share that is 0 in n trials, or the whole; or of a difference of shares."""
    if whole is None:
        more, fewer = (max(sign * value, 0.0) / pct(1) * n for sign in (1, -1))
        low, high = paired_share_interval(more, fewer, n)
        return pct(low), pct(high)
    margin = whole * float(rule_of_three(n))
    return (0.0, margin) if value == 0 else (whole - margin, whole)


@dataclass(frozen=True)
class _Trials:
    """How many independent trials a policy's requests were, in all replications together.

    Requests themselves, if its decisions are the same in all of them: it reads no carbon, or carbon of which
    nothing is drawn. Otherwise all requests of an hour may go elsewhere together, and hours are counted: as
    many as carbon persists for are one, and those of more traffic than others have count for the heaviest.

    Attributes
    ----------
    inputs, outcome
        The scenario, and what became of the policy's requests.
    persistence_hours
        See `Signal.persistence_hours`; 0 where the policy's decisions are the same in all replications.
    expected
        Gives the requests that are expected by hour × origin × workload, shape (H, O, W).
    """

    inputs: Inputs
    outcome: Outcome
    persistence_hours: float
    expected: Callable[[], Array]

    def of(self, figure: str, workload: str | None, replications: int) -> tuple[str, int]:
        """Return what is counted, as an interval's method, and how many there are."""
        ids = [one.id for one in self.inputs.scenario.workloads]
        which = slice(None) if workload is None else [ids.index(workload)]
        requests = int(self.outcome.requests[:, which].sum())
        # Wherever they go, no more are late than in the worst region.
        worst = self.inputs.site.latency.violation_share[:, which].max()
        harmless = figure == VIOLATIONS and worst <= rule_of_three(requests)
        if not self.persistence_hours or harmless:
            return RULE_OF_THREE, requests
        by_hour = self.expected()[:, :, which].sum(axis=(1, 2))
        hours = max(1.0, float(by_hour.sum() / by_hour.max()) / self.persistence_hours)
        return BY_THE_HOUR, min(round(replications * hours), requests)


def _trials(inputs: Inputs, outcomes: Sequence[Outcome]) -> Iterator[tuple[str, _Trials]]:
    expected = cache(inputs.arrivals.expected)  # those of a log are read
    for candidate, outcome in zip(inputs.candidates, outcomes, strict=True):
        drawn = inputs.carbon.persistence_hours if candidate.reads("carbon_g_per_kwh") else 0.0
        yield candidate.label, _Trials(inputs, outcome, drawn, expected)


def violations(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the intervals of violation shares of counted requests, per policy and per workload.

    Clopper–Pearson; where no request was late, or every one, there is one side to err on, and it gets all of
    what is left to chance: the rule of three. None where requests queue, and are not independent.
    """
    if queued(outcomes):
        return pl.DataFrame(schema=SCHEMA)
    workloads = [workload.id for workload in inputs.scenario.workloads]
    late = np.stack([outcome.violations.sum(axis=(0, 2)) for outcome in outcomes])
    of = np.stack([outcome.requests.sum(axis=(0, 2)) for outcome in outcomes])
    k, n = (np.column_stack([counts.sum(axis=1), counts]) for counts in (late, of))
    low, high = clopper_pearson(k, n)
    none, all_of_them, margin = k == 0, k == n, rule_of_three(n)
    low = np.where(none, 0, np.where(all_of_them, 1 - margin, low))
    high = np.where(none, margin, np.where(all_of_them, 1, high))
    table = pl.DataFrame(
        {
            "policy": np.repeat([outcome.policy for outcome in outcomes], 1 + len(workloads)),
            "workload": [None, *workloads] * len(outcomes),
            "figure": VIOLATIONS,
            "value": 100 * k.ravel() / np.maximum(n.ravel(), 1),
            "low": 100 * low.ravel(),
            "high": 100 * high.ravel(),
            "method": np.where((none | all_of_them).ravel(), RULE_OF_THREE, CLOPPER_PEARSON),
            "n": n.ravel(),
            "confidence": CONFIDENCE,
        },
        schema=SCHEMA,
    )
    return table.filter(pl.col("n") > 0)


def _paired(policy: str, paired: Paired) -> Iterator[tuple[object, ...]]:
    """Yield a row for each difference from the baseline on the same requests; none for itself."""
    if policy == paired.policy:
        return
    n, method = paired.requests, f"paired with {paired.policy}"
    here, there = paired.late_here, paired.late_there
    latency_ms, carbon = paired.latency_ms, paired.carbon_g_per_kwh
    shares = (here - there) / n, *paired_share_interval(here, there, n)
    found = {
        "avg_latency_ms": (latency_ms / n, *mean_interval(latency_ms, paired.latency_square_ms2, n)),
        VIOLATIONS: tuple(map(pct, shares)),
        "avg_carbon_g_per_kwh": (carbon / n, *mean_interval(carbon, paired.carbon_square, n)),
    }
    for figure, value_and_ends in found.items():
        yield policy, None, figure + DIFFERENCE, *value_and_ends, method, n, CONFIDENCE


def _whole(figure: str) -> float | None:
    """Return what a figure is a share of, in its unit; None where it is none."""
    if figure in _SHARES_PCT:
        return pct(1)
    return 1.0 if figure.startswith(_OF_REGION) else None


def upper_bound(high: float) -> str:
    """Return an upper bound with two digits that count, and never as a power of ten.

    >>> upper_bound(0.00893), upper_bound(97.6), upper_bound(100.0)
    ('0.0089', '98', '100')
    """
    return f"{high:.2g}" if high < 99 else f"{high:.0f}"


def _range(figure: str) -> Interval:
    """Return between which values a figure that is no share can be."""
    if figure == VIOLATIONS + DIFFERENCE:
        return -pct(1), pct(1)
    if figure == "extra_vs_fresh_pct":
        return -pct(1), math.inf
    least = -math.inf if figure.endswith(_SIGNED) else 0.0
    return least, pct(1) if figure.endswith("reduction_pct") else math.inf
