"""The answer to "is it worth it": mass a year, time for users, late workloads, a fixed choice, certainty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best, runnable
from carbonroute.metrics.long import KEY
from carbonroute.metrics.masses import mass_in_words
from carbonroute.metrics.measure import GRAMS, Measure, effect, measure_of, saves, stated
from carbonroute.metrics.saving import FIXED, HOURLY
from carbonroute.metrics.workloads import medians_ms
from carbonroute.outcome import Outcome
from carbonroute.units import G_PER_KG, HOURS_PER_DAY, HOURS_PER_YEAR, MS_PER, years

#: A saving below this share, %, is hardly worth moving traffic for.
LEAST_PCT = 1.0
#: Workloads that are named with their violations: the worst ones, of those that are not 0.00 % as printed.
_NAMED, _SHOWN_PCT = 3, 0.005

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Figures behind the answer.

    Attributes
    ----------
    policies, workloads, saving, intervals
        Tables of the run; see `carbonroute.metrics.Tables`.
    baseline
        The policy that the saving refers to: where requests queue, Latency-First on the same capacity.
    outcomes
        Outcome of each policy, by label.
    hours
        Simulated hours, of all replications together.
    """

    policies: pl.DataFrame
    workloads: pl.DataFrame
    saving: pl.DataFrame
    intervals: pl.DataFrame
    baseline: Outcome
    outcomes: Mapping[str, Outcome]
    hours: float
    horizon_h: int

    @property
    def measure(self) -> Measure:
        """Grams where energies are stated, else intensity."""
        return measure_of(self.policies)

    @property
    def reduction(self) -> str:
        """Column of the reduction that the run states: by routing alone."""
        return stated(self.policies).column


def recommended(evidence: Evidence) -> dict[str, Any] | None:
    """Return the row of the best policy that a router can run within the limit; None where none is viable."""
    return best(runnable(evidence.policies.filter("viable")), evidence.reduction)


def worth(evidence: Evidence, most: Row | None) -> Iterator[str]:
    """Yield what the recommended policy is worth; nothing where none is viable (None)."""
    if most is None:
        return
    if not saves(most[evidence.reduction]):
        yield "Routing by carbon is not worth it here."
        return
    yield f"{_saved(evidence, most)}, {_time(evidence, most)}."
    if most[evidence.reduction] < LEAST_PCT:
        yield f"Less than {LEAST_PCT:g} % is hardly worth it."
    yield _late(evidence, most)
    yield from _fixed_choice(evidence, most)
    yield from _sure(evidence, most)


def _saved(evidence: Evidence, most: Row) -> str:
    """Say how much is saved in a year; without energies, by how much the mean intensity is lower."""
    measure, reduction = evidence.measure, f"{most[evidence.reduction]:.1f} %"
    amount, reference = most[measure.amount], measure.of(evidence.baseline) or 0.0
    policy, baseline = most["policy"], evidence.baseline.policy
    if measure is not GRAMS:
        lower, higher = _apart(amount, reference)
        instead = f"instead of the {higher} of {baseline} ({reduction} less)"
        return f"With {policy}, requests meet {lower} {measure.unit} {instead}"
    served = (most["requests"] - (most["rejected"] or 0)) / years(evidence.hours)
    saved, whole = (mass_in_words(g * served / G_PER_KG) for g in (reference - amount, reference))
    of_all = f"{saved} of the {whole} CO₂e of {baseline} ({reduction})"
    return f"In a year {_like(evidence.horizon_h)}, {policy} saves {of_all}"


def _apart(amount: float, reference: float) -> tuple[str, str]:
    """Return two figures with a decimal, or with as many as tell them apart.

    >>> _apart(50.0, 300.04), _apart(1.36, 1.44)
    (('50.0', '300.0'), ('1.36', '1.44'))
    """
    texts = ((f"{amount:.{digits}f}", f"{reference:.{digits}f}") for digits in range(1, 12))
    return next((pair for pair in texts if pair[0] != pair[1]), (f"{amount:.1f}", f"{reference:.1f}"))


