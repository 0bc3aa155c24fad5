"""Confidence intervals of a run's figures: one row per interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from carbonroute.metrics import slo
from carbonroute.metrics.averages import counted, queued
from carbonroute.metrics.long import DIFFERENCE, KEY
from carbonroute.metrics.queueing import UNLIMITED_WORST_PCT
from carbonroute.outcome import Outcome, Paired
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
VIOLATIONS = slo.OVERALL
CLOPPER_PEARSON, RULE_OF_THREE = "clopper-pearson", "rule of three"
#: Where it counts hours: requests of an hour may all be late together.
BY_THE_HOUR = f"{RULE_OF_THREE} by the hour"

#: Shares in percent; those of the requests that a region serves are 0…1.
_SHARES_PCT = (
    VIOLATIONS,
    "rejected_pct",
    "unlimited_slo_violation_pct",
    slo.WORST_PCT,
    UNLIMITED_WORST_PCT,
    "ttft_violation_pct",
    "tpot_violation_pct",
)
_OF_REGION = "share_"
#: Differences of shares in percent.
_DIFFERENCES_PCT = (VIOLATIONS + DIFFERENCE, slo.WORST_PCT + DIFFERENCE)
#: Figures that may be negative.
_SIGNED = ("reduction_pct", DIFFERENCE)


def within_a_run(workloads: Sequence[str], outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the intervals from a single run: of violation shares, and of differences from the baseline.

    Empty where requests are expected values, which have no sampling error; and where they queue, as waiting
    requests are not independent.
    """
    if not all(counted(outcome) for outcome in outcomes) or queued(outcomes):
        return pl.DataFrame(schema=SCHEMA)
    differences = [
        row for outcome in outcomes if outcome.paired for row in _paired(outcome.policy, outcome.paired)
    ]
    return pl.concat([violations(workloads, outcomes), pl.DataFrame(differences, SCHEMA, orient="row")])


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
    if figure in _DIFFERENCES_PCT:
        half_width = np.where(std > 0, half_width, np.nan)
    return np.clip(mean - half_width, least, most), np.clip(mean + half_width, least, most)


