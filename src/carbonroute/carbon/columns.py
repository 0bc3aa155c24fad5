"""Columns of carbon tables: their zones, intensities and units, recognised by name and type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files import toml
from carbonroute.files.preview import MOST, Preview, Recognition, first_named
from carbonroute.files.tables import FIRST_LINE, column_numbers, read_table
from carbonroute.files.time_columns import lacks_offset, read_times
from carbonroute.files.times import ends_a_day
from carbonroute.units import CENTURY_S, G_PER_KWH, PER_SECOND

_ZONE = re.compile(r"zone|region|area|country|location|grid|balancing|authority|^ba$", re.I)
_INTENSITY = re.compile(r"carbon|intensity|co2|co₂|emission|moer|aoer|per_kwh|(^|_)ci($|_)|^value$", re.I)
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
_UNIT_COLUMN = re.compile(r"(^|[\W_])units?($|[\W_])", re.I)
#: The unit in suggested lines, where the file does not state it.
UNIT = toml.ask(f"one of {', '.join(G_PER_KWH)}")


def zone_column(preview: Preview) -> str | None:
    """Return the column that names each row's zone, or None."""
    return first_named(_ZONE, preview.words) or (preview.words[0] if len(preview.words) == 1 else None)


def value_column(preview: Preview) -> str | None:
    """Return the column of carbon intensities, or None."""
    numbers = preview.numbers
    return first_named(_INTENSITY, numbers) or (numbers[0] if len(numbers) == 1 else None)


def with_numbers(preview: Preview) -> Preview:
    """Return a preview whose numbers are quantities: with those written with marks, and no time or unit.

    Seconds since 1970 are no quantity where another column holds times.
    """
    heads = preview.head
    marked = [name for name in preview.words if marks_in(heads[name]) is not None]
    units = set(unit_columns(heads))
    numbers = [name for name in heads.columns if name in marked or name in preview.numbers]
    return replace(
        preview,
        numbers=tuple(name for name in numbers if not is_epoch(heads[name])),
        words=tuple(name for name in preview.words if name not in {*marked, *units}),
    )


def is_epoch(column: pl.Series) -> bool:
    """Whether a column counts seconds, or a part of them, from 1970 on."""
    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        return False
    number = column_numbers(column.cast(pl.String)).drop_nulls()
    early, late = CENTURY_S
    return bool(len(number)) and any(
        number.is_between(early * per_s, late * per_s).all() for per_s in PER_SECOND.values()
    )


def marks_in(column: pl.Series) -> dict[str, str] | None:
    """Return the marks of decimals and thousands in a column of numbers, as keys of a scenario.

    None if it has no marks but decimal points, or is no column of numbers. Where only groups of three digits
    follow a mark, it is one of thousands.
    """
    if column.dtype != pl.String:
        return None
    known = column.str.strip_chars().drop_nulls()
    known = known.filter(known != "")
    for marks in (
        {"thousands": ","},
        {"thousands": " "},
        {"decimal": ","},
        {"decimal": ",", "thousands": "."},
    ):
        decimal, thousands = marks.get("decimal", "."), marks.get("thousands")
        is_number = column_numbers(known, decimal, thousands).is_not_null()
        if is_number.sum() >= MOST * max(len(known), 1) > column_numbers(known).is_not_null().sum():
            return marks
    return None


def other_words(preview: Preview, zone: str) -> tuple[str, ...]:
    """Return the columns of words beside the zone, which may tell several series apart."""
    return tuple(name for name in preview.words if name != zone)


def distinct(table: pl.DataFrame, name: str) -> list[str]:
    """Return the different entries of a column as text, in the order of the file."""
    return table[name].drop_nulls().unique(maintain_order=True).cast(pl.String).to_list()


