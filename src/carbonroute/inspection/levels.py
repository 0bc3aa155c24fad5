"""Levels of values that look like another unit, no data, or another step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.carbon.grid import CarbonRows
from carbonroute.carbon.quality import TINY_G_PER_KWH
from carbonroute.files import toml
from carbonroute.units import MAX_CARBON_G_PER_KWH

#: No value of a grid that is below it lies in g/kWh beside grids of `_USUAL`; and a level that is common.
_USUAL_G_PER_KWH = 20.0
#: Zeros are asked about where the values on either side are no less than this share of the zone's median.
_BESIDE_SHARE = 0.3
_NAMED = 5


def level_findings(rows: CarbonRows, g_per_kwh: float = 1.0) -> list[str]:
    """Return findings on values whose size does not fit the others': of another unit, or 0 for no data.

    `g_per_kwh`: factor from their unit to g/kWh.
    """
    known = np.isfinite(rows.value)
    if not known.any():
        return []
    grams = (rows.value if known.all() else np.where(known, rows.value, np.nan)) * g_per_kwh
    lowest, highest = np.fmin.reduce(grams), np.fmax.reduce(grams)
    if lowest >= TINY_G_PER_KWH and highest <= MAX_CARBON_G_PER_KWH:
        return []
    findings = []
    if high := int((grams > MAX_CARBON_G_PER_KWH).sum()):
        findings.append(f"{high:,} values above {MAX_CARBON_G_PER_KWH:,.0f}: no grid emits as much in g/kWh")
    if 0 < highest < TINY_G_PER_KWH:
        return [*findings, "all values are below 2, which looks like kg/kWh"]
    level = [_median(grams[rows.column == zone]) for zone in range(len(rows.zones))]
    return [
        *findings,
        *_other_units(rows, np.array(level)),
        *_jumps(rows, grams),
        *_zeros(rows, grams),
    ]


def _median(values: Array) -> float:
    known = values[np.isfinite(values) & (values > 0)]
    return float(np.median(known)) if len(known) else float("nan")


def _other_units(rows: CarbonRows, level: Array) -> Iterator[str]:
    """Yield zones that lie a thousand times below the others, or as much above."""
    for zone, own in enumerate(level):
        others = np.delete(level, zone)
        if not np.isfinite(others).any():
            continue
        usual = float(np.nanmedian(others))
        said = f"{rows.zones[zone]}: its median is {own:.4g}, that of the other zones {usual:.4g} g/kWh"
        if own < TINY_G_PER_KWH and usual >= _USUAL_G_PER_KWH:
            stated = f"zone_units = {{ {toml.key_text(rows.zones[zone])} = 'kg/kWh' }}"
            yield f"{said}: that looks like kg/kWh ({stated}), or dots between thousands (thousands = '.')"
        elif own > MAX_CARBON_G_PER_KWH >= usual:
            yield f"{said}: that looks like another unit"


def _jumps(rows: CarbonRows, grams: Array) -> Iterator[str]:
    """Yield zones with values in two units, a factor of ten apart with none in between."""
    low = (grams > 0) & (grams < TINY_G_PER_KWH)
    between = (grams >= TINY_G_PER_KWH) & (grams < _USUAL_G_PER_KWH)
    for zone in np.unique(rows.column[low]):
        own = rows.column == zone
        high = own & (grams >= _USUAL_G_PER_KWH)
        if not (own & between).any() and high.any():
            flags = own & (low if (own & low).sum() <= high.sum() else high)
            yield (
                f"{rows.zones[zone]}: {int(flags.sum()):,} values are a thousand times from the others, as "
                f"in another unit ({_places(rows, flags)})"
            )


def _zeros(rows: CarbonRows, grams: Array) -> Iterator[str]:
    """Yield zones with zeros between values that are far from it: 0 for "no data"."""
    zero = grams == 0
    for zone in np.unique(rows.column[zero]):
        own = np.flatnonzero((rows.column == zone) & np.isfinite(grams))
        own = own[np.argsort(rows.time_us[own], kind="stable")]
        known = np.flatnonzero(grams[own] > 0)
        at = np.flatnonzero(grams[own] == 0)
        if not len(known):
            continue
        after = np.searchsorted(known, at)
        sides = np.array([grams[own[known[np.clip(after + side, 0, len(known) - 1)]]] for side in (-1, 0)])
        usual = float(np.median(grams[own[known]]))
        lost = own[at[sides.min(axis=0) >= max(_USUAL_G_PER_KWH, _BESIDE_SHARE * usual)]]
        if len(lost):
            flags = np.zeros(len(grams), dtype=bool)
            flags[lost] = True
            said = f"{len(lost):,} values are 0 beside a median of {usual:.4g}"
            yield f'{rows.zones[zone]}: {said}: is that 0 for "no data"? ({_places(rows, flags)})'


def _places(rows: CarbonRows, flags: Mask) -> str:
    """Return place and time of the first flagged rows."""
    named = [
        f"{rows.place(int(row))}, {rows.table['time'][int(row)]:%Y-%m-%dT%H:%MZ}"
        for row in np.flatnonzero(flags)[:_NAMED]
    ]
    return "; ".join(named) + ("; …" if flags.sum() > _NAMED else "")


def hours_in_part(rows: CarbonRows) -> tuple[int, list[str]]:
    """Return how many hours have some of their values, and a finding on them."""
    if rows.slots_per_hour == 1:
        return 0, []
    good = ~(rows.off | rows.missing | rows.absurd)
    if not good.any():
        return 0, []
    first_slot = int(rows.hour[good].min()) * rows.slots_per_hour
    slots = -(-(int(rows.slot[good].max()) + 1 - first_slot) // rows.slots_per_hour) * rows.slots_per_hour
    stands = np.zeros(slots * len(rows.zones), dtype=bool)
    stands[rows.column[good] * slots + rows.slot[good] - first_slot] = True
    values = stands.reshape(len(rows.zones), -1, rows.slots_per_hour).sum(axis=2)
    some = np.argwhere((values > 0) & (values < rows.slots_per_hour))
    if not len(some):
        return 0, []
    zone, hour = some[0]
    where = f"{rows.zones[zone]} {rows.time_of(hour + first_slot // rows.slots_per_hour)}"
    return len(some), [
        f"{len(some):,} hours have some of their {rows.slots_per_hour} values: the first, {where}, has "
        f"{values[zone, hour]}: rows are missing, or the step changes there"
    ]
