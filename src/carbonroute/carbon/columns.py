"""Columns of carbon tables: their zones, intensities and units, recognised by name and type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Self

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files import toml
from carbonroute.files.csv_layout import FIRST_LINE
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Preview, Recognition, first_named
from carbonroute.files.time_columns import common_step_us, lacks_offset, read_times
from carbonroute.files.times import RepeatedStamps, ends_a_day, epoch_unit, lenient_epoch_times
from carbonroute.units import G_PER_KWH

_ZONE = re.compile(r"zone|region|area|country|location|grid|balancing|authority|^ba$", re.I)
#: Words that only carbon intensities are called by, in names of columns and files.
_CARBON = re.compile(r"carbon|intensity|co2|co₂|emission|moer|aoer|per_kwh|(^|_)ci($|_)", re.I)
_INTENSITY = re.compile(f"{_CARBON.pattern}|^value$", re.I)
#: Names of percentages, which beside intensities are those of renewable or carbon-free energy.
_PERCENT = re.compile(r"%|percent|(^|[^a-z])pct([^a-z]|$)", re.I)
#: Names of energies of which the greenest grid has most.
_GREEN = re.compile(r"renewables?([^a-z]|$)|(carbon|fossil)[\W_]*free", re.I)
#: Names of columns of zones that only tables of grids have.
_GRID = re.compile(r"zone|grid|balancing|authority|^ba$", re.I)
#: How grids are named: codes in capitals, such as DE, US-CAL-CISO or GB_direct, and names in other scripts.
_CODE = re.compile(r"[A-Z]{1,6}[0-9]{0,2}([^A-Za-z0-9].*)?|.*[^\x00-\x7f].*", re.S)
#: Abbreviations of what machines count.
_NO_CODE = re.compile(r"(CPU|GPU|RAM|IO|RPS|QPS|TPS|TTFT|TPOT|ID|MW|MWH|KW|KWH|TEMP|LOAD|PRICE)(?![A-Z])")
#: Columns that number rows or spell out parts of a time.
_COUNTER = re.compile(
    r"|unnamed.*|index|id|no|row|#|(iso_?)?(year|quarter|month|week|day|hour|minute)"
    r"(_?of_?(the_?)?(year|week|day|month))?|week_?day|dow|hod",
    re.I,
)
#: Names of columns of times that are the ends of their intervals.
_END = re.compile(r"(.*[^a-z])?(end|ending|to|until)([^a-z].*)?", re.I | re.S)
#: How names of columns, and entries of a column of units, spell masses and energies.
_MASSES = MappingProxyType(
    {
        "g": r"(?<![a-z])g(rams?)?",
        "kg": r"(?<![a-z])(kg|kilograms?)",
        "t": r"(?<![a-z])t(ons?|onnes?)?",
        "lb": r"(?<![a-z])(lbs?|pounds?)",
    }
)
_UNITS = MappingProxyType(
    {
        f"{mass}/{energy}": rf"{_MASSES[mass]}[\W_]*(co[2₂]\w*?)?[\W_]*(per|/)[\W_]*{energy}"
        for mass, energy in (unit.split("/") for unit in G_PER_KWH)
    }
)
#: The end of a column's name that states a unit, with words for its quantity before.
_QUANTITY = re.compile(
    r"([\W_]+(carbon|co[2₂](eq?)?|intensity|emissions?|factor))*"
    rf"[\W_]*({'|'.join(f'({pattern})' for pattern in _UNITS.values())})[\W_]*$",
    re.I,
)
#: The unit in suggested lines, where the file does not state it.
UNIT = toml.ask(f"one of {', '.join(G_PER_KWH)}")


def zone_column(preview: Preview) -> str | None:
    """Return the column that names each row's zone, or None."""
    words = words_of(preview)
    return first_named(_ZONE, words) or (words[0] if len(words) == 1 else None)


def value_column(preview: Preview) -> str | None:
    """Return the column of carbon intensities, or None."""
    numbers = [name for name in numbers_of(preview) if what_else(name) is None]
    return first_named(_INTENSITY, numbers) or (numbers[0] if len(numbers) == 1 else None)


def what_else(name: str) -> str | None:
    """Return what a column's name says that its numbers are, where that is no carbon intensity; else None.

    >>> what_else("carbon_free_percent"), what_else("Renewable energy percentage (RE%)"), what_else("DE")
    ('a percentage', 'a percentage', None)
    >>> what_else("Carbon-free"), what_else("carbon intensity with renewables")
    ('renewable or carbon-free energy', None)
    """
    if unit_of(name) is not None:
        return None
    if _PERCENT.search(name):
        return "a percentage"
    if _GREEN.search(name) and "intensity" not in name.lower():
        return "renewable or carbon-free energy"
    return None