def _like(horizon_h: int) -> str:
    """Say what a year of the headline is made of: a year of traffic, or the simulated hours again and again.

    >>> _like(8784), _like(168), _like(36), _like(1)
    ('of this traffic', 'like these 7 days', 'like these 36 hours', 'like this hour')
    """
    if horizon_h >= HOURS_PER_YEAR:
        return "of this traffic"
    days, rest = divmod(horizon_h, HOURS_PER_DAY)
    number, unit = (days, "day") if days and not rest else (horizon_h, "hour")
    return f"like this {unit}" if number == 1 else f"like these {number:,} {unit}s"


def _time(evidence: Evidence, most: Row) -> str:
    """Say how much longer the median request takes, of the workload that is delayed most.

    Where the limit is one for all requests, it is the median of all.
    """
    both = evidence.outcomes[most["policy"]], evidence.baseline
    medians = zip(*medians_ms(both, by_workload=slo.per_workload(evidence.policies)), strict=True)
    longer_ms = [after - before for after, before in medians if math.isfinite(after - before)]
    return f"and the median request is {slower(longer_ms)}"


def slower(longer_ms: Sequence[float]) -> str:
    """Return in words how much longer a request takes, at most, in some workloads.

    >>> slower([30.0]), slower([30.0, 12.0]), slower([0.01, -3.0]), slower([-3.0, -16024.6])
    ('30.0 ms slower', 'up to 30.0 ms slower', 'as fast', 'at least 3.0 ms faster')
    >>> slower([-16024.6])
    '16.0 s faster'
    """
    most = max(longer_ms, default=0.0)
    if f"{abs(most):.1f}" == "0.0":
        return "as fast"
    several = len({f"{each:.1f}" for each in longer_ms}) > 1
    if most > 0:
        return f"{'up to ' * several}{_time_in_words(most)} slower"
    return f"{'at least ' * several}{_time_in_words(-most)} faster"


def _time_in_words(ms: float) -> str:
    """Return a time in the unit that fits."""
    return f"{ms:.1f} ms" if ms < MS_PER["s"] else f"{ms / MS_PER['s']:,.1f} s"


def _late(evidence: Evidence, most: Row) -> str:
    """Say which workloads are late how often, the worst ones first, beside the limit.

    A limit on all requests stands beside the share of all that are late.
    """
    workloads, limit_pct = evidence.workloads.rows(named=True), most["max_violation_pct"]
    known = [row for row in workloads if row["policy"] == most["policy"] and row[slo.OVERALL] is not None]
    worst_first = sorted(known, key=itemgetter(slo.OVERALL), reverse=True)
    named = [row for row in worst_first if row[slo.OVERALL] >= _SHOWN_PCT][:_NAMED]
    limit = f"limit {limit_pct:.6g} %"
    if not named and evidence.intervals.height and not any(row[slo.OVERALL] for row in known):
        return f"No simulated request is late ({limit})."
    each = slo.per_workload(evidence.policies) or len(known) == 1
    if not named:
        if each and limit_pct < 2 * _SHOWN_PCT:
            return f"No workload is late more often than its limit allows ({limit_pct:.6g} %)."
        return f"Less than 0.01 % of any workload is late ({limit})."
    shares = [f"{slo.beside(limit_pct, row[slo.OVERALL])} % of {row['name']}" for row in named]
    if more := len(known) - len(shares):
        shares.append(f"less of {'the other' if more == 1 else f'{more} more'} workload{'s' * (more > 1)}")
    listed = " and ".join(filter(None, [", ".join(shares[:-1]), shares[-1]]))
    if each:
        return f"Late are {listed} ({limit})."
    return f"Late are {slo.beside(limit_pct, most[slo.OVERALL])} % of all requests ({limit}): {listed}."


