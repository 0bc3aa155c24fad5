"""``carbonroute frontier``: what can be saved at which risk, and the policy to use within given limits."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from carbonroute.analysis.frontier import Frontier, entry_text, finding, run
from carbonroute.cli.options import (
    AddedOutput,
    CarbonSeed,
    Figures,
    Formats,
    Json,
    MaxLatency,
    MaxP95,
    MaxViolation,
    NoCode,
    Quiet,
    SimHours,
    changes_of,
    limits_of,
)
from carbonroute.cli.terminal import empty_table, out, print_json, progress, results_alone, say, stepper
from carbonroute.files.tables import csv_bytes
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
        "total_kg": ("Emissions\nkg", ".4g"),
        "emissions_reduction_pct": ("Reduction\n%", ".1f"),
    }
)
#: What a row of the printed table is marked with, by column.
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
    max_violation: MaxViolation = None,
    max_p95: MaxP95 = None,
    max_latency: MaxLatency = None,
    sim_hours: SimHours = None,
    seed: CarbonSeed = None,
    output: AddedOutput = Path("outputs"),
    figures: Figures = True,
    formats: Formats = (),
    json: Json = False,
    quiet: Quiet = False,
    no_code: NoCode = False,
) -> int:
    """Try many policies and parameters by the exact engine, and name the one to use within limits.

    It is written as a `[[policies]]` entry, ready for the scenario, to stdout and to policy.toml. Without any
    limit, at most 1% violations are asked for. The exit code is 1 where no policy keeps the limits.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    """
    limits = limits_of(max_violation, max_p95, max_latency)
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        loaded = load(scenario, changes_of(sim_hours, seed), code=not no_code)
        found = run(loaded, limits, progress=stepper(bar, "working out"))
        facts = add_to(folder, found.inputs.scenario, found.inputs.digests, "frontier")
        folder.write("tables/frontier.csv", csv_bytes(found.points))
        entry = "" if found.recommended is None else entry_text(found, found.recommended) + "\n"
        if entry:
            folder.write("policy.toml", entry.encode())
        if figures:
            from carbonroute.cli.drawing import draw_all

            draw_all(folder, {"frontier": found.points}, ("png", *formats))
        folder.finish({**facts, "frontier": {"limits": limits.given(), "finding": finding(found)}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        _print_json(found, entry)
    elif not quiet:
        _print(found, entry, folder)
    return 0 if entry else 1


def _print(found: Frontier, entry: str, folder: RunFolder) -> None:
    console = out()
    points = found.points
    console.print(_table(found))
    if points["clairvoyant"].any():
        console.print("† clairvoyant: decides on what no router can know.")
    console.print(
        f"{points.height} policies that decide differently, {int(points['on_front'].sum())} of them on the "
        "front; all are in tables/frontier.csv.\n"
    )
    for sentence in (*finding(found), *(f"– {note}." for note in found.notes)):
        console.print(sentence, soft_wrap=True)
    if entry:
        console.print(f"\n{entry}", soft_wrap=True)
    also = " and policy.toml, which holds the lines above" if entry else ""
    console.print(f"Wrote {folder.path}/tables/frontier.csv{also}.", soft_wrap=True)


def _table(found: Frontier) -> Table:
    """Show the scenario's own policies and those that the findings name."""
    shown = found.points.filter(pl.any_horizontal("own", "recommended", "knee", "static_baseline", "bound"))
    shown = shown.sort("slo_violation_pct", descending=True, maintain_order=True)
    table = empty_table(found.inputs.scenario.name)
    table.add_column("Policy", overflow="fold")
    numbers = {name: looks for name, looks in _NUMBERS.items() if shown[name].null_count() < shown.height}
    for heading, _ in numbers.values():
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in shown.rows(named=True):
        cells = [f"{row[name]:z{style}}" for name, (_, style) in numbers.items()]
        marks = [word for column, word in _MARKS.items() if row[column]]
        names = ", ".join(filter(None, [row["policy"], *row["alike"].split("; ")]))
        table.add_row(f"{names}{' †' * row['clairvoyant']}", *cells, ", ".join(marks))
    return table


def _print_json(found: Frontier, entry: str) -> None:
    document: dict[str, Any] = {
        "scenario": found.inputs.scenario.name,
        "limits": found.limits.given(),
        "finding": finding(found),
        "notes": found.notes,
        "recommended": found.points.filter("recommended").rows(named=True),
        "entry": entry or None,
        "points": found.points.rows(named=True),
    }
    print_json(document)
