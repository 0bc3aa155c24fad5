"""Rules that a scenario has for the faults of a carbon file, and what each of them would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.carbon.gaps import Filling, filled, runs_of
from carbonroute.carbon.grid import CarbonRows, hourly
from carbonroute.carbon.rules import Rules, Step
from carbonroute.carbon.spikes import REACH_HOURS, spikes
from carbonroute.inspection.duplicates import Duplicates
from carbonroute.units import HOURS_PER_DAY

#: Limit of a spike, in usual hourly changes: the first choice that `carbon.spikes` names.
SPIKE_LIMIT = 40.0
#: Longest gap that interpolation is suggested for, and that any rule is.
_INTERPOLATE_HOURS, _FILL_HOURS = 6, 24
#: Days around an hour in which what recurs is looked for, and on how many of them it must be.
_DAYS_AROUND, _RECURS_DAYS = 7, 2
_NAMED = 5


@dataclass(frozen=True)
class Proposed:
    """A rule that fills or deletes, and what it would change.

    `effect`: how many values of which zones, and their means before and after.
    """

    key: str
    rule: str
    effect: str

    def __str__(self) -> str:
        effect = "".join(sign if sign.isprintable() else "?" for sign in self.effect)
        return f'{self.key} = "{self.rule}" # {effect}'


def lone_spikes(values: Array) -> Mask:
    """Return the spikes that do not recur, shape (H, Z): a solar dip is the same every day, and is none.

    A spike recurs if, at about the same hour of 2 other days of the week before and after (or of all days
    that there are), a value lies closer to it than half its distance from the hours around it; so do hours
    in a row if half of them do. What does not jump by as much on both sides is another level and no spike.

    `values`: g/kWh, shape (H, Z), NaN where missing.
    """
    flags = spikes(values, SPIKE_LIMIT)
    hour, column = np.nonzero(flags)
    if not len(hour):
        return flags
    reach = np.arange(-REACH_HOURS, REACH_HOURS + 1)
    days = np.setdiff1d(np.arange(-_DAYS_AROUND, _DAYS_AROUND + 1), 0)
    around = _at(values, hour[:, np.newaxis] + reach, column[:, np.newaxis])
    away = values[hour, column] - np.nanmedian(around, axis=1)
    at = hour[:, np.newaxis, np.newaxis] + HOURS_PER_DAY * days[:, np.newaxis] + np.array([-1, 0, 1])
    others = np.abs(_at(values, at, column[:, np.newaxis, np.newaxis]) - values[hour, column, None, None])
    near = (others < np.abs(away)[:, np.newaxis, np.newaxis] / 2).any(axis=2).sum(axis=1)
    known = np.isfinite(others[..., 1]).sum(axis=1)
    recurs = np.zeros(values.shape, dtype=bool)
    recurs[hour, column] = (near >= np.minimum(_RECURS_DAYS, known)) & (near > 0)
    distance = np.zeros(values.shape)
    distance[hour, column] = away
    lone = np.zeros(values.shape, dtype=bool)
    for side in (distance > 0, distance < 0):
        runs = runs_of(side)
        for zone, begin, length in zip(runs.column, runs.begin, runs.length, strict=True):
            end = begin + length
            if begin == 0 or end == len(values) or 2 * recurs[begin:end, zone].sum() >= length:
                continue
            jumps = np.abs(values[[begin, end], zone] - values[[begin - 1, end - 1], zone])
            far = np.abs(distance[[begin, end - 1], zone]) / 2
            lone[begin:end, zone] = not (jumps <= far).any()  # beside a gap, it may be one
    return lone


def _at(values: Array, hour: np.ndarray, column: np.ndarray) -> Array:
    """Return values at hours that may lie outside, where they are NaN."""
    inside = (hour >= 0) & (hour < len(values))
    at_hours: Array = np.where(inside, values[np.where(inside, hour, 0), column], np.nan)
    return at_hours


def proposals(
    rows: CarbonRows,
    values: Array,
    rules: Rules,
    duplicates: Duplicates,
    lone: Mask,
    unfilled_hours: int,
    partial: int,
) -> list[Proposed]:
    """Return the rules that a file's faults ask for; none where there is none.

    Parameters
    ----------
    values
        Their values by the hour, of several for one time the first, shape (H, Z).
    duplicates
        Several values for one time.
    lone
        Spikes, shape (H, Z).
    partial
        Hours that have some of their values, which count as missing.
    """
    zones = rows.zones
    proposed = []
    if duplicates.differ:
        means = {
            rule: _means(hourly(rows, rules.model_copy(update={"duplicates": rule})).values)
            for rule in ("first", "last", "mean")
        }
        effect = ", ".join(
            f"{zones[z]} {' or '.join(f'{mean[z]:.6g} by {rule}' for rule, mean in means.items())}"
            for z in duplicates.zones[:_NAMED]
        )
        proposed.append(
            Proposed("duplicates", "first", f'or "last", or "mean": {duplicates.said}; means: {effect}')
        )
    if not (lone.any() or rows.absurd.any() or np.isnan(values).any()):
        return proposed
    removed = spikes(values, SPIKE_LIMIT) if lone.any() else lone
    before, left = _means(values), np.where(removed, np.nan, values)
    gaps = runs_of(np.isnan(left))
    inner = (gaps.begin > 0) & (gaps.begin + gaps.length < len(values)) & (gaps.length <= _FILL_HOURS)
    if inner.any():
        longest = int(gaps.length[inner].max())
        kind: Filling = "interpolate" if longest <= _INTERPOLATE_HOURS else "previous-day"
        effects = [
            f"{words} {_listed(zones, count, before, _means(after), 'h')}"
            for words, gappy in (("fills", values), ("with spikes taken out,", left))
            for after in [filled(gappy, kind, longest)]
            if (count := (np.isnan(gappy) & ~np.isnan(after)).sum(axis=0)).any()
        ][: 1 + bool(removed.any())]
        if partial:
            effects.append(f"{partial:,} of the hours have some of their values, which would not count")
        if unfilled_hours > _FILL_HOURS:
            effects.append(
                f"a gap of {unfilled_hours:,} h is more than any rule should fill without a reason"
            )
        proposed.append(Proposed("gaps", f"{kind}:{longest}h", "; ".join(effects)))
    if lone.any():
        effect = f"takes out {_listed(zones, removed.sum(axis=0), before, _means(left), 'h')}"
        if recurring := int((removed & ~lone).sum()):
            effect += f"; {recurring:,} of them recur at the same hour of other days, and may be right"
        proposed.append(Proposed("spikes", f"remove:{SPIKE_LIMIT:g}", effect))
    if rows.absurd.any():
        proposed.append(Proposed("absurd", "missing", _without_absurd(rows)))
    return proposed


def of_step(
    change: str, step: Step, values: Array, until: Step, other: Array, zones: Sequence[str]
) -> Proposed:
    """Return the rule by which a value stands until the next one, where steps may change.

    `values` are those of the hours by the usual `step`, `other` those by the rule, each of shape (H, Z).
    """
    means = ", ".join(
        f"{zone} {before:.6g} by {step.text}, {after:.6g} by {until.text}"
        for zone, before, after in zip(zones[:_NAMED], _means(values), _means(other), strict=False)
    )
    effect = f"in place of step above, if a value stands until the next one: {change}; means: {means}"
    return Proposed("step", until.text, effect)


def _without_absurd(rows: CarbonRows) -> str:
    """Return what taking impossible values as missing would change: means of rows, words apart."""
    value = rows.value
    count = np.bincount(rows.column[rows.absurd], minlength=len(rows.zones))
    before, after = (
        np.array([_mean(value[flags & (rows.column == zone)]) for zone in range(len(rows.zones))])
        for flags in (~rows.missing, ~rows.missing & ~rows.absurd)
    )
    return f"leaves out {_listed(rows.zones, count, before, after, 'values')}"


def _means(values: Array) -> Array:
    return np.array([_mean(column) for column in values.T])


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _listed(zones: Sequence[str], count: np.ndarray, before: Array, after: Array, unit: str) -> str:
    """Return for each zone with a count: the count, and its means before and after."""
    some = np.flatnonzero(count)
    named = [
        f"{zones[z]} {count[z]:,} {unit} (mean {before[z]:.6g} before, {after[z]:.6g} after)"
        for z in some[:_NAMED]
    ]
    more = [f"and {len(some) - _NAMED} more zones"] if len(some) > _NAMED else []
    return ", ".join(named + more)
