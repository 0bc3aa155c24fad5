"""Inspecting a carbon file: read as its format's source would, described, and the lines that read it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from carbonroute.carbon import CarbonSource, Query, jsonfile
from carbonroute.carbon.formats import PublishedFormat, column_named
from carbonroute.files import toml
from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, read_table
from carbonroute.inspection.carbon import Series, describe, pictures
from carbonroute.inspection.facts import Inspection
from carbonroute.inspection.sniff import Guess
from carbonroute.inspection.times import common_step_us, lacks_offset, read_times, step_name
from carbonroute.units import G_PER_KWH, US_PER_S

#: How a column's name states the unit of its values.
_UNITS = MappingProxyType(
    {
        "g/kWh": r"(?<![a-z])g(co[2₂]\w*)?\W*(_?per_?|/)\s*kwh",
        "kg/kWh": r"kg(co[2₂]\w*)?\W*(_?per_?|/)\s*kwh",
        "kg/MWh": r"kg(co[2₂]\w*)?\W*(_?per_?|/)\s*mwh",
        "t/MWh": r"(?<![a-z])t(ons?|co[2₂]\w*)?\W*(_?per_?|/)\s*mwh",
        "lb/MWh": r"lbs?(_?co[2₂]\w*)?\W*(_?per_?|/)\s*mwh",
    }
)
_UNIT = toml.ask(f"one of {', '.join(G_PER_KWH)}")


def inspect(path: Path, shown: str, guess: Guess) -> Inspection:
    """Inspect a carbon file, whatever its format.

    Parameters
    ----------
    path, shown
        The file, and what it is called.
    guess
        What it was taken for.

    Raises
    ------
    InputError
        If its rows cannot be read at all.
    """
    if guess.format in {"wide", "long", "eia-fuel-mix"}:
        return _table(path, shown, guess)
    return _published(path, shown, guess)


def _table(path: Path, shown: str, guess: Guess) -> Inspection:
    table = read_table(path, shown)
    time = guess.columns["time column"]
    frame = pl.DataFrame(
        {
            "file": shown,
            "place": pl.select(
                pl.format("line {}", pl.int_range(FIRST_LINE, FIRST_LINE + len(table)))
            ).to_series(),
            "time": read_times(table[time], None, shown),
        }
    )
    findings = []
    if no_offset := lacks_offset(table[time]):
        findings.append(f"times in {time!r} have no offset: taken as UTC here; time_zone must say their zone")
    rows, unit, entries, comments = _READERS[guess.format](table, frame, guess, shown)
    series = describe(rows, shown, in_grams=unit == "g/kWh")
    more = {
        "time_column": time,
        "time_zone": toml.ZONE if no_offset else None,
        **{key: rule for key, rule in series.rules().items() if rule is not None},
    }
    suggestion = _suggest({"path": shown, **entries, **more}, series, comments, stated=False)
    reading = guess.reading() | {"unit of values": unit or "not stated by the file: as they stand"}
    return _inspection(shown, reading, series, findings, suggestion)


def _wide(
    table: pl.DataFrame, frame: pl.DataFrame, guess: Guess, shown: str
) -> tuple[pl.DataFrame, str | None, dict[str, Any], list[str]]:
    columns = guess.several["zones"]
    parts = [frame.with_columns(zone=pl.lit(name), raw=column_text(table[name], shown)) for name in columns]
    rows = pl.concat(parts)
    unit = unit_in(columns)
    zones, suffixes = suffixes_of(columns)
    entries = {"kind": "file", "layout": "wide", "unit": unit or _UNIT, "column_suffix": suffixes[0] or None}
    comments = [f"zones: {toml.names(zones)}"]
    if len(suffixes) > 1:
        comments.append(f"column_suffix could also be {' or '.join(map(toml.text, suffixes[1:]))}")
    return rows.with_columns(value=column_numbers(rows["raw"])), unit, entries, comments


def _long(
    table: pl.DataFrame, frame: pl.DataFrame, guess: Guess, shown: str
) -> tuple[pl.DataFrame, str | None, dict[str, Any], list[str]]:
    zone, name = guess.columns["zone column"], guess.columns["value column"]
    raw = column_text(table[name], shown)
    where = _choices(table, guess.several["further columns of words"])
    label = pl.concat_str([column_text(table[key], shown) for key in (zone, *where)], separator=" ")
    rows = frame.with_columns(zone=pl.select(label).to_series(), raw=raw, value=column_numbers(raw))
    unit = unit_in([name])
    entries = {
        "kind": "file",
        "layout": "long",
        "zone_column": zone,
        "value_column": name,
        "where": {key: toml.ask(f"one of {', '.join(words)}") for key, words in where.items()} or None,
        "unit": unit or _UNIT,
    }
    comments = [
        f"zones: {toml.names(table[zone].drop_nulls().unique(maintain_order=True).cast(pl.String).to_list())}"
    ]
    if fuels := guess.several["fuels"]:
        comments.append(f'columns of fuels are there too, for kind = "eia-fuel-mix": {toml.names(fuels)}')
    return rows, unit, entries, comments


def _choices(table: pl.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the words of columns that tell several series apart."""
    words = {
        name: table[name].drop_nulls().unique(maintain_order=True).cast(pl.String).to_list() for name in names
    }
    return {name: found for name, found in words.items() if 1 < len(found) <= 10}


