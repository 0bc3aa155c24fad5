"""Parquet files whose times are in a zone that is an offset, as pandas and Arrow write them."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.files import parquet as parquetfile
from carbonroute.files.tables import read_table
from carbonroute.files.text import Digests, sha256
from carbonroute.files.times import ALWAYS, to_utc
from helpers import small

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def arrow_file(
    path: Path, zone: str, unit: Literal["ms", "us", "ns"] = "ns", name: str = "A"
) -> list[datetime]:
    """Write a file of six hours whose Arrow types state a zone of six characters; return its instants."""
    times = [MARCH + timedelta(hours=hour) for hour in range(6)]
    frame = pl.DataFrame(
        {"time": times, name: [400.0 + i for i in range(6)], "B": [50.0 + i for i in range(6)]}
    )
    local = pl.col("time").dt.cast_time_unit(unit).dt.convert_time_zone("Israel")  # as long as an offset
    frame.with_columns(local).write_parquet(path)
    data = path.read_bytes()
    coded = re.search(rb"ARROW:schema.{1,8}?([A-Za-z0-9+/]{200,}={0,2})", data, re.S)
    assert coded
    types = base64.b64decode(coded[1])
    assert types.count(b"Israel\0") == 1
    path.write_bytes(
        data.replace(coded[1], base64.b64encode(types.replace(b"Israel\0", zone.encode() + b"\0")))
    )
    return times


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["+05:30", "-03:30", "+13:00"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_times_in_a_zone_that_is_an_offset_are_instants(
    unit: Literal["ms", "us", "ns"], zone: str, on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_disk:
        monkeypatch.setattr(parquetfile, "_HELD_BYTES", 16)
    path, digests = tmp_path / "x.parquet", Digests()
    times = arrow_file(path, zone, unit)
    table = read_table(path, "x.parquet", digests)
    assert to_utc(table["time"], None, ALWAYS, "x.parquet").to_list() == times
    assert table["A"].to_list() == [400.0 + i for i in range(6)]
    assert digests == {"x.parquet": sha256(path)}


def test_a_column_that_is_called_like_an_offset_keeps_its_name(tmp_path: Path) -> None:
    frame = pl.DataFrame({"+05:30": [1.0, 2.0], "+01:00": ["a", "b"]})
    frame.write_parquet(tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet", "x.parquet").equals(frame)


def test_such_a_file_is_inspected_and_validated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arrow_file(tmp_path / "carbon.parquet", "+05:30")
    section = small.WIDE.replace("carbon.csv", "carbon.parquet")
    scenario = small.changed(small.SCENARIO, (small.SYNTHETIC, section), ("2021-01-01", "2024-03-01"))
    (tmp_path / "small.toml").write_text(scenario, encoding="utf-8")
    assert main(["validate", str(tmp_path / "small.toml")]) == 0
    assert main(["inspect", str(tmp_path / "carbon.parquet")]) == 0
    said = "".join(capfd.readouterr())
    assert "2024-03-01T00:00:00Z" in said
    assert "panicked" not in said
