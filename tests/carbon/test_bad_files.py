"""Bad carbon files: each is refused with line and zone, and an earlier run stays as it was."""

from __future__ import annotations

import gzip
import io
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from carbonroute.errors import InputError
from carbonroute.files import tables as tablefile
from carbonroute.files import text as textfile
from helpers import small
from helpers.carbon_sources import query, refusal, says, source
from helpers.refusals import Refusals

WIDE, LONG = small.WIDE_CSV, small.LONG_CSV
NAIVE = WIDE.replace("Z,", ",")


def changed(*changes: small.Change) -> str:
    return small.changed(WIDE, *changes)


def section(*changes: small.Change) -> str:
    """Return the section of a wide file, changed."""
    return small.changed(small.WIDE, *changes)


def local(zone: str) -> str:
    return f'{small.WIDE}time_zone = "{zone}"\n'


BELIEVABLE = "a carbon intensity of 0 … 2000 g/kWh is expected"
COMPLETE = "complete the file, or name a rule: gaps = 'interpolate:6h' or 'previous-day:24h'"

#: Content of the file, section of the scenario, and words of one line of the message.
CSV: dict[str, tuple[str | bytes, str, tuple[str, ...]]] = {
    # values
    "negative": (changed(("401", "-401")), small.WIDE, ("line 3, zone A: found '-401'", BELIEVABLE)),
    "absurd": (changed(("401", "40100")), small.WIDE, ("line 3, zone A: found '40100'", BELIEVABLE)),
    "absurd in its unit": (
        WIDE,
        section(("g/kWh", "kg/kWh")),
        ("line 2, zone A: found '400', 400000 g/kWh", BELIEVABLE),
    ),
    "empty": (changed(("401", "")), small.WIDE, ("line 3, zone A: no value", COMPLETE)),
    "blank": (changed(("401", "  ")), small.WIDE, ("line 3, zone A: no value", COMPLETE)),
    "nan": (changed(("401", "nan")), small.WIDE, ("line 3, zone A: found 'nan'", COMPLETE)),
    "inf": (changed(("401", "inf")), small.WIDE, ("line 3, zone A: found 'inf'", BELIEVABLE)),
    "beyond floats": (changed(("401", "1e999")), small.WIDE, ("line 3, zone A: found '1e999'", BELIEVABLE)),
    "with underscore": (changed(("401", "1_000")), small.WIDE, ("line 3, zone A: found '1_000'", BELIEVABLE)),
    "with a decimal comma": (
        changed(("401", '"401,5"')),
        small.WIDE,
        ("line 3, zone A: found '401,5'", "write 401.5, or state decimal = ','", BELIEVABLE),
    ),
    "no value in words": (changed(("401", "N/A")), small.WIDE, ("line 3, zone A: found 'N/A'", COMPLETE)),
    "words": (changed(("401", "none yet")), small.WIDE, ("line 3, zone A: found 'none yet'", BELIEVABLE)),
    "all tiny": (
        "time,A,B\n" + "".join(f"{time},0.{i + 1},0\n" for i, time in enumerate(small.HOURS)),
        small.WIDE,
        ("carbon: no value of A, B is above 0.6 g/kWh, which looks like kg/kWh", "tiny = 'keep'"),
    ),
    "control characters": (
        changed(("401", "\x1b[31m")),
        small.WIDE,
        ("line 3, zone A: found '\\x1b[31m'", BELIEVABLE),
    ),
    "seven bad values": (
        changed(
            ("400", "x"), ("50", "x"), ("401", "x"), ("51", "x"), ("402", "x"), ("52", "x"), ("403", "x")
        ),
        small.WIDE,
        ("2 more such values",),
    ),
    "bad in a long file": (
        LONG.replace("51", "-51"),
        small.LONG,
        ("line 9, zone B: found '-51'", BELIEVABLE),
    ),
    # times
    "missing hour": (
        changed((f"{small.HOURS[2]},402,52\n", "")),
        small.WIDE,
        ("zone A: 1 of 6 hours have no value: 2021-01-01T02:00Z", "or complete the file"),
    ),
    "missing hour of one zone": (
        small.changed(LONG, (f"{small.HOURS[2]},B,52\n", "")),
        small.LONG,
        ("zone B: 1 of 6 hours have no value: 2021-01-01T02:00Z", "or complete the file"),
    ),
    "ends early": (
        "\n".join(WIDE.split("\n")[:4]),
        small.WIDE,
        (
            "zone A: 3 of 6 hours have no value: 2021-01-01T03:00Z, ",
            "within 2021-01-01T00:00Z … 2021-01-01T02:00Z",
        ),
    ),
    "starts late": (
        WIDE.replace("2021-", "2022-"),
        small.WIDE,
        ("zone A: 6 of 6 hours", "…", "within 2022-01-01T00:00Z … 2022-01-01T05:00Z"),
    ),
    "the same hour twice": (
        f"{WIDE}{small.HOURS[0]},7,7\n",
        small.WIDE,
        ("line 8, zone A: a second value for 2021-01-01T00:00Z", "one value per hour"),
    ),
    "off the hour": (
        f"{WIDE}2021-01-01T01:30:00Z,7,7\n",
        small.WIDE,
        ("line 8, zone B: time 2021-01-01T01:30:00+00:00", "on the hour of horizon.start"),
    ),
    "half a second off the hour": (
        f"{WIDE}2021-01-01T01:00:00.5Z,7,7\n",
        small.WIDE,
        ("line 8, zone A: time 2021-01-01T01:00:00.500000+00:00", "on the hour"),
    ),
    "no offset": (NAIVE, small.WIDE, ("line 2, time: times have no offset", "state time_zone")),
    "no time": (
        changed((small.HOURS[1], "yesterday")),
        small.WIDE,
        ("line 3, time: found 'yesterday'", "an ISO 8601 time is expected"),
    ),
    "empty time": (
        changed((small.HOURS[1], "")),
        small.WIDE,
        ("line 3, time: no value", "an ISO 8601 time is expected"),
    ),
    "seconds since 1970": (
        changed((small.HOURS[1], "1609462800")),
        small.WIDE,
        ("line 3, time: found '1609462800'", "an ISO 8601 time is expected"),
    ),
    "time outside the calendar": (
        f"{WIDE}9999-12-31T23:00:00-05:00,7,7\n",
        small.WIDE,
        ("line 8, time: found '9999-12-31T23:00:00-05:00'", "years 1 to 9999"),
    ),
    # tables
    "no column of times": (
        changed(("time", "tmie")),
        small.WIDE,
        ("carbon.time_column: there is no column 'time'", "did you mean 'tmie'?"),
    ),
    "no column of a zone": (
        changed(("time,A", "time,AA")),
        small.WIDE,
        ("regions[0].zone: there is no column 'A'", "Known: time, AA, B"),
    ),
    "no column with the suffix": (
        WIDE,
        f'{small.WIDE}column_suffix = "_direct"\n',
        ("regions[0].zone: there is no column 'A_direct'", "Known: time, A, B"),
    ),
    "no such zone": (
        LONG.replace(",B,", ",C,"),
        small.LONG,
        ("regions[1].zone: there is no zone 'B'", "Known: A, C"),
    ),
    "no column of values": (
        LONG,
        small.LONG.replace('"value"', '"valeu"'),
        ("carbon.value_column: there is no column 'valeu'", "did you mean 'value'?"),
    ),
    "separated by semicolons": (
        WIDE.replace(",", ";"),
        small.WIDE,
        ("line 1: fields are separated by ';'", "state separator = ';'"),
    ),
    "the same column twice": (
        changed(("time,A,B", "time,A,A")),
        small.WIDE,
        ("line 1: column 'A' stands 2 times", "name every column once"),
    ),
    "a field too many": (
        changed(("401,51", "401,51,7")),
        small.WIDE,
        ("line 3 has 4 fields", "the header has 3"),
    ),
    "a field too few": (changed(("401,51", "401")), small.WIDE, ("line 3 has 2 fields", "the header has 3")),
    "empty line": (changed(("400,50\n", "400,50\n\n")), small.WIDE, ("line 3 is empty", "one row per line")),
    "empty line first": (f"\n{WIDE}", small.WIDE, ("line 1 is empty", "one row per line")),
    "quotes without end": (
        changed(("401", '"401')),
        small.WIDE,
        ("line 3 has a quotation mark without its partner", "one row per line"),
    ),
    "quotes inside a field": (
        changed(("401", '"4"01')),
        small.WIDE,
        ("line 3 cannot be read (could not parse", "one row per line is expected"),
    ),
    "header without data": ("time,A,B\n", small.WIDE, ("there is a header and no data", "is expected")),
    "header alone of 100,000 fields": (
        "," * 100_000,
        small.WIDE,
        ("line 1 has 100,001 fields", "the limit is 10,000"),
    ),
    "field of 500,000 characters": (
        changed(("401", "4" * 500_000)),
        small.WIDE,
        ("line 3, zone A: found '4444", "…", BELIEVABLE),
    ),
    "many unlike columns": (
        "time," + ",".join(f"zone{i}" for i in range(9000)) + "\n",
        small.WIDE,
        ("there is a header and no data", "is expected"),
    ),
    # bytes
    "nothing": ("", small.WIDE, ("the file is empty", "a header line and data are expected")),
    "blanks": (" \n\n ", small.WIDE, ("line 1 is empty", "one row per line is expected")),
    "NUL": (changed(("401", "4\x001")), small.WIDE, ("line 3 holds a NUL byte", "plain UTF-8 text")),
    "UTF-16": (WIDE.encode("utf-16"), small.WIDE, ("is text in UTF-16", "iconv -f UTF-16 -t UTF-8 '")),
    "Latin-1": (
        changed(("401", "ä")).encode("latin-1"),
        small.WIDE,
        ("line 3 is not UTF-8 (byte 0xe4)", "as UTF-8"),
    ),
    "lone carriage returns": (
        WIDE.replace("\n", "\r"),
        small.WIDE,
        ("line 1 holds a carriage return", "plain UTF-8 text"),
    ),
    "line of 100 MB": (
        b"time,A,B\n" + b"4" * 100_000_000,
        small.WIDE,
        ("line 2 has more than 1,048,576 bytes", "shorter lines"),
    ),
    "a spreadsheet": (
        b"PK\x03\x04\x14\x00\x06\x00",
        small.WIDE,
        ("is packed, as files in .zip are", "of a spreadsheet, export it as CSV"),
    ),
    # clocks
    "an hour that happens twice": (
        NAIVE.replace("2021-01-01T0", "2021-10-31T0"),
        local("Europe/Berlin"),
        (
            "line 4, time: 2021-10-31T02:00:00 happens twice in Europe/Berlin",
            "stands here once only",
        ),
    ),
    "an hour that never happens": (
        NAIVE.replace("2021-01-01T0", "2021-03-28T0"),
        local("Europe/Berlin"),
        (
            "line 4, time: 2021-03-28T02:00:00 never happens in Europe/Berlin",
            "leave line 4 out",
        ),
    ),
}