def other_words(preview: Preview, zone: str) -> tuple[str, ...]:
    """Return the columns of words beside the zone, which may tell several series apart."""
    return tuple(name for name in words_of(preview) if name != zone)


def words_of(preview: Preview) -> tuple[str, ...]:
    """Return the columns of words that do not just repeat the unit of the row's value."""
    units = unit_columns(preview.rows.select(preview.words))
    return tuple(name for name in preview.words if name not in units)


def numbers_of(preview: Preview) -> tuple[str, ...]:
    """Return the columns of numbers that are neither times nor counters of rows."""
    return tuple(
        name
        for name in preview.numbers
        if not (_COUNTER.fullmatch(name.strip()) and not _is_code(preview, name))
        and name not in preview.epochs
    )


def _is_code(preview: Preview, name: str) -> bool:
    """Whether a column is called as a grid, NO or ID, beside other codes, and does not count rows."""
    others = [other for other in preview.numbers if not _COUNTER.fullmatch(other.strip())]
    if name not in ("NO", "ID") or not any(re.fullmatch(r"[A-Z]{2,}.*", other, re.S) for other in others):
        return False
    column = preview.head[name]
    steps = (column_numbers(column) if column.dtype == pl.String else column).diff().drop_nulls()
    return not (len(steps) and bool((steps == 1).all()))


def time_columns(preview: Preview) -> tuple[str, ...]:
    """Return the columns of times; where there is none, those of numbers that count it since 1970."""
    return preview.times or preview.epochs


def is_of_carbon(preview: Preview, values: Sequence[str], zone: str | None = None) -> bool:
    """Whether anything says that these columns hold carbon intensities: a word, a unit, or codes of grids.

    `values`: its columns of values: one for each zone, where no column names it.
    `zone`: the column that names each row's zone, if there is one.
    """
    if says_carbon(preview, values):
        return True
    if zone is not None:
        return bool(_GRID.search(zone)) and all(_INTENSITY.search(name) for name in values)
    codes = [name for name in values if _CODE.fullmatch(name) and not _NO_CODE.match(name)]
    return 2 * len(codes) > len(values)


def says_carbon(preview: Preview, values: Sequence[str]) -> bool:
    """Whether the file's name, a header, or a column of units says that these are carbon intensities."""
    return bool(
        _CARBON.search(preview.path.name.partition(".")[0])
        or unit_columns(preview.rows.select(preview.words))
        or any(_CARBON.search(name) or unit_of(name) for name in values)
    )


def distinct(table: pl.DataFrame, name: str) -> list[str]:
    """Return the different entries of a column as text, in the order of the file."""
    return table[name].drop_nulls().unique(maintain_order=True).cast(pl.String).to_list()


def enumerated(column: pl.Series) -> pl.Series:
    """Return a column of text as an enumeration of its different entries, in the order of the file."""
    first = column.first()
    rows = 0 if first is None else int((column == first).sum())
    if rows and not len(column) % rows:  # as many of each, one after the other?
        names = column.gather_every(rows)
        each = enumerate(names) if names.is_unique().all() and not names.null_count() else ()
        blocks = [(column.slice(place * rows, rows) == name).all(ignore_nulls=False) for place, name in each]
        if blocks and all(blocks):
            series = names.cast(pl.Enum(names))
            return pl.concat(series.new_from_index(place, rows) for place in range(len(names)))
    return column.cast(pl.Enum(column.drop_nulls().unique(maintain_order=True)))


def column_named(
    table: pl.DataFrame, names: Sequence[str], file_name: str, where: str = "header"
) -> pl.Series:
    """Return the one column that has one of these names, in capitals or not; errors say `where` they stand.

    Raises InputError if there is none, or more than one.
    """
    known = [column for column in table.columns if column.strip().lower() in names]
    if len(known) == 1:
        return table[known[0]]
    if known:
        problem = f"there are several columns for one thing: {', '.join(map(repr, known))}"
        raise InputError(file_name, [Fault(where, problem, "keep one of them")])
    remedy = did_you_mean(names[0], table.columns)
    raise InputError(file_name, [Fault(where, f"there is no column {names[0]!r}", remedy)])