def over_replications(
    dependence: Dependence,
    outcomes: Sequence[Outcome],
    baseline: str,
    figures: pl.DataFrame,
    replications: pl.DataFrame,
) -> pl.DataFrame:
    """Return the intervals of all figures, from their spread between replications.

    A share that is 0 in all replications, or 1, does not differ between them: then independent trials are
    counted, see `Dependence`. Where requests queue, their number is unknown, and it has no interval.

    `figures` are those of all replications together, `replications` those of each, concatenated. Outcomes are
    merged; `baseline` is the label of the policy that differences are from.
    """
    spread = replications.group_by(KEY).agg(pl.col("value").std().alias("std"), pl.len().alias("n"))
    table = figures.join(spread, on=KEY, nulls_equal=True, maintain_order="left")
    names, value, std, n = (table[name].to_numpy() for name in ("figure", "value", "std", "n"))
    low, high = np.full((2, table.height), np.nan)
    for figure in dict.fromkeys(names):
        rows = names == figure
        low[rows], high[rows] = ends(figure, value[rows], std[rows], n[rows])
    independent = {} if queued(outcomes) else {outcome.policy: outcome for outcome in outcomes}
    rows = [
        _row(row, interval, dependence, independent.get(row["policy"]), baseline)
        for row, *interval in zip(table.rows(named=True), low.tolist(), high.tolist(), strict=True)
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _row(
    row: Mapping[str, Any],
    interval: Sequence[float],
    dependence: Dependence,
    outcome: Outcome | None,
    baseline: str,
) -> tuple[Any, ...]:
    """Return a figure with its interval, by counted trials where replications do not differ."""
    policy, workload, figure, value, n = (row[name] for name in (*KEY, "value", "n"))
    low, high = _known(*interval)
    whole = _whole(figure)
    method = f"{'t' if whole is None else 'Korn-Graubard'} over {n} replications"
    if low is None and n > 1 and outcome:
        method, n = dependence.trials(outcome, figure, workload, n)
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
class Dependence:
    """How the requests of a run depend on each other, and how many independent trials they are.

    Where a policy's decisions are the same in all replications (it reads no carbon, or carbon of which
    nothing is drawn), every request is a trial. Otherwise all requests of an hour may move together, and
    hours are the trials: as many as carbon persists for are one, and all weigh as much as the heaviest.

    Attributes
    ----------
    workloads
        Ids, in the order of the axis W.
    persistence_hours
        By policy, see `Signal.persistence_hours`; 0 where decisions are the same in all replications.
    expected
        Gives the expected requests by hour × origin × workload, shape (H, O, W).
    violation_share
        Gives P(latency > SLO), shape (O, W, R).
    """

    workloads: Sequence[str]
    persistence_hours: Mapping[str, float]
    expected: Callable[[], Array]
    violation_share: Callable[[], Array]

    def trials(
        self, outcome: Outcome, figure: str, workload: str | None, replications: int
    ) -> tuple[str, int]:
        """Return the method that counts a policy's independent trials, and their number."""
        which = slice(None) if workload is None else [self.workloads.index(workload)]
        requests = int(outcome.requests[:, which].sum())
        # Wherever requests go, no more are late than in the worst region.
        worst = self.violation_share()[:, which].max()
        harmless = figure == VIOLATIONS and worst <= rule_of_three(requests)
        persistence_hours = self.persistence_hours[outcome.policy]
        if not persistence_hours or harmless:
            return RULE_OF_THREE, requests
        by_hour = self.expected()[:, :, which].sum(axis=(1, 2))
        hours = max(1.0, float(by_hour.sum() / by_hour.max()) / persistence_hours)
        return BY_THE_HOUR, min(round(replications * hours), requests)


def violations(workloads: Sequence[str], outcomes: Sequence[Outcome]) -> pl.DataFrame:
    """Return the intervals of violation shares of counted requests, per policy and per workload.

    Clopper–Pearson; where no request was late, or every one, the interval is
    one-sided: the rule of three. None where requests queue, and are not independent.
    """
    if queued(outcomes):
        return pl.DataFrame(schema=SCHEMA)
    late = np.stack([outcome.violations.sum(axis=(0, 2)) for outcome in outcomes])
    of = np.stack([outcome.requests.sum(axis=(0, 2)) for outcome in outcomes])
    k, n = (np.column_stack([counts.sum(axis=1), counts]) for counts in (late, of))
    low, high = clopper_pearson(k, n)
    none, all_of_them, margin = k == 0, k == n, rule_of_three(n)
    low = np.where(none, 0, np.where(all_of_them, 1 - margin, low))
    high = np.where(none, margin, np.where(all_of_them, 1, high))
    # Arrays go in as lists: at an array, polars imports all of `numpy.ma`.
    table = pl.DataFrame(
        {
            "policy": [outcome.policy for outcome in outcomes for _ in range(1 + len(workloads))],
            "workload": [None, *workloads] * len(outcomes),
            "figure": VIOLATIONS,
            "value": (100 * k.ravel() / np.maximum(n.ravel(), 1)).tolist(),
            "low": (100 * low.ravel()).tolist(),
            "high": (100 * high.ravel()).tolist(),
            "method": np.where((none | all_of_them).ravel(), RULE_OF_THREE, CLOPPER_PEARSON).tolist(),
            "n": n.ravel().tolist(),
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
    late, late_baseline = paired.late_here, paired.late_there
    latency_ms, carbon = paired.latency_ms, paired.carbon_g_per_kwh
    shares = (late - late_baseline) / n, *paired_share_interval(late, late_baseline, n)
    differences = {
        "avg_latency_ms": (latency_ms / n, *mean_interval(latency_ms, paired.latency_square_ms2, n)),
        VIOLATIONS: tuple(map(pct, shares)),
        "avg_carbon_g_per_kwh": (carbon / n, *mean_interval(carbon, paired.carbon_square, n)),
    }
    for figure, (value, *ends_of_it) in differences.items():
        yield policy, None, figure + DIFFERENCE, value, *_known(*ends_of_it), method, n, CONFIDENCE


def _known(low: float, high: float) -> tuple[float | None, float | None]:
    """Return the ends of an interval, None where there is none: a table has no NaN."""
    return (None, None) if math.isnan(low) else (low, high)


def _whole(figure: str) -> float | None:
    """Return the value of a share of 1 in the figure's unit; None where it is no share."""
    if figure in _SHARES_PCT:
        return pct(1)
    return 1.0 if figure.startswith(_OF_REGION) else None


def upper_bound(high: float) -> str:
    """Return an upper bound with two significant digits, and never as a power of ten.

    >>> upper_bound(0.00893), upper_bound(97.6), upper_bound(100.0)
    ('0.0089', '98', '100')
    """
    return f"{high:.2g}" if high < 99 else f"{high:.0f}"


def _range(figure: str) -> Interval:
    """Return the least and the greatest possible value of a figure that is no share."""
    if figure in _DIFFERENCES_PCT:
        return -pct(1), pct(1)
    if figure == "extra_vs_fresh_pct":
        return -pct(1), math.inf
    least = -math.inf if figure.endswith(_SIGNED) else 0.0
    return least, pct(1) if figure.endswith("reduction_pct") else math.inf
