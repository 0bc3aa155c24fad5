"""What a file is, and which of its columns are what: guessed from names and content, and said.

Looked at are a JSON file as a whole, and of a table its first rows.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from carbonroute.carbon import jsonfile
from carbonroute.files.parquet import parquet
from carbonroute.files.tables import FAILURES, PARQUET, column_names, column_numbers
from carbonroute.files.text import chunks, plain_text, refused
from carbonroute.inspection.facts import Kind

HEAD_ROWS = 2000
_HEAD_BYTES = 2**20
#: Share of a column's entries that must be what the column is taken for.
_MOST = 0.8

_TIME = re.compile(r"time|date|stamp|hour|period|arriv|(^|_)(at|ts|utc)$|start|from", re.I)
_ZONE = re.compile(r"zone|region|area|country|location|grid|balancing|authority|^ba$", re.I)
_INTENSITY = re.compile(r"carbon|intensity|co2|co₂|emission|moer|aoer|per_kwh|(^|_)ci($|_)|^value$", re.I)
_ISSUE = re.compile(r"issue|reference|init|creat|generated|run", re.I)
_LEAD = re.compile(r"lead|horizon|step_?h", re.I)
_FORECAST = re.compile(r"forecast|predict", re.I)
_RATE = re.compile(r"rate|rps|qps|requests?(_|$|/)|per_s", re.I)
_PROMPT = re.compile(r"(context|prompt|input|request|query).*tok|n_?in_?tok|tok.*(in|prompt)$", re.I)
_ANSWER = re.compile(r"(generat|answer|output|complet|response|decod).*tok|n_?out_?tok|tok.*out$", re.I)
_SERVICE = re.compile(r"latency|service|duration|inference|elapsed", re.I)
_REQUEST = re.compile(r"arriv|request|submit|prompt|token|latency|model", re.I)
_FUELS = frozenset(
    [
        "wnd",
        "sun",
        "wat",
        "oil",
        "ng",
        "col",
        "nuc",
        "oth",
        "wind",
        "solar",
        "hydro",
        "water",
        "gas",
        "coal",
        "nuclear",
        "other",
        "geo",
        "biomass",
        "petroleum",
        "bat",
        "ps",
        "snb",
        "ues",
        "unk",
        "natural_gas",
    ]
)
_JSON_LINES = (".jsonl", ".ndjson")
_MAPS = "carbon intensity gco₂eq/kwh ("


@dataclass(frozen=True)
class Guess:
    """What a file was taken for.

    Attributes
    ----------
    kind
        What it is.
    format
        How it is laid out: a carbon source's `kind`, ``"wide"``, ``"long"``, ``"forecast"``, ``"log"``, …
    columns
        Column by what it was taken for.
    several
        Columns of which there may be several, by what they were taken for.
    head
        The first rows of a table.
    """

    kind: Kind
    format: str
    columns: Mapping[str, str] = field(default_factory=dict)
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    head: pl.DataFrame = field(default_factory=pl.DataFrame)

    def reading(self) -> dict[str, str]:
        """Return the same in words."""
        lists = {
            what: ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            for what, names in self.several.items()
            if names
        }
        return {"format": self.format, **self.columns, **lists}


def sniff(path: Path, shown: str, kind: Kind | None = None) -> Guess:
    """Guess what a file is.

    Parameters
    ----------
    path, shown
        The file, and what it is called in messages.
    kind
        What it is said to be; then only that is looked for.

    Raises
    ------
    InputError
        If it cannot be read, or nothing that is known fits: with what was looked for.
    """
    suffix = _suffix(path)
    if suffix == ".json":
        guess = _of_json(jsonfile.read_json(path, shown))
        if guess and kind in (None, guess.kind):
            return guess
        remedy = (
            "looked for WattTime's meta and data, NESO's data[…].intensity, and the Carbon Aware SDK's rating"
        )
        raise refused(shown, "this JSON is nothing that is known", remedy)
    head = head_of(path, shown)
    looks = _Looks(head, is_log=suffix in _JSON_LINES)
    for known, look in _LOOKS:
        if kind in (None, known) and (guess := look(looks, kind is not None)):
            return guess
    raise refused(shown, f"cannot tell what this is: columns {looks.listed}", _looked_for(kind))


def _looked_for(kind: Kind | None) -> str:
    looked = {
        "carbon": "a column of times beside columns of numbers (a zone each), or beside zone and value",
        "traffic": "a column of times and columns of tokens",
        "rates": "nothing but columns of numbers, or rates beside times",
        "rtt": "a first column that names what the other columns are called",
    }
    if kind:
        return f"as {kind}, {looked[kind]} is looked for"
    all_of_them = "; ".join(f"{known}: {what}" for known, what in looked.items())
    return f"looked for {all_of_them}. Name it yourself: --as carbon, traffic, rates or rtt"


@dataclass(frozen=True)
class _Looks:
    """The first rows of a table, and what its columns look like."""

    head: pl.DataFrame
    is_log: bool

    @property
    def listed(self) -> str:
        names = self.head.columns
        return ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")

    @cached_property
    def times(self) -> list[str]:
        """Columns of times, those named so first."""
        found = [name for name in self.head.columns if _is_time(self.head[name])]
        return sorted(found, key=lambda name: not _TIME.search(name))

    @cached_property
    def numbers(self) -> list[str]:
        return [name for name in self.head.columns if _is_number(self.head[name])]

    @cached_property
    def words(self) -> list[str]:
        taken = {*self.times, *self.numbers}
        there = [name for name in self.head.columns if name not in taken]
        return [
            name for name in there if self.head[name].dtype == pl.String and _known(self.head[name]).len()
        ]


def _of_json(content: Any) -> Guess | None:
    if isinstance(content, dict) and {"meta", "data"} <= set(content):
        return Guess("carbon", "watttime")
    data = content.get("data") if isinstance(content, dict) else None
    if isinstance(data, list) and data and isinstance(data[0], dict) and "intensity" in data[0]:
        return Guess("carbon", "neso")
    if isinstance(content, dict):
        content = content.get("Emissions", content.get("emissions"))
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and "rating" in {key.lower() for key in first}:
        return Guess("carbon", "carbon-aware-sdk")
    return None


def _of_matrix(looks: _Looks, forced: bool) -> Guess | None:
    first, *rest = looks.head.columns
    if not rest or looks.head[first].dtype != pl.String or first in looks.times:
        return None
    rows = set(looks.head[first].drop_nulls())
    numbers = set(looks.numbers)
    alike = len(rows & set(rest)) >= 0.5 * min(len(rows), len(rest))
    if not (set(rest) & numbers) or not (forced or (alike and len(set(rest) & numbers) >= _MOST * len(rest))):
        return None
    return Guess("rtt", "matrix", {"row names": first}, {"columns": tuple(rest)}, looks.head)


def _of_published(looks: _Looks, _forced: bool) -> Guess | None:
    names = {name.strip().lower(): name for name in looks.head.columns}
    if any(name.startswith(_MAPS) for name in names):
        return Guess("carbon", "electricity-maps", head=looks.head)
    if {"point_time", "value"} <= set(names):
        return Guess("carbon", "watttime", head=looks.head)
    return None


def _of_forecast(looks: _Looks, _forced: bool) -> Guess | None:
    issue, lead = _first(_ISSUE, looks.times), _first(_LEAD, looks.numbers)
    value = _first(_FORECAST, [name for name in looks.numbers if name != lead])
    zone = _first(_ZONE, looks.words) or (looks.words[0] if len(looks.words) == 1 else None)
    if not (issue and lead and value and zone):
        return None
    columns = {"issue column": issue, "lead column": lead, "zone column": zone, "value column": value}
    if actual := _first(re.compile("actual|observ|measur", re.I), looks.numbers):
        columns["actual column"] = actual
    other = tuple(name for name in looks.words if name != zone)
    return Guess("carbon", "forecast", columns, {"further columns of words": other}, looks.head)


def _of_log(looks: _Looks, forced: bool) -> Guess | None:
    numeric = [name for name in looks.numbers if _TIME.search(name) and not _SERVICE.search(name)]
    time = next(iter([*looks.times, *numeric]), None)
    rest = [name for name in looks.head.columns if name != time]
    numbers = [name for name in looks.numbers if name != time]
    telling = [name for name in rest if _PROMPT.search(name) or _ANSWER.search(name)]
    named = time is not None and bool(re.search("arriv|request|submit", time, re.I))
    if time is None or not (forced or looks.is_log or telling or named):
        return None
    columns = {"time column": time}
    for what, pattern in (("prompt tokens", _PROMPT), ("answer tokens", _ANSWER), ("service time", _SERVICE)):
        if name := _first(pattern, numbers):
            columns[f"{what} column"] = name
    words = {
        "origin": re.compile("origin|country|region|continent", re.I),
        "workload": re.compile("model|workload", re.I),
    }
    for what, pattern in words.items():
        if name := _first(pattern, looks.words):
            columns[f"{what} column"] = name
    return Guess("traffic", "log", columns, head=looks.head)


def _of_rates(looks: _Looks, forced: bool) -> Guess | None:
    time = next(iter(looks.times), None)
    rates = [name for name in looks.numbers if name != time]
    only_numbers = len(rates) == len(looks.head.columns) - (time is not None)
    hinted = bool(rates) and all(_RATE.search(name) for name in rates)
    if looks.is_log or not rates or not (forced or (only_numbers and time is None) or hinted):
        return None
    return Guess(
        "rates", "rate-file", {"time column": time} if time else {}, {"rates": tuple(rates)}, looks.head
    )


def _of_carbon(looks: _Looks, forced: bool) -> Guess | None:
    if not looks.times or not looks.numbers or looks.is_log:
        return None
    columns, words = {"time column": looks.times[0]}, looks.words
    zone = _first(_ZONE, words) or (words[0] if len(words) == 1 else None)
    if zone is None:
        if words or (not forced and any(_REQUEST.search(name) for name in looks.head.columns)):
            return None
        zones = tuple(name for name in looks.head.columns if name not in looks.times)  # empty ones too
        return Guess("carbon", "wide", columns, {"zones": zones}, looks.head)
    columns["zone column"] = zone
    value = _first(_INTENSITY, looks.numbers) or (looks.numbers[0] if len(looks.numbers) == 1 else None)
    fuels = tuple(name for name in looks.numbers if name.strip().lower() in _FUELS)
    other = tuple(name for name in words if name != zone)
    if value is None and len(fuels) >= 3:
        return Guess("carbon", "eia-fuel-mix", columns, {"fuels": fuels}, looks.head)
    if value is None:
        return None
    columns["value column"] = value
    return Guess("carbon", "long", columns, {"further columns of words": other, "fuels": fuels}, looks.head)


_LOOKS: Sequence[tuple[Kind, Callable[[_Looks, bool], Guess | None]]] = (
    ("carbon", _of_published),
    ("carbon", _of_forecast),
    ("rtt", _of_matrix),
    ("traffic", _of_log),
    ("rates", _of_rates),
    ("carbon", _of_carbon),
)


def _suffix(path: Path) -> str:
    """Return what a file's name ends in, before the ``.gz``."""
    return next((suffix for suffix in reversed(path.suffixes) if suffix.lower() != ".gz"), "").lower()


