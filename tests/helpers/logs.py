"""Small logs, metrics and tables as other programs write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from carbonroute.importing.importer import Import, import_files
from carbonroute.importing.settings import ImportSettings

#: Where the samples begin: a Sunday, at the start of an hour.
START = datetime(2026, 11, 1, tzinfo=UTC)
PLACES = "eu=53.35/-6.26,us=38.9/-77.4"


def imported(path: Path, **settings: Any) -> Import:
    """Return a file's import under some settings."""
    return import_files([path], ImportSettings(**settings), path.with_name("s.toml"))


def hourly(result: Import) -> dict[str, list[float]]:
    """Return the requests per window, by origin."""
    rates = result.rates
    return {name: (rates.requests[:, i] / 1e6).tolist() for i, name in enumerate(rates.origins)}


def nginx_line(  # a line has as many parts as it has
    minute: float = 0,
    *,
    path: str = "/v1/chat/completions",
    status: int = 200,
    seconds: float = 1.0,
    region: str = "eu",
    zone_hours: int = 0,
) -> str:
    """Return a line of nginx's combined format with two keys behind it."""
    local = START + timedelta(minutes=minute, hours=zone_hours)
    stamp = f"{local:%d/%b/%Y:%H:%M:%S} {'-' if zone_hours < 0 else '+'}{abs(zone_hours):02d}00"
    request = f"POST {path} HTTP/1.1"
    return f'10.0.0.1 - - [{stamp}] "{request}" {status} 512 "-" "curl/8" rt={seconds:.3f} region={region}'


def write(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def prometheus(
    path: Path, series: Sequence[tuple[dict[str, str], Sequence[object]]], step_s: int = 3600
) -> Path:
    """Write the answer of a range query: labels with the values of each step."""
    first = START.timestamp()
    result = [
        {
            "metric": labels,
            "values": [[first + place * step_s, str(value)] for place, value in enumerate(values)],
        }
        for labels, values in series
    ]
    path.write_text(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    return path
