"""Columns of carbon tables: their zones, intensities and units, recognised by name and type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files import toml
from carbonroute.files.preview import Preview, Recognition, first_named
from carbonroute.files.tables import FIRST_LINE, read_table
from carbonroute.files.time_columns import lacks_offset, read_times
from carbonroute.units import G_PER_KWH

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
    if not lacks_offset(table[name]):
        return table, frame, {"time_column": name}, []
    finding = f"times in {name!r} have no offset: taken as UTC here; time_zone must say their zone"
    return table, frame, {"time_column": name, "time_zone": toml.ZONE}, [finding]


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
