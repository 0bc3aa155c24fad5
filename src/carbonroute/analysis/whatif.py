"""What-if: a scenario as it is and with changes, on the same seeds, policy by policy and with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carbonroute.analysis.alterations import Alterations, Altered
from carbonroute.control.capacity import Capacity
from carbonroute.files.text import count_of
from carbonroute.intervals import CONFIDENCE
from carbonroute.metrics import intervals, slo, workloads
from carbonroute.metrics.headlines import whatif as headlines
from carbonroute.metrics.headlines.whatif import KG_PER_YEAR, MEDIAN
from carbonroute.metrics.long import DIFFERENCE
from carbonroute.metrics.measure import GRAMS, Measure, measure_of
from carbonroute.runs import default_engine
from carbonroute.runs.replications import Replications, each_alone, seeds, with_seed
from carbonroute.runs.run_plan import RunPlan
from carbonroute.runs.tabulate import dependence
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.scenario.written.load import tables
from carbonroute.units import years

#: Replications of a sampled what-if, by default: enough for intervals.
REPLICATIONS = 5
_SIDES = ("now", "then", "difference")
_LONG = {"policy": pl.String, "workload": pl.String, "figure": pl.String, "value": pl.Float64}
SCHEMA = {
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "recommended": pl.Boolean,
    "figure": pl.String,
    **{f"{side}{end}": pl.Float64 for side in _SIDES for end in ("", "_low", "_high")},
    "now_workload": pl.String,
    "then_workload": pl.String,
    "now_viable": pl.Boolean,
    "then_viable": pl.Boolean,
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WhatIf:
    """A scenario compared with itself under changes.

    Attributes
    ----------
    seeds
        Of the replications; both sides have each of them.
    now, then
        Policy tables of both sides, of all replications together; see `carbonroute.metrics.Tables.policies`.
    rows
        A row per policy and figure, the recommended policy first: ``now``, ``then`` and ``difference``, each
        with the ends of its 95 % interval (null where it has none), and the workload that is late most often.
        Figures are ``emissions_kg_per_year``, or the mean carbon intensity where no energies are stated; its
        reduction against the baseline, %; ``worst_violations_pct``; and ``median_latency_ms``, with the
        workload's id behind it, ``median_latency_ms[chat]``, where each workload has its own limit.
    notes
        Remarks, one line each.
    """

    inputs: Inputs
    altered: Altered
    engine: str
    seeds: tuple[int, ...]
    now: pl.DataFrame
    then: pl.DataFrame
    rows: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def measure(self) -> Measure:
        """Grams where energies are stated, else intensity."""
        return measure_of(self.now)


def run(  # noqa: PLR0913  one argument per option of the command
    source: str | Path,
    alterations: Alterations,
    changes: Mapping[str, object] | None = None,
    *,
    engine: str | None = None,
    workers: int = 1,
    replications: int | None = None,
    max_violation: float | None = None,
    code: bool = True,
    progress: Progress | None = None,
) -> WhatIf:
    """Run a scenario as it is and with all changes at once, in replications with the same seeds.

    Both sides draw the same numbers from each seed: requests, service times, jitter and the carbon noise of
    each region are the same wherever the changes leave them the same, so that what is common cancels in the
    difference.

    Raises InputError if the scenario, its data, the changes or these options cannot be used.

    Parameters
    ----------
    source
        A TOML file, or a built-in scenario's name.
    changes
        Values that hold on both sides, as of `carbonroute.load`.
    engine
        One of `carbonroute.engines.ENGINES`; by default queued where the scenario states pools of servers,
        and sampled elsewhere.
    workers
        Processes: the sampled engine's; of other engines, of now and then and of the replications.
    replications
        How many, `REPLICATIONS` by default; 1 of the exact engine, whose expected values have no intervals.
    max_violation
        Share of SLO violations up to which a policy is viable, 0…1, instead of the scenario's limit.
    progress
        Called with the amount done, and of all.
    """
    scenario = load(source, changes, code=code).within(max_violation)
    engine = engine or default_engine(scenario)
    if replications is None:
        replications = 1 if engine == "exact" else REPLICATIONS
    processes = min(workers, 1) if engine == "exact" else workers  # of the engine itself
    plan = RunPlan.read(engine, processes, replications, None)
    inputs = resolve(scenario)
    altered = alterations.read(inputs)
    asked = altered.changes(tables(source)[0], scenario)
    other = load(source, {**(changes or {}), **asked}, code=code).within(max_violation)
    worlds: list[Inputs] = []  # now and then of each replication
    for seed in islice(seeds(scenario.sampling.seed), plan.most):
        now = resolve(with_seed(scenario, seed)) if worlds else inputs
        worlds += now, _altered(now, resolve(with_seed(other, seed)), altered)
    done = [
        Replications(world, (world.scenario.sampling.seed,), *evaluated)
        for world, evaluated in zip(worlds, each_alone(worlds, plan.engine, workers, progress), strict=True)
    ]
    return _compared(altered, plan, list(zip(done[::2], done[1::2], strict=True)))


def _altered(now: Inputs, then: Inputs, altered: Altered) -> Inputs:
    """Return changed inputs with as many servers as there are now, and with full regions closed to others."""
    capacity = _installed(now.capacity, then.capacity)
    allowed = then.allowed
    if altered.full:
        everywhere = np.ones(then.shape[1:], dtype=bool)
        allowed = altered.allowed(then.rtt_ms, everywhere if allowed is None else allowed)
    return replace(then, capacity=capacity, allowed=allowed)


def _installed(now: Capacity, then: Capacity) -> Capacity:
    """Return the pools of `then` with the servers that they have now: a share of a load is no new server."""
    servers = dict(zip(now.labels, now.servers.tolist(), strict=True))
    own = zip(then.labels, then.servers.tolist(), strict=True)
    return then.with_servers(np.array([servers.get(label, count) for label, count in own], dtype=np.int64))


def _compared(altered: Altered, plan: RunPlan, sides: Sequence[tuple[Replications, Replications]]) -> WhatIf:
    now, then = (reduce(Replications.with_another, runs) for runs in zip(*sides, strict=True))
    before, after = now.policies, then.policies
    measure = measure_of(before)
    each = [[_figures(run, plan.engine, measure) for run in pair] for pair in sides]
    whole = [_figures(run, plan.engine, measure) for run in (now, then)]
    parts = {
        "now": (now, whole[0], [pair[0] for pair in each]),
        "then": (then, whole[1], [pair[1] for pair in each]),
        "difference": (then, _difference(*whole), [_difference(*pair) for pair in each]),
    }
    values = {side: _with_ends(*part) for side, part in parts.items()}
    most = headlines.recommended(before, after)
    names = before["policy"].to_list()
    order = sorted(names, key=lambda name: name != most)
    figures = _names_of(measure, _medians_of(now))
    rows = [_row(name, figure, values, before, after, most) for name in order for figure in figures]
    table = pl.DataFrame(rows, SCHEMA).with_columns(n=pl.lit(len(sides)), confidence=CONFIDENCE)
    notes = tuple(dict.fromkeys([*plan.notes(now, None), *_notes(now, then, altered, len(sides))]))
    return WhatIf(now.inputs, altered, plan.engine, now.seeds, before, after, table, notes)


def _names_of(measure: Measure, medians: Sequence[str]) -> tuple[str, ...]:
    """Return the figures of each policy."""
    amount = KG_PER_YEAR if measure is GRAMS else measure.amount
    return amount, measure.reduction, slo.WORST_PCT, *medians


def _medians_of(run: Replications) -> list[str]:
    """Return the names of the medians: over milliseconds and seconds together, one would mean nothing."""
    scenario = run.inputs.scenario
    if scenario.limit_per != "workload":
        return [MEDIAN]
    return [f"{MEDIAN}[{workload.id}]" for workload in scenario.workloads]


def _figures(run: Replications, engine: str, measure: Measure) -> pl.DataFrame:
    """Return a row per policy and figure; ``workload`` is the id of the worst one where it is of that."""
    hours, rows = run.inputs.scenario.horizon.hours, []
    ids = {workload.name: workload.id for workload in run.inputs.scenario.workloads}
    medians = _medians_of(run)
    table = run.policies.rows(named=True)
    of_each = workloads.medians_ms(run.outcomes, by_workload=medians != [MEDIAN])
    for row, medians_ms, candidate in zip(table, of_each, run.inputs.candidates, strict=True):
        counted = hours - (candidate.control.warmup_hours if engine == "queued" else 0.0)
        yearly_kg = None if row["total_kg"] is None else row["total_kg"] / years(counted)
        values = {
            KG_PER_YEAR: yearly_kg,
            **row,
            **_known(medians, medians_ms),
        }
        for figure in _names_of(measure, medians):
            worst = ids.get(row[slo.WORST]) if figure == slo.WORST_PCT else None
            rows.append((row["policy"], worst, figure, values[figure]))
    return pl.DataFrame(rows, _LONG, orient="row")


def _known(names: Sequence[str], numbers: Sequence[float]) -> dict[str, float | None]:
    """Return numbers by name; None for those that are NaN."""
    pairs = zip(names, numbers, strict=True)
    return {name: None if math.isnan(number) else number for name, number in pairs}


def _difference(now: pl.DataFrame, then: pl.DataFrame) -> pl.DataFrame:
    """Return the figures then minus those now, under names of their own."""
    paired = then.join(now.drop("workload"), on=("policy", "figure"), maintain_order="left", suffix="_now")
    return paired.select(
        "policy",
        "workload",
        pl.col("figure") + DIFFERENCE,
        pl.col("value") - pl.col("value_now"),
    )


def _with_ends(
    run: Replications, whole: pl.DataFrame, each: Sequence[pl.DataFrame]
) -> dict[tuple[str, str], tuple[float | None, float | None, float | None]]:
    """Return every figure with the ends of its interval, None where unknown, by policy and name.

    `whole` are the figures of all replications together, `each` those of one after the other: their spread
    gives the interval.
    """
    known = whole.drop_nulls("value")
    worst = known.select("policy", "figure", "workload")  # the worst workload may differ between replications
    spread = pl.concat(each).drop_nulls("value").drop("workload")
    spread = spread.join(worst, on=("policy", "figure"), maintain_order="left").select(*_LONG)
    table = intervals.over_replications(dependence(run.inputs), run.outcomes, "now", known, spread)
    ends = {(row["policy"], row["figure"]): (row["low"], row["high"]) for row in table.rows(named=True)}
    return {
        (policy, figure.removesuffix(DIFFERENCE)): (value, *ends.get((policy, figure), (None, None)))
        for policy, _, figure, value in whole.rows()
    }


def _row(
    name: str,
    figure: str,
    values: Mapping[str, Mapping[tuple[str, str], tuple[float | None, float | None, float | None]]],
    before: pl.DataFrame,
    after: pl.DataFrame,
    most: str | None,
) -> dict[str, Any]:
    now, then = (side.row(by_predicate=pl.col("policy") == name, named=True) for side in (before, after))
    ends = {
        f"{side}{end}": value
        for side in _SIDES
        for end, value in zip(("", "_low", "_high"), values[side][name, figure], strict=True)
    }
    return {
        "policy": name,
        "clairvoyant": now["clairvoyant"],
        "recommended": name == most,
        "figure": figure,
        **ends,
        "now_workload": now[slo.WORST],
        "then_workload": then[slo.WORST],
        "now_viable": now["viable"],
        "then_viable": then["viable"],
    }


def _notes(now: Replications, then: Replications, altered: Altered, replications: int) -> Iterator[str]:
    scenario, allowed = then.inputs.scenario, then.inputs.allowed
    if replications > 1:
        yield f"{replications} replications, each with the same seed on both sides"
    for index in altered.full_places:
        # Closed to everybody: a region that is full and nobody's nearest.
        if allowed is not None and not allowed[..., index].any():
            yield f"{scenario.regions[index].name} is the nearest region of no origin: full, it serves nobody"
    if altered.without and scenario.sampling.scheme == "published" and scenario.carbon.kind == "synthetic":
        yield "The published scheme draws carbon noise region by region: without one, that of others differs"
    key = scenario.traffic.rate_key
    if altered.traffic != 1 and key is not None:
        rate, exact = getattr(scenario.traffic, key), getattr(now.inputs.scenario.traffic, key)
        if rate != (asked := exact * altered.traffic):
            yield f"Traffic is {count_of(rate, 'request')} an hour, the whole number nearest to {asked:,}"


def finding(whatif: WhatIf) -> list[str]:
    """Return the answer in sentences."""
    return headlines.finding(whatif.altered.text, whatif.now, whatif.then, whatif.rows)
