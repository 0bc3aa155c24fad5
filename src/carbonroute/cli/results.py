"""Printed tables of a run: figures with intervals, objectives, and the agreement of the engines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from carbonroute.cli.terminal import empty_table
from carbonroute.metrics import agreement, as_published, objectives, simulation_results, slo
from carbonroute.metrics.best import best_first
from carbonroute.metrics.intervals import RULE_OF_THREE, upper_bound
from carbonroute.metrics.masses import MassUnit, mass_unit, scaled
from carbonroute.metrics.measure import GRAMS, INTENSITY, SAME_CAPACITY, measure_of, stated
from carbonroute.metrics.queueing import has_queues
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from carbonroute.metrics import Tables
    from carbonroute.runs import Result

#: Columns of the printed table and their headings, in two lines.
_NUMBERS = MappingProxyType(
    {
        "avg_latency_ms": "Latency\nms",
        "p95_latency_ms": "P95\nms",
        "slo_violation_pct": "Violations\n%",
        INTENSITY.amount: "Carbon\ng/kWh",
    }
)
#: Besides, where the scenario states energies.
_GRAMS = MappingProxyType({"total_kg": "Emissions\nkg"})
#: And where requests queue, in a table of their own.
_QUEUES = MappingProxyType(
    {
        "rejected_pct": "Rejected\n%",
        "avg_wait_ms": "Wait\nms",
        "p95_wait_ms": "P95 wait\nms",
        "hours_over_capacity": "Hours over\ncapacity",
        "flips_per_day": "Flips\nper day",
    }
)
#: Decimals of figures that have others than one.
_STYLES = MappingProxyType(
    {"total_kg": ".4g", "rejected_pct": ".2f", "avg_wait_ms": ".2f", "p95_wait_ms": ".2f"}
)
#: On narrower terminals, a figure and its interval stand on two lines, and grams in a table of their own.
_ROOM, _ROOM_FOR_ALL = 120, 160
_P95 = "p95_latency_ms"
#: Workloads whose figures are printed; all of them are in the tables.
_WORKLOADS = 6
#: Decimals at most.
_DECIMALS = 6

Row = Mapping[str, Any]


def print_run(console: Console, result: Result) -> None:
    """Print the results of a run."""
    result = replace(result, tables=best_first(result.tables))
    tables = result.tables
    for table in _policy_tables(result, console.width):
        console.print(table)
    if any(outcome.clairvoyant for outcome in result.outcomes):
        console.print(CLAIRVOYANT_NOTE)
    for line in _baselines(tables.policies):
        console.print(line, soft_wrap=True)
    if tables.intervals.height:
        of = (
            f"over {count:,} replications"
            if (count := len(result.seeds)) > 1
            else "of the sampling error of this run"
        )
        console.print(f"Ranges: 95 % confidence intervals {of}; all of them are in tables/intervals.csv.")
    if tables.agreement.height:
        console.print(_agreement_table(tables.agreement))
        console.print(agreement.in_words(tables.agreement), soft_wrap=True)
    if tables.objectives.height:
        console.print(f"\nObjectives of {tables.objectives['policy'][0]}:")
    for line in map(objectives.in_words, tables.objectives.rows(named=True)):
        console.print(f"– {line}.", soft_wrap=True)
    console.print(f"\n{tables.overview['finding'][0]}", soft_wrap=True)
    for note in tables.overview["notes"][0]:
        console.print(f"– {note}.", soft_wrap=True)


def _baselines(policies: pl.DataFrame) -> Iterator[str]:
    """Yield the references of the reductions of a queued run."""
    if _known(policies, SAME_CAPACITY):
        measure, row = measure_of(policies), policies.row(0, named=True)
        survives = ", and the share that survives" * _known(policies, "survives_pct")
        limits = f" Savings unlimited and limited{survives}: against {row['baseline']}."
        yield (
            f"Reduction: of {measure.name} per served request, against {row[SAME_CAPACITY]}."
            f"{limits if _known(policies, measure.unlimited) else ''}"
        )


def finite(row: Row) -> dict[str, object]:
    """Return a row with null for numbers that JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def policy_columns(tables: Tables) -> dict[str, str]:
    """Return the columns of the printed table of policies, with their headings."""
    numbers, grams = dict(_NUMBERS), _GRAMS if measure_of(tables.policies) is GRAMS else {}
    if slo.per_workload(tables.policies):  # over milliseconds and seconds, one percentile means nothing
        del numbers[_P95]
    return {**numbers, **grams, stated(tables.policies).column: "Reduction\n%"}


def whole_intervals(tables: Tables) -> dict[tuple[str, str], Row]:
    """Return the intervals of figures over all workloads, by policy and figure."""
    rows = tables.intervals.filter(pl.col("workload").is_null()).rows(named=True)
    return {(row["policy"], row["figure"]): row for row in rows}