def _fixed_choice(evidence: Evidence, most: Row) -> Iterator[str]:
    """Say whether routing by the hour beats a fixed choice, where both are known in grams."""
    steps = {row["step"]: row for row in evidence.saving.rows(named=True)}
    fixed = steps.get(FIXED)
    if fixed is None or fixed["saved_pct"] is None or evidence.measure is not GRAMS:
        return
    limited, limit_pct = slo.limited(evidence.policies), most["max_violation_pct"]
    choice = f"fixed choice ({fixed['policy']})"
    if round(fixed["saved_pct"], 1) < 0:
        yield f"A {choice} {effect(GRAMS, fixed['saved_pct'])}."
        return
    if not slo.keeps(fixed[limited], limit_pct):
        whose = f"of {fixed[slo.WORST]} " * (limited == slo.WORST_PCT)
        late = f"{slo.beside(limit_pct, fixed[limited])} % {whose}would be late"
        yield f"A {choice} would save {fixed['saved_pct']:.1f} %, but {late}."
        return
    more = round(most[evidence.reduction], 1) - round(fixed["saved_pct"], 1)
    if more <= 0:
        yield f"Routing by the hour adds nothing: the {choice} earns it all ({fixed['saved_pct']:.1f} %)."
        return
    cause, rest = f"Routing by the hour with {most['policy']} adds", ""
    if _switches(evidence.outcomes[most["policy"]], evidence.baseline):
        cause, rest = "Switching servers off and placing them adds", _by_hourly_routing(steps, limited, most)
    yield f"{cause} {more:.1f} points to the {fixed['saved_pct']:.1f} % of the {choice}{rest}."


def _switches(outcome: Outcome, baseline: Outcome) -> bool:
    """Whether a policy has other servers switched on than the baseline."""
    if outcome.queueing is None or baseline.queueing is None:
        return False
    return not np.allclose(outcome.queueing.servers, baseline.queueing.servers, equal_nan=True)


def _by_hourly_routing(steps: Mapping[str, Row], limited: str, most: Row) -> str:
    """Say what routing by the hour adds to the fixed choice on the servers as they are, within the limit."""
    hourly = steps.get(HOURLY)
    if hourly is None or hourly["saved_pct"] is None:
        return ""
    if not slo.keeps(hourly[limited], most["max_violation_pct"]):
        return ", which has all of them on"
    more = max(round(hourly["saved_pct"], 1) - round(steps[FIXED]["saved_pct"], 1), 0.0)
    return f", which has all of them on; routing by the hour alone ({hourly['policy']}) adds {more:.1f}"


def doubts(evidence: Evidence, most: Row | None) -> Iterator[str]:
    """Yield how unsure it is that nothing is worth it: what simulated requests do not rule out.

    `most`: the recommended policy, if any.
    """
    if most is not None and saves(most[evidence.reduction]):
        return
    candidates, late = runnable(evidence.policies), slo.limited(evidence.policies)
    over = candidates.filter(~pl.col("viable")).sort(late, maintain_order=True).rows(named=True)
    if row := next((one for one in over if _may_keep(evidence, one)), None):
        what = f"{row['policy']} saves {row[evidence.reduction]:.1f} %, and whether it breaks the limit"
        yield f"{_after(row)} this is not sure: {what} is not beyond doubt."
        return
    ends = evidence.intervals.filter(pl.col("workload").is_null(), figure=evidence.reduction)
    kept = candidates.filter("viable").join(ends.select("policy", "high").drop_nulls(), on="policy")
    row = next(iter(kept.sort("high", descending=True, maintain_order=True).rows(named=True)), None)
    if row is not None and row["high"] > LEAST_PCT:
        what = f"{row['policy']} may save up to {row['high']:.1f} % at 95 % confidence"
        yield f"{_after(row)} this is not sure: {what}."


def _may_keep(evidence: Evidence, policy: Row) -> bool:
    """Whether a policy that saves may be within the limit after all."""
    return saves(policy[evidence.reduction]) and slo.beyond_doubt(policy, evidence.intervals) is False


def _after(policy: Row) -> str:
    count = policy["requests"]
    return f"After {count:,} simulated request{'s' * (count != 1)},"


def _sure(evidence: Evidence, most: Row) -> Iterator[str]:
    """Say how sure saving and verdict are, where requests are sampled."""
    of_saving = (most["policy"], None, evidence.reduction)
    for row in evidence.intervals.rows(named=True):
        if tuple(row[name] for name in KEY) == of_saving and row["low"] is not None:
            ends = f"{row['low']:z.1f} to {row['high']:z.1f} %"
            yield f"The saving of {most['policy']} is {ends} at 95 % confidence."
    if slo.beyond_doubt(most, evidence.intervals) is False:
        yield f"Whether {most['policy']} stays within the limit is not beyond doubt."
