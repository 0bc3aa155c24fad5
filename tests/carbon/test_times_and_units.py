"""Times and units as people write them: read rightly, or refused with a remedy that works.

Every file means the same: A has 300 + h and B 400 + h g/kWh in hour h of 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from helpers import small

HOURS = 24
BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
GRAMS = "unit = 'g/kWh'\n"


def carbon(folder: Path, keys: str, start: datetime = BEGIN, name: str = "file.csv") -> list[list[float]]:
    """Return the six hours of a scenario that reads a file, g/kWh."""
    source = (
        f"[carbon]\nkind = 'file'\npath = '{name}'\nlayout = 'wide'\n{keys}"
        "accounting = { rate = 'average', scope = 'lifecycle', boundary = 'consumption' }\n"
    )
    if "start = " not in keys:
        source = source.replace("layout = 'wide'\n", "layout = 'wide'\ntime_column = 'time'\n")
    changes = [
        ("[carbon]\n" + small.SYNTHETIC, source),
        ("start = 2021-01-01T00:00:00Z", f"start = {start:%Y-%m-%dT%H:%M:%SZ}"),
        *((f'name = "{region}"\n', f'name = "{region}"\nzone = "{region}"\n') for region in "AB"),
    ]
    values: list[list[float]] = resolve(load(small.write(folder, *changes))).carbon.g_per_kwh.tolist()
    return values


def rows(
    value: Callable[[int], str] = lambda h: f"{300 + h},{400 + h}",
    stamp: Callable[[int], str] = lambda h: f"2021-01-01T{h:02}:00Z",
    header: str = "time,A,B",
) -> str:
    return "\n".join([header, *(f"{stamp(h)},{value(h)}" for h in range(HOURS)), ""])


def semicolons(text: str) -> str:
    """Return a table with semicolons in place of commas, and commas in place of bars."""
    return text.replace(",", ";").replace("|", ",")


def marked(mark: str, decimals: str = "") -> Callable[[int], str]:
    """Return values in g/MWh with a mark between thousands: 300 g/kWh is 300,000 g/MWh."""
    return lambda h: f"{300 + h}{mark}000{decimals},{400 + h}{mark}000{decimals}"


@dataclass(frozen=True)
class Given:
    """A file, the keys that a user writes, what the refusal says, and the keys or text of its remedy."""

    text: str
    keys: str = GRAMS
    refusal: str = ""
    remedy: str = ""
    mended: str = ""


MWH = "unit = 'g/MWh'\n"
FILES = {
    "stamps at the end": Given(rows(stamp=lambda h: f"2021-01-01T{h + 1:02}:00Z"), GRAMS + "stamp = 'end'\n"),
    "hour 24": Given(
        rows(stamp=lambda h: f"2021-01-01T{h + 1:02}:00Z"),
        refusal="line 25, time: found '2021-01-01T24:00Z', the end of a day; state stamp = 'end'",
        remedy=GRAMS + "stamp = 'end'\n",
    ),
    "quarters, then hours": Given(
        "\n".join(
            [
                "time,A,B",
                *(f"2021-01-01T00:{m:02}Z,{277.5 + m},400" for m in (0, 15, 30, 45)),
                *(f"2021-01-01T{h:02}:00Z,{300 + h},{400 + h}" for h in range(1, HOURS)),
            ]
        )
        + "\n",
        refusal="the step changes at line 6 from 15min to 1h, state step = 'until-next:1h'",
        remedy=GRAMS + "step = 'until-next:1h'\n",
    ),
    "no times": Given(
        rows(lambda h: f"{400 + h}", lambda h: f"{300 + h}", "A,B"),
        GRAMS + "start = 2021-01-01T00:00:00Z\nstep = '1h'\n",
    ),
    "ms since 1970": Given(rows(stamp=lambda h: str(int(BEGIN.timestamp() + 3600 * h) * 1000))),
    "an offset without a colon": Given(rows(stamp=lambda h: f"2021-01-01T{h:02}:00:00+0000")),
    "an offset behind a space": Given(rows(stamp=lambda h: f"2021-01-01 {h:02}:00:00 +00:00")),
    "days first": Given(
        rows(stamp=lambda h: f"01.01.2021 {h:02}:00"),
        refusal="line 2, time: found '01.01.2021 00:00'; an ISO 8601 time is expected",
        mended=rows(),
    ),
    "a row without a time": Given(
        rows() + "NaT,,\n", refusal="line 26, time: found 'NaT'; an ISO 8601 time", mended=rows()
    ),
    "kg of one zone": Given(
        rows(lambda h: f"{300 + h},{(400 + h) / 1000}"),
        refusal="no value of B is above 0.423 g/kWh, .* zone_units = { B = 'kg/kWh' }",
        remedy=GRAMS + "zone_units = { B = 'kg/kWh' }\n",
    ),
    "kg of one zone, in a header": Given(
        rows(lambda h: f"{300 + h},{(400 + h) / 1000}", header="time,A (kg/kWh),B (kg/kWh)"),
        GRAMS + "column_suffix = ' (kg/kWh)'\n",
        refusal="line 1, column 'A .kg/kWh.': states kg/kWh, .* state unit = 'kg/kWh', or the zone's own",
        remedy="unit = 'kg/kWh'\ncolumn_suffix = ' (kg/kWh)'\nzone_units = { A = 'g/kWh' }\n",
    ),
    "kg per MWh": Given(rows(), "unit = 'kg/MWh'\n"),
    "t per MWh": Given(rows(lambda h: f"{(300 + h) / 1000},{(400 + h) / 1000}"), "unit = 't/MWh'\n"),
    "lb per MWh": Given(
        rows(lambda h: f"{(300 + h) / 0.45359237:.12f},{(400 + h) / 0.45359237:.12f}"), "unit = 'lb/MWh'\n"
    ),
    "g per MJ": Given(rows(lambda h: f"{(300 + h) / 3.6:.12f},{(400 + h) / 3.6:.12f}"), "unit = 'g/MJ'\n"),
    "kg per GJ": Given(rows(lambda h: f"{(300 + h) / 3.6:.12f},{(400 + h) / 3.6:.12f}"), "unit = 'kg/GJ'\n"),
    "commas between thousands": Given(
        rows(lambda h: f'"{300 + h},000","{400 + h},000"'),
        MWH,
        refusal="line 2, zone A: found '300,000'; write 300000, or state thousands = ','",
        remedy=MWH + "thousands = ','\n",
    ),
    **{
        f"{name} between thousands": Given(
            rows(marked(mark)),
            MWH,
            refusal=f"write 300000, or state thousands = {quoted}",
            remedy=f"{MWH}thousands = {quoted}\n",
        )
        for name, mark, quoted in (
            ("thin spaces", "\u2009", "' '"),
            ("figure spaces", "\u2007", "' '"),
            ("narrow spaces", "\u202f", "' '"),
            ("raised commas", "\u2019", '"\'"'),
        )
    },
    "dots between thousands": Given(
        rows(marked(".")),
        MWH,
        refusal="state the unit that the values are in, .*; thousands = '.' if 300.000 is 300000",
        remedy=MWH + "thousands = '.'\n",
    ),
    "dots and decimal commas": Given(
        semicolons(rows(marked(".", "|0"))),
        MWH,
        refusal="fields are separated by ';', and numbers have decimal commas, as '300.000,0' .* and "
        "thousands = '.'",
        remedy=MWH + "separator = ';'\ndecimal = ','\nthousands = '.'\n",
    ),
    "thin spaces and decimal commas": Given(
        semicolons(rows(marked("\u2009", "|0"))),
        MWH,
        refusal="fields are separated by ';', and numbers have decimal commas, .* and thousands = ' '",
        remedy=MWH + "separator = ';'\ndecimal = ','\nthousands = ' '\n",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_rightly_or_its_remedy_works(name: str, tmp_path: Path) -> None:
    given = FILES[name]
    path = tmp_path / "file.csv"
    path.write_text(given.text, encoding="utf-8")
    if given.refusal:
        with pytest.raises(InputError, match=given.refusal):
            carbon(tmp_path, given.keys)
        path.write_text(given.mended or given.text, encoding="utf-8")
    means = carbon(tmp_path, given.remedy or given.keys)
    expected = [[300 + h, 400 + h] for h in range(6)]
    assert means == [pytest.approx(hour, rel=1e-12) for hour in expected]


BERLIN = ZoneInfo("Europe/Berlin")


def local(begin: datetime, hours: int) -> list[str]:
    """Return rows of local times in Berlin, from a time in UTC on."""
    stamps = [(begin + timedelta(hours=h)).astimezone(BERLIN) for h in range(hours)]
    return [f"{stamp:%Y-%m-%dT%H:%M},{300 + h},{400 + h}" for h, stamp in enumerate(stamps)]


@pytest.mark.parametrize("newest_first", [False, True])
def test_local_times_through_a_clock_that_is_put_back(newest_first: bool, tmp_path: Path) -> None:
    begin = datetime(2021, 10, 30, 22, tzinfo=UTC)
    lines = local(begin, 12)
    path = tmp_path / "file.csv"
    path.write_text("\n".join(["time,A,B", *(lines[::-1] if newest_first else lines), ""]))
    keys = GRAMS + "time_zone = 'Europe/Berlin'\n"
    with pytest.raises(InputError, match=r"happens twice in Europe/Berlin, .* clocks_back = 'in-order'"):
        carbon(tmp_path, keys, begin)
    expected = [[300 + h, 400 + h] for h in range(6)]
    assert carbon(tmp_path, keys + "clocks_back = 'in-order'\n", begin) == expected


def test_an_hour_that_clocks_skip_is_left_out_if_empty_and_told_from_utc_if_not(tmp_path: Path) -> None:
    begin = datetime(2021, 3, 27, 23, tzinfo=UTC)
    lines = local(begin, 12)
    path = tmp_path / "file.csv"
    keys = GRAMS + "time_zone = 'Europe/Berlin'\n"
    path.write_text("\n".join(["time,A,B", *lines[:2], "2021-03-28T02:00,,", *lines[2:], ""]))
    assert carbon(tmp_path, keys, begin) == [[300 + h, 400 + h] for h in range(6)]
    utc = [f"2021-03-28T{h:02}:00,{300 + h},{400 + h}" for h in range(HOURS)]
    path.write_text("\n".join(["time,A,B", *utc, ""]))
    with pytest.raises(InputError, match=r"02:00:00 never happens in .* in UTC, state time_zone = 'UTC'"):
        carbon(tmp_path, keys, datetime(2021, 3, 28, tzinfo=UTC))
    keys = GRAMS + "time_zone = 'UTC'\n"
    assert carbon(tmp_path, keys, datetime(2021, 3, 28, tzinfo=UTC))[2] == [302, 402]


def test_times_of_a_parquet_file_in_a_fixed_offset(tmp_path: Path) -> None:
    offset = timezone(timedelta(hours=5, minutes=30))
    times = [(BEGIN + timedelta(hours=h)).astimezone(offset) for h in range(HOURS)]
    table = {"time": times, "A": [300 + h for h in range(HOURS)], "B": [400 + h for h in range(HOURS)]}
    pl.DataFrame(table).write_parquet(tmp_path / "file.parquet")
    assert carbon(tmp_path, GRAMS, name="file.parquet")[5] == [305, 405]
