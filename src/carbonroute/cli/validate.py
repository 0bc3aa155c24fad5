"""``carbonroute validate``: check a scenario and its data."""

from __future__ import annotations

import re
from typing import Annotated, Any

from cyclopts import Parameter

from carbonroute.cli.options import NoCode
from carbonroute.cli.terminal import DONE, REFUSED, out, print_json, results_alone
from carbonroute.errors import Fault, InputError
from carbonroute.scenario import load, resolve


def validate(
    file: str,
    /,
    *,
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    no_code: NoCode = False,
) -> int:
    """Check a scenario and its data files without simulating it; all faults are listed at once.

    Parameters
    ----------
    file
        A TOML file, or a built-in scenario's name.
    json
        Print the faults as JSON, each with its file, line, id and remedy; the exit code is as without.
    """
    try:
        with results_alone():
            inputs = resolve(load(file, code=not no_code))
    except InputError as error:
        if not json:
            raise
        faults = [_as_json(error, fault) for fault in error.faults]
        print_json({"scenario": file, "valid": False, "more": error.more, "faults": faults})
        return REFUSED
    hours, origins, workloads, regions = inputs.shape
    requests = round(inputs.arrivals.count)
    if json:
        counts = {"hours": hours, "requests": requests, "origins": origins, "workloads": workloads}
        counts |= {"regions": regions, "policies": len(inputs.candidates)}
        print_json({"scenario": file, "valid": True, **counts, "notes": inputs.notes, "faults": []})
        return DONE
    console = out()
    console.print(
        f"{file}: valid. {hours:,} hours, {requests:,} requests, {origins} origins, {workloads} workloads, "
        f"{regions} regions, {len(inputs.candidates)} policies.",
        soft_wrap=True,
    )
    for note in inputs.notes:
        console.print(f"– {note}.", soft_wrap=True)
    return DONE


def _as_json(error: InputError, fault: Fault) -> dict[str, Any]:
    """Return a fault; its line is that of the key or row, or null where the whole file is meant."""
    stated = re.search(r"\blines? ([\d,]+)", f"{fault.where} {fault.found}")
    line = fault.line or (int(stated[1].replace(",", "")) if stated else None)
    return {
        "file": error.file_of(fault),
        "line": line,
        "where": fault.where,
        "id": fault.id,
        "found": fault.found,
        "remedy": fault.remedy,
    }