def _fuel_mix(
    table: pl.DataFrame, frame: pl.DataFrame, guess: Guess, shown: str
) -> tuple[pl.DataFrame, str | None, dict[str, Any], list[str]]:
    """Describe what all fuels generate: the file has no carbon intensity before factors are stated."""
    fuels, zone = guess.several["fuels"], guess.columns["zone column"]
    mwh = pl.DataFrame([column_numbers(column_text(table[fuel], shown)).alias(fuel) for fuel in fuels])
    total = mwh.select(pl.sum_horizontal(pl.all().clip(lower_bound=0))).to_series()
    rows = frame.with_columns(zone=column_text(table[zone], shown), raw=total.cast(pl.String), value=total)
    known = {guess.columns["time column"], zone, *fuels}
    entries = {
        "kind": "eia-fuel-mix",
        "zone_column": zone,
        "other_columns": [name for name in table.columns if name not in known] or None,
        "factors_source": toml.ask("whom to cite for the factors"),
        "factors_g_per_kwh": dict.fromkeys(fuels, toml.ask("g/kWh")),
    }
    zones = rows["zone"].drop_nulls().unique(maintain_order=True).to_list()
    return rows, "MWh generated", entries, [f"zones: {toml.names(zones)}"]


_READERS = MappingProxyType({"wide": _wide, "long": _long, "eia-fuel-mix": _fuel_mix})


def _published(path: Path, shown: str, guess: Guess) -> Inspection:
    """Inspect a file in a published format, read by that format's own source."""
    entries, zones, comments = _FORMATS[guess.format](path, shown)
    settings = {key: entry for key, entry in entries.items() if entry is not None}
    usable = {key: _usable(entry) for key, entry in settings.items()}
    source = cast(
        PublishedFormat, TypeAdapter[Any](CarbonSource).validate_python({"path": path.name, **usable})
    )
    readings = source.read(query_of(zones, path.parent))
    table = readings.table.with_columns(file=pl.lit(shown))
    counts = [f"{count:,} {what}" for what, count in readings.counts.items() if count]
    series = describe(table, shown, in_grams=True, step=source.step)
    rules = {key: rule for key, rule in series.rules().items() if rule is not None and key != "step"}
    suggestion = _suggest({"path": shown, **settings, **rules}, series, comments, stated=True)
    reading = guess.reading() | {"unit of values": "g/kWh", "accounting": str(source.labels)}
    return _inspection(shown, reading, series, counts, suggestion)


def _usable(entry: Any) -> Any:
    """Return an entry with a choice in place of what is to do, good enough to look at the file."""
    if isinstance(entry, Mapping):
        return {key: _usable(item) for key, item in entry.items()}
    return "average" if toml.is_open(entry) else entry


def _maps(path: Path, shown: str) -> tuple[dict[str, Any], list[str], list[str]]:
    table = read_table(path, shown)
    zones = column_text(column_named(table, ["zone id"], shown), shown).str.strip_chars().drop_nulls()
    names = zones.unique(maintain_order=True).to_list()
    times = read_times(column_named(table, ["datetime (utc)"], shown), "UTC", shown)
    step = _step(times, zones if len(zones) == len(times) else None)
    scopes = [
        s for s, word in (("lifecycle", "life|lca"), ("direct", "direct")) if _has(table, f"co₂eq.*{word}")
    ]
    entries = {"kind": "electricity-maps", "scope": scopes[0], "step": step}
    comments = [f"zones: {toml.names(names)}"]
    if len(scopes) > 1:
        comments.append(f'scope could also be "{scopes[1]}"')
    return entries, names, comments


def _watttime(path: Path, shown: str) -> tuple[dict[str, Any], list[str], list[str]]:
    if not path.name.lower().endswith((".json", ".json.gz")):
        times = read_times(column_named(read_table(path, shown), ["point_time"], shown), "UTC", shown)
        region = toml.ask("whose numbers these are")
        entries = {
            "kind": "watttime",
            "region": region,
            "units": "lbs_co2_per_mwh",
            "step": _step(times, None),
        }
        comments = [
            'the file states no unit: "lbs_co2_per_mwh" is the only one of WattTime\'s carbon signals',
            'nor which signal it is: signal_type = "co2_moer" unless stated',
        ]
        return entries, ["average"], comments
    meta = jsonfile.member(jsonfile.read_json(path, shown), "meta", (dict,), "", shown)
    seconds = meta.get("data_point_period_seconds")
    step = step_name(int(seconds * US_PER_S)) if isinstance(seconds, float) else None
    entries = {"kind": "watttime", "signal_type": meta.get("signal_type"), "step": step}
    return entries, [str(meta.get("region"))], [f"zones: {toml.names([str(meta.get('region'))])}"]