#: Start of the horizon where it is not that of the small scenario.
START = {"an hour that happens twice": "2021-10-31", "an hour that never happens": "2021-03-28"}


@pytest.mark.parametrize("name", CSV)
def test_a_bad_csv_file_is_refused(name: str, tmp_path: Path) -> None:
    data, section, words = CSV[name]
    start = datetime.fromisoformat(f"{START.get(name, '2021-01-01')}T00:00Z")
    message = refusal(tmp_path, data, section, start=start)
    assert message.startswith("carbon.csv: ")
    assert says(message, *words), message


KEYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown unit": (
        section(("g/kWh", "mg/kWh")),
        ("carbon.unit: found 'mg/kWh'", "it should be 'g/kWh', 'kg/kWh'"),
    ),
    "unknown layout": (
        section(("wide", "broad")),
        ("carbon.layout: found 'broad'", "it should be 'wide' or 'long'"),
    ),
    "unknown time zone": (
        local("Europe/Berln"),
        ("carbon.time_zone: there is no time zone 'Europe/Berln'", "an IANA name"),
    ),
    "time zone that is a path": (
        local("../../etc/passwd"),
        ("carbon.time_zone: there is no time zone", "an IANA name"),
    ),
    "time zone with a NUL": (
        local("UTC\\u0000"),
        ("carbon.time_zone: there is no time zone", "an IANA name"),
    ),
    "time zone that is a folder": (
        local("Europe"),
        ("carbon.time_zone: there is no time zone", "an IANA name"),
    ),
    "unknown rule for gaps": (
        f'{small.WIDE}gaps = "interpolate"\n',
        ("carbon.gaps: found 'interpolate'", "the longest gap to fill in whole hours"),
    ),
    "no unit": (section(('unit = "g/kWh"\n', "")), ("carbon.unit: missing", "this key is required")),
    "long without its columns": (
        section(("wide", "long")),
        ("carbon: layout 'long'", "zone_column and value_column are expected"),
    ),
    "wide with a column of zones": (
        f'{small.WIDE}zone_column = "zone"\n',
        ("carbon: layout 'wide'", "belong to 'long'"),
    ),
    "long with a suffix": (
        f'{small.LONG}column_suffix = "_x"\n',
        ("carbon: layout 'long'", "belongs to 'wide'"),
    ),
    "unknown accounting": (
        f'{small.WIDE}accounting = {{ rate = "mean" }}\n',
        ("carbon.accounting.rate: found 'mean'", "it should be 'average' or 'marginal'"),
    ),
    "key of synthetic carbon": (
        f"{small.WIDE}noise = 0.1\n",
        ("carbon.noise: unknown key", "Known: "),
    ),
    "no path": (
        section(('path = "carbon.csv"', 'path = ""')),
        ("carbon.path: found ''", "the name of a file is expected, or an array of names"),
    ),
    "no paths": (
        section(('"carbon.csv"', "[]")),
        ("carbon.path: found []", "the name of a file is expected"),
    ),
    "a path that is a number": (
        section(('"carbon.csv"', '["carbon.csv", 3]')),
        ("carbon.path: found ['carbon.csv', 3]", "the name of a file is expected"),
    ),
    "path of a folder": (section(("carbon.csv", ".")), (".: is a directory", "name a file")),
    "path to nowhere": (
        section(("carbon.csv", "cabron.csv")),
        ("cabron.csv: cannot be read (No such file or directory)", "looked for /"),
    ),
    "path of a device without end": (
        section(("carbon.csv", "/dev/zero")),
        ("/dev/zero: is not a regular file", "name a file"),
    ),
    "path too long": (
        section(("carbon.csv", "c" * 5000)),
        ("cannot be read (File name too long)", "looked for /"),
    ),
    "path with a NUL": (
        section(("carbon.csv", "a\\u0000b")),
        ("a\\x00b: cannot be read (embedded null byte)", "looked for /"),
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_bad_section_is_refused(name: str, tmp_path: Path, refused: Refusals) -> None:
    carbon, words = KEYS[name]
    (tmp_path / "carbon.csv").write_text(WIDE, encoding="utf-8")
    refused(small.write(tmp_path, (small.SYNTHETIC, carbon)), *words)


def test_carbon_from_a_file_needs_a_date(tmp_path: Path) -> None:
    message = refusal(tmp_path, WIDE, start=None)
    assert says(message, "horizon.start: missing", "needs the date and time of hour 0")


def test_a_start_off_the_file_s_hours_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, WIDE, start=datetime(2021, 1, 1, 0, 15, tzinfo=UTC))
    assert says(message, "line 3, zone A: time 2021-01-01T01:00:00+00:00", "on the hour of horizon.start")


