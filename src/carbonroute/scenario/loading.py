"""Loading a scenario: where it is faulty, its data are checked as far as they can be known, at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.scenario.builtin import builtin_scenarios
from carbonroute.scenario.resolved.resolve import data_faults
from carbonroute.scenario.written.catalogued import completed
from carbonroute.scenario.written.changes import canonical, changed
from carbonroute.scenario.written.load import tables, validated
from carbonroute.scenario.written.mended import (
    SECTIONS,
    STAND_INS,
    mended,
    stand_ins_for_policies,
    without_energy,
)
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.places import Written, is_below


def load(source: str | Path, changes: Mapping[str, object] | None = None, *, code: bool = True) -> Scenario:
    """Read and check a scenario.

    Raises InputError with all faults, each with its path, the value there, and the values that are expected.

    Parameters
    ----------
    source
        A built-in scenario's name, or a TOML file.
    changes
        Values to set before checking, by path: ``{"sampling.seed": 7, "regions[US-East].pue": 1.1}``; see
        `carbonroute.scenario.written.changes`.
    code
        Whether code of others may be run: a scenario's policies can be classes of a file beside it or of any
        installed module, and these run when it is loaded. Without, only built-in policies are accepted.

    Examples
    --------
    >>> load("published", {"horizon.hours": 24}).horizon.hours
    24
    """
    data, folder = tables(source)
    spelled = changed(data, changes or {}, str(source))
    is_builtin = isinstance(source, str) and source in builtin_scenarios()
    places = tuple(chain.from_iterable(canonical(data, changes or {}, str(source)).values()))
    written = Written() if is_builtin else Written(Path(source), places)
    return examined(spelled, str(source), folder, written, code=code)


def examined(
    data: Mapping[str, Any], source: str, folder: Path, written: Written, *, code: bool = True
) -> Scenario:
    """Return the scenario that tables spell; where it is faulty, its data are checked too.

    `source`, `folder`, `written`: their name in errors, the folder of their paths, and their file.
    Raises InputError with all faults.
    """
    try:
        return validated(Scenario, data, source, folder, code=code, written=written)
    except InputError as error:
        more = [] if error.more else list(_more_faults(completed(data), source, folder, written, error))
        raise (InputError.together(source, [error, *more]) if more else error) from error


def _more_faults(
    data: Mapping[str, Any], source: str, folder: Path, written: Written, error: InputError
) -> Iterator[InputError]:
    """Yield the faults that would be found once those of the scenario itself are mended."""
    context = {"folder": folder, "code": False, "written": written}
    tables, sections = mended(data, context)
    whole = {key: table for key, table in tables.items() if key in {*SECTIONS, "pools", "control"}}
    if _hours(tables) != _hours(data):  # they limit the warm-up
        whole.pop("control", None)
    policies = stand_ins_for_policies(data.get("policies"), context)
    faults: list[Fault] = []
    try:
        stated = {**STAND_INS, **whole, **({"policies": policies} if policies else {})}
        validated(Scenario, stated, source, folder, code=False, written=written)
    except InputError as further:
        known = {fault.where for fault in error.faults} | (set(SECTIONS) - sections.keys())
        faults = [fault for fault in further.faults if not is_below(fault.where, known)]
        if faults:
            yield InputError(source, faults)
    told = {fault.where for fault in (*error.faults, *faults)}
    without = [fault for fault in without_energy(data, sections) if fault.where not in told]
    if without:
        yield written.located(InputError(source, without), source)
    more = data_faults(sections, data, tables, folder, {fault.where for fault in error.faults})
    if more:
        yield written.located(InputError.together(source, more), source)


def _hours(tables: Mapping[str, Any]) -> object:
    horizon = tables.get("horizon")
    return horizon.get("hours") if isinstance(horizon, dict) else None
