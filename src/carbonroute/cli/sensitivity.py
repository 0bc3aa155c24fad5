"""``carbonroute sensitivity``: one-at-a-time sensitivity of the recommended policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from carbonroute.analysis import frontier
from carbonroute.analysis.sensitivity import sensitivity as vary
from carbonroute.cli import options
from carbonroute.cli.progress import progress, stepper
from carbonroute.cli.terminal import empty_table, out, print_json, results_alone, say
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics.headlines import sensitivity as headlines
from carbonroute.runs.store import RunFolder, add_to
from carbonroute.scenario import load

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

#: A horizon from which on processes save more time than they take to begin.
_LONG_HOURS = 500


def sensitivity(
    scenario: str = "published",
    /,
    *,
    max_violation: options.MaxViolation = None,
    max_p95: options.MaxP95 = None,
    max_latency: options.MaxLatency = None,
    sim_hours: options.SimHours = None,
    seed: options.CarbonSeed = None,
    output: options.AddedOutput = Path("outputs"),
    workers: Annotated[
        int | None,
        Parameter(
            help="Processes on this machine; one per core by default where the scenario has 500 hours or "
            "more. The results are the same for any number."
        ),
    ] = None,
    figures: options.Figures = True,
    formats: options.Formats = (),
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_code: options.NoCode = False,
) -> int:
    """Change each input by 10%, down and up, and evaluate the policy that `frontier` recommends.

    Its figures are given for routers that are informed of the change and decide anew, and for routers that
    are not and decide as before. The limit on violations is the scenario's. The exit code is 1 where
    nothing is recommended.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    """
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        loaded = load(scenario, options.changes_of(sim_hours, seed), code=not no_code).within(max_violation)
        limits = options.limits_of(loaded, max_p95, max_latency)
        result = frontier.run(loaded, limits, progress=stepper(bar, "recommending"))
        sentences = frontier.finding(result)[:1]
        if result.recommended is None:
            say(sentences[0])
            return 1
        is_long = loaded.horizon.hours >= _LONG_HOURS
        processes = options.workers_of(workers, None if is_long else "exact")
        table = vary(result, stepper(bar, "changing inputs"), workers=processes)
        sentences += headlines.finding(table)
        provenance = add_to(folder, result.inputs.scenario, result.inputs.digests, "sensitivity")
        folder.write("tables/sensitivity.csv", csv_bytes(table))
        if figures:
            from carbonroute.cli.drawing import draw_all

            draw_all(folder, {"sensitivity": table}, ("png", *formats))
        folder.finish({**provenance, "sensitivity": {"limits": limits.given(), "finding": sentences}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        document = {
            "scenario": result.inputs.scenario.name,
            "limits": limits.given(),
            "finding": sentences,
            "changes": table.rows(named=True),
        }
        print_json(document)
    elif not quiet:
        console = out()
        console.print(_table(table))
        for sentence in sentences:
            console.print(sentence, soft_wrap=True)
        console.print(f"\nWrote {folder.path}/tables/sensitivity.csv.", soft_wrap=True)
    return 0


def _table(rows: pl.DataFrame) -> Table:
    title = f"{rows['policy'][0]}, unchanged, and the policy recommended instead"
    table = empty_table(title)
    table.add_column("Input", overflow="fold")
    for heading in (
        *("Change\n%", "Saved\n%", "change\npoints", "not informed\n%"),
        *("Violations\n%", "change\npoints", "not informed\n%"),
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
