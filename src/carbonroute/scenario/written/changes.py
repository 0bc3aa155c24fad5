"""Values set in a scenario's tables before they are checked, by path: ``network.jitter_std_ms``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.toml import as_found, key_text

#: Keys by which a member of a list can be named.
_NAMES = ("name", "id", "label", "use", "from")
_KEY = r'"(?P<quoted>[^"]*)"|(?P<plain>[^."\[\]]+)'
_PART = re.compile(rf"(?:^|(?<!^)\.)(?:{_KEY})|\[(?P<member>[^\]]+)\]")

Part = str | tuple[str]


def parts(path: str) -> list[Part]:
    """Return the parts of a path: keys, and members of lists as tuples.

    >>> parts("regions[US-East].pue")
    ['regions', ('US-East',), 'pue']
    >>> parts('network.rtt_ms."EU.1"')
    ['network', 'rtt_ms', 'EU.1']

    Raises
    ------
    InputError
        If it is no path.
    """
    parts: list[Part] = []
    place = 0
    while place < len(path) or not parts:
        match = _PART.match(path, place)
        if match is None or (match["member"] and not parts):
            remedy = "keys parted by dots are expected, such as network.jitter_std_ms or regions[US-East].pue"
            raise InputError(path, [Fault("", "is not the path of a value", remedy)])
        member = match["member"]
        parts.append((member,) if member else (match["plain"] or match["quoted"] or ""))
        place = match.end()
    return parts


def changed(data: Mapping[str, Any], changes: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a scenario's tables with values set; unchanged parts are shared with the given ones.

    `changes`: values by path. A missing table is made; a member of a list is named by its number from 0, or
    by its name, id, label or use, in brackets. A policy's use names all entries that use it:
    ``policies[hybrid].alpha``.
    Raises InputError if a path leads nowhere.
    """
    return _changed(data, changes, source)[0]


def canonical(data: Mapping[str, Any], changes: Mapping[str, Any], source: str) -> dict[str, tuple[str, ...]]:
    """Return the places of each change as faults name them, with members of lists by their numbers.

    >>> canonical({"regions": [{"name": "A"}]}, {"regions[A].pue": 1.2}, "scenario")
    {'regions[A].pue': ('regions[0].pue',)}

    Raises
    ------
    InputError
        As of `changed`.
    """
    return _changed(data, changes, source)[1]


def _changed(
    data: Mapping[str, Any], changes: Mapping[str, Any], source: str
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    result = dict(data)
    places = {path: _set(result, parts(path), value, source, "") for path, value in changes.items()}
    return result, places


def _set(table: Any, path: list[Part], value: Any, source: str, above: str) -> tuple[str, ...]:
    """Set a value in a table or list that is already a copy; return its place, or places."""
    part, *rest = path
    places: list[tuple[Any, str]]
    if isinstance(part, tuple):
        places = [(key, f"{above}[{key}]") for key in members_called(table, part[0], source, above)]
    else:
        if not isinstance(table, dict):
            raise InputError(source, [Fault(above, as_found(table), "a table is expected")])
        places = [(part, f"{above}.{key_text(part)}".lstrip("."))]
    ends: list[str] = []
    for key, place in places:
        if not rest:
            table[key] = value
            ends.append(place)
            continue
        inner = table[key] if isinstance(key, int) else table.get(key, {})
        table[key] = inner.copy() if isinstance(inner, dict | list) else inner
        ends += _set(table[key], rest, value, source, place)
    return tuple(ends)


def members_called(members: Any, name: str, source: str, above: str) -> list[int]:
    """Return the places of a list's members that a name in brackets stands for.

    Raises InputError if there is none, or it stands for several that are no policies of one use.
    """
    if not isinstance(members, list):
        raise InputError(source, [Fault(above, as_found(members), "an array of tables is expected")])
    called = [
        {str(member[key]) for key in _NAMES if key in member} if isinstance(member, dict) else set()
        for member in members
    ]
    places = [place for place, names in enumerate(called) if name in names]
    used = [place for place, member in enumerate(members) if _uses(member, name)]
    if len(places) == 1 and not used:
        return places
    if used and set(places) <= set(used):
        return used
    if name.isdecimal() and int(name) < len(members) and not places:
        return [int(name)]
    if places:
        problem = f"{len(places)} members are called {name!r}"
        remedy = f"give the number of one: {', '.join(map(str, places))}"
        raise InputError(source, [Fault(above, problem, remedy)])
    known = [next(iter(sorted(names)), str(place)) for place, names in enumerate(called)]
    raise InputError(source, [Fault(above, f"has no member {name!r}", did_you_mean(name, known))])


def _uses(member: Any, name: str) -> bool:
    """Whether an entry uses a policy, with a number behind its name or without."""
    use = member.get("use") if isinstance(member, dict) else None
    return isinstance(use, str) and (
        use == name or re.fullmatch(rf"{re.escape(name)}:[-\d.]+", use) is not None
    )