def unreadable(folder: Path, section: str = small.WIDE) -> str:
    """Return the message with which a source is refused whose file is there already, or is not."""
    with pytest.raises(InputError) as caught:
        source(section).signal(query(folder))
    return str(caught.value)


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "carbon.csv")
    assert says(unreadable(tmp_path), "carbon.csv: is not a regular file", "name a file")


def test_a_disk_that_fails_is_an_error_with_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if os.path.samestat(os.fstat(self.fileno()), (tmp_path / "carbon.csv").stat()):
                raise OSError(5, "Input/output error")
            return super().read(size) or b""

    monkeypatch.setattr(textfile, "FileIO", Failing)
    assert says(refusal(tmp_path, WIDE), "carbon.csv: cannot be read (Input/output error)", "copy it again")


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "carbon.csv").symlink_to("carbon.csv")
    assert says(unreadable(tmp_path), "symbolic links", "looked for")


GZ = section(("carbon.csv", "carbon.csv.gz"))
PACKED = gzip.compress(WIDE.encode(), mtime=0)
#: 10 GB of rows.
BOMB = PACKED + gzip.compress(b"2021-01-01T06:00Z,400,50\n" * 400_000, mtime=0) * 1000

PACKED_FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "truncated": (PACKED[:-12], ("is not a complete gzip file", "copy it again")),
    "not packed": (WIDE.encode(), ("is not a complete gzip file", "copy it again")),
    "empty": (b"", ("the file is empty", "a header line and data are expected")),
    "wrong checksum": (PACKED[:-8] + bytes(8), ("is not a complete gzip file (CRC", "copy it again")),
    "damaged": (PACKED[:40] + b"\xff" * 20 + PACKED[60:], ("is not a complete gzip file", "copy it")),
    "followed by more": (PACKED + b"more", ("is not a complete gzip file", "copy it again")),
    "bomb": (BOMB, ("expands to ", "bytes and more", "expand it and check what it is")),
    "bad inside": (
        gzip.compress(changed(("401", "x")).encode()),
        ("line 3, zone A: found 'x'", BELIEVABLE),
    ),
}


