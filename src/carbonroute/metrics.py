"""From outcomes to tidy tables: the only thing that figures, files and reports are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from carbonroute.outcome import Counts, Outcome, Sums
from carbonroute.scenario import Inputs
from carbonroute.units import G_PER_KG, pct

_RESULT_COLUMNS = (
    "policy",
    "clairvoyant",
    "avg_latency_ms",
    "p95_latency_ms",
    "slo_violation_pct",
    "avg_carbon_g_per_kwh",
    "carbon_reduction_pct",
)
_EMISSION_COLUMNS = (
    "emissions_g_per_request",
    "operational_g_per_request",
    "network_g_per_request",
    "embodied_g_per_request",
    "total_kg",
    "emissions_reduction_pct",
)
_FRESH_COLUMNS = ("fresh_carbon_g_per_kwh", "fresh_total_kg", "extra_vs_fresh_pct")
_SAVING_SCHEMA = {
    "step": pl.String,
    "policy": pl.String,
    "clairvoyant": pl.Boolean,
    "total_kg": pl.Float64,
    "saved_pct": pl.Float64,
    "slo_violation_pct": pl.Float64,
}
#: Decimals of the published study's columns; other columns keep full precision in every file.
_PUBLISHED_STYLE = {
    "avg_latency_ms": ".1f",
    "p95_latency_ms": ".1f",
    "slo_violation_pct": ".2f",
    "avg_carbon_g_per_kwh": ".1f",
    "carbon_reduction_pct": ".1f",
    "slo_ms": "g",
}

#: Words by which a source says that a figure is not measured.
_NOT_MEASURED = ("guess", "scale", "assum", "estimat")

#: Points of the latency distribution that tables keep.
_CDF_POINTS = 1001


@dataclass(frozen=True)
class Tables:
    """What one run found, at full precision.

    Policies, regions, origins and workloads keep the scenario's order in every table. A table describes
    itself: limits and labels that a reader needs stand in columns of their own.

    Attributes
    ----------
    policies
        One row per policy: ``policy`` (label), ``clairvoyant`` (bool), ``requests``, ``avg_latency_ms``,
        ``p95_latency_ms``, ``slo_violation_pct``, ``avg_carbon_g_per_kwh``, ``carbon_reduction_pct``
        (null where the baseline's carbon is 0), ``baseline`` (label of the policy that reductions refer to),
        ``baseline_carbon_g_per_kwh``,
        ``max_violation_pct`` (the limit behind ``viable``), ``viable`` (bool), ``dominated_by`` (label of the
        first policy at least as good in carbon, violations and average latency and better in one; or null).
        In grams of CO2e, null where the scenario states no energies: ``emissions_g_per_request`` and its
        parts ``operational_g_per_request``, ``network_g_per_request`` and ``embodied_g_per_request``;
        ``total_kg`` of all requests; ``emissions_reduction_pct``. Where a policy decides on old, forecast or
        missing carbon: ``fresh_carbon_g_per_kwh`` and ``fresh_total_kg``, what it reaches on perfectly fresh
        data, and ``extra_vs_fresh_pct``, how much more it emits (without energies: how much higher its mean
        carbon intensity is); null where its data are fresh.
    routing
        One row per policy × region: ``policy``, ``clairvoyant``, ``region``, ``requests``, ``share`` (0…1).
    workloads
        One row per policy × workload: ``policy``, ``clairvoyant``, ``workload`` (id), ``name``, ``requests``,
        ``avg_latency_ms``, ``p95_latency_ms``, ``slo_ms``, ``slo_violation_pct`` (null where there was no
        request).
    latency_cdf
        Quantiles of latency per policy: ``policy``, ``clairvoyant``, ``share`` (0…1, ascending),
        ``latency_ms``.
    carbon
        One row per hour × region: ``hour`` (0…), ``time`` (UTC datetime, or null without a calendar),
        ``region``, ``carbon_g_per_kwh``.
    rtt
        One row per origin × region: ``origin``, ``origin_share``, ``region``, ``rtt_ms``.
    saving
        Where the saving comes from, a row per step from no knowledge of carbon to all: ``step``, ``policy``,
        ``clairvoyant``, ``total_kg``, ``saved_pct`` (of the first step's), ``slo_violation_pct``. Empty where
        the scenario states no energies.
    overview
        One row: ``scenario``, ``workloads`` (models in words), ``regions`` (in words), ``hours``,
        ``finding`` (one sentence), ``notes`` (what was assumed, filled or left out, and what the age of the
        data costs; a list), ``accounting`` (labels of the carbon values), ``source`` (of the carbon values),
        ``traffic_source``, ``synthetic_geography`` (whether origins were drawn for real requests).
    """

    policies: pl.DataFrame
    routing: pl.DataFrame
    workloads: pl.DataFrame
    latency_cdf: pl.DataFrame
    carbon: pl.DataFrame
    rtt: pl.DataFrame
    saving: pl.DataFrame
    overview: pl.DataFrame


@dataclass(frozen=True)
class Comparison:
    """What a run's policies are held against.

    Attributes
    ----------
    baseline
        What carbon reductions refer to; it need not be one of the run's outcomes.
    fresh
        Of each policy that decides on old, forecast or missing carbon, by label: the same on fresh data.
    steps
        By name, from no knowledge of carbon to all: where the saving comes from.
    """

    baseline: Outcome
    fresh: Mapping[str, Outcome]
    steps: Mapping[str, Outcome]


def tabulate(
    inputs: Inputs, outcomes: Sequence[Outcome], comparison: Comparison, max_violation: float
) -> Tables:
    """Make the tables of a run.

    Parameters
    ----------
    inputs
        What the engine was given.
    outcomes
        One per policy.
    comparison
        What they are held against.
    max_violation
        Share of violations up to which a policy counts as viable, 0…1.
    """
    policies = _policies(outcomes, comparison, max_violation)
    saving = _saving(comparison.steps)
    return Tables(
        policies=policies,
        routing=_routing(inputs, outcomes),
        workloads=_workloads(inputs, outcomes),
        latency_cdf=_latency_cdf(outcomes),
        carbon=_carbon(inputs),
        rtt=_rtt(inputs),
        saving=saving,
        overview=_overview(inputs, policies, saving),
    )


def simulation_results(tables: Tables) -> pl.DataFrame:
    """Return one row per policy with a column of requests per region, at full precision."""
    by_region = tables.routing.with_columns(("requests_" + pl.col("region")).alias("region"))
    wide = by_region.pivot("region", index="policy", values="requests", maintain_order=True)
    policies = tables.policies
    more: tuple[str, ...] = _EMISSION_COLUMNS if policies["total_kg"].null_count() == 0 else ()
    if policies["extra_vs_fresh_pct"].null_count() < policies.height:
        more += ("extra_vs_fresh_pct",)
    results = policies.select(*_RESULT_COLUMNS, *more).join(wide, on="policy", maintain_order="left")
    return _with_label(results, tables)


def per_workload_results(tables: Tables) -> pl.DataFrame:
    """Return one row per policy and workload, at full precision."""
    return _with_label(tables.workloads.select(pl.exclude("clairvoyant"), "clairvoyant"), tables)


def where_the_saving_comes_from(tables: Tables) -> pl.DataFrame:
    """Return one row per step from no knowledge of carbon to all; none where no energies are stated."""
    return _with_label(tables.saving, tables)


def _with_label(results: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Label what was made of requests whose origins were drawn."""
    drawn = tables.overview["synthetic_geography"][0]
    return results.with_columns(synthetic_geography=pl.lit(value=True)) if drawn else results


def as_published(results: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Return results with the published study's columns as text, rounded as there: 1 decimal, violations 2.

    Carbon reductions are worked out from the rounded averages, as there.
    """
    if "carbon_reduction_pct" in results.columns:
        baseline = round(tables.policies["baseline_carbon_g_per_kwh"][0], 1)
        reduction = pct(1 - pl.col("avg_carbon_g_per_kwh").round(1) / baseline) if baseline else None
        results = results.with_columns(carbon_reduction_pct=reduction)
    return results.with_columns(
        pl.Series(name, [None if value is None else f"{value:{style}}" for value in results[name]], pl.String)
        for name, style in _PUBLISHED_STYLE.items()
        if name in results.columns
    )


def finding(policies: pl.DataFrame) -> str:
    """Return in words which policy a router could run saves most within the limit, and at what price.

    In grams, where the scenario states energies.
    """
    limit = f"{policies['max_violation_pct'][0]:.6g} % SLO violations"
    in_grams = policies["total_kg"].null_count() == 0
    what, it = ("emissions", "them") if in_grams else ("mean carbon intensity", "it")
    policies = policies.with_columns(
        pl.col("emissions_reduction_pct" if in_grams else "carbon_reduction_pct").alias("saved_pct")
    )
    viable = policies.filter(pl.col("viable") & pl.col("saved_pct").is_not_null())
    if viable.is_empty():
        nearest = policies.sort("slo_violation_pct", maintain_order=True).row(0, named=True)
        lowest = f"{nearest['policy']} comes nearest with {nearest['slo_violation_pct']:.2f} %"
        return f"No policy stays within {limit}; {lowest}."
    by_saving = viable.sort("saved_pct", descending=True, maintain_order=True).rows(named=True)
    honest = next((row for row in by_saving if not row["clairvoyant"]), None)
    clairvoyant = next((row for row in by_saving if row["clairvoyant"]), None)
    if honest and honest["saved_pct"] > 0:
        sentence = f"{honest['policy']} cuts {what} {_effect(honest)}, the most within {limit}"
    else:
        sentence = f"No policy that a router could run cuts carbon within {limit}"
    if clairvoyant and clairvoyant["saved_pct"] > 0:
        sentence += f"; with clairvoyance, {clairvoyant['policy']} cuts {it} {_effect(clairvoyant)}"
    return sentence + "."


def _effect(row: Mapping[str, Any]) -> str:
    return (
        f"by {row['saved_pct']:.1f} % against {row['baseline']} "
        f"(violations {row['slo_violation_pct']:.2f} %, latency {row['avg_latency_ms']:.1f} ms)"
    )


def _mean(sums: Sums | Counts, requests: Counts) -> float | None:
    count = int(requests.sum())
    return float(sums.sum()) / count if count else None


def _share_pct(part: Counts, whole: Counts) -> float | None:
    share = _mean(part, whole)
    return None if share is None else pct(share)


def _policies(outcomes: Sequence[Outcome], comparison: Comparison, max_violation: float) -> pl.DataFrame:
    baseline = comparison.baseline
    reference = _mean(baseline.carbon_sum_g_per_kwh, baseline.requests)
    rows = []
    for outcome in outcomes:
        carbon = _mean(outcome.carbon_sum_g_per_kwh, outcome.requests)
        violations = _share_pct(outcome.violations, outcome.requests)
        rows.append(
            {
                "policy": outcome.policy,
                "clairvoyant": outcome.clairvoyant,
                "requests": int(outcome.requests.sum()),
                "avg_latency_ms": _mean(outcome.latency_sum_ms, outcome.requests),
                "p95_latency_ms": outcome.latency.quantile(0.95),
                "slo_violation_pct": violations,
                "avg_carbon_g_per_kwh": carbon,
                "carbon_reduction_pct": pct(1 - carbon / reference)
                if carbon is not None and reference
                else None,
                "baseline": baseline.policy,
                "baseline_carbon_g_per_kwh": reference,
                "max_violation_pct": pct(max_violation),
                "viable": violations is not None and violations <= pct(max_violation),
                **_emissions(outcome, baseline),
                **_against_fresh(outcome, comparison.fresh.get(outcome.policy)),
            }
        )
    numbers = dict.fromkeys(("carbon_reduction_pct", *_EMISSION_COLUMNS, *_FRESH_COLUMNS), pl.Float64)
    table = pl.DataFrame(rows, schema_overrides=numbers)
    return table.with_columns(dominated_by=pl.Series(_dominated_by(table), dtype=pl.String))


def _emissions(outcome: Outcome, baseline: Outcome) -> dict[str, float | None]:
    emissions = outcome.emissions
    if emissions is None or baseline.emissions is None:
        return dict.fromkeys(_EMISSION_COLUMNS)
    per_request = _mean(emissions.total_g, outcome.requests)
    reference = _mean(baseline.emissions.total_g, baseline.requests)
    reduction_pct = pct(1 - per_request / reference) if per_request is not None and reference else None
    return {
        "emissions_g_per_request": per_request,
        "operational_g_per_request": _mean(emissions.operational_g, outcome.requests),
        "network_g_per_request": _mean(emissions.network_g, outcome.requests),
        "embodied_g_per_request": _mean(emissions.embodied_g, outcome.requests),
        "total_kg": float(emissions.total_g.sum()) / G_PER_KG,
        "emissions_reduction_pct": reduction_pct,
    }


def _against_fresh(outcome: Outcome, fresh: Outcome | None) -> dict[str, float | None]:
    if fresh is None:
        return dict.fromkeys(_FRESH_COLUMNS)
    fresh_carbon = _mean(fresh.carbon_sum_g_per_kwh, fresh.requests)
    mine, best = _mean(outcome.carbon_sum_g_per_kwh, outcome.requests), fresh_carbon
    fresh_kg = None
    if outcome.emissions and fresh.emissions:
        mine, best = float(outcome.emissions.total_g.sum()), float(fresh.emissions.total_g.sum())
        fresh_kg = best / G_PER_KG
    return {
        "fresh_carbon_g_per_kwh": fresh_carbon,
        "fresh_total_kg": fresh_kg,
        "extra_vs_fresh_pct": pct(mine / best - 1) if mine is not None and best else None,
    }


def _saving(steps: Mapping[str, Outcome]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for step, outcome in steps.items():
        if outcome.emissions is None:
            continue
        total_kg = float(outcome.emissions.total_g.sum()) / G_PER_KG
        first_kg = rows[0]["total_kg"] if rows else total_kg
        rows.append(
            {
                "step": step,
                "policy": outcome.policy,
                "clairvoyant": outcome.clairvoyant,
                "total_kg": total_kg,
                "saved_pct": pct(1 - total_kg / first_kg) if first_kg else None,
                "slo_violation_pct": _share_pct(outcome.violations, outcome.requests),
            }
        )
    return pl.DataFrame(rows, schema=_SAVING_SCHEMA)


def _dominated_by(policies: pl.DataFrame) -> list[str | None]:
    burden = policies.select("avg_carbon_g_per_kwh", "slo_violation_pct", "avg_latency_ms").to_numpy()
    names = policies["policy"].to_list()
    found = []
    for mine in burden:
        dominates = (burden <= mine).all(axis=1) & (burden < mine).any(axis=1)
        found.append(next((name for name, better in zip(names, dominates, strict=True) if better), None))
    return found


def _routing(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    rows = []
    for outcome in outcomes:
        by_region = outcome.requests.sum(axis=(0, 1))
        for region, requests in zip(inputs.scenario.regions, by_region, strict=True):
            rows.append(
                {
                    "policy": outcome.policy,
                    "clairvoyant": outcome.clairvoyant,
                    "region": region.name,
                    "requests": int(requests),
                    "share": float(requests / by_region.sum()),
                }
            )
    return pl.DataFrame(rows)


def _workloads(inputs: Inputs, outcomes: Sequence[Outcome]) -> pl.DataFrame:
    rows = []
    for outcome in outcomes:
        for index, workload in enumerate(inputs.scenario.workloads):
            requests = outcome.requests[:, index]
            rows.append(
                {
                    "policy": outcome.policy,
                    "clairvoyant": outcome.clairvoyant,
                    "workload": workload.id,
                    "name": workload.name,
                    "requests": int(requests.sum()),
                    "avg_latency_ms": _mean(outcome.latency_sum_ms[:, index], requests),
                    "p95_latency_ms": outcome.latency.quantile(0.95, index) if requests.any() else None,
                    "slo_ms": workload.slo_ms,
                    "slo_violation_pct": _share_pct(outcome.violations[:, index], requests),
                }
            )
    numbers = dict.fromkeys(("avg_latency_ms", "p95_latency_ms", "slo_violation_pct"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers)


def _latency_cdf(outcomes: Sequence[Outcome]) -> pl.DataFrame:
    parts = []
    for outcome in outcomes:
        latency_ms = np.linspace(0, max(outcome.latency.quantile(1.0), 1e-9), _CDF_POINTS)
        parts.append(
            pl.DataFrame({"share": outcome.latency.cdf(latency_ms), "latency_ms": latency_ms}).select(
                pl.lit(outcome.policy).alias("policy"),
                pl.lit(outcome.clairvoyant).alias("clairvoyant"),
                pl.all(),
            )
        )
    return pl.concat(parts)


def _carbon(inputs: Inputs) -> pl.DataFrame:
    hours = np.arange(inputs.shape[0])
    start = inputs.scenario.horizon.start
    times = [start + timedelta(hours=int(hour)) if start else None for hour in hours]
    regions = [region.name for region in inputs.scenario.regions]
    return pl.DataFrame(
        {
            "hour": np.repeat(hours, len(regions)),
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")).repeat_by(len(regions)).explode(),
            "region": regions * len(hours),
            "carbon_g_per_kwh": inputs.carbon.g_per_kwh.ravel(),
        }
    )


def _rtt(inputs: Inputs) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "origin": origin.name,
                "origin_share": origin.share,
                "region": region.name,
                "rtt_ms": float(rtt_ms),
            }
            for origin, row in zip(inputs.scenario.origins, inputs.rtt_ms, strict=True)
            for region, rtt_ms in zip(inputs.scenario.regions, row, strict=True)
        ]
    )


def _overview(inputs: Inputs, policies: pl.DataFrame, saving: pl.DataFrame) -> pl.DataFrame:
    scenario = inputs.scenario
    models = ", ".join(dict.fromkeys(workload.model for workload in scenario.workloads))
    count = len(scenario.regions)
    notes = [
        *inputs.notes,
        *_doubtful_energies(inputs),
        *_what_age_costs(inputs, policies),
        *_where_it_comes_from(saving),
    ]
    return pl.DataFrame(
        {
            "scenario": [scenario.name],
            "workloads": [f"AI inference ({models})"],
            "regions": [f"{count} region{'s' if count > 1 else ''}"],
            "hours": [scenario.horizon.hours],
            "finding": [finding(policies)],
            "notes": pl.Series([notes], dtype=pl.List(pl.String)),
            "accounting": [str(inputs.carbon.accounting)],
            "source": [inputs.carbon.source],
            "traffic_source": [inputs.arrivals.source],
            "synthetic_geography": [inputs.arrivals.synthetic_geography],
        }
    )


def _doubtful_energies(inputs: Inputs) -> Iterator[str]:
    """Yield a line for each energy that nobody measured, or that has no source."""
    for workload in inputs.scenario.workloads:
        source = workload.energy_source
        if workload.has_energy and not source:
            yield f"The energy of {workload.id} has no source (energy_source)"
        elif workload.has_energy and any(word in source.lower() for word in _NOT_MEASURED):
            yield f"The energy of {workload.id} is not measured: {source}"


def _what_age_costs(inputs: Inputs, policies: pl.DataFrame) -> Iterator[str]:
    """Yield a line for each kind of old, forecast or incomplete carbon that policies decide on."""
    what = "grams" if policies["total_kg"].null_count() == 0 else "mean carbon intensity"
    costs: dict[str, list[str]] = {}
    for candidate, row in zip(inputs.candidates, policies.rows(named=True), strict=False):
        if row["extra_vs_fresh_pct"] is not None:
            costs.setdefault(candidate.knows, []).append(
                f"{row['policy']} {row['extra_vs_fresh_pct']:+z.2f} %"
            )
    for knows, policies_and_costs in costs.items():
        yield f"{knows} cost, in {what} against perfectly fresh data: {', '.join(policies_and_costs)}"


def _where_it_comes_from(saving: pl.DataFrame) -> Iterator[str]:
    if saving.height > 1 and saving["saved_pct"].null_count() == 0:
        steps = [
            f"{row['step']} {row['saved_pct']:z.1f} % ({row['slo_violation_pct']:.2f} % violations)"
            for row in saving.rows(named=True)[1:]
        ]
        yield f"Where the saving comes from, in grams against {saving['policy'][0]}: {', '.join(steps)}"
