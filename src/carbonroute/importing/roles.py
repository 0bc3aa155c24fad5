"""Roles of columns and labels by their names, and the units of their values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from carbonroute.errors import did_you_mean
from carbonroute.files.text import refused
from carbonroute.importing.settings import ImportSettings, Role, TimeUnit

#: Names of columns and labels by role; the first column that fits is taken, exact names before others.
NAMES: MappingProxyType[Role, re.Pattern[str]] = MappingProxyType(
    {
        "region": re.compile(
            r"(?!.*(client|user|origin|geoip))(.*[_. ])?(region|data_?cent(er|re)|dc|zone|site|location)s?",
            re.I,
        ),
        "origin": re.compile(
            r"(.*[_. ])?(origin|country|country_code|continent|client_region|user_region|geo)", re.I
        ),
        "workload": re.compile(r"(.*[_. ])?(model|model_name|model_id|workload|deployment)", re.I),
        "path": re.compile(r"(.*[_. ])?(path|uri|request_uri|url|endpoint|route|handler|request_line)", re.I),
        "status": re.compile(r"(.*[_. ])?(status|status_code|response_code|http_code|code)", re.I),
        "requests": re.compile(
            r"(num_|n_)?(requests?|counts?|calls|hits|queries|volume|values?|rps|qps|rate|req)"
            r"([_ (/]*(per[_ ])?(s|sec|second|min|minute|h|hour|total|count|num|5m|1h)\)?)?"
            r"|requests?_(rate|count|total)",
            re.I,
        ),
        "p50": re.compile(r"(.*[_. ])?(p50|median|q50)([_. ].*)?", re.I),
        "p90": re.compile(r"(.*[_. ])?(p90|q90)([_. ].*)?", re.I),
        "p95": re.compile(r"(.*[_. ])?(p95|q95)([_. ].*)?", re.I),
        "p99": re.compile(r"(.*[_. ])?(p99|q99)([_. ].*)?", re.I),
        "power": re.compile(r"(.*[_. ])?(power|watts?)([_. ].*)?|.*_k?w", re.I),
        "prompt_tokens": re.compile(
            r".*(context|prompt|input|request|query|prefill).*(tok|length|len).*|n_?in_?tok.*", re.I
        ),
        "answer_tokens": re.compile(
            r".*(generat|answer|output|complet|response|decod).*(tok|length|len).*|n_?out_?tok.*", re.I
        ),
        "service": re.compile(
            r"ms|took|rt|.*(latency|service_?time|service_ms|duration|elapsed|inference|response_?time|request_?time|time_?taken).*",
            re.I,
        ),
    }
)
_UNITS: tuple[tuple[TimeUnit, re.Pattern[str]], ...] = (
    ("ms", re.compile(r"(^|[_. (\[])(ms|millis|milliseconds?)[)\]]?($|[_. ])", re.I)),
    ("us", re.compile(r"(^|[_. (\[])(us|µs|micros|microseconds?)[)\]]?($|[_. ])", re.I)),
    ("ns", re.compile(r"(^|[_. (\[])(ns|nanos|nanoseconds?)[)\]]?($|[_. ])", re.I)),
    ("s", re.compile(r"(^|[_. (\[])(s|secs?|seconds?)[)\]]?($|[_. ])", re.I)),
)


def chosen(
    names: Sequence[str], roles: Sequence[Role], settings: ImportSettings, file_name: str
) -> dict[Role, str]:
    """Return the column or label of each role: as the user states, or by its name.

    Raises InputError if there is no such column.
    """
    names_by_role: dict[Role, str] = {}
    taken = set(settings.fields.values())
    for role in roles:
        stated = settings.fields.get(role)
        if stated is not None:
            if stated not in names:
                raise refused(file_name, f"there is no column {stated!r}", did_you_mean(stated, names))
            names_by_role[role] = stated
            continue
        name = next((name for name in names if name not in taken and NAMES[role].fullmatch(name)), None)
        if name is not None:
            names_by_role[role] = name
            taken.add(name)
    return names_by_role


def unit_of(name: str) -> TimeUnit | None:
    """Return the unit of time that a column's name states, or None.

    >>> unit_of("ttft_ms"), unit_of("first_token_ts")
    ('ms', None)
    """
    return next((unit for unit, pattern in _UNITS if pattern.search(name)), None)


def service_unit(name: str, settings: ImportSettings, file_name: str) -> TimeUnit:
    """Return the unit of a service time, as the user states or the column's name does.

    Raises InputError if neither does.
    """
    unit = settings.service_unit or unit_of(name)
    if unit is None:
        raise refused(
            file_name, f"column {name!r} states no unit of time", "state it: --service-unit ms, s, us or ns"
        )
    return unit
