"""Columns of carbon tables: their zones, intensities and units, recognised by name and type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files import toml
from carbonroute.files.preview import SEPARATED, Preview, Recognition, first_named
from carbonroute.files.tables import FIRST_LINE, column_numbers, read_table
from carbonroute.files.time_columns import lacks_offset, read_times
from carbonroute.units import CENTURY_S, G_PER_KWH, PER_SECOND

_ZONE = re.compile(r"zone|region|area|country|location|grid|balancing|authority|^ba$", re.I)
#: Words that only carbon intensities are called by, in names of columns and files.
_CARBON = re.compile(r"carbon|intensity|co2|co₂|emission|moer|aoer|per_kwh|(^|_)ci($|_)", re.I)
_INTENSITY = re.compile(f"{_CARBON.pattern}|^value$", re.I)
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
#: How a column's name states the unit of its values.
_CO2 = r"[\W_]*(co[2₂]\w*?)?[\W_]*(per|/|·)[\W_]*"
_UNITS = MappingProxyType(
    {
        "g/kWh": rf"(?<![a-z])g(rams?)?{_CO2}kwh",
        "kg/kWh": rf"kg{_CO2}kwh",
        "kg/MWh": rf"kg{_CO2}mwh",
        "t/MWh": rf"(?<![a-z])t(ons?|onnes?)?{_CO2}mwh",
        "lb/MWh": rf"lbs?{_CO2}mwh",
    }
)
#: The unit in suggested lines, where the file does not state it.
UNIT = toml.ask(f"one of {', '.join(G_PER_KWH)}")
#: Different entries that a column of units has at most.
_MOST_UNITS = 20


def zone_column(preview: Preview) -> str | None:
    """Return the column that names each row's zone, or None."""
    words = words_of(preview)
    return first_named(_ZONE, words) or (words[0] if len(words) == 1 else None)


def value_column(preview: Preview) -> str | None:
    """Return the column of carbon intensities, or None."""
    numbers = numbers_of(preview)
    return first_named(_INTENSITY, numbers) or (numbers[0] if len(numbers) == 1 else None)


def other_words(preview: Preview, zone: str) -> tuple[str, ...]:
    """Return the columns of words beside the zone, which may tell several series apart."""
    return tuple(name for name in words_of(preview) if name != zone)


def words_of(preview: Preview) -> tuple[str, ...]:
    """Return the columns of words that do not just repeat the unit of the row's value."""
    return tuple(name for name in preview.words if name not in units_stated(preview.head, preview.words))


def numbers_of(preview: Preview) -> tuple[str, ...]:
    """Return the columns of numbers that are neither times nor counters of rows."""
    return tuple(
        name
        for name in preview.numbers
        if not _COUNTER.fullmatch(name.strip()) and not is_epoch(preview.head[name])
    )


def is_epoch(column: pl.Series) -> bool:
    """Whether all of a column's numbers are seconds, or their fractions, since 1970."""
    first, last = CENTURY_S

    def believable(entries: pl.Series) -> bool:
        numbers = (entries if entries.dtype.is_numeric() else column_numbers(entries)).cast(pl.Float64)
        return any(
            (numbers / per_s).is_between(first, last).sum() == len(entries) for per_s in PER_SECOND.values()
        )

    known = column.drop_nulls()
    return bool(len(known)) and believable(known.head(1)) and believable(known)


def is_of_carbon(preview: Preview, values: Sequence[str], zone: str | None = None) -> bool:
    """Whether anything says that these columns hold carbon intensities: a word, a unit, or codes of grids.

    Parameters
    ----------
    preview
        The file.
    values
        Its columns of values: one for each zone, where no column names it.
    zone
        The column that names each row's zone, if there is one.
    """
    if _CARBON.search(preview.path.name.partition(".")[0]) or units_stated(preview.head, preview.words):
        return True
    if any(_CARBON.search(name) or unit_of(name) for name in values):
        return True
    if zone is not None:
        return bool(_GRID.search(zone)) and all(_INTENSITY.search(name) for name in values)
    codes = [name for name in values if _CODE.fullmatch(name) and not _NO_CODE.match(name)]
    return 2 * len(codes) > len(values)


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
    if not lacks_offset(table[name]):
        return table, frame, {"time_column": name}, []
    finding = f"times in {name!r} have no offset: taken as UTC here; time_zone must say their zone"
    return table, frame, {"time_column": name, "time_zone": toml.ZONE}, [finding]


def unit_of(text: str) -> str | None:
    """Return the unit that a text states, or None.

    >>> unit_of("DE_gCO2_per_kWh"), unit_of("carbon (kg CO₂eq / MWh)"), unit_of("carbon_intensity")
    ('g/kWh', 'kg/MWh', None)
    """
    return next((unit for unit, pattern in _UNITS.items() if re.search(pattern, text, re.I)), None)


def numbers_in(text: pl.Series) -> tuple[pl.Series, str | None]:
    """Return text as numbers, null where it is not one, and the first that a scenario's reader refuses.

    That is a number with thousands separators or a decimal comma: ``1,050`` is taken as 1050, ``300,5`` as
    300.5.
    """
    plain = column_numbers(text)
    if not plain.null_count():
        return plain, None
    trimmed = text.str.strip_chars()
    marked = plain.is_null() & trimmed.str.contains(SEPARATED).fill_null(value=False)
    if not marked.any():
        return plain, None
    bare = trimmed.str.replace_all(r"[' \u00a0\u202f]", "")
    decimal = bare.str.contains(r"^[+-]?[0-9.]*,(?:[0-9]{1,2}|[0-9]{4,})$") | bare.str.contains(r"\..*,")
    english = bare.str.replace_all(",", "", literal=True)
    other = bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    read = column_numbers(other.zip_with(decimal, english))
    return read.zip_with(marked, plain), str(trimmed.filter(marked)[0])


def unit_in(names: Sequence[str]) -> str | None:
    """Return the unit that all of some columns' names state, or None.

    >>> unit_in(["DE_gCO2_per_kWh"]), unit_in(["carbon (kg/MWh)"]), unit_in(["carbon_intensity"])
    ('g/kWh', 'kg/MWh', None)
    """
    units = {unit_of(name) for name in names}
    return units.pop() if len(units) == 1 else None


def units_stated(table: pl.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """Return those of some columns whose every entry states a unit, and these units."""
    stated = {}
    for name in names:
        entries = [entry.strip() for entry in distinct(table, name)[:_MOST_UNITS]]
        units = [unit_of(entry) for entry in entries if entry]
        if units and None not in units:
            stated[name] = [unit for unit in dict.fromkeys(units) if unit]
    return stated


def unit_stated(
    table: pl.DataFrame, values: Sequence[str], words: Sequence[str]
) -> tuple[str | None, list[str]]:
    """Return the unit of a table's values, by its headers or a column of units, and findings on it.

    Parameters
    ----------
    table
        All of it.
    values, words
        Its columns of values, and those of words.
    """
    headers = list(dict.fromkeys(unit for name in values if (unit := unit_of(name))))
    entries = units_stated(table, words)
    units = list(dict.fromkeys([*headers, *(unit for stated in entries.values() for unit in stated)]))
    if len(units) == 1 and (entries or (len(headers) == 1 and all(map(unit_of, values)))):
        return units[0], []
    if not units:
        return None, []
    where = ", ".join([*(["headers"] if headers else []), *(f"column {name!r}" for name in entries)])
    if len(units) == 1:
        return None, [f"some headers state {units[0]}, others no unit: a scenario reads all in one"]
    return None, [f"several units are stated ({', '.join(units)}, in {where}): a scenario reads all in one"]


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