def missed(tables: Tables) -> Iterator[str]:
    """Yield the failed checks of a run: missed objectives, and disagreement of the two engines."""
    for row in tables.objectives.filter(~pl.col("met")).rows(named=True):
        yield f"{row['policy']}: {objectives.in_words(row)}"
    if agreement.beyond(tables.agreement, agreement.MOST).height:
        yield agreement.in_words(tables.agreement)


def _policy_tables(result: Result, width: int) -> Iterator[Table]:
    """Yield the policies' figures in one table, on a narrow terminal grams in a second; queues in another."""
    measure = measure_of(result.tables.policies)
    columns = policy_columns(result.tables)
    grams = {name: heading for name, heading in columns.items() if name not in _NUMBERS}
    grams = grams if measure is GRAMS else {}
    numbers = {name: heading for name, heading in columns.items() if name not in grams}
    room = _ROOM_FOR_ALL if grams and len(result.seeds) > 1 else _ROOM
    joint = " " if width >= room else "\n"
    if width >= _ROOM or not grams:
        yield _policy_table(result, {**numbers, **grams}, joint)
    else:
        yield _policy_table(result, numbers, joint)
        yield _policy_table(result, grams, joint, verdict=False)
    if len(result.inputs.scenario.workloads) > 1:
        yield _workload_table(result)
    if result.tables.tokens.height:
        yield _token_table(result)
    queues = {
        **_QUEUES,
        measure.unlimited: "Unlimited\nsaves %",
        measure.reduction: "Limited\nsaves %",
        "survives_pct": "Survives\n%",
    }
    of_queues = {name: heading for name, heading in queues.items() if _known(result.tables.policies, name)}
    of_queues = of_queues if has_queues(result.tables.policies) else {}
    if of_queues:
        yield _policy_table(result, of_queues, joint, verdict=False)


def _workload_table(result: Result) -> Table:
    """Return a table of the 95th percentile and the violations of the first workloads under each policy."""
    workloads = result.inputs.scenario.workloads
    first = [workload.id for workload in workloads[:_WORKLOADS]]
    left_out = len(workloads) - len(first)
    more = f"; {left_out} more in tables/per_workload_results.csv" * bool(left_out)
    table = empty_table(f"P95 latency in ms, and violations in %, by workload{more}")
    table.add_column("Policy", overflow="fold", min_width=14)
    for name in first:
        table.add_column(name, justify="right", overflow="fold")
    by_policy = result.tables.workloads.partition_by("policy", as_dict=True, maintain_order=True)
    for (policy,), rows in by_policy.items():
        cells = {row["workload"]: _percentile_and_risk(row) for row in rows.rows(named=True)}
        table.add_row(marked(policy, rows["clairvoyant"][0]), *(cells[name] for name in first))
    return table


def _token_table(result: Result) -> Table:
    """Return a table of first and further tokens under each policy, a line per workload."""
    tokens = result.tables.tokens
    table = empty_table("First and further tokens, by workload: P95 in ms, and late in %")
    table.add_column("Policy", overflow="fold", min_width=14)
    table.add_column("Workload", overflow="fold")
    for heading in ("First token", "late", "Further token", "late", "Late of any", "Goodput/s"):
        table.add_column(heading, justify="right")
    for row in tokens.rows(named=True):
        limits = [row["ttft_slo_ms"] is not None, row["tpot_slo_ms"] is not None]
        table.add_row(
            marked(row["policy"], row["clairvoyant"]),
            row["workload"],
            _cell(row["p95_ttft_ms"], ",.0f"),
            _cell(row["ttft_violation_pct"] if limits[0] else None, ".2f"),
            _cell(row["p95_tpot_ms"], ",.1f"),
            _cell(row["tpot_violation_pct"] if limits[1] else None, ".2f"),
            _cell(row["slo_violation_pct"], ".2f"),
            _cell(row["goodput_per_s"], ",.2f"),
        )
    return table


def _cell(value: float | None, style: str) -> str:
    return "–" if value is None else format(value, style)


def _percentile_and_risk(row: Row) -> str:
    risk = "–" if row["slo_violation_pct"] is None else f"{row['slo_violation_pct']:.2f} %"
    return f"{'–' if row[_P95] is None else format(row[_P95], '.1f')}, {risk}"


def _known(policies: pl.DataFrame, name: str) -> bool:
    return policies[name].null_count() < policies.height