def _first(pattern: re.Pattern[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if pattern.search(name)), None)


def _known(column: pl.Series) -> pl.Series:
    """Return the entries that are there."""
    known = column.drop_nulls()
    if known.dtype != pl.String:
        return known
    return known.filter(
        (known.str.strip_chars() != "") & ~known.str.to_lowercase().is_in(["nan", "null", "na"])
    )


def _is_number(column: pl.Series) -> bool:
    if column.dtype.is_numeric():
        return True
    known = _known(column) if column.dtype == pl.String else column.clear()
    return bool(len(known)) and column_numbers(known).is_not_null().sum() >= _MOST * len(known)


def _is_time(column: pl.Series) -> bool:
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        return True
    known = _known(column) if column.dtype == pl.String else column.clear()
    sample = known.head(50).to_list()
    return bool(sample) and sum(map(_reads_as_time, sample)) >= _MOST * len(sample)


def _reads_as_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text.strip()[:26] if "." in text else text.strip())
    except ValueError:
        return False
    return "-" in text


def head_of(path: Path, shown: str) -> pl.DataFrame:
    """Return a table's first rows: a CSV's as text, with no more checks than it takes to read them.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no table.
    """
    suffix = _suffix(path)
    if suffix in PARQUET:
        with parquet(path, shown) as file:
            head = file.head(HEAD_ROWS)
    else:
        is_json = suffix in _JSON_LINES
        lines = list(filter(_is_object if is_json else _is_row, _lines(path, shown)))
        head = _table(lines, shown, is_json=is_json)
    if head.is_empty():
        raise refused(shown, "there is no data", _FILES)
    return head


