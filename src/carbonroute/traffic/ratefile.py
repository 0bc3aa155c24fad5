"""Traffic from a file of request rates: one row for each span of time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from carbonroute import memory
from carbonroute.arrays import Array, Integers, Mask
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files import patterns, toml
from carbonroute.files.csv_layout import CsvLayout
from carbonroute.files.durations import Duration
from carbonroute.files.limits import SkipRows
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview, Recognition
from carbonroute.files.tables import column_text, found_text, read_table
from carbonroute.files.times import TimeZone, to_utc
from carbonroute.spec import Spelled
from carbonroute.traffic.intensity import Intensity, Variation
from carbonroute.traffic.requests import Arrivals, Demand
from carbonroute.traffic.source import Form, TrafficContent, TrafficFile, TrafficSource
from carbonroute.units import S_PER_HOUR, US_PER_MINUTE

#: Seconds in the time to which a rate refers.
_SECONDS = MappingProxyType({"requests/s": 1.0, "requests/min": 60.0, "requests/h": S_PER_HOUR})
_RATE = re.compile(r"rate|rps|qps|requests?(_|$|/)|per_s", re.I)
#: Names of columns that count something, if their numbers are whole.
_COUNT = re.compile(
    r"values?|n|y|counts?|.*[_ ]count|num_.*|hits|calls|quer(y|ies)|events?|jobs|sessions|messages",
    re.I,
)
#: Words for numbers that are no rates.
_NO_RATE = re.compile(r"carbon|co2|co₂|intensity|emission|kwh", re.I)
#: Whole numbers beyond it are no carbon intensities.
_MOST_CARBON = 2000
MAX_REQUESTS_PER_HOUR = 1e12
_SHOWN = 5
#: A rate, its share and their sums.
_BYTES_PER_RATE = 64


@dataclass(frozen=True, eq=False, repr=False)
class WindowGaps(Spelled):
    """How windows without a row are filled: ``"refuse"``, ``"zero:1h"`` or ``"interpolate:1h"``.

    `filling`: ``"zero"``: nothing came; ``"interpolate"``: linear in time between the neighbours; None if
    gaps are refused.
    """

    filling: str | None = None
    max_minutes: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a text spells."""
        if text == "refuse":
            return cls(text)
        filling, _, span = text.partition(":")
        try:
            minutes = Duration.parse(span).minutes
        except ValueError:
            minutes = 0
        if filling not in {"zero", "interpolate"} or minutes < 1:
            raise ValueError(
                f"found {text!r}; 'refuse', 'zero:1h' or 'interpolate:1h' is expected, with the longest gap"
            )
        return cls(text, filling, minutes)


@dataclass(frozen=True)
class _Part:
    """Rows of one file.

    `rates_per_s`: shape (rows, columns).
    `times`: of its rows, UTC; None if it has no times.
    """

    file_name: str
    columns: list[str]
    rates_per_s: Array
    times: pl.Series | None


