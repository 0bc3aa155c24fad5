"""The limit on SLO violations: a policy's worst workload, the limited figure, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import polars as pl

from carbonroute.metrics.averages import share_pct
from carbonroute.outcome import Outcome

#: Columns: name of the workload of most violations, its violations in %, and what the limit holds for.
WORST, WORST_PCT, PER = "worst_workload", "worst_violations_pct", "limit_per"
#: 95th percentile of that workload's latency: over milliseconds and seconds together, one means nothing.
WORST_P95 = "worst_p95_latency_ms"
OVERALL = "slo_violation_pct"
#: What a limit holds for, by the value of its column, to follow "violations" in a sentence.
SCOPE = MappingProxyType({"workload": " in every workload", "all": ""})
#: How far rounding may carry a figure over its limit, as a share of the limit (or of 1 ms, or 1 %).
TOLERANCE = 1e-9

Row = Mapping[str, Any]


def worst(workloads: Sequence[str], outcome: Outcome) -> tuple[str | None, float | None]:
    """Return the name of the workload of most violations, the first on ties, and its violations, %.

    `workloads` are the names along the axis W. None of both where there were no requests.
    """
    name, most = None, None
    for index, workload in enumerate(workloads):
        late = share_pct(outcome.violations[:, index], outcome.requests[:, index])
        if late is not None and (most is None or late > most):
            name, most = workload, late
    return name, most


def limited(policies: pl.DataFrame) -> str:
    """Return the column that the limit is on: violations of the worst workload, or of all requests."""
    return WORST_PCT if per_workload(policies) else OVERALL


def per_workload(policies: pl.DataFrame) -> bool:
    """Whether the limit holds for every workload by itself; not in tables that do not know workloads."""
    return PER in policies.columns and policies.height > 0 and policies[PER][0] == "workload"


def scope(policies: pl.DataFrame) -> str:
    """Return what the limit of a table holds for, to follow "violations" in a sentence."""
    return SCOPE["workload" if per_workload(policies) else "all"]


def allowed(limit: float) -> float:
    """Return a limit with room for rounding."""
    return limit + TOLERANCE * max(limit, 1.0)


def keeps(value: float | None, limit: float) -> bool:
    """Whether a figure is at most its limit, rounding aside; a figure that is not known is not."""
    return value is not None and value <= allowed(limit)


def viable(policies: pl.DataFrame) -> pl.Expr:
    """Return whether each policy keeps its row's limit, as `keeps` says; null figures do not."""
    figure, limit = pl.col(OVERALL), pl.col("max_violation_pct")
    if PER in policies.columns:
        figure = pl.when(pl.col(PER) == "workload").then(WORST_PCT).otherwise(OVERALL)
    return (figure <= limit + TOLERANCE * pl.max_horizontal(limit, 1.0)).fill_null(value=False)


def within(policies: pl.DataFrame, limit_pct: float) -> pl.DataFrame:
    """Return the policies whose limited figure is at most a limit, %."""
    return policies.filter(pl.col(limited(policies)) <= allowed(limit_pct))


def limit_in_words(policies: pl.DataFrame, limit_pct: float) -> str:
    """Return a limit on violations in words."""
    return f"{limit_pct:.6g} % SLO violations{scope(policies)}"


def beside(limit_pct: float | None, late_pct: float) -> str:
    """Return a share of late requests, %, that reads within a limit where it is, and over it where it is not.

    It has two decimals, or as many as that takes.

    >>> beside(5.0, 4.997), beside(5.0, 5.003), beside(0.001, 0.0023), beside(None, 5.003)
    ('5.00', '5.003', '0.002', '5.00')
    """
    digits, text = 2, f"{late_pct:.2f}"
    while limit_pct is not None and keeps(float(text), limit_pct) != keeps(late_pct, limit_pct):
        digits += 1
        text = f"{late_pct:.{digits}f}"
    return text


def nearest_in_words(policies: pl.DataFrame) -> str:
    """Return in words which policy comes nearest to the limit."""
    row = policies.sort(limited(policies), maintain_order=True, nulls_last=True).row(0, named=True)
    late = f"{beside(row['max_violation_pct'], row[limited(policies)])} %"
    return f"{row['policy']} comes nearest with {late}{f' of {row[WORST]}' * per_workload(policies)}"


def late_in_words(row: Row, limit_pct: float | None = None) -> str:
    """Return a policy's violations in words, those of its worst workload beside them where they differ.

    >>> late_in_words({"slo_violation_pct": 4.94, "worst_workload": "embed", "worst_violations_pct": 6.0})
    'violations 4.94 %, of embed 6.00 %'
    >>> late_in_words({"slo_violation_pct": 5.003}, 5.0)
    'violations 5.003 %'
    """
    late, most = beside(limit_pct, row[OVERALL]), row.get(WORST_PCT)
    if most is None or beside(limit_pct, most) == late:
        return f"violations {late} %"
    return f"violations {late} %, of {row[WORST]} {beside(limit_pct, most)} %"


def verdict(row: Row, *, sure: bool | None = None) -> str:
    """Return whether a policy is viable; the workload that breaks the limit, or is nearest to it.

    `sure`: whether the intervals leave no doubt; None without intervals.
    """
    return _verdict(row) + ", but not beyond doubt" * (sure is False)


def _verdict(row: Row) -> str:
    limit, name, most = row["max_violation_pct"], row.get(WORST), row.get(WORST_PCT)
    overall = row[OVERALL] or 0.0
    told = most is not None and f"{most:.2f}" != f"{overall:.2f}"
    if not row["viable"]:
        each = row.get(PER) == "workload"
        figure = most if each and most is not None else overall
        over, share = f"over {limit:.6g} % violations", beside(limit, figure)
        if each and told:
            return f"{over}: {name} {share} %"
        # Two decimals, as a table has them, may read as the limit itself.
        return over if share == f"{overall:.2f}" else f"{over}: {share} %"
    if told and most is not None and not keeps(most, limit):
        return f"viable over all requests, but {name} {beside(limit, most)} %"
    return f"viable, {name} {most:.2f} %" if told else "viable"


def beyond_doubt(policy: Row, intervals: pl.DataFrame) -> bool | None:
    """Whether all of the intervals of a policy's violations confirm its verdict; None without intervals.

    `intervals` is that of a run's `Tables`. A policy is within a limit of each workload if the intervals of
    all workloads are, and over it if one workload's interval is.
    """
    each = policy.get(PER) == "workload"
    ends = [
        (row["low"], row["high"])
        for row in intervals.rows(named=True)
        if (row["policy"], row["figure"]) == (policy["policy"], OVERALL)
        and (row["workload"] is not None) == each
        and None not in (row["low"], row["high"])
    ]
    if not ends:
        return None
    limit = allowed(policy["max_violation_pct"])
    return all(high <= limit for _, high in ends) if policy["viable"] else any(low > limit for low, _ in ends)
