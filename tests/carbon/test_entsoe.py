"""XML of ENTSO-E: correct documents to the digit, every fault that one can have, and `inspect`."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carbonroute.carbon.entsoe import Entsoe
from carbonroute.carbon.source import CarbonReadings
from carbonroute.errors import InputError
from carbonroute.inspection import inspect_file
from helpers.carbon_sources import loaded, march, values
from helpers.fake_provider import entsoe, no_data

START = datetime(2024, 3, 1, tzinfo=UTC)
ZONE = "10Y1001A1001A82H"
KEYS = {
    "kind": "entsoe",
    "step": "15min",
    "factors_g_per_kwh": {"B04": 400, "B05": 900, "B10": 300, "B16": 0},
    "factors_source": "made up for this test",
}
SERIES: dict[str, dict[int, object]] = {"B04": {1: 100, 3: 300}, "B05": {1: 100}, "B16": {1: 200, 2: 0}}


def read(folder: Path, text: str, name: str = "e.xml", **keys: Any) -> CarbonReadings:
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return loaded(Entsoe, **KEYS | {"path": name} | keys).read(march(folder, ZONE, hours=1))


@pytest.mark.parametrize("name", ["e.xml", "e.xml.gz"])
def test_the_mix_is_weighted_and_curves_of_type_a03_are_completed(tmp_path: Path, name: str) -> None:
    mix = values(read(tmp_path, entsoe(ZONE, START, SERIES), name), ZONE)
    assert list(mix) == [f"2024-03-01 00:{minute:02}" for minute in (0, 15, 30, 45)]
    assert list(mix.values()) == pytest.approx([325.0, 650.0, 525.0, 525.0])
    assert str(read(tmp_path, entsoe(ZONE, START, SERIES)).accounting) == "average, production"


def test_a_curve_of_type_a01_that_lacks_a_point_is_missing_there(tmp_path: Path) -> None:
    series: dict[str, dict[int, object]] = {
        "B04": {1: 100, 2: 100, 3: 100, 4: 100},
        "B05": {1: 100, 3: 100, 4: 0},
    }
    mix = values(read(tmp_path, entsoe(ZONE, START, series, curve="A01")), ZONE)
    assert list(mix.values()) == [650.0, None, 650.0, 400.0]


def test_consumption_of_storage_is_no_part_of_the_mix(tmp_path: Path) -> None:
    made = entsoe(ZONE, START, {"B04": {1: 100}, "B10": {1: 0}})
    used = entsoe(ZONE, START, {"B10": {1: 500}}, domain="out")
    inner = used.partition("<TimeSeries>")[2].partition("</GL_")[0]
    both = made.replace("</GL_MarketDocument>", f"<TimeSeries>{inner}</GL_MarketDocument>")
    assert set(values(read(tmp_path, both), ZONE).values()) == {400.0}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("PT15M", "PT7M", "no multiple"),
        ("PT15M", "soon", "'PT15M' is expected"),
        ("MAW", "KWH", "'MAW' is expected"),
        ("A03", "A05", "'A01' or 'A03' is expected"),
        ("B04", "X04", "a type such as B04"),
        ("B04", "B19", "column 'B19' has no emission factor"),
        ("<position>3</position>", "<position>5</position>", "1 … 4 is expected"),
        ("<position>3</position>", "<position>1</position>", "stands twice"),
        ("<quantity>300</quantity>", "<quantity>many</quantity>", "a number is expected"),
        ("<quantity>300</quantity>", "<quantity>nan</quantity>", "a number is expected"),
        ("<quantity>300</quantity>", "<quantity>100000000</quantity>", "MWh of one interval"),
        ("<start>2024-03-01T00:00Z</start>", "<start>today</start>", "a time in UTC"),
        ("B05", "B04", "stands twice"),
        ("GL_MarketDocument", "Publication_MarketDocument", "a GL_MarketDocument is expected"),
        ("</GL_MarketDocument>", "", "is no XML"),
        ("<GL_Market", "<!DOCTYPE a [<!ENTITY b 'c'>]><GL_Market", "document type"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, entsoe(ZONE, START, SERIES).replace(old, new))


def test_another_resolution_than_stated_is_refused(tmp_path: Path) -> None:
    hourly = entsoe(ZONE, START, SERIES, hours=4, resolution="PT60M")
    with pytest.raises(InputError, match="an interval has 60 min; state step = '1h'"):
        read(tmp_path, hourly)
    assert len(values(read(tmp_path, hourly, step="1h"), ZONE)) == 4


def test_no_data_is_no_generation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no data \(No matching data found\)"):
        read(tmp_path, no_data())


def test_inspect_recognises_it_and_suggests_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "e.xml"
    path.write_text(entsoe(ZONE, START, SERIES, hours=1), encoding="utf-8")
    seen = inspect_file(path)
    assert (seen.kind, seen.reading["format"]) == ("carbon", "entsoe")
    assert seen.suggestion is not None
    assert 'kind = "entsoe"' in seen.suggestion
    assert 'step = "15min"' in seen.suggestion
    assert "B05" in seen.suggestion
    assert ZONE in seen.suggestion


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        read(tmp_path, "<a>" * 100 + "</a>" * 100)
