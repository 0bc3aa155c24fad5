"""Means, shares, totals and P95s of outcomes, over counted or expected requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from carbonroute.outcome import Counts, Outcome, Sums
from carbonroute.outcome.mixture import quantiles
from carbonroute.units import G_PER_KG, pct
from carbonroute.workloads.energy import Emissions


def number(requests: Counts) -> int | float:
    """Return the number of requests: a whole number where they were counted."""
    total: int | float = requests.sum().item()
    return total


def counted(outcome: Outcome) -> bool:
    """Whether an outcome's requests were counted; otherwise they are expected values."""
    return outcome.requests.dtype.kind in "iu"


def queued(outcomes: Iterable[Outcome]) -> bool:
    """Whether requests had to queue for servers in any of some outcomes."""
    return any(outcome.queueing is not None for outcome in outcomes)


def mean(sums: Sums | Counts, requests: Counts) -> float | None:
    """Return a sum per request; None where there are none."""
    count = number(requests)
    return float(sums.sum()) / count if count else None


def share_pct(part: Counts, whole: Counts) -> float | None:
    """Return how many of some requests are in a part of them, in percent; None where there are none."""
    share = mean(part, whole)
    return None if share is None else pct(share)


def p95_ms(outcomes: Sequence[Outcome], workloads: Sequence[int | None]) -> list[float | None]:
    """Return the P95 latency of a workload under each policy, ms; None where none of it was served.

    `workloads`: the workload for each outcome; None for all requests.
    """
    values = quantiles([outcome.latency for outcome in outcomes], 0.95, workloads)
    of = [slice(None) if workload is None else workload for workload in workloads]
    return [
        value if outcome.served[:, some].any() else None
        for value, outcome, some in zip(values, outcomes, of, strict=True)
    ]


def total_kg(emissions: Emissions) -> float:
    """Return the emissions of all requests, kg CO2e."""
    return float(emissions.total_g.sum()) / G_PER_KG


def labelled(outcome: Outcome, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Return columns as a table, behind the policy's label and its clairvoyance."""
    label = pl.lit(outcome.policy).alias("policy"), pl.lit(outcome.clairvoyant).alias("clairvoyant")
    return pl.DataFrame(columns).select(*label, pl.all())
