"""Faults of a carbon file: the place, the finding, and the value that is expected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from carbonroute.arrays import Mask
from carbonroute.carbon.gaps import runs_of
from carbonroute.carbon.grid import CarbonRows, Grid, Row, iso, repeated, too_close
from carbonroute.carbon.rules import Rules
from carbonroute.carbon.selection import Selection
from carbonroute.carbon.signal import Query
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.limits import MAX_VALUES
from carbonroute.files.tables import found_text
from carbonroute.files.text import refused
from carbonroute.units import MAX_CARBON_G_PER_KWH

_SHOWN = 5
#: So much of a file's series stands in another one too if both are of the same hours.
_WHOLE_SHARE = 0.5
#: A table of hours may have so many empty values for one that is there, and so many in any case: a century
#: of four zones.
_SPARSE = 200
_SPARSE_VALUES = 4_000_000
#: Values of a whole file that are all below it look like kg/kWh: hardly a grid is so clean all the time.
TINY_G_PER_KWH = 2.0


def require_zones(rows: CarbonRows, table: pl.DataFrame, query: Query, file_name: str) -> None:
    """Refuse a zone of which there is no row."""
    zones = set(rows.table["zone"].unique())
    absent = [i for i, zone in enumerate(query.zones) if zone not in zones]
    if absent:
        known = table["zone"].unique(maintain_order=True).to_list()
        raise InputError(
            file_name,
            first_faults(
                Fault(
                    f"{query.place(i)}.zone",
                    f"there is no zone {query.zones[i]!r}",
                    did_you_mean(query.zones[i], known),
                )
                for i in absent
            ),
        )


def require_size(rows: CarbonRows, file_name: str) -> None:
    """Refuse rows of which a few lie so far from the others that a table of all hours would be empty."""
    if not len(rows.slot):
        return
    first, last = int(rows.slot.argmin()), int(rows.slot.argmax())
    slots = int(rows.slot[last] - rows.slot[first]) + 1
    values = slots * len(rows.zones)
    if values <= min(max(_SPARSE_VALUES, _SPARSE * len(rows.slot)), MAX_VALUES):
        return
    middle = int(np.median(rows.slot))
    far = max(first, last, key=lambda row: abs(int(rows.slot[row]) - middle))
    span = " to ".join(rows.time_of(int(rows.hour[row])) for row in (first, last))
    problem = f"{len(rows.slot):,} rows run from {span}, which would be {values:,} values"
    remedy = f"check the times, first of all {rows.place(far)}: {rows.time_of(int(rows.hour[far]))}"
    raise refused(file_name, problem, remedy)


def require_grams(rows: CarbonRows, rules: Rules, query: Query, file_name: str) -> None:
    """Refuse values that are all so low that they look like another unit's."""
    highest = rows.table["value"].filter(pl.Series(~(rows.missing | rows.absurd))).max()
    if rules.tiny == "refuse" and isinstance(highest, float) and 0 < highest < TINY_G_PER_KWH:
        problem = (
            f"no value of {_listed(list(rows.zones))} is above {highest:g} g/kWh, which looks like kg/kWh"
        )
        remedy = "state the unit that the values are in, or tiny = 'keep' if they are so low"
        raise InputError(file_name, [Fault(query.key, problem, remedy)])


