"""``carbonroute headroom``: each policy's saving against the capacity of the servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from carbonroute.analysis.headroom import HEADROOMS, Headroom, finding, run
from carbonroute.cli import options
from carbonroute.cli.progress import progress, stepper
from carbonroute.cli.terminal import empty_table, out, print_json, results_alone, say
from carbonroute.errors import Fault, InputError
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics import slo
from carbonroute.metrics.measure import measure_of
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked
from carbonroute.runs.store import RunFolder, add_to
from carbonroute.scenario import load

if TYPE_CHECKING:
    from rich.table import Table


def headroom(
    scenario: str,
    /,
    *,
    at: str | None = None,
    replications: int = 1,
    sim_hours: options.SimHours = None,
    seed: options.Seed = None,
    output: options.AddedOutput = Path("outputs"),
    workers: options.Workers = None,
    max_violation: options.MaxViolation = None,
    figures: options.Figures = True,
    formats: options.Formats = (),
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_code: options.NoCode = False,
) -> int:
    """Run a scenario with its servers multiplied, and compare each policy's saving.

    Headroom is capacity over mean load: 1.25 is a quarter more than the load needs on average.

    Parameters
    ----------
    scenario
        A TOML file, or a built-in scenario's name, whose pools say how capacity is spread.
    at
        Headrooms, with commas between: "1,1.25,2,inf". By default 1 to 5, and without limits.
    replications
        Independent runs of each headroom: 2 or more give savings and violations 95 % intervals.
    """
    headrooms = HEADROOMS if at is None else numbers(at)
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        result = run(
            load(scenario, options.changes_of(sim_hours, seed), code=not no_code),
            headrooms,
            max_violation=max_violation,
            replications=replications,
            workers=options.workers_of(workers, "queued"),
            progress=stepper(bar, "simulating"),
        )
        provenance = add_to(folder, result.inputs.scenario, result.inputs.digests, "headroom")
        folder.write("tables/headroom.csv", csv_bytes(result.points))
        if figures:
            from carbonroute.cli.drawing import draw_all

            draw_all(folder, {"headroom": result.points}, ("png", *formats))
        stated = {"max_violation_pct": result.max_violation_pct, "seeds": list(result.seeds)}
        folder.finish({**provenance, "headroom": {**stated, "finding": finding(result)}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        # JSON knows no infinity: null is without limits.
        points = result.points.with_columns(pl.when(pl.col("headroom").is_finite()).then("headroom"))
        document = {
            "scenario": result.inputs.scenario.name,
            **stated,
            "finding": finding(result),
            "limited": list(result.limited),
            "no_limit_stated": list(result.unlimited),
            "points": points.rows(named=True),
        }
        print_json(document)
    elif not quiet:
        console = out()
        console.print(_table(result))
        if result.points["clairvoyant"].any():
            console.print(CLAIRVOYANT_NOTE)
        for sentence in finding(result):
            console.print(f"– {sentence}.", soft_wrap=True)
        if replications == 1:
            console.print("– One run: how sure these figures are, --replications 5 tells.", soft_wrap=True)
        console.print(f"\nWrote {folder.path}/tables/headroom.csv.", soft_wrap=True)
    return 0


def numbers(text: str) -> tuple[float, ...]:
    """Return numbers with commas between.

    >>> numbers("1, 1.25,inf")
    (1.0, 1.25, inf)
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            "--at", [Fault("", f"found {text!r}", 'numbers with commas are expected, such as "1,1.25,inf"')]
        ) from None


def _table(result: Headroom) -> Table:
    """Return a table of each policy's saving by headroom, with its violations below."""
    measure, baseline = measure_of(result.points), result.points["baseline"][0]
    title = (
        f"{result.inputs.scenario.name}: reduction of {measure.name} against {baseline}, % (and violations"
        f"{' of the worst workload' * slo.per_workload(result.points)}, %), by headroom and servers"
    )
    if len(result.seeds) > 1:
        title += f", with 95 % intervals of {len(result.seeds)} replications"
    if result.limited and result.unlimited:
        title += f" of {', '.join(result.limited)}; no limit stated: {', '.join(result.unlimited)}"
    table, risk = empty_table(title), slo.limited(result.points)
    table.add_column("Policy", overflow="fold")
    for step, servers in result.points.select("headroom", "servers").unique(maintain_order=True).rows():
        # Servers come whole: two headrooms can be the same.
        heading = "∞\n" if servers is None else f"{step:g} ×\n{servers}"
        table.add_column(heading, justify="right", no_wrap=True)
    for policy in best_first(result.points, result.max_violation_pct):
        rows = result.points.filter(pl.col("policy") == policy).rows(named=True)
        cells = [
            "\n".join([*_with_ends(row, measure.reduction, "{:z.1f}"), *_with_ends(row, risk, "({:.2f})")])
            for row in rows
        ]
        table.add_row(marked(policy, rows[0]["clairvoyant"]), *cells)
    return table


def _with_ends(row: dict[str, Any], column: str, style: str) -> Iterator[str]:
    """Yield a figure, and in a line of its own its interval where it has one."""
    ends = [row[f"{column}_{end}"] for end in ("low", "high")]
    yield "–" if row[column] is None else style.format(row[column])
    if None not in ends:
        digits = style.strip("()")
        yield f"[{digits}, {digits}]".format(*ends)


def best_first(points: pl.DataFrame, max_violation_pct: float) -> list[str]:
    """Return the policies from the best on: at most headrooms within the limit, then of the largest saving.

    Those that no router can run come last.
    """
    kept = slo.within(points, max_violation_pct).group_by("policy")
    kept_at = kept.agg(pl.len().alias("kept"), pl.col(measure_of(points).reduction).mean().alias("saved"))
    ranks = points.select("policy", "clairvoyant").unique(maintain_order=True)
    ranks = ranks.join(kept_at, on="policy", how="left", maintain_order="left")
    order = ["clairvoyant", "kept", "saved"]
    ranked = ranks.sort(order, descending=[False, True, True], nulls_last=True, maintain_order=True)
    return ranked["policy"].to_list()