class RateFile(TrafficSource):
    """Requests at random times, as often as a CSV (also ``.gz``) or Parquet file says.

    A row holds the rates of one window of time. Without times in the file its first window begins at hour 0;
    with them, the horizon takes the windows of its own dates.

    Attributes
    ----------
    path
        One file, or a pattern of several, whose rows are joined: in the order of their times, or, without
        times, of their names. Relative to the scenario file; ``*``, ``?`` and ``[…]`` as in a shell.
    unit
        Of the rates; ``"requests/window"`` for counts of a window.
    window
        Time between rows, such as ``"10min"``.
    columns
        The columns whose rates are added up, all of them if left out, shared among the origins by their
        shares; or a column for every origin.
    time_column
        Holds ISO 8601 times at which the windows begin; they must be `window` apart, to a tenth of it.
    gaps
        How windows without a row are filled: ``"refuse"``; ``"zero:1h"``, where nothing came; or
        ``"interpolate:1h"``, linear in time between the neighbours. The span is the longest gap to fill.
    time_zone
        IANA name of the zone that times without an offset are in.
    scale
        Factor on all rates.
    cv
        Coefficient of variation of the gaps between requests, as of kind ``"gamma-renewal"``.
    repeat
        ``"file"``: after its last row the file starts again. Without, it must cover the horizon.
    skip_rows
        Number of lines above the header of a CSV file.
    source
        Whom to cite.
    licence
        Terms of use.
    """

    form: ClassVar[Form] = "rates"
    rate_key: ClassVar[str] = "scale"
    skips_rows: ClassVar[bool] = True

    kind: Literal["rate-file"]
    path: str = Field(min_length=1)
    unit: Literal["requests/window", "requests/s", "requests/min", "requests/h"]
    window: Duration
    columns: (
        Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
        | Annotated[dict[str, str], Field(min_length=1)]
        | None
    ) = None
    time_column: str | None = None
    time_zone: TimeZone | None = None
    gaps: WindowGaps = WindowGaps("refuse")
    scale: float = Field(default=1.0, gt=0, le=1e9)
    cv: Variation = 1.0
    repeat: Literal["file"] | None = None
    skip_rows: SkipRows = 0
    source: str = ""
    licence: str = ""

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise tables of nothing but numbers, and rates or counts beside times.

        Columns are known by their names; counts also by whole numbers that no carbon intensity can be.
        """
        time = next(iter(preview.times), None)
        rates = tuple(name for name in preview.numbers if name != time)
        if preview.is_log or not rates:
            return None
        only_numbers = time is None and len(rates) == len(preview.names) and not preview.epochs
        certain = only_numbers or all(_RATE.search(name) for name in rates)
        several = time is not None and preview.first(time).n_unique() < len(preview.rows)  # for one window
        if several or any(_NO_RATE.search(name) for name in rates):
            return Recognition(
                Certainty.POSSIBLE, "rate-file", {"time": time} if time else {}, {"rates": rates}
            )
        columns = {"time": time} if time else {}
        certainty = Certainty.COLUMNS if certain else Certainty.POSSIBLE
        if not certain and not preview.words and _are_counts(preview, rates):
            certainty = Certainty.SHAPE
        return Recognition(certainty, "rate-file", columns, {"rates": rates})

    @classmethod
    def suggest(cls, path: str, recognition: Recognition, content: TrafficContent) -> str:
        """Return the lines of a scenario that read a file of rates."""
        units = [*_SECONDS, "requests/window"]
        if content.whole:
            units.insert(0, units.pop())
        entries = {
            "kind": "rate-file",
            "path": path,
            "unit": toml.ask(f"one of {', '.join(units)}"),
            "window": content.window or toml.ask("time between rows, such as 10min"),
            "columns": content.columns,
            "time_column": recognition.columns.get("time"),
            "time_zone": toml.ZONE if content.lacks_zone else None,
            "skip_rows": content.skip_rows or None,
        }
        comments = [
            *content.comments,
            'repeat = "file" lets it start again after its end',
            'columns = { "an origin" = "a column" } gives every origin its own rates; else their shares do',
        ]
        return toml.section("[traffic]", entries, comments)

    def files(self) -> tuple[TrafficFile, ...]:
        """Return the file; without `columns`, its rates are in all columns but that of the times."""
        times = {"time": self.time_column} if self.time_column else {}
        columns = self.columns.values() if isinstance(self.columns, Mapping) else self.columns or ()
        recognition = Recognition(Certainty.SIGNATURE, "rate-file", times, {"rates": tuple(columns)})
        reading = {"unit of values": self.unit, "window": self.window.text}
        file = TrafficFile(
            self.path, self.form, recognition, window=self.window, reading=reading, layout=self._layout
        )
        return (file,)

    @property
    def _layout(self) -> CsvLayout:
        return CsvLayout(skip_rows=self.skip_rows)

    @field_validator("window")
    @classmethod
    def _some_minutes(cls, window: Duration) -> Duration:
        if not window.minutes:
            raise ValueError(f"found {window!r}; a span of at least '1min' is expected")
        return window

    def arrivals(self, demand: Demand) -> Arrivals:
        """Return the requests of a horizon."""
        parts = self._parts(demand)
        columns = parts[0].columns
        late_s, slot = self._grid(parts, demand)
        rates, filled = self._filled(np.concatenate([part.rates_per_s for part in parts]), slot)
        window_s = self.window.minutes * 60.0
        end_s = demand.hours * S_PER_HOUR
        windows = int(np.ceil((end_s + late_s) / window_s))
        if windows > len(rates) and not self.repeat:
            problem = f"{len(rates)} windows of {self.window} do not reach the end of the horizon"
            remedy = 'shorten horizon.hours, or let the file start again: repeat = "file"'
            raise InputError(self.path, [Fault("traffic.window", problem, remedy)])
        first = int(late_s // window_s)
        by_origin = isinstance(self.columns, Mapping)
        wide = len(columns) if by_origin else 1
        what = f"rates of {windows - first:,} windows × {wide:,} columns"
        memory.require((windows - first) * wide * _BYTES_PER_RATE, self.path, "traffic.window", what)
        row = np.arange(first, windows) % len(rates)
        edges_s = np.clip(np.arange(first, windows + 1) * window_s - late_s, 0, end_s)
        share = rates[row] if by_origin else demand.origin_share[np.newaxis]
        intensity = Intensity(edges_s, rates.sum(axis=1)[row], share)
        arrivals = intensity.arrivals(demand, self.cv)
        if not arrivals.count:
            nothing = Fault("", "all rates within the horizon are 0", "at least one above 0 is expected")
            raise InputError(self.path, [nothing])
        repeated = windows > len(rates)
        provenance = {"windows": windows - first, "repeated": repeated, "columns": len(columns)}
        if filled:
            provenance["filled"] = filled
        return replace(
            arrivals,
            files={part.file_name: demand.folder / part.file_name for part in parts},
            source=", ".join(filter(None, [self.source or f"file {self.path}", self.licence])),
            synthetic_geography=not by_origin,
            provenance=provenance,
            notes=self._notes(by_origin, repeated, filled),
        )

    def _parts(self, demand: Demand) -> list[_Part]:
        """Return the rows of each file, in the order in which they are joined."""
        parts = []
        for name in self._names(demand.folder):
            table = read_table(demand.folder / name, name, demand.digests, self._layout)
            columns = self._columns(table, demand, name)
            times = None if self.time_column is None else self._times(table, demand, name)
            parts.append(_Part(name, columns, self._rates_per_s(table, columns, name), times))
        first = parts[0]
        for part in parts[1:]:
            if part.columns != first.columns:
                problem = f"its columns of rates are {', '.join(map(repr, part.columns))}"
                remedy = f"those of {first.file_name} are expected: {', '.join(map(repr, first.columns))}"
                raise InputError(part.file_name, [Fault(f"line {self.skip_rows + 1}", problem, remedy)])
        if self.time_column is not None:
            parts.sort(key=lambda part: 0 if part.times is None else part.times.to_physical()[0])
        return parts

    def _names(self, folder: Path) -> list[str]:
        if patterns.is_name(self.path, folder):
            return [self.path]
        if mark := patterns.unknown_mark(self.path, ()):
            remedy = "'*' stands for anything; state the column of every origin in traffic.columns"
            raise InputError("scenario", [Fault("traffic.path", f"found {mark}", remedy)])
        names = patterns.fitting(self.path, folder)
        if not names:
            remedy = patterns.remedy_for_nothing(self.path, folder)
            raise InputError("scenario", [Fault("traffic.path", f"no file fits {self.path!r}", remedy)])
        return names

    def _notes(self, by_origin: bool, repeated: bool, filled: int) -> tuple[str, ...]:
        notes = []
        if self.time_column is None:
            notes.append(f"{self.path} states no times: its first window is taken to begin at hour 0")
        if filled:
            notes.append(f"{filled:,} windows of {self.path} without a row filled by {self.gaps}")
        if repeated:
            notes.append(f"{self.path} is shorter than the horizon and starts again after its end")
        if by_origin:
            notes.append(f"origins' shares are those of the rates in {self.path}, not the scenario's")
        else:
            notes.append(f"synthetic geography: {self.path} names no origins, they are drawn by their shares")
        return tuple(notes)

    def _columns(self, table: pl.DataFrame, demand: Demand, file_name: str) -> list[str]:
        """Return the columns of rates; where they are the origins', in their order."""
        faults: list[Fault] = []
        if self.time_column is not None and self.time_column not in table.columns:
            remedy = did_you_mean(self.time_column, table.columns)
            faults.append(Fault("traffic.time_column", f"there is no column {self.time_column!r}", remedy))
        known = [name for name in table.columns if name != self.time_column]
        if isinstance(self.columns, Mapping):
            given = {f"traffic.columns.{origin}": column for origin, column in self.columns.items()}
            faults += [
                Fault(f"traffic.columns.{o}", "there is no such origin", did_you_mean(o, demand.origins))
                for o in self.columns
                if o not in demand.origins
            ]
            faults += [
                Fault(f"traffic.columns.{origin}", "missing", "name the column of every origin")
                for origin in demand.origins
                if origin not in self.columns
            ]
            columns = [self.columns.get(origin, "") for origin in demand.origins]
        else:
            columns = list(self.columns or known)
            given = {f"traffic.columns[{i}]": column for i, column in enumerate(columns)}
        times_named = Counter(given.values())
        for where, column in given.items():
            if column not in known:
                faults.append(Fault(where, f"there is no column {column!r}", did_you_mean(column, known)))
            elif times_named[column] > 1:
                faults.append(Fault(where, f"column {column!r} is named twice", "name every column once"))
        if not columns:
            faults.append(
                Fault("", "there is no column of rates", "at least one column of rates is expected")
            )
        if faults:
            raise InputError(file_name, first_faults(faults))
        return columns

    def _rates_per_s(self, table: pl.DataFrame, columns: list[str], file_name: str) -> Array:
        """Return the scaled rates, requests per second, shape (rows, columns)."""
        factor = self.scale / (_SECONDS.get(self.unit) or self.window.minutes * 60.0)
        values, faults = [], []
        for name in columns:
            text = column_text(table[name], file_name) if not table[name].dtype.is_numeric() else None
            raw = column_numbers(text) if text is not None else table[name].cast(pl.Float64)
            rate = raw.to_numpy() * factor
            bad = np.flatnonzero(~((rate >= 0) & (rate <= MAX_REQUESTS_PER_HOUR / S_PER_HOUR)))
            faults += [
                Fault(
                    f"line {self._layout.first_line + row}, {name}",
                    found_text(column_text(table[name][row : row + 1], file_name)[0]),
                    f"a rate from 0 to {MAX_REQUESTS_PER_HOUR:g} requests/h, times scale, is expected",
                )
                for row in bad[:_SHOWN].tolist()
            ]
            values.append(rate)
        if faults:
            raise InputError(file_name, first_faults(faults))
        return np.stack(values, axis=1)

    def _times(self, table: pl.DataFrame, demand: Demand, file_name: str) -> pl.Series:
        """Return the times of a file's rows, UTC."""
        if demand.start is None:
            remedy = "a file with times needs the date and time of hour 0; or leave out traffic.time_column"
            raise InputError("scenario", [Fault("horizon.start", "missing", remedy)])
        horizon = demand.start, demand.start + timedelta(hours=demand.hours)
        return to_utc(
            table[str(self.time_column)], self.time_zone, horizon, file_name, self._layout.first_line
        )

    def _grid(self, parts: Sequence[_Part], demand: Demand) -> tuple[float, Integers]:
        """Return how many seconds after the first window the horizon begins, and each row's window."""
        known = [part.times for part in parts if part.times is not None]
        if demand.start is None or not known:
            return 0.0, np.arange(sum(len(part.rates_per_s) for part in parts))
        times = pl.concat(known)
        slot, off = windows_of(times, self.window.minutes * US_PER_MINUTE)
        steps = np.diff(slot, prepend=-1)
        most = self.gaps.max_minutes // self.window.minutes
        uneven = np.flatnonzero(off | (steps < 1) | (steps > 1 + most))
        if len(uneven):
            row = int(uneven[0])
            problem = f"{times[row].isoformat()} is not {self.window} after {times[row - 1].isoformat()}"
            remedy = f"rows {self.window} apart are expected, as window says"
            if not off.any() and steps.min() == 1 == np.median(steps):
                span = spelled_minutes((int(steps.max()) - 1) * self.window.minutes)
                remedy += f"; or a rule: gaps = 'zero:{span}' where nothing came, or 'interpolate:{span}'"
            ends = np.cumsum([len(part.rates_per_s) for part in parts])
            file = int(np.searchsorted(ends, row, side="right"))
            line = self._layout.first_line + row - (int(ends[file - 1]) if file else 0)
            where = f"line {line}, {self.time_column}"
            raise InputError(parts[file].file_name, [Fault(where, problem, remedy)])
        late_s: float = (demand.start - times[0]).total_seconds()
        if late_s < 0:
            problem = f"the first window begins at {times[0].isoformat()}, after the horizon does"
            fault = Fault(f"line {self._layout.first_line}", problem, "move horizon.start")
            raise InputError(parts[0].file_name, [fault])
        return late_s, slot

    def _filled(self, rates: Array, slot: Integers) -> tuple[Array, int]:
        """Return the rates of every window, and how many had no row."""
        every = np.arange(int(slot[-1]) + 1)
        if len(every) == len(slot):
            return rates, 0
        if self.gaps.filling == "interpolate":
            full = np.stack([np.interp(every, slot, column) for column in rates.T], axis=1)
        else:
            full = np.zeros((len(every), rates.shape[1]))
            full[slot] = rates
        return full, len(every) - len(slot)


