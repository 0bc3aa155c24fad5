"""The sections of a faulty scenario that can be read all the same, so that their data are checked too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from carbonroute.errors import Fault
from carbonroute.scenario.written import consistency
from carbonroute.scenario.written.entry import PolicyEntry
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
    "origins": ("share", "utc_offset_hours", "allowed_regions"),
    "workloads": ("share", "name", "model", "slo_ms", "payload_mb", "allowed_regions", *_OF_ENERGY),
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
    ("workloads", "energy_j"): 1.0,
    ("horizon", "hours"): 1,
}
#: A law in place of a faulty one, so that the other laws are read.
_LAW = MappingProxyType({"law": "normal", "mean": 1e-3, "std": 0.0})
_DEGREES = ("latitude", "longitude")
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


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    """Return what validates a section of a scenario."""
    field = Scenario.model_fields[name]
    return TypeAdapter(cast("Any", Annotated[field.annotation, field]))


def mended(data: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what can be known of a scenario's sections, harmless faults aside.

    Returns
    -------
    tuple
        The tables without those faults, or without a section that has others; and the sections that are
        valid then.
    """
    tables, sections = deepcopy(dict(data)), {}
    for name in SECTIONS:
        if name not in data:
            continue
        adapter = _adapter(name)
        keys = set()
        for _ in range(_ROUNDS):
            try:
                sections[name] = adapter.validate_python(tables[name], context=context)
            except ValidationError as error:
                keys |= {str(each["loc"][-1]) for each in error.errors() if each["loc"]}
                changes = [
                    _mend(name, tables[name], each["loc"], each["type"], _is_estimated(data))
                    for each in error.errors()
                ]
                if not all(changes):
                    tables.pop(name)
                    break
            else:
                break
        else:
            tables.pop(name)
        if name in sections and "share" in keys:
            for member in tables[name]:
                member["share"] = 1 / len(tables[name])
    return tables, sections


def stand_ins_for_policies(policies: object, context: Mapping[str, Any]) -> object:
    """Return policies with another in place of each faulty one, so that the others are compared."""
    if not isinstance(policies, list):
        return policies
    kept = []
    for place, entry in enumerate(policies):
        try:
            PolicyEntry.model_validate(entry, context=context)
            kept.append(entry)
        except ValidationError:
            kept.append({"use": "latency-first", "label": f"(faulty policy {place})"})
    return kept


def without_energy(data: Mapping[str, Any], sections: Mapping[str, Any]) -> list[Fault]:
    """Return the workloads without energy, as far as that is known beside faulty sections.

    Replicas of known power have energies of their own: nothing is known where the scenario's pools have some,
    or where regions are faulty and state pools.

    `data`: the tables as stated.
    `sections`: those of them that are valid; see `mended`.
    """
    pools, regions = data.get("pools", []), data.get("regions")
    if any("llm" in pool for pool in _tables(pools)):
        return []
    if "regions" not in sections and any("pools" in region for region in _tables(regions)):
        return []
    return [*consistency.without_energy(sections.get("workloads", ()), sections.get("regions", ()), ())]


def _tables(members: object) -> list[Mapping[str, Any]]:
    """Return the members of a section that are tables."""
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []


def _is_estimated(data: Mapping[str, Any]) -> bool:
    """Whether round-trip times may be estimated by coordinates."""
    network = data.get("network")
    return isinstance(network, dict) and network.get("missing") == "great-circle"


def _mend(section: str, table: Any, location: Sequence[str | int], kind: str, estimated: bool) -> bool:
    """Leave out or replace the key of a harmless fault; say whether that could be done."""
    member = table
    if location and isinstance(location[0], int):
        member, location = table[location[0]], location[1:]
    if not isinstance(member, dict) or not location:
        return False
    key = str(location[0])
    if (section, key) == ("workloads", "service_ms"):
        member[key] = dict(_LAW)
        return True
    if (section, key) == ("horizon", "start"):
        return _in_utc(member)
    if len(location) > 1 and key != "pools":  # within a source: other data would be read
        return False
    if kind == "extra_forbidden":
        near = get_close_matches(key, _READ_BY.get(section, ()), n=1)
        may_be_meant = near and near[0] not in member
        return section in _READ_BY and not may_be_meant and _without(section, member, key)
    harmless = key in _HARMLESS[section] or (key in _DEGREES and not estimated)
    if harmless:
        member.pop(key, None)
        member |= {name: value for (of, name), value in _INSTEAD.items() if (of, name) == (section, key)}
    return harmless


def _without(section: str, member: dict[str, Any], key: str) -> bool:
    """Leave out an unknown key; state the one that it may mean."""
    near = get_close_matches(key, _HARMLESS[section], n=1)
    if near and near[0] not in member and (section, near[0]) in _INSTEAD:
        member[near[0]] = _INSTEAD[section, near[0]]
    return member.pop(key, None) is not None


def _in_utc(horizon: dict[str, Any]) -> bool:
    """Take a start without offset, or as text, as UTC; say whether that could be done."""
    start = horizon["start"]
    try:
        time = start if isinstance(start, datetime) else datetime.fromisoformat(str(start))
    except ValueError:
        return False
    if time.tzinfo is not None and isinstance(start, datetime):
        return False
    horizon["start"] = time if time.tzinfo else time.replace(tzinfo=UTC)
    return True