@pytest.mark.parametrize("name", PACKED_FILES)
def test_a_bad_packed_file_is_refused(name: str, tmp_path: Path) -> None:
    data, words = PACKED_FILES[name]
    message = refusal(tmp_path, data, GZ)
    assert says(message, *words), message


def test_a_file_of_any_name_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tablefile, "MAX_BYTES", 100)
    assert says(refusal(tmp_path, WIDE), f"the file has {len(WIDE)} bytes", "the limit is 100")


PARQUET = section(("carbon.csv", "carbon.parquet"))
TIMES = [datetime(2021, 1, 1, hour, tzinfo=UTC) for hour in range(6)]


def parquet(**columns: object) -> bytes:
    data = io.BytesIO()
    pl.DataFrame({"time": TIMES, "A": [400.0] * 6, "B": [50.0] * 6, **columns}).write_parquet(data)
    return data.getvalue()


def empty_parquet() -> bytes:
    data = io.BytesIO()
    pl.DataFrame(schema={"time": pl.String, "A": pl.Float64, "B": pl.Float64}).write_parquet(data)
    return data.getvalue()


PARQUET_FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "nothing": (b"", ("is not a Parquet file", "check the file and its name")),
    "a CSV file": (WIDE.encode(), ("is not a Parquet file", "check the file and its name")),
    "truncated": (parquet()[:-20], ("is not a Parquet file", "check the file and its name")),
    "damaged": (b"PAR1" + b"\xff" * 500 + b"PAR1", ("is not a Parquet file", "check the file")),
    "numbers as lists": (
        parquet(A=[[400.0]] * 6),
        ("column 'A': holds List(Float64)", "are expected"),
    ),
    "numbers as bytes": (parquet(A=[b"\xff"] * 6), ("column 'A': holds Binary", "are expected")),
    "numbers as durations": (
        parquet(A=[timedelta(hours=4)] * 6),
        ("column 'A': holds Duration", "are"),
    ),
    "numbers as structs": (
        parquet(A=[{"g": 400}] * 6),
        ("column 'A': holds Struct", "are expected"),
    ),
    "numbers as truth values": (parquet(A=[True] * 6), ("line 2, zone A: found 'true'", BELIEVABLE)),
    "numbers as dates": (
        parquet(A=[date(2021, 1, 1)] * 6),
        ("line 2, zone A: found '2021-01-01'", BELIEVABLE),
    ),
    "nan": (parquet(A=[float("nan")] * 6), ("line 2, zone A: found 'NaN'", COMPLETE)),
    "null": (parquet(A=[None] * 6), ("line 2, zone A: no value", COMPLETE)),
    "times as numbers": (parquet(time=range(6)), ("line 2, time: found '0'", "an ISO 8601 time")),
    "times as lists": (
        parquet(time=[["2021"]] * 6),
        ("column 'time': holds List(String)", "are expected"),
    ),
    "times without zone": (
        parquet(time=[time.replace(tzinfo=None) for time in TIMES]),
        ("line 2, time: times have no offset", "state time_zone"),
    ),
    "times with a gap": (parquet(time=[*TIMES[:5], None]), ("line 7, time: no value", "an ISO 8601")),
    "no rows": (empty_parquet(), ("there is a header and no data", "is expected")),
}