def windows_of(times: pl.Series, window_us: int) -> tuple[Integers, Mask]:
    """Return each time's window, counted from the first time, and which times are a tenth off its begin."""
    since = (times.to_physical() - times.to_physical()[0]).to_numpy()
    slot = np.round(since / window_us).astype(np.int64)
    return slot, np.abs(since - slot * window_us) * 10 > window_us


def spelled_minutes(minutes: int) -> str:
    """Return a span of minutes as a scenario spells it.

    >>> spelled_minutes(120), spelled_minutes(65)
    ('2h', '65min')
    """
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}min"


def _are_counts(preview: Preview, names: Sequence[str]) -> bool:
    """Whether columns hold whole numbers and are called counts, or are too large for carbon intensities."""
    if not all(_is_whole(preview.rows[name].head(1)) for name in names):
        return False
    columns = [preview.rows[name] for name in names]
    if not all(map(_is_whole, columns)):
        return False
    called = all(_COUNT.fullmatch(name.strip()) for name in names)
    return called or any((_numbers(column) > _MOST_CARBON).any() for column in columns)


def _is_whole(column: pl.Series) -> bool:
    numbers = _numbers(column)
    return bool(((numbers >= 0) & (numbers == numbers.floor())).all())


def _numbers(column: pl.Series) -> pl.Series:
    return (column if column.dtype.is_numeric() else column_numbers(column.cast(pl.String))).drop_nulls()
