"""``carbonroute whatif``: a scenario as it is and with changes, side by side."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from carbonroute.analysis.alterations import Alterations
from carbonroute.analysis.whatif import WhatIf, finding, run
from carbonroute.cli import options
from carbonroute.cli.progress import progress, stepper
from carbonroute.cli.terminal import empty_table, out, print_csv, print_json, results_alone, say
from carbonroute.engines import sampled
from carbonroute.errors import Fault, InputError
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics.headlines.whatif import KG_PER_YEAR, MEDIAN
from carbonroute.metrics.masses import mass_unit
from carbonroute.metrics.measure import GRAMS, INTENSITY
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked
from carbonroute.metrics.slo import WORST_PCT, beside
from carbonroute.runs.store import RunFolder, add_to
from carbonroute.units import pct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

#: Headings and formats of the figures whose unit is always the same.
_FIGURES = MappingProxyType(
    {
        INTENSITY.amount: ("Carbon intensity, g/kWh", "z.1f"),
        INTENSITY.reduction: ("Saved of carbon intensity, %", "z.1f"),
        GRAMS.reduction: ("Saved of emissions, %", "z.1f"),
    }
)
Several = Annotated[tuple[str, ...], Parameter(consume_multiple=False, negative=(), show_default=False)]


def whatif(
    scenario: str,
    /,
    *,
    full: Several = (),
    without: Several = (),
    carbon: Several = (),
    traffic: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    slo: Several = (),
    add: Several = (),
    replications: int | None = None,
    sim_hours: options.SimHours = None,
    seed: options.Seed = None,
    output: options.AddedOutput = Path("outputs"),
    engine: Literal["sampled", "exact", "queued"] | None = None,
    workers: options.Workers = None,
    max_violation: options.MaxViolation = None,
    json: options.Json = False,
    csv: Annotated[bool, Parameter(negative=(), help="Print the table as CSV, at full precision.")] = False,
    quiet: options.Quiet = False,
    no_code: options.NoCode = False,
) -> int:
    """Run a scenario as it is and with changes, and compare: now, then, and the difference.

    All changes that are stated hold together: they make one "then". The options of changes may be given
    again, for other names. Both sides have the same seeds, so that the differences are due to the changes.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    full
        A region without a spare server: it serves only the origins that it is nearest to.
    without
        A region that is taken away; its users stay, and are served elsewhere.
    carbon
        Other carbon intensity of a region, or of all regions in a zone: de=+20%, de=-50 (g/kWh less on
        average) or de=300 (g/kWh on average). Every hour is multiplied by the same number.
    traffic
        Other traffic, with the same servers: 2x, 0.5x, +20% or -20%.
    slo
        Another latency limit of a workload: chat=8s or chat=200ms; chat=ttft:1s for its first token, and
        chat=tpot:80ms for each further one.
    add
        A region of the catalogue that serves requests as well: aws:eu-north-1 (see `carbonroute regions`).
    replications
        Independent runs of each side: they give the intervals. 5 by default; of the exact engine 1.
    engine
        How to evaluate, as of `simulate`: by default queued where the scenario states pools of servers, and
        sampled elsewhere.
    """
    if json and csv:
        raise InputError("--csv", [Fault("", "found --json as well", "leave one of them out")])
    if (workers or 1) > 1 and engine not in {"exact", "queued"}:
        sampled.ready()
    changes = options.changes_of(sim_hours, seed)
    alterations = Alterations(full, without, carbon, traffic, slo, add)
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        result = run(
            scenario,
            alterations,
            changes,
            engine=engine,
            workers=options.workers_of(workers, engine),
            replications=replications,
            max_violation=max_violation,
            code=not no_code,
            progress=stepper(bar, "simulating"),
        )
        provenance = add_to(folder, result.inputs.scenario, result.inputs.digests, "whatif")
        folder.write("tables/whatif.csv", csv_bytes(result.rows))
        stated = {
            "if": list(result.altered.words),
            "engine": result.engine,
            "seeds": list(result.seeds),
            "max_violation_pct": pct(result.inputs.scenario.limits.violations),
        }
        folder.finish({**provenance, "whatif": {**stated, "finding": finding(result)}})
    for note in folder.notes:
        say(f"note: {note}")
    if json:
        document = {
            "scenario": result.inputs.scenario.name,
            **stated,
            "finding": finding(result),
            "notes": list(result.notes),
            "figures": result.rows.rows(named=True),
        }
        print_json(document)
    elif csv:
        print_csv(csv_bytes(result.rows).decode())
    elif not quiet:
        _print(result)
        out().print(f"\nWrote {folder.path}/tables/whatif.csv.", soft_wrap=True)
    return 0


def _print(result: WhatIf) -> None:
    """Print the answer, the table and the notes."""
    console = out()
    for sentence in finding(result):
        console.print(sentence, soft_wrap=True)
    console.print()
    console.print(_table(result))
    if result.rows["clairvoyant"].any():
        console.print(CLAIRVOYANT_NOTE)
    for note in result.notes:
        console.print(f"– {note}.", soft_wrap=True)


def _table(result: WhatIf) -> Table:
    """Return a table with a row per policy and figure, the recommended policy first."""
    measured = " [95 % interval]" if result.rows["difference_low"].is_not_null().any() else ""
    table = empty_table(f"{result.inputs.scenario.name}: now, and if {result.altered.text}{measured}")
    table.add_column("Policy", overflow="fold")
    table.add_column("Figure", overflow="fold")
    for heading in ("Now", "Then", "Difference"):
        table.add_column(heading, justify="right")
    rows, shown = result.rows.rows(named=True), ""
    limit_pct = pct(result.inputs.scenario.limits.violations)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        name = f"{marked(row['policy'], row['clairvoyant'])}{' *' * row['recommended']}"
        heading, factor, style = _style(row, limit_pct)
        cells = [_cell(row, side, factor, style) for side in ("now", "then")]
        if row["figure"] == WORST_PCT:
            cells = [_of_workload(row, side, cell) for side, cell in zip(("now", "then"), cells, strict=True)]
        difference = _cell(row, "difference", factor, f"+{style}")
        is_last = following is None or following["policy"] != row["policy"]
        table.add_row("" if name == shown else name, heading, *cells, difference, end_section=is_last)
        shown = name
    return table


def _style(row: Mapping[str, Any], limit_pct: float) -> tuple[str, float, str]:
    """Return heading, factor and format of a figure, by which a share over the limit does not read as it."""
    if row["figure"] == KG_PER_YEAR:
        known = [row[side] for side in ("now", "then") if row[side] is not None]
        unit, factor, digits = mass_unit(known)
        return f"Emissions, {unit} CO₂e a year", factor, f"z,.{digits}f"
    if row["figure"].startswith(MEDIAN):
        workload = row["figure"].removeprefix(MEDIAN).strip("[]")
        return f"Median latency{f' of {workload}' if workload else ''}, ms", 1.0, "z.1f"
    if row["figure"] == WORST_PCT:
        texts = [beside(limit_pct, row[side]) for side in ("now", "then") if row[side] is not None]
        digits = max((len(text.partition(".")[2]) for text in texts), default=2)
        return "Late of the worst workload, %", 1.0, f"z.{digits}f"
    heading, style = _FIGURES[row["figure"]]
    return heading, 1.0, style


def _cell(row: Mapping[str, Any], side: str, factor: float, style: str) -> str:
    """Return a figure with the ends of its interval, where it has them."""
    value, low, high = (row[f"{side}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    text = format(value * factor, style)
    if low is None or high is None:
        return text
    return f"{text} [{low * factor:{style}}, {high * factor:{style}}]"


def _of_workload(row: Mapping[str, Any], side: str, cell: str) -> str:
    """Return the share late of the worst workload, with its name and whether the limit is broken."""
    over = "" if row[f"{side}_viable"] else " (over the limit)"
    return f"{cell}\n{row[f'{side}_workload'] or ''}{over}"