def _policy_table(result: Result, columns: Mapping[str, str], joint: str, *, verdict: bool = True) -> Table:
    tables = result.tables
    title = result.inputs.scenario.name
    table = empty_table(title)
    longest_word = max(map(len, " ".join(tables.policies["policy"]).split()))
    table.add_column("Policy", overflow="fold", min_width=min(max(longest_word, 14), 16))
    unit = mass_unit(tables.policies["total_kg"].drop_nulls().to_list())
    for name, heading in columns.items():
        shown = f"Emissions\n{unit.name}" if name == "total_kg" else heading
        table.add_column(shown, justify="right", no_wrap=True)
    if verdict:
        table.add_column("Verdict", overflow="fold")
    intervals = whole_intervals(tables)
    rows = as_published(simulation_results(tables), tables).rows(named=True)
    for row, policy in zip(rows, tables.policies.rows(named=True), strict=True):
        of_policy = {name: intervals.get((row["policy"], name)) for name in columns}
        if "total_kg" in columns:
            row["total_kg"] = _in_unit(row["total_kg"], unit)
            of_policy["total_kg"] = scaled(of_policy["total_kg"], unit.per_kg)
        # What no policy has, as none served a request, is no column of the results.
        cells = [with_interval(plain_figure(row.get(name), name), of_policy[name], joint) for name in columns]
        if verdict:
            cells.append(verdict_of(policy, tables.intervals))
        table.add_row(marked(row["policy"], row["clairvoyant"]), *cells)
    return table


def _in_unit(mass_kg: float | None, unit: MassUnit) -> str | None:
    return None if mass_kg is None else f"{mass_kg * unit.per_kg:,.{unit.digits}f}"


def plain_figure(value: str | float | None, name: str) -> str:
    """Return a figure as text; the published study's columns are text already."""
    if value is None or isinstance(value, str):
        return value or "–"
    return f"{value:{_STYLES.get(name, 'z.1f')}}"


def verdict_of(policy: Row, intervals: pl.DataFrame) -> str:
    """Return whether a policy keeps the limit, how sure that is, and whether another one is better."""
    verdict = slo.verdict(policy, sure=slo.beyond_doubt(policy, intervals))
    return f"{verdict}, dominated by {policy['dominated_by']}" if policy["dominated_by"] else verdict


def with_interval(plain: str, interval: Row | None, joint: str) -> str:
    """Return a figure with its interval, with as many decimals as its width justifies.

    >>> interval = {"value": 1.0063, "low": 0.901, "high": 1.118, "method": "clopper-pearson"}
    >>> with_interval("1.01", interval, " ")
    '1.01 [0.90, 1.12]'
    >>> with_interval("1.01", {**interval, "low": 0.8946, "method": "t over 9 replications"}, " ")
    '1.01 ± 0.11'
    >>> with_interval("1.01", {**interval, "method": "Korn-Graubard over 9 replications"}, " ")
    '1.01 [0.90, 1.12]'
    >>> with_interval("1.01", {**interval, "low": 0.0, "method": "t over 9 replications"}, " ")
    '1.01 [0.00, 1.12]'
    >>> with_interval("0.00", {"value": 0, "low": 0, "high": 0.00893, "method": "rule of three"}, " ")
    '< 0.0089'
    """
    if interval is None or interval["low"] is None:
        return plain
    value, low, high = interval["value"], interval["low"], interval["high"]
    half_width = max(high - value, value - low)
    symmetric = math.isclose(high - value, value - low, rel_tol=1e-6, abs_tol=1e-12 * abs(value))
    if "e" in plain:
        interval_text = f"± {half_width:.2g}" if symmetric else f"[{low:.3g},{joint}{high:.3g}]"
        return f"{value:.4g}{joint}{interval_text}"
    decimals = len(plain.partition(".")[2])
    if half_width > 0:
        decimals = min(max(decimals, 1 - math.floor(math.log10(half_width))), _DECIMALS)
    if interval["method"].startswith(RULE_OF_THREE):
        return f"< {upper_bound(high)}" if value == 0 else f"> {low:.{decimals}f}"
    if interval["method"].startswith("t over") and symmetric:
        return f"{value:z.{decimals}f}{joint}± {half_width:.{decimals}f}"
    return f"{value:.{decimals}f}{joint}[{low:.{decimals}f},{joint}{high:.{decimals}f}]"


def _agreement_table(rows: pl.DataFrame) -> Table:
    """Return a table of each policy's figure of largest |z|, and all remarkable ones."""
    title = "sampled against exact: the worst figure of each policy"
    table = empty_table(title)
    for heading in ("Policy", "Workload", "Figure"):
        table.add_column(heading, overflow="fold")
    for heading in ("Sampled", "Exact", "z"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in agreement.worst(rows).rows(named=True):
        numbers = (f"{row['sampled']:.6g}", f"{row['exact']:.6g}", f"{row['z']:+.1f}")
        table.add_row(row["policy"], row["workload"] or "", row["figure"], *numbers)
    return table
