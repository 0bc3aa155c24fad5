"""``carbonroute calibrate``: a scenario with the rates, service times and energies that were measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from carbonroute.cli.options import Json, NoCode
from carbonroute.cli.terminal import empty_table, out, print_json, results_alone
from carbonroute.errors import RunFolderError
from carbonroute.files.folder import create_named, write_named
from carbonroute.files.text import refused

if TYPE_CHECKING:
    from carbonroute.live.calibrate import Calibration, Row


def calibrate(
    journal: Path,
    /,
    *,
    scenario: str,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    force: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
    no_code: NoCode = False,
) -> int:
    """Write a scenario with the rates, service times and energies that a journal of decisions measured.

    Printed is a table of each quantity: its value in the scenario, as measured, and the 95 % interval. What
    the journal does not tell is said, and stays as it is.

    Parameters
    ----------
    journal
        A folder that `carbonroute simulate --journal` or `carbonroute live run` wrote, of one policy.
    scenario
        A built-in scenario's name, or a file, with the origins, workloads and regions of the journal.
    output
        The scenario file to write; comments are not kept.
    force
        Replace a file that is there.
    """
    from carbonroute.live.calibrate import calibrate as calibrated

    if output.suffix != ".toml":
        raise refused("--output", f"found {output.name!r}", "a name in .toml is expected")
    if output.exists() and not force:
        raise RunFolderError(f"{output}: is there already; name another file, or replace it: --force")
    with results_alone():
        result = calibrated(journal, scenario, output, code=not no_code)
    (write_named if force else create_named)(output, result.text.encode())
    if json:
        print_json(result.as_json())
    else:
        _print(result, output)
    return 0


def _print(result: Calibration, output: Path) -> None:
    console, table = out(), empty_table(f"Measured in {result.evidence}")
    table.add_column("quantity")
    for name in ("scenario", "measured", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in result.rows:
        low, high = row.interval
        table.add_row(
            f"{row.quantity} ({row.unit})" if row.unit else row.quantity,
            _number(row.scenario),
            _number(row.measured),
            "unknown" if math.isnan(low) else f"{low:.4g} to {high:.4g}",
            _verdict(row),
        )
    console.print(table)
    for note in result.notes:
        console.print(f"– {note}.", soft_wrap=True)
    console.print(f"\nWrote {output}; next: carbonroute simulate {output}", soft_wrap=True)


def _number(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.5g}"


def _verdict(row: Row) -> str:
    outside = not (row.holds or math.isnan(row.scenario))
    return "; ".join(filter(None, ("the scenario's value lies outside" if outside else "", row.note)))