def of_rows(rows: CarbonRows, seen: Mask, rules: Rules) -> list[Fault]:
    """Return the faults of the checked rows: impossible values, times off the grid, repeated times."""
    faults = []
    if rules.absurd == "refuse":
        remedy = (
            f"a carbon intensity of 0 … {MAX_CARBON_G_PER_KWH:g} g/kWh is expected, or absurd = 'missing'"
        )
        faults += rows.faults(rows.absurd & seen, _found, remedy, "values")
    every = "one value per hour" if rules.step == "1h" else f"one value every {rules.step}"
    remedy = f"{every} is expected, on the hour of horizon.start, or another step"
    faults += rows.faults(rows.off & seen, lambda row: f"time {row['time'].isoformat()}", remedy, "times")
    again = repeated(rows)
    if rules.duplicates == "refuse" and (again & seen).any() and (files := same_hours(rows, again)):
        remedy = (
            "one source per region is expected: give each its own, [[regions]] carbon = { kind, path, … }"
        )
        faults += [
            Fault(f"zone {zone}", f"{first} and {second} cover the same hours", remedy)
            for first, second, zone in files
        ]
    elif rules.duplicates == "refuse":
        remedy = "one value per hour and zone is expected, or duplicates = 'first', 'last' or 'mean'"
        faults += rows.faults(again & seen, _second, remedy, "repeated times")
    if rules.step.minutes > 60:
        on_grid, close = ~rows.off, np.zeros(len(seen), dtype=bool)
        close[on_grid] = too_close(rows.where(on_grid), rules.step.minutes // 60)
        remedy = f"step = {rules.step!r} needs values that far apart"
        problem = f"begins within {rules.step} of the value before it"
        faults += rows.faults(close & seen, lambda _: problem, remedy, "rows")
    return faults


def same_hours(rows: CarbonRows, again: Mask) -> list[tuple[str, str, str]]:
    """Return pairs of files that hold the same hours of a zone, and the zone, by rows that come `again`."""
    if not again.any() or rows.table["file"].n_unique() < 2:
        return []
    table = pl.DataFrame(
        {"file": rows.table["file"], "column": rows.column, "slot": rows.slot, "again": again}
    ).with_columns(first=pl.col("file").first().over("column", "slot"))
    twice = pl.col("again") & (pl.col("file") != pl.col("first"))
    whole = (
        table.group_by("file", "column", maintain_order=True)
        .agg(twice.mean().alias("share"), pl.col("first").filter(twice).mode().first())
        .filter(pl.col("share") > _WHOLE_SHARE)
    )
    return [(first, file, rows.zones[column]) for file, column, _, first in whole.iter_rows()]


def of_hours(
    rows: CarbonRows, hours: Selection, measured: Grid, complete: Grid, spiky: Mask, rules: Rules
) -> list[Fault]:
    """Return the hours of the horizon without a value: by row or gap where there is one, else by zone."""
    lacking = np.isnan(hours.of(complete)) & hours.needed[:, np.newaxis]
    if not lacking.any():
        return []
    rows = rows.where(~rows.off)
    here = rows.hour - measured.first, rows.column
    cells = hours.used(complete, hours.needed) & np.isnan(complete.values)
    said = np.zeros_like(cells)
    faults = []
    if rules.gaps.filling is None:
        remedy = "complete the file, or name a rule: gaps = 'interpolate:6h' or 'previous-day:24h'"
        spike, empty = spiky[here] & cells[here], rows.missing & cells[here]
        dropped = rows.absurd & cells[here]
        if rules.absurd == "missing":
            empty |= dropped
        faults += rows.faults(empty, _found, remedy, "values")
        faults += rows.faults(spike, lambda row: f"{_found(row)}, removed as a spike", remedy, "spikes")
        said[here] |= spike | empty | dropped
    else:
        runs = runs_of(np.isnan(measured.values))
        for column, begin, length in zip(runs.column, runs.begin, runs.length, strict=True):
            part = slice(begin, begin + length), column
            if cells[part].any() and begin > 0 and begin + length < len(cells):
                said[part] = True
                faults.append(_gap(rows, measured.first + int(begin), int(length), int(column), rules))
    silent = lacking & (hours.of(Grid(complete.first, said.astype(np.float64))) != 1)
    return [*faults, *_absent(rows, hours, silent, rules)]


def _gap(rows: CarbonRows, first: int, length: int, column: int, rules: Rules) -> Fault:
    """Return a gap that a rule does not fill, at its first row if there is one."""
    at = np.flatnonzero((rows.column == column) & (rows.hour >= first) & (rows.hour < first + length))
    place = f"{rows.place(int(at[0]))}, " if at.size else ""
    plural = f"{length:,} hours in a row have" if length > 1 else "1 hour has"
    problem = f"{plural} no value, from {rows.time_of(first)}"
    return Fault(f"{place}zone {rows.zones[column]}", problem, _why(length, rules))


def _why(length: int, rules: Rules) -> str:
    longest = rules.gaps.max_hours
    if length > longest:
        rule = f"gaps = {rules.gaps.text!r}"
        return f"{rule} fills up to {longest} in a row: allow more, or choose another horizon"
    return f"gaps = {rules.gaps.text!r} finds nothing there to fill it from: complete the file"


def _absent(rows: CarbonRows, hours: Selection, lacking: Mask, rules: Rules) -> Iterator[Fault]:
    """Yield for each zone the hours that have no row."""
    for column in np.flatnonzero(lacking.any(axis=0)):
        missing = hours.source[lacking[:, column], column]
        listed = ", ".join(rows.time_of(hour) for hour in missing[:_SHOWN])
        more = ", …" if len(missing) > _SHOWN else ""
        problem = f"{len(missing)} of {hours.needed.sum()} hours have no value: {listed}{more}"
        span = f"{rows.time_of(hours.zone_first[column])} … {rows.time_of(hours.zone_last[column])}"
        remedy = f"choose a horizon within {span}, or complete the file"
        apart = _usual_minutes(rows, int(column))
        if apart and apart != rules.step.minutes:
            remedy = f"its values are {apart} min apart: state another step than {rules.step!r}"
        yield Fault(f"zone {rows.zones[column]}", problem, remedy)


def _usual_minutes(rows: CarbonRows, column: int) -> int:
    """Return the median distance of a zone's values, min; 0 for fewer than 3."""
    slots = np.unique(rows.slot[rows.column == column])
    return int(np.median(np.diff(slots))) * 60 // rows.slots_per_hour if len(slots) > 2 else 0


def _found(row: Row) -> str:
    """Return a row's value for messages: as in the file, and in g/kWh where that differs."""
    raw, value = row["raw"], row["value"]
    as_read = value is None or raw is None or f"{value:g}" == raw.strip()
    return found_text(raw) if as_read else f"{found_text(raw)}, {value:g} g/kWh"


def _second(row: Row) -> str:
    return f"a second value for {iso(row['time'])}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
