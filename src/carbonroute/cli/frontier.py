"""``carbonroute frontier``: what can be saved at which risk, and the policy to use within given limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, cast

import polars as pl
from cyclopts import Parameter

from carbonroute.cli.simulate import share
from carbonroute.cli.terminal import (
    Formats,
    NoCode,
    empty_table,
    out,
    print_json,
    progress,
    results_alone,
    say,
    stepper,
)
from carbonroute.errors import Fault, InputError
from carbonroute.frontier import Frontier, Limits, entry_text, finding, run
from carbonroute.scenario import load
from carbonroute.store import RunFolder, add_to
from carbonroute.tablefile import csv_bytes
from carbonroute.units import pct

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

    from carbonroute.figures import Format

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


def _share(_type: object, tokens: tuple[object, ...]) -> float:
    return share(str(getattr(tokens[0], "value", tokens[0])))


Share = Annotated[float | None, Parameter(converter=_share)]


def frontier(
    scenario: str = "published",
    /,
    *,
    max_violation: Share = None,
    max_p95: float | None = None,
    max_latency: float | None = None,
    sim_hours: int | None = None,
    seed: int | None = None,
    output: Path = Path("outputs"),
    figures: Annotated[bool, Parameter(negative="--no-figures")] = True,
    formats: Formats = (),
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
    no_code: NoCode = False,
) -> int:
    """Try many policies and parameters by the exact engine, and name the one to use within limits.

    It is written as a `[[policies]]` entry, ready for the scenario, to stdout and to policy.toml. Without any
    limit, at most 1% violations are asked for. The exit code is 1 where no policy keeps the limits.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    max_violation
        Most SLO violations of the recommended policy: 1% or 0.01.
    max_p95
        Highest 95th percentile of its latency, ms.
    max_latency
        Highest mean of its latency, ms.
    sim_hours
        Hours to work out, instead of the scenario's.
    seed
        Seed of the scenario's carbon, instead of its own; the engine itself draws nothing.
    output
        Folder for the results; what a run of the same scenario left there stays.
    figures
        Draw the figure.
    formats
        Write the figure in this format, besides PNG: svg or pdf; may be given again.
    json
        Print the results as JSON, at full precision, instead of the table.
    quiet
        Print nothing but errors (and the JSON, with --json).
    """
    limits = limits_of(max_violation, max_p95, max_latency)
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        loaded = load(scenario, changes_of(sim_hours, seed), code=not no_code)
        found = run(loaded, limits, progress=stepper(bar, "working out"))
        facts = add_to(folder, found.inputs, "frontier")
        folder.write("tables/frontier.csv", csv_bytes(found.points))
        entry = "" if found.recommended is None else entry_text(found, found.recommended) + "\n"
        if entry:
            folder.write("policy.toml", entry.encode())
        if figures:
            from carbonroute.figures import pareto_front

            draw_into(folder, "pareto_front", lambda: pareto_front.draw(found.points), ("png", *formats))
        folder.finish({**facts, "frontier": {"limits": limits.given(), "finding": finding(found)}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        _print_json(found, entry)
    elif not quiet:
        _print(found, entry, folder)
    return 0 if entry else 1


def limits_of(max_violation: float | None, max_p95: float | None, max_latency: float | None) -> Limits:
    """Return the limits that were asked for, or at most 1 % violations."""
    for option, limit in {"--max-p95": max_p95, "--max-latency": max_latency}.items():
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(option, [Fault("", f"found {limit:g}", "a time above 0 in ms is expected")])
    if (max_violation, max_p95, max_latency) == (None, None, None):
        max_violation = 0.01
    return Limits(None if max_violation is None else pct(max_violation), max_p95, max_latency)


def changes_of(sim_hours: int | None, seed: int | None) -> dict[str, object]:
    """Return what options change in the scenario."""
    given = {"horizon.hours": sim_hours, "sampling.seed": seed}
    return {path: value for path, value in given.items() if value is not None}


def draw_into(folder: RunFolder, name: str, draw: Callable[[], Axes], formats: Sequence[str]) -> None:
    """Draw one figure into a run folder, in each format."""
    from carbonroute.figures import as_file
    from carbonroute.figures.layout import figure_of

    figure = figure_of(draw())
    for form in dict.fromkeys(formats):
        folder.write(f"graphs/{name}.{form}", as_file(figure, cast("Format", form)))


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