_FILES = "a table (.csv, .csv.gz, .parquet), JSON lines (.jsonl) or JSON (.json) is expected"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_row(line: str) -> bool:
    return line.count('"') % 2 == 0


def _table(lines: list[str], shown: str, *, is_json: bool) -> pl.DataFrame:
    """Return lines as a table, with no more checks than it takes to read them."""
    if not lines:
        return pl.DataFrame()
    data = io.BytesIO("\n".join(lines).encode())
    names = [] if is_json else column_names(lines[0].encode(), shown)
    try:
        if is_json:
            return _as_words(pl.read_ndjson(data, infer_schema_length=None))
        head = pl.read_csv(data, infer_schema=False, truncate_ragged_lines=True)
    except FAILURES as error:
        raise refused(shown, f"is no table ({str(error).partition(chr(10))[0]})", _FILES) from error
    head.columns = names
    return head


def _as_words(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of JSON lines without what holds lists or objects, which a log's columns cannot be."""
    return table.select(~cs.nested())


def _lines(path: Path, shown: str) -> Iterator[str]:
    """Yield the first lines of a text file that are not empty."""
    pieces = chunks(path, shown, _HEAD_BYTES)
    data, more = next(pieces, b""), next(pieces, b"")
    if more:
        whole = data[: data.rfind(b"\n") + 1]
        data = whole if whole.count(b"\n") > 1 else data + more  # a line that is too long is refused as such
    yield from (line for line in plain_text(data, shown).split("\n")[: HEAD_ROWS + 1] if line.strip())