def placed_by_line(table: pl.DataFrame, file_name: str, time: pl.Series, first_line: int) -> pl.DataFrame:
    """Return the columns ``file``, ``place`` and ``time`` of `CarbonReadings.table` for a table."""
    return numbered(table, file_name, time, first_line).with_columns(place=pl.format("line {}", "place"))


def numbered(
    table: pl.DataFrame, file_name: str, time: pl.Series, first_line: int = FIRST_LINE
) -> pl.DataFrame:
    """Return the same, with the numbers of lines alone in ``place``."""
    line = pl.int_range(first_line, first_line + len(table), eager=True)
    return pl.DataFrame({"place": line, "time": time}).select(
        pl.lit(file_name).alias("file"), "place", "time"
    )


def surveyed(
    preview: Preview, recognition: Recognition
) -> tuple[pl.DataFrame, pl.Series, dict[str, str], list[str]]:
    """Return a recognised table, the time of each row, the settings of its times, and findings on them.

    It is plain, where it can be: see `Preview.plain_table`.
    """
    plain, name = preview.plain_table(), recognition.columns["time"]
    table = preview.table() if plain is None else plain
    settings, findings, stamps = {"time_column": name}, [], table[name]
    if (unit := epoch_unit(stamps)) is not None:
        times = lenient_epoch_times(stamps, unit)
        findings.append(f"times in {name!r} are numbers: read as {unit} since 1970, UTC")
    elif (repeated := RepeatedStamps.of(stamps)) is not None:
        stamps = repeated.stamps
        times = repeated.spread(read_times(stamps, None, preview.file_name))
    else:
        times = read_times(stamps, None, preview.file_name)
    of_one = pl.DataFrame({"time": times}).with_columns(zone=pl.lit("")) if is_called_an_end(name) else None
    if of_one is not None and (step := common_step_us(of_one)):
        settings["stamp"] = "end"
        times = times - timedelta(microseconds=step)
        findings.append(f"times in {name!r} are called the ends of their intervals: stamp = 'end'")
    elif ends_a_day(stamps).any():
        settings["stamp"] = toml.ask("'end' or 'start', of the interval of each value")
        findings.append(
            f"times in {name!r} write the end of a day as its hour 24: stamp must say what they are"
        )
    if unit is None and lacks_offset(stamps):
        settings["time_zone"] = toml.ZONE
        findings.append(f"times in {name!r} have no offset: taken as UTC here; time_zone must say their zone")
    return table, times, settings, findings


def is_called_an_end(name: str) -> bool:
    """Whether a column of times is called the ends of their intervals.

    >>> is_called_an_end("period_end"), is_called_an_end("trend")
    (True, False)
    """
    return _END.fullmatch(name) is not None


def unit_of(text: str) -> str | None:
    """Return the unit that a text states, or None.

    >>> unit_of("DE_gCO2_per_kWh"), unit_of("carbon (kg CO₂eq / MWh)"), unit_of("carbon_intensity")
    ('g/kWh', 'kg/MWh', None)
    """
    if "/" not in text and "per" not in text.lower():
        return None
    return next((unit for unit, pattern in _UNITS.items() if re.search(pattern, text, re.I)), None)


def unit_in(names: Sequence[str]) -> str | None:
    """Return the unit that all of some columns' names state, or None.

    >>> unit_in(["DE_gCO2_per_kWh"]), unit_in(["carbon (kg/MWh)"]), unit_in(["carbon_intensity"])
    ('g/kWh', 'kg/MWh', None)
    """
    units = {unit_of(name) for name in names}
    return units.pop() if len(units) == 1 else None