def _neso(_path: Path, _shown: str) -> tuple[dict[str, Any], list[str], list[str]]:
    comments = ['zones: "GB"', 'actual_missing = "forecast" puts the forecast where nothing was measured']
    return {"kind": "neso"}, ["GB"], comments


def _sdk(path: Path, shown: str) -> tuple[dict[str, Any], list[str], list[str]]:
    content = jsonfile.read_json(path, shown)
    if isinstance(content, dict):
        content = content.get("Emissions", content.get("emissions"))
    rows = [{key.lower(): item for key, item in row.items()} for row in jsonfile.items(content, "", shown)]
    zones = list(dict.fromkeys(str(row.get("location")) for row in rows))
    times = read_times(pl.Series([str(row.get("time")) for row in rows]), "UTC", shown)
    step = _step(times, pl.Series([str(row.get("location")) for row in rows]))
    rate = toml.ask("average or marginal")
    entries = {"kind": "carbon-aware-sdk", "step": step, "accounting": {"rate": rate}}
    return entries, zones, [f"zones: {toml.names(zones)}"]


_FORMATS = MappingProxyType(
    {"electricity-maps": _maps, "watttime": _watttime, "neso": _neso, "carbon-aware-sdk": _sdk}
)


def query_of(zones: Sequence[str], folder: Path) -> Query:
    """Return a query of some zones for all times that there are."""
    nothing = np.zeros((len(zones), 0))
    return Query(
        regions=tuple(zones),
        zones=tuple(zones),
        mean_g_per_kwh=(None,) * len(zones),
        profiles=(None,) * len(zones),
        hours=200 * 8766,
        start=datetime(1900, 1, 1, tzinfo=UTC),
        folder=folder,
        history_hours=0,
        reference=False,
        uniform=lambda: nothing,
        normal=lambda: nothing,
    )


def _has(table: pl.DataFrame, pattern: str) -> bool:
    return any(re.search(pattern, name.lower()) for name in table.columns)


def _step(times: pl.Series, zones: pl.Series | None) -> str | None:
    zone = pl.repeat("", len(times), eager=True) if zones is None else zones
    step_us = common_step_us(pl.DataFrame({"zone": zone, "time": times}))
    return step_name(step_us)


def unit_in(names: Sequence[str]) -> str | None:
    """Return the unit that all of some columns' names state, or None.

    >>> unit_in(["DE_gCO2_per_kWh"]), unit_in(["carbon (kg/MWh)"]), unit_in(["carbon_intensity"])
    ('g/kWh', 'kg/MWh', None)
    """
    found = {
        next((unit for unit, pattern in _UNITS.items() if re.search(pattern, name, re.I)), None)
        for name in names
    }
    return found.pop() if len(found) == 1 else None


def suffixes_of(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the zones and the suffixes that columns are made of; without such a make, themselves and "".

    >>> suffixes_of(["DE_direct", "DE_life", "FR_direct", "FR_life"])
    (['DE', 'FR'], ['_direct', '_life'])
    """
    parts = [name.rpartition("_") for name in columns]
    zones = list(dict.fromkeys(zone for zone, _, _ in parts))
    suffixes = list(dict.fromkeys(f"_{word}" for _, _, word in parts))
    made = len(zones) > 1 and all(zones) and {z + s for z in zones for s in suffixes} == set(columns)
    return (zones, suffixes) if made else (list(columns), [""])


def _suggest(entries: Mapping[str, Any], series: Series, comments: Sequence[str], *, stated: bool) -> str:
    hours, first = series.facts["hours"], series.hours.time_of(0)
    span = f"horizon: up to hours = {hours}, from start = {first.removesuffix('Z')}:00Z"
    accounting = (
        "accounting = { rate, scope, boundary } and source: say what the numbers count, and whom to cite"
    )
    gaps = [] if "gaps" in entries else _why_no_rule(series)
    order = ("kind", "path", "layout", "time_column", "time_zone", "zone_column", "value_column")
    first_keys = {key: entries[key] for key in order if key in entries}
    notes = [span, *comments, *gaps, *([] if stated else [accounting])]
    return toml.section("[carbon]", {**first_keys, **entries}, notes)


def _why_no_rule(series: Series) -> list[str]:
    worst = int(series.table["longest_gap_hours"].to_numpy().max(initial=0))
    if not worst:
        return []
    return [f"gaps: the longest has {worst} hours, more than any rule should fill without a reason"]


def _inspection(
    shown: str, reading: dict[str, str], series: Series, findings: Sequence[str], suggestion: str
) -> Inspection:
    return Inspection(
        name=shown,
        kind="carbon",
        reading=reading,
        facts=series.facts,
        table=series.table,
        findings=(*findings, *series.findings),
        suggestion=suggestion,
        pictures=pictures(series.hours, in_grams=reading["unit of values"] == "g/kWh"),
    )
