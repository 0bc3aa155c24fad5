"""One pass over a column gives what the standard library gives stamp by stamp."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.errors import InputError
from carbonroute.files.time_columns import lacks_offset
from carbonroute.files.times import to_utc

ALWAYS = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
NEVER = ALWAYS[0], ALWAYS[0]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]

moments = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1))
recent = st.datetimes(datetime(1960, 1, 1), datetime(2050, 1, 1)).map(lambda time: time.replace(fold=0))
layouts = st.tuples(
    st.sampled_from(["T", " "]),
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
    st.sampled_from(["", "0", "579"]),
    st.sampled_from(["", "Z", "+05:30", "-23:59", "+00:00"]),
)


def text_of(moment: datetime, layout: tuple[str, str, str, str]) -> str:
    between, precision, more, offset = layout
    more = more if precision == "microseconds" else ""
    return moment.isoformat(sep=between, timespec=precision) + more + offset


@given(st.lists(st.tuples(moments, layouts), min_size=1, max_size=20), st.booleans())
def test_text_of_any_layout_is_read_like_the_standard_library(
    rows: list[tuple[datetime, tuple[str, str, str, str]]], same: bool
) -> None:
    stamps = [text_of(moment, rows[0][1] if same else layout) for moment, layout in rows]
    parsed = [datetime.fromisoformat(stamp) for stamp in stamps]
    wanted = [time if time.tzinfo else time.replace(tzinfo=UTC) for time in parsed]
    assert to_utc(pl.Series("time", stamps), "UTC", NEVER, "file").to_list() == wanted


@given(st.lists(recent, min_size=1, max_size=30), st.sampled_from(ZONES), st.booleans())
def test_local_times_are_read_like_the_standard_library(
    times: list[datetime], zone: str, typed: bool
) -> None:
    column = pl.Series("time", times if typed else [time.isoformat() for time in times])
    found = to_utc(column, zone, NEVER, "file")
    assert found.to_list() == [time.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for time in times]


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(
    ("month", "day", "hour", "clear"),
    [(3, 26, 1, True), (3, 26, 2, False), (10, 29, 2, False), (10, 29, 3, True)],
)
def test_unclear_local_times_are_refused_with_their_line(
    typed: bool, month: int, day: int, hour: int, clear: bool
) -> None:
    times = [datetime(2023, 7, 1), datetime(2023, month, day, hour, 30)]
    column = pl.Series("time", times if typed else [time.isoformat() for time in times])
    if clear:
        assert to_utc(column, "Europe/Berlin", ALWAYS, "file")[0] == datetime(2023, 6, 30, 22, tzinfo=UTC)
        return
    with pytest.raises(
        InputError, match=r"line 3, time: 2023-.* (happens twice|never happens) in Europe/Berlin"
    ):
        to_utc(column, "Europe/Berlin", ALWAYS, "file")


GOOD = "2023-11-16 18:15:46.6805900"
REFUSED = [
    "2023-11-16 18:15:60.0000000",
    "2023-11-16 24:15:46.0000000",
    "2023-11-31 18:15:46.0000000",
    "2023-1-6 18:15:46.0000000",
    "2023-11-16 18:15: 6.0000000",
    "+023-11-16 18:15:46.0000000",
    "0000-11-16 18:15:46.0000000",
    "1700158546",
    "yesterday",
    "",
]


@pytest.mark.parametrize("stamp", REFUSED)
@pytest.mark.parametrize("first_line", [2, 70_001])
def test_one_bad_stamp_among_good_ones_is_refused_with_its_line(stamp: str, first_line: int) -> None:
    column = pl.Series("time", [GOOD, GOOD, stamp, GOOD])
    with pytest.raises(InputError, match=f"^file: line {first_line + 2}, time: (found|no value)"):
        to_utc(column, "UTC", ALWAYS, "file", first_line)


def test_every_kind_of_fault_is_told_at_once() -> None:
    column = pl.Series("time", [GOOD, "x", None, "2023-11-16T18:15:46Z", "x"])
    with pytest.raises(InputError) as caught:
        to_utc(column, None, ALWAYS, "file")
    assert [fault.where for fault in caught.value.faults] == ["line 2, time", "line 3, time", "line 4, time"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test_typed_times_of_any_unit(unit: Literal["ms", "us", "ns"], zone: str | None) -> None:
    moment = datetime(2023, 11, 16, 18, 15, 46, 680000, tzinfo=UTC)
    column = pl.Series("time", [moment, None], dtype=pl.Datetime(unit, zone or "UTC"))
    if zone is None:
        column = column.dt.replace_time_zone(None)
    assert to_utc(column.head(1), "UTC", ALWAYS, "file").to_list() == [moment]
    with pytest.raises(InputError, match="line 3, time: no value"):
        to_utc(column, "UTC", ALWAYS, "file")


def test_typed_times_beyond_the_calendar_are_refused() -> None:
    for zone in (None, "UTC"):
        column = pl.Series("time", [2**58], dtype=pl.Int64).cast(pl.Datetime("us", zone))
        with pytest.raises(InputError, match="line 2, time: found"):
            to_utc(column, "UTC", ALWAYS, "file")


def test_the_order_and_number_of_stamps_stay() -> None:
    base = datetime(2023, 1, 1, tzinfo=UTC)
    times = [base + timedelta(seconds=i * 7919 % 1000) for i in range(1000)]
    stamps = [time.isoformat() if i % 3 else time.strftime("%Y%m%dT%H%M%SZ") for i, time in enumerate(times)]
    assert to_utc(pl.Series("time", stamps), None, ALWAYS, "file").to_list() == times


@pytest.mark.parametrize("number", ["1704070800000", "1704067200", "1704067200000000000", "170406720"])
def test_a_number_is_no_time_of_another_century(number: str) -> None:
    stamps = pl.Series("t", [number])
    with pytest.raises(
        InputError, match=f"found '{number}'; an ISO 8601 time is expected, such as 20"
    ) as refusal:
        to_utc(stamps, "UTC", ALWAYS, "a.csv")
    assert (" since 1970" in str(refusal.value)) == (len(number) > 9)
    assert to_utc(stamps, "UTC", ALWAYS, "a.csv", lenient=True).null_count() == 1
    assert to_utc(pl.Series("t", ["20240101"]), "UTC", ALWAYS, "a.csv").dt.year().to_list() == [2024]


@given(
    stamps=st.lists(
        st.one_of(st.none(), st.sampled_from(["no time", "2024-03-01 10:00", "2024-07-01T10:00:00.5"])),
        max_size=3,
    ),
    hours=st.integers(1, 6),
    again=st.integers(8, 12),
    order=st.sampled_from(["zone by zone", "hour by hour", "mixed", "swapped", "null first"]),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_stamps_that_are_repeated_are_read_as_each_alone(
    stamps: list[str | None], hours: int, again: int, order: str, time_zone: str
) -> None:
    of_zone = [f"2024-01-01T{hour:02}:00:00" for hour in range(hours)] + stamps
    column = of_zone * again if order == "zone by zone" else [s for stamp in of_zone for s in [stamp] * again]
    if order == "swapped":
        column = of_zone * (again - 1) + of_zone[::-1]
    if order == "null first":
        column = [None, *column]
    if order == "mixed":
        column = [*column, *of_zone[1:], of_zone[0], *stamps]
    times = to_utc(pl.Series("time", column), time_zone, ALWAYS, "f.csv", lenient=True)
    alone = {
        stamp: to_utc(pl.Series("time", [stamp]), time_zone, ALWAYS, "f.csv", lenient=True)[0]
        for stamp in dict.fromkeys(column)
    }
    assert times.to_list() == [alone[stamp] for stamp in column]


@pytest.mark.parametrize("spelling", [" UTC", "UTC", " GMT", "GMT", " Z", "  UTC", " UTC "])
@pytest.mark.parametrize("layout", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S.%f"])
def test_spellings_of_utc_are_offsets(spelling: str, layout: str) -> None:
    expected = [datetime(2021, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24)]
    stamps = pl.Series("time", [f"{time:{layout}}{spelling}" for time in expected])
    assert to_utc(stamps, None, ALWAYS, "file").to_list() == expected
    assert to_utc(stamps, "Asia/Kolkata", ALWAYS, "file").to_list() == expected
    assert not lacks_offset(stamps)
    mixed = pl.Series("time", ["2020-12-31T23:00Z", *stamps])
    assert to_utc(mixed, None, ALWAYS, "file")[1:].to_list() == expected
    ending = pl.Series("time", [*stamps, f"2021-01-01T24:00:00{spelling}"])
    assert to_utc(ending, None, ALWAYS, "file")[-1] == datetime(2021, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["CET", "EST", "PST", "AEDT", "BST"])
def test_another_abbreviation_is_refused_with_a_remedy_that_works(zone: str) -> None:
    stamp, bare = f"2021-07-01 00:00:00 {zone}", "2021-07-01 00:00:00"
    with pytest.raises(InputError, match=f"write '{bare}', without '{zone}', and state time_zone"):
        to_utc(pl.Series("time", [stamp]), "UTC", ALWAYS, "file")
    assert to_utc(pl.Series("time", [bare]), "Europe/Berlin", ALWAYS, "file")[0].hour == 22


@pytest.mark.parametrize(
    "stamp", ["2021-01-01 UTC", "UTC", "2021 GMT", "2021-01-01T00:00+01:00 UTC", "2021-01-01 01:00 PM"]
)
def test_other_words_are_no_zones(stamp: str) -> None:
    with pytest.raises(InputError, match="an ISO 8601 time is expected"):
        to_utc(pl.Series("time", [stamp]), None, ALWAYS, "file")
