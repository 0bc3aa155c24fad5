"""Which reader recognises a file: every carbon source, forecasts, kinds of traffic, and matrices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import polars as pl

from carbonroute.carbon import SOURCES, FileSource, Forecast
from carbonroute.carbon.columns import says_carbon
from carbonroute.files.number_times import refuse_numbers_as_times
from carbonroute.files.preview import TIME, Certainty, Preview, Recognition, layout_of, preview
from carbonroute.files.text import refused
from carbonroute.files.times import without_abbreviation
from carbonroute.inspection import carbon_files, forecasts, network, rates, traffic
from carbonroute.inspection.result import Inspection, Kind
from carbonroute.network import recognise_matrix, recognise_pairs
from carbonroute.traffic import KINDS

_ISO = "ISO 8601 times, such as 2024-01-01T00:00Z; a log of requests: --as traffic"
#: Names of columns of the hours that belong to dates.
_HOUR = re.compile(r"(.*[^a-z])?(hour|hours|hr|he)([^a-z].*)?", re.I | re.S)
_CARBON = tuple(source for source in SOURCES if issubclass(source, FileSource))


@dataclass(frozen=True)
class Reader:
    """A reader of one format: how it recognises a file, and how the file is inspected.

    `any_separator`, `skips_rows`: whether a scenario states the separator of such a file, where it is no
    comma, and how many lines stand above its header.
    """

    kind: Kind
    recognise: Callable[[Preview], Recognition | None]
    inspect: Callable[[Preview, Recognition], Inspection]
    any_separator: bool = False
    skips_rows: bool = True


_NAMES = MappingProxyType(
    {
        "carbon": "carbon intensities",
        "traffic": "a log of requests",
        "rates": "request rates or counts",
        "rtt": "round-trip times",
    }
)
#: How a file of traffic is inspected, by its form.
TRAFFIC = MappingProxyType({"traffic": traffic.inspect, "rates": rates.inspect})
#: Of readers that are equally sure, the first one is meant.
READERS = (
    *(
        Reader(
            "carbon",
            source.recognise,
            partial(carbon_files.inspect, source),
            "separator" in source.model_fields,
            "skip_rows" in source.model_fields,
        )
        for source in _CARBON
    ),
    Reader("carbon", Forecast.recognise, forecasts.inspect),
    Reader("rtt", recognise_pairs, network.inspect),
    Reader("rtt", recognise_matrix, network.inspect),
    *(
        Reader(kind.form, kind.recognise, partial(TRAFFIC[kind.form], kind), skips_rows=kind.skips_rows)
        for kind in KINDS
        if kind.form is not None
    ),
)


@dataclass(frozen=True)
class Recognised:
    """A file, the reader that is surest of it, and how that reader would take it."""

    preview: Preview
    reader: Reader
    recognition: Recognition

    def inspection(self) -> Inspection:
        """Return the content of the file as its reader sees it, and what no reader sees."""
        seen = self.reader.inspect(self.preview, self.recognition)
        unread = self.preview.unread
        return replace(seen, findings=(*seen.findings, unread)) if unread else seen


def recognised(path: Path, file_name: str, kind: Kind | None = None) -> Recognised:
    """Return the reader that is surest of a file.

    `kind`: the kind of the file, where the user states it: then readers need not be sure.
    Raises InputError if it cannot be read, or no reader recognises it: with the features that readers look
    for.
    """
    layout = layout_of(path, file_name)
    with_commas = replace(layout, separator=",")
    file = preview(path, file_name, layout=layout if kind in (None, "carbon") else with_commas)
    if kind != "rtt":
        refuse_numbers_as_times(file)
    has_commas = file.layout.separator == ","
    readers = [
        reader
        for reader in READERS
        if (has_commas or reader.any_separator) and (reader.skips_rows or not file.layout.skip_rows)
    ]
    answers = [(reader, reader.recognise(file)) for reader in readers if kind in (None, reader.kind)]
    known = [(reader, recognition) for reader, recognition in answers if recognition is not None]
    reader, surest = max(known, key=lambda answer: answer[1].certainty, default=(None, None))
    is_sure = surest is not None and surest.certainty > Certainty.POSSIBLE
    if not has_commas and (reader is None or not (is_sure or kind)):
        preview(path, file_name, layout=with_commas)  # refuses other separators than commas
    if kind in (None, "carbon", "rates") and not (is_sure and reader and reader.kind in ("traffic", "rtt")):
        is_carbon = reader is not None and reader.kind == "carbon" and (is_sure or kind == "carbon")
        _refuse_times(file, kind, is_carbon=is_carbon)
    if reader is None or surest is None or (kind is None and surest.certainty == Certainty.POSSIBLE):
        if file.is_json:
            keys = [source.json_keys for source in _CARBON if source.json_keys]
            remedy = f"looked for {', '.join(keys[:-1])}, and {keys[-1]}"
            raise refused(file_name, "this JSON is nothing that is known", remedy)
        possible = dict.fromkeys(known_reader.kind for known_reader, _ in known)
        raise refused(
            file_name,
            "; ".join(filter(None, (f"cannot tell what this is: columns {file.listed}", file.unread))),
            _looked_for(kind, possible),
        )
    others = [
        recognition
        for other, recognition in known
        if other is not reader and other.kind == reader.kind and recognition.notes
    ]
    lists = {role: names for recognition in others for role, names in recognition.lists.items()}
    notes = tuple(note for recognition in others for note in recognition.notes)
    return Recognised(file, reader, replace(surest, lists={**surest.lists, **lists}, notes=notes))


def _refuse_times(file: Preview, kind: Kind | None, *, is_carbon: bool) -> None:
    """Refuse carbon or rates whose times are no ISO 8601, stand in two columns, or are not there.

    `is_carbon`: whether it is read as carbon, whose times may be numbers.
    """
    name, numbers = file.file_name, file.numbers
    dates = file.dates
    if (parts := file.date_and_time) is not None:
        problem = f"dates stand in column {parts[0]!r}, and times of day in {parts[1]!r}"
        raise refused(
            name, problem, "one column of times is expected, such as 2024-01-01T05:00: join the two"
        )
    hours = [column for column in numbers if _HOUR.fullmatch(column.strip())]
    if dates and hours:
        problem = f"dates stand in column {dates[0]!r}, and hours in {hours[0]!r}"
        remedy = "one column of times is expected, such as 2024-01-01T05:00; hours from 1 to 24 end at them"
        raise refused(name, problem, f"{remedy}: stamp = 'end'")
    if file.times:
        return
    if file.epochs and is_carbon:
        return
    if file.epochs:
        problem = f"column {file.epochs[0]!r} counts time since 1970 in numbers"
        raise refused(name, problem, f"rates need {_ISO}; carbon intensities: --as carbon")
    if told := [column for column in file.words if _tells_times(column, file.first(column))]:
        stamp = file.first(told[0]).drop_nulls()[0]
        problem = f"column {told[0]!r} holds {stamp!r}, which is no ISO 8601 time"
        raise refused(name, problem, without_abbreviation(stamp) or f"carbon and rates need {_ISO}")
    of_carbon = kind == "carbon" or (kind is None and says_carbon(file, numbers))
    if of_carbon and numbers and len(numbers) == len(file.head.columns):
        lines = "layout = 'wide', start = 2024-01-01T00:00:00Z and step = '1h'"
        remedy = (
            f"for carbon intensities, state first time and interval instead: {lines}; for rates, --as rates"
        )
        raise refused(name, "; ".join(filter(None, ("has no column of times", file.unread))), remedy)


def _tells_times(name: str, column: pl.Series) -> bool:
    """Whether a column is called as one of times is, and has numbers in all its entries."""
    is_header = re.fullmatch(r"[\w .()/%:-]{1,60}", name)
    return bool(is_header and TIME.search(name) and column.drop_nulls().str.contains("[0-9].*[0-9]").all())


def _looked_for(kind: Kind | None, possible: Iterable[Kind] = ()) -> str:
    """Return the features by which files are known, and how to choose among `possible` kinds."""
    looked = {
        "carbon": "a column of times beside columns of numbers (a zone each), or beside zone and value; "
        "and a sign of carbon: a word or unit in a header or the file's name, or codes of grids such as DE",
        "traffic": "a column of times and columns of tokens",
        "rates": "nothing but columns of numbers, or rates or counts beside times",
        "rtt": "a first column that names what the other columns are called, or columns from, to and ms",
    }
    if kind:
        return f"as {kind}, {looked[kind]} is looked for"
    all_of_them = "; ".join(f"{known}: {features}" for known, features in looked.items())
    choices = ", or ".join(f"--as {known} for {_NAMES[known]}" for known in possible)
    choose = f"nothing in it says what its numbers are: choose {choices}. " if choices else ""
    return f"{choose}looked for {all_of_them}. Name it yourself: --as carbon, traffic, rates or rtt"