def column_named(table: pl.DataFrame, names: Sequence[str], file_name: str) -> pl.Series:
    """Return the one column that has one of these names, in capitals or not.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    known = [column for column in table.columns if column.strip().lower() in names]
    if len(known) == 1:
        return table[known[0]]
    if known:
        problem = f"there are several columns for one thing: {', '.join(map(repr, known))}"
        raise InputError(file_name, [Fault("line 1", problem, "keep one of them")])
    remedy = did_you_mean(names[0], table.columns)
    raise InputError(file_name, [Fault("line 1", f"there is no column {names[0]!r}", remedy)])


def placed_by_line(table: pl.DataFrame, file_name: str, time: pl.Series) -> pl.DataFrame:
    """Return the columns ``file``, ``place`` and ``time`` of `CarbonReadings.table` for a table."""
    line = pl.int_range(FIRST_LINE, FIRST_LINE + len(table), eager=True)
    place = pl.select(pl.format("line {}", line)).to_series()
    return pl.DataFrame({"file": pl.repeat(file_name, len(table), eager=True), "place": place, "time": time})


def surveyed(
    preview: Preview, recognition: Recognition
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str], list[str]]:
    """Return a recognised table, its `placed_by_line`, the settings of its times, and findings on them."""
    table, name = read_table(preview.path, preview.file_name), recognition.columns["time"]
    frame = placed_by_line(table, preview.file_name, read_times(table[name], None, preview.file_name))
    settings, findings = {"time_column": name}, []
    if ends_a_day(table[name]).any():
        settings["stamp"] = toml.ask("'end' or 'start', of the interval of each value")
        findings.append(
            f"times in {name!r} write the end of a day as its hour 24: stamp must say what they are"
        )
    if lacks_offset(table[name]):
        settings["time_zone"] = toml.ZONE
        findings.append(f"times in {name!r} have no offset: taken as UTC here; time_zone must say their zone")
    return table, frame, settings, findings


def unit_of(text: str) -> str | None:
    """Return the unit that a text states, or None.

    >>> unit_of("gCO2eq/kWh"), unit_of("lbs CO2 per MWh"), unit_of("MWh")
    ('g/kWh', 'lb/MWh', None)
    """
    return next((unit for unit, pattern in _UNITS.items() if re.search(pattern, text, re.I)), None)


def unit_in(names: Sequence[str]) -> str | None:
    """Return the unit that all of some columns' names state, or None.

    >>> unit_in(["DE_gCO2_per_kWh"]), unit_in(["carbon (kg/MWh)"]), unit_in(["carbon_intensity"])
    ('g/kWh', 'kg/MWh', None)
    """
    units = set(map(unit_of, names))
    return units.pop() if len(units) == 1 else None


def in_stated_unit(
    table: pl.DataFrame, rows: pl.DataFrame
) -> tuple[str | None, str | None, pl.Series | None]:
    """Return what a column of units says of a table's rows: their unit; or its name and each row's factor.

    None where there is no such column. `rows`: their values, with the ``line`` of the table.
    """
    for name, units in unit_columns(table).items():
        if len(set(units.values())) == 1:
            return next(iter(units.values())), None, None
        factors = {text: G_PER_KWH[unit] for text, unit in units.items()}
        of_line = table[name].replace_strict(factors, default=None, return_dtype=pl.Float64)
        return "g/kWh", name, of_line.gather(rows["line"])
    return None, None, None


def unit_columns(table: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Return the columns of a table whose names and entries are those of units, with each entry's unit."""
    columns = {}
    for name in table.columns:
        if _UNIT_COLUMN.search(name) and table[name].dtype == pl.String:
            units = {text: unit_of(text) for text in distinct(table, name)}
            if units and None not in units.values():
                columns[name] = {text: unit for text, unit in units.items() if unit is not None}
    return columns


def suffixes_of(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the zones and suffixes that names of columns consist of; else the names themselves, and "".

    >>> suffixes_of(["DE_direct", "DE_life", "FR_direct", "FR_life"])
    (['DE', 'FR'], ['_direct', '_life'])
    """
    parts = [name.rpartition("_") for name in columns]
    zones = list(dict.fromkeys(zone for zone, _, _ in parts))
    suffixes = list(dict.fromkeys(f"_{word}" for _, _, word in parts))
    regular = len(zones) > 1 and all(zones) and {z + s for z in zones for s in suffixes} == set(columns)
    return (zones, suffixes) if regular else (list(columns), [""])
