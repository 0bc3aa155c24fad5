"""A file of which no row is counted: the message says why each was left out, and its remedy works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carbonroute.errors import InputError
from helpers import logs
from helpers.logs import imported

_HEADER = "time,region,endpoint,status,latency_ms"


def _trace(tmp_path: Path, *, region: str = "eu", endpoint: str = "/chat", status: int = 200) -> Path:
    rows = [f"2026-11-01T0{hour}:00:07Z,{region},{endpoint},{status},80" for hour in range(3)]
    return logs.write(tmp_path / "t.csv", [_HEADER, *rows])


@pytest.mark.parametrize(
    ("cells", "reason", "remedy"),
    [
        ({"endpoint": "chat"}, "no workload is stated", {"fields": {"workload": "endpoint"}}),
        ({"region": ""}, "no region is stated", {"fields": {"region": "endpoint"}}),
        ({"status": 503}, "3 failed, 5xx; at least one answered request", None),
    ],
)
def test_the_reason_is_said_and_the_remedy_works(
    tmp_path: Path, cells: dict[str, Any], reason: str, remedy: dict[str, Any] | None
) -> None:
    path = _trace(tmp_path, **cells)
    with pytest.raises(InputError, match=f"none of 3 rows is counted: .*{reason}"):
        imported(path)
    if remedy is not None:
        assert imported(path, **remedy).rates.total == 3


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"workloads": (("/embed", "embed"),)}, "3 left out, no --workload pattern matches .*give one"),
        ({"until_us": 0}, "3 left out, at or after --until .*give a later --until"),
        ({"since_us": 2**60}, "3 left out, before --from .*give an earlier --from"),
    ],
)
def test_what_options_leave_out_is_said(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=f"none of 3 rows is counted: {reason}"):
        imported(_trace(tmp_path), **settings)
