"""``carbonroute study``: many runs over a grid, their progress, and what they found."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
from cyclopts import Parameter

from carbonroute import study
from carbonroute.cli.options import NoCode, Quiet
from carbonroute.cli.terminal import (
    DONE,
    MISSED,
    empty_table,
    out,
    print_csv,
    print_json,
    progress,
    results_alone,
    say,
)
from carbonroute.errors import visible
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics.headlines.study import plain
from carbonroute.study import overview

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
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
    workers: int | None = None,
    cluster: str | None = None,
    retry: Annotated[bool, Parameter(negative=())] = False,
    quiet: Quiet = False,
    no_code: NoCode = False,
) -> int:
    """Run all cells of a study that its folder does not have yet.

    Killed at any time, it goes on where it was when the same command is given again. The exit code is 1 where
    cells failed.

    Parameters
    ----------
    file
        The study, a TOML file: a base scenario, and what changes in it from cell to cell.
    output
        Its folder; by default outputs/NAME, for a file NAME.toml.
    workers
        Processes on this machine; one per core by default. The results are the same for any number.
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
        say("What is done is kept: the same command goes on with the rest.")
        raise
    if not quiet:
        console = out()
        _print(console, tables)
        console.print(f"\nWrote {place}/results.parquet.", soft_wrap=True)
    failed = tables.facts["failed"]
    if quiet and failed:
        for line in _failures(tables):
            say(line)
    return MISSED if failed else DONE


def _note(text: str) -> None:
    say(f"note: {text}")


def status(folder: Path, /, *, json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Say how far a study is, while it runs or after.

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
    """Print what a finished study found.

    Parameters
    ----------
    folder
        Of the study.
    csv
        Print all results instead, as CSV: a row per cell and policy, at full precision.
    json
        Print all results instead, as JSON, with what the manifest states.
    """
    tables = study.read(folder)
    if csv:
        print_csv(csv_bytes(tables.results).decode())
    elif json:
        document = {**tables.facts, "results": tables.results.rows(named=True)}
        print_json(document)
    else:
        _print(out(), tables)
    return DONE


def _watched(
    bar: Progress | None,
) -> tuple[Callable[[int, int], None] | None, Callable[[study.Progress], None] | None]:
    """Return what shows how many cells are checked, and then, on the same line, how far the study is."""
    if bar is None:
        return None, None
    task = bar.add_task("checking")
    running = False

    def check(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    def show_it(now: study.Progress) -> None:
        nonlocal running
        rate = f", {now.cells_per_s:.3g}/s" if now.cells_per_s else ""
        failed = f", {now.failed:,} failed" if now.failed else ""
        said = f"{now.done:,} of {now.total:,} cells{rate}{failed}"
        if running:
            bar.update(task, completed=now.done, description=said)
        else:  # what an earlier run had done is no part of the rate
            bar.reset(task, completed=now.done, total=now.total, description=said)
            running = True

    return check, show_it


def _print(console: Console, tables: StudyTables) -> None:
    """Print what a study found: policies over all combinations, and the best one of each."""
    if tables.summary.height:
        console.print(_policies(tables))
        if tables.summary["clairvoyant"].any():
            console.print("† clairvoyant: decides on what no router can know.")
        best = overview.best(tables)
        if best.height > 1 and overview.axes(tables):
            console.print(_combinations(tables, best))
            if best.height > _SHOWN:
                console.print(f"{best.height - _SHOWN} combinations more: `carbonroute study show --csv`.")
    for sentence in tables.facts["finding"]:
        console.print(sentence, soft_wrap=True)
    for line in _failures(tables):
        console.print(f"– {line}", soft_wrap=True)


def _failures(tables: StudyTables) -> Iterator[str]:
    failed = tables.facts["failed"]
    for one in failed[:_ERRORS]:
        yield f"{one['where']}: {one['error']}"
    if len(failed) > _ERRORS:
        yield f"and {len(failed) - _ERRORS} more"


def _policies(tables: StudyTables) -> Table:
    rows = overview.policies(tables)
    shown = empty_table(f"{tables.facts['name']}: each policy over all combinations")
    shown.add_column("Policy", overflow="fold")
    headings = (
        "Viable\nin",
        "Best\nin",
        "Saved %\nleast",
        "\nmedian",
        "\nmost",
        "Violations %\nmedian",
        "\nmost",
    )
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows.rows(named=True):
        numbers = [
            "–" if row[name] is None else f"{row[name]:{style}}" for name, style in overview.STYLES.items()
        ]
        counts = [f"{row['viable']} of {row['combinations']}", str(row["best"])]
        shown.add_row(f"{row['policy']}{' †' * row['clairvoyant']}", *counts, *numbers)
    return shown


def _combinations(tables: StudyTables, best: pl.DataFrame) -> Table:
    saved = overview.saved_column(tables.summary)
    shown = empty_table("the best policy within the limit that a router could run")
    axes = overview.axes(tables)
    for name in axes:
        shown.add_column(name, overflow="fold")
    shown.add_column("Policy", overflow="fold")
    for heading in ("Saved\n%", "Violations\n%", "Latency\nms"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in best.head(_SHOWN).rows(named=True):
        places = [plain(row[name]) for name in axes]
        if row["policy"] is None:
            shown.add_row(*places, "none", "–", "–", "–")
            continue
        latency_ms = row.get("avg_latency_ms")
        shown.add_row(
            *places,
            row["policy"],
            f"{row[saved]:z.1f}",
            f"{row['slo_violation_pct']:.2f}",
            "–" if latency_ms is None else f"{latency_ms:.1f}",
        )
    return shown
