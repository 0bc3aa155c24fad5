"""Columns of types that no reader takes are named wherever their file is described."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.inspection import inspect_file

HOURS = [datetime(2021, 1, 1, hour, tzinfo=UTC) for hour in range(24)]
#: Values of a column of each type, and what a message calls them.
ODD: dict[str, tuple[Any, str]] = {
    "of_day": (time(5, 30), "times of day"),
    "duration": (timedelta(hours=1), "durations"),
    "list": ([1, 2], "lists"),
    "struct": ({"a": 1}, "objects"),
    "binary": (b"x", "bytes"),
}
CARBON: dict[str, list[Any]] = {
    "time": HOURS,
    "DE_gCO2_per_kWh": [300.0] * 24,
    "FR_gCO2_per_kWh": [50.0] * 24,
}
LOG: dict[str, list[Any]] = {"arrived": HOURS, "prompt_tokens": [5] * 24, "answer_tokens": [7] * 24}


def written(folder: Path, columns: dict[str, list[Any]], *odd: str) -> Path:
    path = folder / "file.parquet"
    pl.DataFrame({**columns, **{kind: [ODD[kind][0]] * 24 for kind in odd}}).write_parquet(path)
    return path


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("columns", [CARBON, LOG], ids=["carbon", "log"])
def test_inspect_names_a_column_of_parquet_that_is_not_read(
    kind: str, columns: dict[str, list[Any]], tmp_path: Path
) -> None:
    found = inspect_file(written(tmp_path, columns, kind))
    said = f"column {kind!r} ({ODD[kind][1]}) is not read: text, numbers or times are expected"
    assert said in found.findings
    assert "not read" not in " ".join(inspect_file(written(tmp_path, columns)).findings)


def test_all_of_them_are_named_together(tmp_path: Path) -> None:
    said = " ".join(inspect_file(written(tmp_path, CARBON, *ODD)).findings)
    assert all(f"{kind!r} ({words})" in said for kind, (_, words) in ODD.items())


@pytest.mark.parametrize("kind", ODD)
def test_import_notes_a_column_that_is_not_read(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, LOG, kind)
    assert main(["import", str(path), "--output", str(tmp_path / "out.toml"), "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["read_as"]
    assert (
        f"{path}: column {kind!r} ({ODD[kind][1]}) is not read: text, numbers or times are expected" in notes
    )


def test_so_are_objects_and_lists_of_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.jsonl"
    row = {"prompt_tokens": 5, "answer_tokens": 7, "client": {"id": 1}, "tags": ["a"]}
    lines = [json.dumps({"arrived": hour.isoformat(), **row}) for hour in HOURS]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = "columns 'client' (objects), 'tags' (lists) are not read: text, numbers or times are expected"
    assert said in inspect_file(path).findings
    assert main(["import", str(path), "--output", str(tmp_path / "out.toml"), "--json"]) == 0
    assert f"{path}: {said}" in json.loads(capsys.readouterr().out)["read_as"]


def test_a_file_whose_times_are_not_read_is_refused_with_that(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pl.DataFrame(
        {"when": [time(hour) for hour in range(24)], "x": ["a"] * 24, "y": ["b"] * 24}
    ).write_parquet(path)
    with pytest.raises(InputError, match=r"column 'when' \(times of day\) is not read"):
        inspect_file(path)


def test_so_is_one_whose_column_of_times_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pl.DataFrame({**CARBON, "time": [time(hour) for hour in range(24)]}).write_parquet(path)
    with pytest.raises(
        InputError, match=r"has no column of times; column 'time' \(times of day\) is not read"
    ):
        inspect_file(path)
