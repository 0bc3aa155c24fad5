"""Carbon files that are as they should be: the same signal, however the numbers are written down."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from carbonroute.errors import InputError
from helpers import needs, small
from helpers.carbon_sources import DATA, START, ask, query, source, table

ACTUAL = DATA / "carboncast_actual_2020-2021_13zones.csv.gz"
EXPECTED = np.array([[400.0 + hour, 50.0 + hour] for hour in range(6)])
TIMES = [datetime(2021, 1, 1, hour, tzinfo=UTC) for hour in range(6)]


def values(folder: Path, data: str | bytes, section: str = small.WIDE, **changes: Any) -> np.ndarray:
    return ask(folder, data, section, **changes).g_per_kwh


def renamed(section: str, name: str) -> str:
    return small.changed(section, ("carbon.csv", name))


def as_parquet(text: str, *columns: pl.Expr) -> bytes:
    data = io.BytesIO()
    pl.read_csv(io.StringIO(text)).with_columns(*columns).write_parquet(data)
    return data.getvalue()


@pytest.mark.parametrize(("text", "section"), [(small.WIDE_CSV, small.WIDE), (small.LONG_CSV, small.LONG)])
def test_layouts_and_formats_give_the_same_signal(text: str, section: str, tmp_path: Path) -> None:
    typed = pl.col("time").str.to_datetime(time_zone="UTC", time_unit="ms")
    numbers = pl.selectors.numeric().cast(pl.Float32)
    files: dict[str, str | bytes] = {
        "carbon.csv": text,
        "carbon.CSV": text,
        "carbon.csv.gz": gzip.compress(text.encode()),
        "text.parquet": as_parquet(text),
        "typed.parquet": as_parquet(text, typed, numbers),
        "typed.pq": as_parquet(text, typed.dt.cast_time_unit("ns"), numbers.cast(pl.Decimal(10, 2))),
        "dated.parquet": as_parquet(text, typed.dt.convert_time_zone("Asia/Kolkata")),
    }
    for name, data in files.items():
        assert np.array_equal(values(tmp_path, data, renamed(section, name)), EXPECTED), name


@pytest.mark.parametrize(
    "text",
    [
        small.WIDE_CSV.replace("\n", "\r\n"),
        "\ufeff" + small.WIDE_CSV,
        "\ufeff" + small.WIDE_CSV.replace("\n", "\r\n") + "\r\n\r\n",
        small.WIDE_CSV.rstrip("\n"),
        "".join(f'"{row}"\n'.replace(",", '","') for row in small.WIDE_CSV.splitlines()),
        small.WIDE_CSV.replace(",", " , ").replace("time , A , B", "time,A,B"),
        small.WIDE_CSV.replace(":00:00Z", ":00:00+00:00"),
        small.WIDE_CSV.replace("T0", " 0").replace(":00:00Z", ":00Z"),
        small.WIDE_CSV.replace("400", "4.00e2"),
        "\n".join([small.WIDE_CSV.split("\n")[0], *reversed(small.WIDE_CSV.split("\n")[1:-1])]),
    ],
    ids=[
        "Windows line ends",
        "byte order mark",
        "as a spreadsheet writes it",
        "no last line end",
        "quoted",
        "spaces",
        "offset of zero",
        "short times",
        "exponent",
        "backwards",
    ],
)
def test_what_spreadsheets_and_editors_write_means_the_same(text: str, tmp_path: Path) -> None:
    assert text != small.WIDE_CSV
    assert np.array_equal(values(tmp_path, text), EXPECTED)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("g/kWh", 1), ("kg/kWh", 1000), ("kg/MWh", 1), ("t/MWh", 1000), ("lb/MWh", 0.45359237)],
)
def test_units_become_grams_per_kwh(unit: str, factor: float, tmp_path: Path) -> None:
    text = "time,A,B\n" + "".join(f"{stamp},0.5,1.25\n" for stamp in small.HOURS)
    section = small.changed(small.WIDE, ("g/kWh", unit)) + 'tiny = "keep"\n'
    found = values(tmp_path, text, section)
    assert np.array_equal(found, np.tile([0.5 * factor, 1.25 * factor], (6, 1)))


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Pacific/Auckland", "UTC"])
def test_local_times_are_read_in_the_stated_zone(zone: str, tmp_path: Path) -> None:
    local = [time.astimezone(ZoneInfo(zone)) for time in TIMES]
    rows = "".join(
        f"{time.replace(tzinfo=None).isoformat()},{400 + i},{50 + i}\n" for i, time in enumerate(local)
    )
    section = f'{small.WIDE}time_zone = "{zone}"\n'
    assert np.array_equal(values(tmp_path, f"time,A,B\n{rows}", section), EXPECTED)
    naive = as_parquet(f"time,A,B\n{rows}", pl.col("time").str.to_datetime())
    assert np.array_equal(values(tmp_path, naive, renamed(section, "naive.parquet")), EXPECTED)


def test_an_offset_in_the_file_goes_before_the_stated_zone(tmp_path: Path) -> None:
    section = f'{small.WIDE}time_zone = "Asia/Kolkata"\n'
    assert np.array_equal(values(tmp_path, small.WIDE_CSV, section), EXPECTED)


def test_both_sides_of_a_change_of_clocks_are_read_with_offsets(tmp_path: Path) -> None:
    start = datetime(2021, 10, 30, 23, tzinfo=UTC)  # clocks go back at 01:00 UTC
    local = [(start + timedelta(hours=hour)).astimezone(ZoneInfo("Europe/Berlin")) for hour in range(6)]
    assert [time.hour for time in local] == [1, 2, 2, 3, 4, 5]
    rows = "".join(f"{time.isoformat()},{400 + i},{50 + i}\n" for i, time in enumerate(local))
    assert np.array_equal(values(tmp_path, f"time,A,B\n{rows}", start=start), EXPECTED)


def test_a_change_of_clocks_outside_the_horizon_does_no_harm(tmp_path: Path) -> None:
    berlin = "".join(f"2021-01-01T0{hour + 1}:00,{400 + hour},{50 + hour}\n" for hour in range(6))
    text = f"time,A,B\n{berlin}2021-10-31T02:00,1,1\n2021-10-31T02:00,1,1\n2021-03-28T02:00,1,1\n"
    section = f'{small.WIDE}time_zone = "Europe/Berlin"\n'
    assert np.array_equal(values(tmp_path, text, section), EXPECTED)


def test_a_horizon_with_an_offset_starts_at_that_instant(tmp_path: Path) -> None:
    start = datetime.fromisoformat("2021-01-01T02:00:00+01:00")
    assert np.array_equal(values(tmp_path, small.WIDE_CSV, start=start, hours=2), EXPECTED[1:3])


def test_a_horizon_may_start_off_the_full_hour_as_its_file_does(tmp_path: Path) -> None:
    later = small.WIDE_CSV.replace(":00:00Z", ":30:00Z")
    assert np.array_equal(values(tmp_path, later, start=START + timedelta(minutes=30)), EXPECTED)


@pytest.mark.parametrize(
    ("row", "section", "text"),
    [
        ("2020-12-31T23:00Z,-1,nan", small.WIDE, small.WIDE_CSV),
        ("2021-01-01T06:00Z,,1e9", small.WIDE, small.WIDE_CSV),
        ("2020-12-31T22:30Z,7,7\n2020-12-31T22:30Z,7,7", small.WIDE, small.WIDE_CSV),
        ("2021-01-01T06:00Z,A,-1", small.LONG, small.LONG_CSV),
        ("2021-01-01T00:00Z,C,-1\n2021-01-01T00:00Z,,x", small.LONG, small.LONG_CSV),
    ],
    ids=["before", "after", "off the hour and twice", "long", "another zone, and none"],
)
def test_rows_that_are_not_wanted_may_be_bad(row: str, section: str, text: str, tmp_path: Path) -> None:
    assert np.array_equal(values(tmp_path, f"{text}{row}\n", section), EXPECTED)


def test_a_suffix_makes_a_column_of_a_zone(tmp_path: Path) -> None:
    text = small.WIDE_CSV.replace("time,A,B", "time,A_direct,B_direct")
    assert np.array_equal(values(tmp_path, text, f'{small.WIDE}column_suffix = "_direct"\n'), EXPECTED)


@pytest.mark.parametrize(("text", "section"), [(small.WIDE_CSV, small.WIDE), (small.LONG_CSV, small.LONG)])
def test_values_stand_in_the_order_of_the_regions(text: str, section: str, tmp_path: Path) -> None:
    assert np.array_equal(values(tmp_path, text, section, zones=("B", "A")), EXPECTED[:, ::-1])


@pytest.mark.parametrize(("text", "section"), [(small.WIDE_CSV, small.WIDE), (small.LONG_CSV, small.LONG)])
def test_regions_may_share_a_zone(text: str, section: str, tmp_path: Path) -> None:
    found = ask(tmp_path, text, section, zones=("B", "B"), history_hours=2)
    assert np.array_equal(found.g_per_kwh, EXPECTED[:, [1, 1]])
    assert found.notes == ()  # one zone is no copy of itself


@pytest.mark.parametrize("name", ["line", "time", "zone", "raw", "value", "A B", "Ü", '"A"'])
def test_zones_and_columns_may_have_any_name(name: str, tmp_path: Path) -> None:
    zones = name, "B"
    shown = name if name != '"A"' else '"""A"""'
    wide = small.WIDE_CSV.replace("time,A,B", f"when,{shown},B")
    assert np.array_equal(
        values(tmp_path, wide, small.WIDE.replace('"time"', '"when"'), zones=zones), EXPECTED
    )
    long = small.LONG_CSV.replace(",A,", f",{shown},").replace("time,zone,value", "line,raw,time")
    columns = ('"time"', '"line"'), ('"zone"', '"raw"'), ('"value"', '"time"')
    assert np.array_equal(values(tmp_path, long, small.changed(small.LONG, *columns), zones=zones), EXPECTED)


def test_the_file_s_labels_and_source_go_with_the_signal(tmp_path: Path) -> None:
    labels = 'accounting = { rate = "marginal", scope = "direct" }\nsource = "a grid"\n'
    terms = 'licence = "CC0"\nretrieved = "2024-05-01"\n'
    found = ask(tmp_path, small.WIDE_CSV, small.WIDE + labels)
    assert str(found.accounting) == "marginal, direct"
    assert found.source == "a grid"
    assert found.files == {"carbon.csv": tmp_path / "carbon.csv"}
    assert ask(tmp_path, small.WIDE_CSV).source == "file carbon.csv"
    whole = ask(tmp_path, small.WIDE_CSV, small.WIDE + labels + terms).source
    assert whole == "a grid, CC0, retrieved 2024-05-01"


def test_several_files_are_joined_in_any_order(tmp_path: Path) -> None:
    header, *rows = small.WIDE_CSV.splitlines(keepends=True)
    (tmp_path / "late.csv").write_text(header + "".join(rows[4:]), encoding="utf-8")
    (tmp_path / "early.csv").write_text(header + "".join(rows[:4]), encoding="utf-8")
    section = small.changed(small.WIDE, ('"carbon.csv"', '["late.csv", "early.csv"]'))
    found = source(section).signal(query(tmp_path))
    assert np.array_equal(found.g_per_kwh, EXPECTED)
    assert found.notes == ()
    assert list(found.files) == ["late.csv", "early.csv"]
    (tmp_path / "early.csv").write_text(header + "".join(rows[:5]), encoding="utf-8")
    with pytest.raises(InputError, match=r"early.csv, line 6, zone A: a second value for 2021-01-01T04:00Z"):
        source(section).signal(query(tmp_path))


def test_a_zone_may_stand_in_one_file_alone(tmp_path: Path) -> None:
    for name, column in (("A", 0), ("B", 1)):
        lines = (f"{row.split(',')[0]},{row.split(',')[column + 1]}\n" for row in small.WIDE_CSV.splitlines())
        (tmp_path / f"{name}.csv").write_text("".join(lines), encoding="utf-8")
    section = small.changed(small.WIDE, ('"carbon.csv"', '["A.csv", "B.csv"]'))
    assert np.array_equal(source(section).signal(query(tmp_path)).g_per_kwh, EXPECTED)


def test_rows_may_be_chosen_by_other_columns(tmp_path: Path) -> None:
    lines = small.LONG_CSV.splitlines()
    text = "\n".join(
        [f"{lines[0]},kind", *(f"{row},{kind}" for row in lines[1:] for kind in ("life", "direct"))]
    )
    text = text.replace(",50,direct", ",7,direct")
    assert "400,life\n" in text
    section = small.LONG + 'where = { kind = "life" }\n'
    assert np.array_equal(values(tmp_path, text, section), EXPECTED)
    direct = values(tmp_path, text, small.LONG + 'where = { kind = "direct" }\n')
    assert direct[0].tolist() == [400, 7]
    both = "\n".join(f"{row},{'year' if i == 0 else 2020 + i % 2}" for i, row in enumerate(text.splitlines()))
    with pytest.raises(InputError, match="there is no zone 'A'"):  # every second row is of another year
        values(tmp_path, both, small.LONG + 'where = { year = "2021", kind = "direct" }\n')
    assert np.array_equal(
        values(tmp_path, both, small.LONG + 'where = { kind = "life", year = "2021" }\n'), EXPECTED
    )


def test_history_is_what_the_file_holds_and_nothing_else(tmp_path: Path) -> None:
    text = small.WIDE_CSV.replace("401,51", "401,")
    found = ask(tmp_path, text, start=START + timedelta(hours=2), hours=4, history_hours=3)
    before = [[np.nan, np.nan], [400, 50], [401, np.nan]]
    assert np.array_equal(found.measured_g_per_kwh, [*before, *EXPECTED[2:].tolist()], equal_nan=True)
    assert np.array_equal(found.g_per_kwh, EXPECTED[2:])


@needs.data(ACTUAL)
def test_a_real_file_of_two_years_gives_its_own_numbers() -> None:
    section = small.changed(small.WIDE, ("carbon.csv", ACTUAL.name), ('"time"', '"datetime_utc"'))
    asked = query(ACTUAL.parent, zones=("DE", "SE"), hours=8760, history_hours=48)
    found = source(f'{section}column_suffix = "_life"\n').signal(asked)
    with gzip.open(ACTUAL, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(",") for line in file]
    of_2021 = [row for row in rows[1:] if row[0].startswith("2021")]
    de, se = rows[0].index("DE_life"), rows[0].index("SE_life")
    expected = [[float(row[de]), float(row[se])] for row in of_2021]
    assert np.array_equal(found.g_per_kwh, expected)
    before = [[float(row[de]), float(row[se])] for row in rows[-8760 - 48 : -8760]]
    assert np.array_equal(found.measured_g_per_kwh, before + expected)


def test_a_year_of_52_zones_is_read(tmp_path: Path) -> None:
    zones = tuple(f"Z{i}" for i in range(52))
    grams = np.random.default_rng(0).uniform(20, 800, (8760, 52)).round(2)
    (tmp_path / "carbon.csv").write_text(
        table(dict(zip(zones, grams.T.tolist(), strict=True))), encoding="utf-8"
    )
    found = source(small.WIDE).signal(query(tmp_path, zones=zones, hours=8760))
    assert np.array_equal(found.g_per_kwh, grams)