def unit_columns(table: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Return the columns of text whose every entry states a unit, with each entry's unit."""
    columns = {}
    for name in table.columns:
        if table[name].dtype == pl.String and states_unit(table[name]):
            units = {text: unit_of(text) for text in distinct(table, name) if text.strip()}
            if None not in units.values():
                columns[name] = {text: unit for text, unit in units.items() if unit is not None}
    return columns


def units_below(table: pl.DataFrame, values: Sequence[str]) -> dict[str, str]:
    """Return the unit that the first row states for each column of values; none if it has a value."""
    if table.is_empty() or any(table[name].dtype != pl.String for name in values):
        return {}
    units = {name: unit_of(text) for name in values if (text := table[name][0] or "")}
    known = {name: unit for name, unit in units.items() if unit is not None}
    return known if known and len(known) == len(units) else {}


def states_unit(column: pl.Series) -> bool:
    """Whether the first entry of a column that is not empty states a unit."""
    known = column.drop_nulls()
    first = (
        known.head(1) if not len(known) or known[0].strip() else known.filter(known.str.strip_chars() != "")
    )
    return bool(len(first)) and unit_of(first[0]) is not None


@dataclass(frozen=True)
class StatedUnit:
    """The unit of a table's values, as its headers or a column of units state it.

    Attributes
    ----------
    unit
        Of the values times `factor`; None if it is not stated.
    factor
        Of each row of a long table, of each column of a wide one, or of all values.
    settings
        The keys of a scenario for it.
    findings
        Headers and entries that do not agree.
    """

    unit: str | None
    settings: Mapping[str, Any]
    factor: pl.Series | float = 1.0
    findings: Sequence[str] = ()

    @classmethod
    def of(cls, table: pl.DataFrame, values: Sequence[str], words: Sequence[str], suffix: str | None) -> Self:
        """Return the unit of a table's columns of values.

        `values`, `words`: its columns of values, and those of words.
        `suffix`: of a wide table, what the columns of one series for each zone end with; of a long one None.
        """
        headers = {name: unit for name in values if (unit := unit_of(name))}
        if not headers and (below := units_below(table, values)):
            of_row = cls(None, {"unit": UNIT})
            if len({G_PER_KWH[unit] for unit in below.values()}) == 1:
                of_row = cls(unit := next(iter(below.values())), {"unit": unit})
            said = f"the first row states units ({', '.join(dict.fromkeys(below.values()))}) and no values"
            return replace(of_row, findings=[f"{said}: delete its line, which a scenario refuses"])
        columns = unit_columns(table.select(words))
        entries = [unit for stated in columns.values() for unit in stated.values()]
        units = list(dict.fromkeys([*headers.values(), *entries]))
        if not units:
            return cls(None, {"unit": UNIT})
        if len(units) == 1 and (columns or len(headers) == len(values)):
            return cls(units[0], {"unit": units[0]})
        if suffix is None and len(columns) == 1 and not headers:
            ((name, stated),) = columns.items()
            factors = {text: G_PER_KWH[unit] for text, unit in stated.items()}
            factor = table[name].replace_strict(factors, default=None, return_dtype=pl.Float64)
            return cls("g/kWh", {"unit_column": name}, factor)
        if suffix is not None and not columns:
            return cls._by_zone(values, headers, suffix)
        where = ", ".join([*(["headers"] if headers else []), *(f"column {name!r}" for name in columns)])
        said = f"several units are stated ({', '.join(units)}, in {where}): a scenario reads all in one"
        return cls(None, {"unit": UNIT}, findings=[said])

    @classmethod
    def _by_zone(cls, values: Sequence[str], headers: Mapping[str, str], suffix: str) -> Self:
        of_zone = {name.removesuffix(suffix): headers.get(name) for name in values if name.endswith(suffix)}
        usual = next(iter(headers.values())) if len(headers) == len(values) else UNIT
        zone_units = {zone: unit for zone, unit in of_zone.items() if unit not in (None, usual)}
        settings = {"unit": usual, "zone_units": zone_units or None}
        if usual is not UNIT:
            factors = pl.Series([G_PER_KWH[headers[name]] for name in values], dtype=pl.Float64)
            return cls("g/kWh", settings, factors)
        silent = next(name for name in values if name not in headers)
        return cls(None, settings, findings=[f"some headers state a unit, others none, such as {silent!r}"])


def suffixes_of(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the zones and suffixes that names of columns consist of; else the names themselves, and "".

    A unit that all names end with belongs to the suffixes, and so do words for its quantity before it.

    >>> suffixes_of(["DE_direct", "DE_life", "FR_direct", "FR_life"])
    (['DE', 'FR'], ['_direct', '_life'])
    >>> suffixes_of(["DE_gCO2_per_kWh", "FR_gCO2_per_kWh"])
    (['DE', 'FR'], ['_gCO2_per_kWh'])
    """
    ends = {match[0] if (match := _QUANTITY.search(name)) else "" for name in columns}
    if len(columns) > 1 and len(ends) == 1 and (end := ends.pop()) and end not in columns:
        zones, suffixes = suffixes_of([name.removesuffix(end) for name in columns])
        return zones, [suffix + end for suffix in suffixes]
    parts = [name.rpartition("_") for name in columns]
    zones = list(dict.fromkeys(zone for zone, _, _ in parts))
    suffixes = list(dict.fromkeys(f"_{word}" for _, _, word in parts))
    regular = len(zones) > 1 and all(zones) and {z + s for z in zones for s in suffixes} == set(columns)
    return (zones, suffixes) if regular else (list(columns), [""])
