"""``carbonroute study``: run a parameter study, show its progress and its results."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
from cyclopts import Parameter

from carbonroute import study
from carbonroute.cli.options import Formats, Json, NoCode, Quiet, QuietAlone, Report, Style, Workers
from carbonroute.cli.progress import Display, progress, stepper
from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_csv, print_json, results_alone, say
from carbonroute.errors import visible
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics import slo
from carbonroute.metrics.headlines.study import plain
from carbonroute.metrics.masses import mass_unit
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked
from carbonroute.runs.folder import RunFolder
from carbonroute.runs.manifest import read_manifest
from carbonroute.study import overview

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from carbonroute.study import StudyTables

#: Combinations that are printed; all of them are in the table.
_SHOWN = 40
#: Failed cells whose errors are printed.
_ERRORS = 10


def run(
    file: Path,
    /,
    *,
    output: Path | None = None,
    workers: Workers = None,
    cluster: str | None = None,
    retry: Annotated[bool, Parameter(negative=())] = False,
    report: Report = False,
    json: Json = False,
    quiet: Quiet = False,
    no_code: NoCode = False,
) -> int:
    """Run all cells of a study that are missing in its folder.

    After an interruption, the same command resumes the study. The exit code is 1 where
    cells failed.

    Parameters
    ----------
    file
        The study, a TOML file: a base scenario, and a grid of changes.
    output
        Its folder; by default outputs/NAME, for a file NAME.toml.
    cluster
        Address of a Dask scheduler, such as tcp://host:8786: its workers work instead.
    retry
        Run cells again that failed before.
    """
    place = output or Path("outputs") / file.stem
    try:
        with progress(quiet=quiet) as bar, results_alone(quiet=quiet):
            checking, running = _watched(bar)
            tables = study.run(
                file,
                place,
                workers=workers,
                cluster=cluster,
                retry=retry,
                checking=checking,
                progress=running,
                command=visible(shlex.join(["carbonroute", "study", "run", str(file)])),
                code=not no_code,
                note=_note,
            )
    except KeyboardInterrupt:
        say("Finished cells are kept: the same command resumes the study.")
        raise
    if report:
        from carbonroute.report import write

        with results_alone(quiet=quiet):
            write(place)
    if json:
        _print_json(tables)
    elif not quiet:
        console = out()
        _print(console, tables)
        also = " and report.html" * report
        console.print(f"\nWrote {place}/results.parquet{also}.", soft_wrap=True)
    failed = tables.manifest["failed"]
    if (quiet or json) and failed:
        for line in _failures(tables):
            say(line)
    return MISSED if failed else DONE


def _print_json(tables: StudyTables) -> None:
    print_json({**tables.manifest, "results": tables.results.rows(named=True)})


def _note(text: str) -> None:
    say(f"note: {text}")


def status(folder: Path, /, *, json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Show the progress of a study, while it runs or after.

    Parameters
    ----------
    folder
        Of the study.
    json
        Print it as JSON.
    """
    now = study.status(folder)
    if json:
        print_json(vars(now))
        return DONE
    console = out()
    state = "running" if now.running else "finished" if now.done == now.total else "stopped"
    console.print(f"{now.name}: {state}. {now}.", soft_wrap=True)
    for cell, error in list(now.errors.items())[:_ERRORS]:
        console.print(f"– cell {cell}: {error}", soft_wrap=True)
    if len(now.errors) > _ERRORS:
        console.print(f"– and {len(now.errors) - _ERRORS} more.")
    return DONE


