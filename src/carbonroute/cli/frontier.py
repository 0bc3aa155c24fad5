"""``carbonroute frontier``: the Pareto front of carbon and violations, and a recommended policy."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from carbonroute.analysis.frontier import Frontier, entry_text, finding, run
from carbonroute.cli import options
from carbonroute.cli.progress import progress, stepper
from carbonroute.cli.terminal import empty_table, out, print_json, results_alone, say
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics import slo
from carbonroute.metrics.masses import mass_unit
from carbonroute.metrics.measure import GRAMS, INTENSITY, measure_of
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked
from carbonroute.runs.store import RunFolder, add_to
from carbonroute.scenario import load

if TYPE_CHECKING:
    from rich.table import Table


#: Columns of the printed table, their headings in two lines, and decimals.
_NUMBERS = MappingProxyType(
    {
        "avg_latency_ms": ("Latency\nms", ".1f"),
        "p95_latency_ms": ("P95\nms", ".1f"),
        "slo_violation_pct": ("Violations\n%", ".2f"),
        "avg_carbon_g_per_kwh": ("Carbon\ng/kWh", ".1f"),
        "carbon_reduction_pct": ("Reduction\n%", ".1f"),
        "total_kg": ("Emissions\n{}", ""),
        "emissions_reduction_pct": ("Reduction\n%", ".1f"),
    }
)
#: Marks of a row of the printed table, by column.
_MARKS = MappingProxyType(
    {
        "recommended": "recommended",
        "knee": "knee",
        "on_front": "on the front",
        "static_baseline": "fixed choice",
        "bound": "bound",
    }
)


def frontier(
    scenario: str = "published",
    /,
    *,
    max_violation: options.MaxViolation = None,
    max_p95: options.MaxP95 = None,
    max_latency: options.MaxLatency = None,
    sim_hours: options.SimHours = None,
    seed: options.CarbonSeed = None,
    output: options.AddedOutput = Path("outputs"),
    figures: options.Figures = True,
    formats: options.Formats = (),
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_code: options.NoCode = False,
) -> int:
    """Try many policies and parameters by the exact engine, and recommend one within limits.

    The recommendation is written as a `[[policies]]` entry, ready for the scenario, to stdout and to
    policy.toml. The limit on violations is the scenario's. The exit code is 1 where no policy keeps the
    limits.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    """
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        loaded = load(scenario, options.changes_of(sim_hours, seed), code=not no_code).within(max_violation)
        limits = options.limits_of(loaded, max_p95, max_latency)
        result = run(loaded, limits, progress=stepper(bar, "working out"))
        provenance = add_to(folder, result.inputs.scenario, result.inputs.digests, "frontier")
        folder.write("tables/frontier.csv", csv_bytes(result.points))
        entry = "" if result.recommended is None else entry_text(result, result.recommended) + "\n"
        if entry:
            folder.write("policy.toml", entry.encode())
        if figures:
            from carbonroute.cli.drawing import draw_all

            draw_all(folder, {"frontier": result.points}, ("png", *formats))
        folder.finish({**provenance, "frontier": {"limits": limits.given(), "finding": finding(result)}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        _print_json(result, entry)
    elif not quiet:
        _print(result, entry, folder)
    return 0 if entry else 1


def _print(result: Frontier, entry: str, folder: RunFolder) -> None:
    console = out()
    points = result.points
    console.print(_table(result))
    if points["clairvoyant"].any():
        console.print(CLAIRVOYANT_NOTE)
    console.print(
        f"{points.height} policies that decide differently, {int(points['on_front'].sum())} of them on the "
        "front; all are in tables/frontier.csv.\n"
    )
    for sentence in (*finding(result), *(f"– {note}." for note in result.notes)):
        console.print(sentence, soft_wrap=True)
    if entry:
        console.print(f"\n{entry}", soft_wrap=True)
    also = " and policy.toml, which holds the lines above" if entry else ""
    console.print(f"Wrote {folder.path}/tables/frontier.csv{also}.", soft_wrap=True)


def _table(result: Frontier) -> Table:
    """Return a table of the recommended policy, the scenario's own, and others that the findings name."""
    rows = result.points.filter(pl.any_horizontal("own", "recommended", "knee", "static_baseline", "bound"))
    order = {"recommended": True, "clairvoyant": False, "slo_violation_pct": True}
    rows = rows.sort(list(order), descending=list(order.values()), maintain_order=True)
    table = empty_table(result.inputs.scenario.name)
    table.add_column("Policy", overflow="fold")
    left_out = {"p95_latency_ms"} if slo.per_workload(rows) and not result.limits.p95_latency_ms else set()
    if measure_of(rows) is GRAMS:  # one reduction with one meaning
        left_out |= {INTENSITY.reduction}
    unit = mass_unit(rows["total_kg"].drop_nulls().to_list())
    numbers = {
        name: style
        for name, style in _NUMBERS.items()
        if name not in left_out and rows[name].null_count() < rows.height
    }
    for heading, _ in numbers.values():
        table.add_column(heading.format(unit.name), justify="right", no_wrap=True)
    if by_workload := slo.per_workload(rows):
        table.add_column("Worst workload, %", overflow="fold")
    table.add_column("", overflow="fold")
    for row in rows.rows(named=True):
        if row["total_kg"] is not None:
            row["total_kg"] = f"{row['total_kg'] * unit.per_kg:,.{unit.digits}f}"
        cells = [format(row[name], style and f"z{style}") for name, (_, style) in numbers.items()]
        if by_workload:
            cells.append(f"{row[slo.WORST]} {row[slo.WORST_PCT]:.2f}")
        marks = [word for column, word in _MARKS.items() if row[column]]
        names = ", ".join(filter(None, [row["policy"], *row["alike"].split("; ")]))
        table.add_row(marked(names, row["clairvoyant"]), *cells, ", ".join(marks))
    return table


def _print_json(result: Frontier, entry: str) -> None:
    document: dict[str, Any] = {
        "scenario": result.inputs.scenario.name,
        "limits": result.limits.given(),
        "finding": finding(result),
        "notes": result.notes,
        "recommended": result.points.filter("recommended").rows(named=True),
        "entry": entry or None,
        "points": result.points.rows(named=True),
    }
    print_json(document)