@pytest.mark.parametrize("name", PARQUET_FILES)
def test_a_bad_parquet_file_is_refused(name: str, tmp_path: Path) -> None:
    data, words = PARQUET_FILES[name]
    message = refusal(tmp_path, data, PARQUET)
    assert says(message, *words), message


def test_a_parquet_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    data = io.BytesIO()
    pl.DataFrame({"time": pl.repeat(0, 40_000_000, dtype=pl.Int8, eager=True)}).with_columns(
        A=pl.lit(1, pl.Int8), B=pl.lit(2, pl.Int8)
    ).write_parquet(data)
    assert len(data.getvalue()) < 1_000_000
    assert says(refusal(tmp_path, data.getvalue(), PARQUET), "120,000,000 values", "100,000,000")


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(parquet())
    message = unreadable(tmp_path, section(("carbon.csv", "*.csv")))
    assert says(message, "*.csv: carbon.path: no file fits '*.csv'", "Known: 1.parquet")
    message = refusal(tmp_path, WIDE, section(("carbon.csv", "[1].parquet")))
    assert says(message, "[1].parquet: is not a Parquet file", "check the file and its name")


def test_a_file_on_which_the_parquet_reader_panics_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some damage makes polars raise what is no subclass of `Exception`."""

    def panic(*_arguments: object, **_options: object) -> None:
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value")

    data = parquet()
    monkeypatch.setattr(pl, "scan_parquet", panic)
    message = refusal(tmp_path, data, PARQUET)
    assert says(message, "carbon.parquet: is a damaged Parquet file", "copy it again")
