"""The sections of a faulty scenario that can be read all the same, so that their data are checked too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from typing import Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from carbonroute.scenario.written.model import Scenario

#: Sections that data files are read by.
SECTIONS = (
    "horizon",
    "sampling",
    "information",
    "traffic",
    "carbon",
    "origins",
    "workloads",
    "regions",
    "network",
)
_OF_ENERGY = (
    "energy_j",
    "energy_j_per_prompt_token",
    "energy_j_per_answer_token",
    "energy_source",
    "embodied_g",
)
#: Keys without which, or with another valid value, the same data are read.
_HARMLESS: Mapping[str, Collection[str]] = {
    **dict.fromkeys(SECTIONS, ()),
    "horizon": ("hours",),
    "sampling": ("seed", "restart"),
    "origins": ("share", "utc_offset_hours"),
    "workloads": ("share", "name", "model", "slo_ms", "payload_mb", *_OF_ENERGY),
    "regions": ("pue", "hardware_factor", "pools"),
    "network": ("jitter_std_ms", "energy_j_per_gb"),
}
#: Keys that data are read by: an unknown one may be one of them, misspelt.
_READ_BY: Mapping[str, Collection[str]] = {
    "horizon": ("hours", "start"),
    "origins": ("name", "latitude", "longitude"),
    "workloads": ("id", "service_ms"),
    "regions": ("name", "zone", "carbon", "carbon_g_per_kwh", "carbon_profile", "latitude", "longitude"),
    "network": ("rtt_file", "rtt_ms", "missing", "jitter"),
}
#: Values of such keys that must be stated.
_INSTEAD: Mapping[tuple[str, str], object] = {
    ("origins", "share"): 0.0,
    ("workloads", "share"): 0.0,
    ("workloads", "name"): "x",
    ("workloads", "model"): "x",
    ("workloads", "slo_ms"): 1e6,
    ("horizon", "hours"): 1,
}
#: Sections that stand in for unreadable ones, so that the others are checked.
STAND_INS: Mapping[str, object] = {
    "schema": 1,
    "name": "x",
    "horizon": {"hours": 1},
    "traffic": {"kind": "fixed-rate", "requests_per_hour": 1},
    "carbon": {"kind": "synthetic", "noise": 0},
    "policies": [{"use": "latency-first"}],
}
_ROUNDS = 20


def mended(
    data: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """Return what can be known of a scenario's sections, harmless faults aside.

    Parameters
    ----------
    data
        The tables of the file, faults included.
    context
        Of their validation.

    Returns
    -------
    tuple
        The tables without those faults, or without a section that has others; the sections that are valid
        then; and the names of those that had any.
    """
    tables, sections, faulty = deepcopy(dict(data)), {}, set()
    for name in SECTIONS:
        if name not in data:
            continue
        field = Scenario.model_fields[name]
        adapter: TypeAdapter[Any] = TypeAdapter(cast("Any", Annotated[field.annotation, field]))
        for _ in range(_ROUNDS):
            try:
                sections[name] = adapter.validate_python(tables[name], context=context)
            except ValidationError as error:
                faulty.add(name)
                changes = [_mend(name, tables[name], each["loc"], each["type"]) for each in error.errors()]
                if not all(changes):
                    tables.pop(name)
                    break
            else:
                break
        else:
            tables.pop(name)
        if name in faulty and name in sections and "share" in _HARMLESS[name]:
            for member in tables[name]:
                member["share"] = 1 / len(tables[name])
    return tables, sections, faulty


def _mend(section: str, table: Any, location: Sequence[str | int], kind: str) -> bool:
    """Leave out or replace the key of a harmless fault; say whether that could be done."""
    member = table
    if location and isinstance(location[0], int):
        member, location = table[location[0]], location[1:]
    if not isinstance(member, dict) or not location:
        return False
    key = str(location[0])
    if len(location) > 1 and key != "pools":  # within a source or a law: other data would be read
        return False
    if kind == "extra_forbidden":
        near = get_close_matches(key, _READ_BY.get(section, ()), n=1)
        may_be_meant = near and near[0] not in member
        return section in _READ_BY and not may_be_meant and member.pop(key, None) is not None
    if key not in _HARMLESS[section]:
        return False
    member.pop(key, None)
    if (section, key) in _INSTEAD:
        member[key] = _INSTEAD[section, key]
    return True
