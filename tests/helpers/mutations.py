"""Good files of every kind and format, and what could become of their bytes on the way."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import strategies as st

from carbonroute.inspection import inspect_file
from helpers import samples, small

Make = Callable[[Path], Path]
#: What is put into a file: numbers, times, words and bytes that readers stumble on.
TOKENS: tuple[bytes, ...] = (
    *(
        b"",
        b",",
        b'"',
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b" ",
        b";",
        b"{",
        b"}",
        b"[",
        b"]",
        b"[[",
        b":",
        b"\\",
        b"=",
    ),
    *(
        b"-",
        b"0",
        b"-1",
        b"1e309",
        b"-1e309",
        b"9" * 25,
        b"9" * 400,
        b"1e18",
        b"NaN",
        b"Infinity",
        b"null",
        b"true",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\x1b]0;x\x07",
        b"\xe2\x80\xae",
        b"\xf0\x9f\x8c\x8d",
    ),
    *(
        b"0001-01-01T00:00Z",
        b"9999-12-31T23:59:59Z",
        b"1970-01-01",
        b"2021-03-28T02:30",
        b"2021-01-01T00:00+23:59",
    ),
    *(b"x" * 300, b'{"a":1,"a":2}', b"time,", b"zone,", b'"time":', b"TODO: ", b"1_000", b"0x10", b"+1"),
)
Edit = tuple[float, float, bytes]
#: Where a file is changed and how much is taken out, as parts of its length, and what is put in.
EDITS: st.SearchStrategy[list[Edit]] = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from([0.0, 0.0, 1e-4, 1e-3, 1e-2, 0.3, 1.0]),
        st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6)),
    ),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Return bytes with parts taken out and others put in."""
    for place, taken, put in edits:
        begin = round(place * len(data))
        end = begin + (0 if taken == 0 else max(round(taken * len(data)), 1))
        data = data[:begin] + put + data[end:]
    return data


_TIMES = [datetime(2021, 1, 1, hour, tzinfo=UTC) for hour in range(24)]
#: Columns of every type that a Parquet file can have, 24 rows each.
COLUMNS: dict[str, pl.Series] = {
    "dates": pl.Series([date(2021, 1, 1 + hour) for hour in range(24)]),
    "far dates": pl.Series([2**31 - 1, -(2**31)] * 12, dtype=pl.Int32).cast(pl.Date),
    "times": pl.Series(_TIMES),
    "local times": pl.Series([moment.replace(tzinfo=None) for moment in _TIMES]),
    "times of a zone": pl.Series(_TIMES).dt.convert_time_zone("Australia/Lord_Howe").dt.cast_time_unit("ns"),
    "far times": pl.Series([2**62, -(2**62)] * 12).cast(pl.Datetime("ms", "UTC")),
    "times of day": pl.Series([time(hour) for hour in range(24)]),
    "spans": pl.Series([timedelta(hours=hour) for hour in range(24)]),
    "decimals": pl.Series([Decimal(hour) / 8 for hour in range(24)]),
    "bytes": pl.Series([b"\xff\x00"] * 24),
    "lists": pl.Series([[1.0, 2.0]] * 24),
    "arrays": pl.Series([[1, 2]] * 24, dtype=pl.Array(pl.Int64, 2)),
    "structures": pl.Series([{"a": 1, "b": "x"}] * 24),
    "categories": pl.Series(["A", "B"] * 12, dtype=pl.Categorical),
    "members": pl.Series(["A", "B"] * 12, dtype=pl.Enum(["A", "B"])),
    "truth values": pl.Series([True, None] * 12),
    "nothing": pl.Series([None] * 24),
    "large numbers": pl.Series([2**64 - 1, 0] * 12, dtype=pl.UInt64),
    "huge numbers": pl.Series([2**120, -1] * 12, dtype=pl.Int128),
    "not finite": pl.Series([float("nan"), float("inf"), -float("inf"), 1e308] * 6),
    "short floats": pl.Series([0.1, 65504] * 12, dtype=pl.Float32),
    "bytes of a number": pl.Series([-128, 127] * 12, dtype=pl.Int8),
    "words": pl.Series(["A", "", None, "é" * 5000] * 6),
    "numbers": pl.Series([float(hour) for hour in range(24)]),
    "seconds": pl.Series([1.6e9 + 3600 * hour for hour in range(24)]),
    "stamps": pl.Series([f"2021-01-01T{hour:02}:00Z" for hour in range(24)]),
}
NAMES = (
    "time",
    "zone",
    "carbon_g_per_kwh",
    "arrival_time",
    "input_tokens",
    "model",
    "rate",
    "A",
    "issue",
    "lead",
    "",
)


def parquet(columns: dict[str, str]) -> bytes:
    """Return a Parquet file with columns of these names and kinds."""
    data = io.BytesIO()
    pl.DataFrame({name: COLUMNS[kind] for name, kind in columns.items()}).write_parquet(data)
    return data.getvalue()


PARQUET: st.SearchStrategy[bytes] = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5
).map(parquet)


def _packed(make: Make) -> Make:
    def pack(folder: Path) -> Path:
        path = make(folder)
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        return packed

    return pack


FILES: dict[str, Make] = {
    **{f"carbon, {name}": make for name, make in samples.CARBON.items()},
    **{f"traffic, {name}": make for name, make in samples.TRAFFIC.items()},
    "forecast": samples.forecast,
    "rates": samples.rates,
    "matrix": samples.matrix,
    "packed": _packed(samples.wide),
    "packed log": _packed(samples.log_jsonl),
}

_ANSWERS = (
    (r'"TODO: an IANA name[^"]*"', '"UTC"'),
    (r'"TODO: whose[^"]*"', '"A"'),
    (r'"TODO: whom[^"]*"', '"a handbook"'),
    (r'"TODO: g/kWh"', "500"),
    (r'"TODO: ms or s"', '"s"'),
    (r'"TODO: (?:one of )?([^," ]+)[^"]*"', r'"\1"'),
)


def filled(suggestion: str) -> str:
    """Return suggested lines with what the file does not tell filled in: of several choices the first."""
    for todo, answer in _ANSWERS:
        suggestion = re.sub(todo, answer, suggestion)
    assert "TODO" not in suggestion
    return suggestion


CARBON = "[carbon]\n" + small.SYNTHETIC
TRAFFIC = '[traffic]\nkind = "fixed-rate"\nrequests_per_hour = 50\n'
RTT = "[network]\njitter_std_ms = 3\n[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n"


def scenario_of(path: Path) -> Path:
    """Return a scenario that reads a good file, written beside it by the lines that are suggested for it."""
    found = inspect_file(path)
    lines = filled(found.suggestion).replace(str(path), path.name) + "\n"
    changes: list[small.Change] = []
    if found.reading["format"] == "forecast":
        wide = filled(inspect_file(samples.wide(path.parent)).suggestion).replace(f"{path.parent}/", "")
        reads = ('service_time = "mean"', 'service_time = "mean"\ncarbon = "forecast"')
        changes = [(CARBON, f"{wide}\n{lines}"), reads]
    elif found.kind == "carbon":
        zone = {"watttime": "A", "neso": "GB"}.get(found.reading["format"])
        changes = [(CARBON, lines)]
        changes += [(f'name = "{name}"\n', f'name = "{name}"\nzone = "{zone}"\n') for name in "AB" if zone]
    elif found.kind == "rtt":
        changes = [(RTT, lines.replace("[network]", "[network]\njitter_std_ms = 3"))]
    else:
        changes = [(TRAFFIC, lines)]
    return small.write(path.parent, *changes)
