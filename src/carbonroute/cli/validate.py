"""``carbonroute validate``: check a scenario and its data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from carbonroute.cli.options import NoCode
from carbonroute.cli.terminal import DONE, REFUSED, out, print_json, results_alone
from carbonroute.errors import Fault, InputError
from carbonroute.scenario import load, resolve
from carbonroute.scenario.written.mistaken import kind_of


def validate(
    file: str,
    /,
    *,
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    no_code: NoCode = False,
) -> int:
    """Check a scenario and its data files without simulating it; all faults are listed at once.

    Of a study: its file, its base scenario, all of its cells, and the data of each value on its
    axes.

    Parameters
    ----------
    file
        A TOML file, or a built-in scenario's name.
    json
        Print the faults as JSON, each with its file, line, id and remedy; the exit code is as without.
    """
    name = "scenario"
    try:
        with results_alone():
            try:
                summary, sentence, notes = _scenario(file, code=not no_code)
            except InputError as error:
                if not _is_study(file, error):
                    raise
                name = "study"
                summary, sentence, notes = _study(file, code=not no_code)
    except InputError as error:
        if not json:
            raise
        faults = [_as_json(error, fault) for fault in error.faults]
        print_json({name: file, "valid": False, "more": error.more, "faults": faults})
        return REFUSED
    if json:
        print_json({name: file, "valid": True, **summary, "notes": notes, "faults": []})
        return DONE
    console = out()
    console.print(f"{file}: valid. {sentence}.", soft_wrap=True)
    for note in notes:
        console.print(f"– {note}.", soft_wrap=True)
    return DONE


def _is_study(file: str, refusal: InputError) -> bool:
    """Whether a file was refused because it is a study."""
    if all(fault.id != "wrong-file" for fault in refusal.faults):
        return False
    kind = kind_of(Path(file))
    return kind is not None and kind.name == "a study"


def _scenario(file: str, *, code: bool) -> tuple[dict[str, Any], str, Sequence[str]]:
    """Return the facts of a valid scenario, the same in words, and its notes."""
    inputs = resolve(load(file, code=code))
    hours, origins, workloads, regions = inputs.shape
    requests = round(inputs.arrivals.count)
    policies = len(inputs.candidates)
    counts = {"hours": hours, "requests": requests, "origins": origins, "workloads": workloads}
    counts |= {"regions": regions, "policies": policies}
    return counts, ", ".join(_counted(count, plural) for plural, count in counts.items()), inputs.notes


def _counted(count: int, plural: str) -> str:
    """Return a number of things.

    >>> _counted(1, "policies"), _counted(1, "hours"), _counted(2400, "requests")
    ('1 policy', '1 hour', '2,400 requests')
    """
    singular = f"{plural[:-3]}y" if plural.endswith("ies") else plural[:-1]
    return f"{count:,} {singular if count == 1 else plural}"


def _study(file: str, *, code: bool) -> tuple[dict[str, Any], str, Sequence[str]]:
    """Return the same of a valid study."""
    from carbonroute import study

    checked = study.check(file, code=code)
    axes = {axis.name: len(axis.values) for axis in checked.axes}
    listed = ", ".join(f"{name} ({count:,})" for name, count in axes.items()) or "none"
    words = f"{len(checked.cells):,} cells of {checked.base.source}; axes: {listed}"
    return {"base": checked.base.source, "cells": len(checked.cells), "axes": axes}, words, ()


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
