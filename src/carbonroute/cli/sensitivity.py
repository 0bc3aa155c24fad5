"""``carbonroute sensitivity``: which input a recommendation hangs on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from carbonroute import frontier
from carbonroute import sensitivity as inputs
from carbonroute.cli.frontier import Share, changes_of, draw_into, limits_of
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
from carbonroute.scenario import load
from carbonroute.store import RunFolder, add_to
from carbonroute.tablefile import csv_bytes

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table


def sensitivity(
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
    """Change each input by 10%, down and up, and see what becomes of the policy that `frontier` recommends.

    It shows what its routers reach when they are told of the change and decide anew, and when they are not
    and decide as before. Without any limit, at most 1% violations are asked for. The exit code is 1 where
    nothing is recommended.

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
        found = frontier.run(loaded, limits, progress=stepper(bar, "recommending"))
        said = frontier.finding(found)[:1]
        if found.recommended is None:
            say(said[0])
            return 1
        table = inputs.sensitivity(found, stepper(bar, "changing inputs"))
        said += inputs.finding(table)
        facts = add_to(folder, found.inputs, "sensitivity")
        folder.write("tables/sensitivity.csv", csv_bytes(table))
        if figures:
            from carbonroute.figures import tornado

            draw_into(folder, "sensitivity", lambda: tornado.draw(table), ("png", *formats))
        folder.finish({**facts, "sensitivity": {"limits": limits.given(), "finding": said}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        document = {
            "scenario": found.inputs.scenario.name,
            "limits": limits.given(),
            "finding": said,
            "changes": table.rows(named=True),
        }
        print_json(document)
    elif not quiet:
        console = out()
        console.print(_table(table))
        for sentence in said:
            console.print(sentence, soft_wrap=True)
        console.print(f"\nWrote {folder.path}/tables/sensitivity.csv.", soft_wrap=True)
    return 0


def _table(rows: pl.DataFrame) -> Table:
    title = f"{rows['policy'][0]}, left as it is, and what would be used instead"
    table = empty_table(title)
    table.add_column("Input", overflow="fold")
    for heading in (
        *("Change\n%", "Saved\n%", "change\npoints", "not told\n%"),
        *("Violations\n%", "change\npoints", "not told\n%"),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Instead", overflow="fold")
    for heading in ("Saved\n%", "Violations\n%"):
        table.add_column(heading, justify="right", no_wrap=True)
    columns = {
        "saved_pct": "z.1f",
        "saved_points": "+z.1f",
        "untold_saved_pct": "z.1f",
        "slo_violation_pct": ".2f",
        "violation_points": "+z.2f",
        "untold_slo_violation_pct": ".2f",
    }
    for row in rows.rows(named=True):
        figures = [f"{row[name]:{style}}" for name, style in columns.items()]
        instead = ["the same", "", ""] if row["same"] else ["none keeps the limits", "", ""]
        if not row["same"] and row["chosen"]:
            instead = [row["chosen"], f"{row['chosen_saved_pct']:z.1f}", f"{row['chosen_violation_pct']:.2f}"]
        table.add_row(row["input"], f"{row['change_pct']:+g}", *figures, *instead)
    return table