def show(
    folder: Path,
    /,
    *,
    csv: Annotated[bool, Parameter(name="--csv", negative=())] = False,
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Print the results of a finished study.

    Parameters
    ----------
    folder
        Of the study.
    csv
        Print all results instead, as CSV: a row per cell and policy, at full precision.
    json
        Print all results instead, as JSON, with the manifest.
    """
    tables = study.read(folder)
    if damage := study.damage_of(folder):
        _note(f"the results are those of the manifest, but {damage}")
    if csv:
        print_csv(csv_bytes(tables.results).decode())
    elif json:
        _print_json(tables)
    else:
        _print(out(), tables)
    return DONE


def figures(
    folder: Path, /, *, formats: Formats = (), style: Style = "house", quiet: QuietAlone = False
) -> int:
    """Draw the figures of a finished study into its folder.

    Parameters
    ----------
    folder
        Of the study.
    """
    from carbonroute.cli.drawing import draw_all

    with (
        progress(quiet=quiet) as bar,
        results_alone(quiet=quiet),
        RunFolder.reopen(folder, "figures") as into,
    ):
        tables = study.tables_in(folder, into.digests)
        by_name = {"summary": tables.summary, "axes": tables.axes}
        drawn = draw_all(into, by_name, ("png", *formats), stepper(bar, "drawing"), style)
        into.finish(read_manifest(folder))
    if not quiet:
        out().print(f"Drew {len(drawn)} figures into {folder}/graphs/.", soft_wrap=True)
    return DONE


def _watched(
    display: Display | None,
) -> tuple[Callable[[int, int], None] | None, Callable[[study.Progress], None] | None]:
    """Return progress callbacks for the check of cells and for the run, of the same task."""
    if display is None:
        return None, None
    task = display.task("checking")
    running = False

    def advance(now: study.Progress) -> None:
        nonlocal running
        rate = f", {now.cells_per_s:.3g}/s" if now.cells_per_s else ""
        failed = f", {now.failed:,} failed" if now.failed else ""
        # Cells of an earlier run do not count for the rate.
        show = task.update if running else task.restart
        show(now.done, now.total, f"{now.done:,} of {now.total:,} cells{rate}{failed}")
        running = True

    return task.update, advance


def _print(console: Console, tables: StudyTables) -> None:
    """Print the results of a study: policies over all combinations, and the best one of each."""
    if tables.summary.height:
        console.print(_policies(tables))
        if tables.summary["clairvoyant"].any():
            console.print(CLAIRVOYANT_NOTE)
        best = overview.best(tables)
        if best.height > 1 and overview.axes(tables):
            console.print(_combinations(tables, best))
            if best.height > _SHOWN:
                console.print(f"{best.height - _SHOWN} combinations more: `carbonroute study show --csv`.")
    for sentence in tables.manifest["finding"]:
        console.print(sentence, soft_wrap=True)
    for line in _failures(tables):
        console.print(f"– {line}", soft_wrap=True)


def _failures(tables: StudyTables) -> Iterator[str]:
    failed = tables.manifest["failed"]
    for one in failed[:_ERRORS]:
        yield f"{one['where']}: {one['error']}"
    if len(failed) > _ERRORS:
        yield f"and {len(failed) - _ERRORS} more"


def _policies(tables: StudyTables) -> Table:
    rows = overview.policies(tables)
    table = empty_table(f"{tables.manifest['name']}: each policy over all combinations")
    table.add_column("Policy", overflow="fold")
    late = "Late of the worst\nworkload, %: " if slo.per_workload(tables.summary) else "Late, %\n"
    headings = (
        "Viable\nin",
        "Best\nin",
        "Saved %\nleast",
        "\nmedian",
        "\nmost",
        f"{late}median",
        "\nmost",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.rows(named=True):
        numbers = [
            "–" if row[name] is None else f"{row[name]:{style}}" for name, style in overview.STYLES.items()
        ]
        counts = [f"{row['viable']} of {row['combinations']}", str(row["best"])]
        table.add_row(marked(row["policy"], row["clairvoyant"]), *counts, *numbers)
    return table


def _with_ends(row: Mapping[str, Any], name: str) -> str:
    """Return a figure of the summary with its 95 % interval over seeds, where it has one."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:z.1f}" if low is None else f"{row[name]:z.1f} [{low:z.1f}, {high:z.1f}]"


def _combinations(tables: StudyTables, best: pl.DataFrame) -> Table:
    saved = overview.saved_column(tables.summary)
    table = empty_table("the best policy within the limit that a router could run")
    axes = overview.axes(tables)
    for name in axes:
        table.add_column(name, overflow="fold")
    table.add_column("Policy", overflow="fold")
    masses_kg = best["total_kg"].drop_nulls().to_list() if "total_kg" in best.columns else []
    unit, worst = mass_unit(masses_kg), slo.per_workload(tables.summary)
    headings = ["Saved\n%", *[f"Emissions\n{unit.name}"] * bool(masses_kg), "Late\n%", "P95\nms"]
    for heading in headings:
        table.add_column(heading, justify="right")
    if worst:
        table.add_column("of the worst\nworkload", overflow="fold")
    for row in best.head(_SHOWN).rows(named=True):
        places = [plain(row[name]) for name in axes]
        if row["policy"] is None:
            table.add_row(*places, "none", *["–"] * (len(headings) + worst))
            continue
        p95_ms = row.get(slo.WORST_P95 if worst else "p95_latency_ms")
        mass = [f"{row['total_kg'] * unit.per_kg:,.{unit.digits}f}"] if masses_kg else []
        table.add_row(
            *places,
            row["policy"],
            _with_ends(row, saved),
            *mass,
            f"{row[slo.limited(tables.summary)]:.2f}",
            "–" if p95_ms is None else f"{p95_ms:.1f}",
            *[row[slo.WORST]] * worst,
        )
    return table
