"""Inspecting a file of request rates."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from carbonroute.arrays import Array
from carbonroute.carbon.grid import iso
from carbonroute.files.durations import Duration
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.tables import column_text, required
from carbonroute.files.time_columns import common_step_us, lacks_offset, read_times
from carbonroute.inspection.result import Inspection
from carbonroute.inspection.statistics import amplitude
from carbonroute.traffic.ratefile import spelled_minutes, windows_of
from carbonroute.traffic.source import TrafficContent, TrafficFile, TrafficSource
from carbonroute.units import MINUTES_PER_DAY, US_PER_MINUTE, pct

_NAMED = 5
#: Larger numbers are a rate in no unit, and their sums would not be finite.
MAX_RATE = 1e15


def inspect(
    source: type[TrafficSource], preview: Preview, recognition: Recognition, stated: TrafficFile | None = None
) -> Inspection:
    """Inspect a file of rates, in the unit that they are in.

    `stated`: the settings of a scenario that reads it. Without, the time between rows is that of its times,
    or of its name.
    Raises InputError if the file is no table.
    """
    file_name = preview.file_name
    table = preview.table()
    window, time = stated.window if stated else None, recognition.columns.get("time")
    columns = recognition.lists["rates"] or tuple(name for name in table.columns if name != time)
    required(
        {**recognition.named(), **{f"column of rates {name!r}": name for name in columns}},
        table.columns,
        file_name,
    )
    texts = [column_text(table[name], file_name) for name in columns]
    rates = np.stack([column_numbers(text).fill_null(np.nan).to_numpy() for text in texts], axis=1).astype(
        float
    )
    bad = ~((rates >= 0) & (rates <= MAX_RATE))
    places = [
        f"line {preview.layout.first_line + row}, {columns[column]}: {texts[column][int(row)]!r}"
        for row, column in np.argwhere(bad)[:_NAMED]
    ]
    findings = []
    if places:
        findings.append(f"{int(bad.sum()):,} values that are no rate, left out: {', '.join(places)}")
    window_min, says, times = _window(table, time, preview, window)
    known = np.where(bad, 0.0, rates)
    total = known.sum(axis=1)
    day = _mean_day(total, window_min)
    if not (known > 0).any():
        findings.append("all rates are 0")
    quantities = _facts(known, total, day, window_min)
    comments: Sequence[str] = []
    if times is not None and window_min:
        gaps = _Gaps.of(times, window_min, total)
        quantities |= {"missing_windows": gaps.missing}
        quantities["span_hours"] = (len(total) + gaps.missing) * window_min / 60
        findings += gaps.findings
        comments = gaps.comments
    content = TrafficContent(
        lacks_zone=time is not None and lacks_offset(table[time]),
        window=_spelt(window_min),
        columns=None if len(columns) + (time is not None) == len(table.columns) else list(columns),
        whole=bool((known == np.floor(known)).all()),
        comments=comments,
        skip_rows=preview.layout.skip_rows,
    )
    if window is None:
        findings.append(f"window: {says}")
    findings.append("unit: not stated by the file; rates are shown as they stand")
    hours = np.arange(len(total)) * (window_min or 0) / 60 if window_min else np.arange(float(len(total)))
    rate = pl.DataFrame({"hour" if window_min else "window": hours, "rate": total})
    return Inspection(
        name=file_name,
        kind="rates",
        reading=replace(recognition, lists={"rates": columns}).reading(),
        quantities=quantities,
        table=pl.DataFrame(),
        findings=tuple(findings),
        suggestion=source.suggest(file_name, recognition, content),
        pictures={"rate": rate},
    )


def _facts(known: Array, total: Array, day: Array | None, window_min: float | None) -> dict[str, Any]:
    """Return facts of the rates of each client, shape (windows, clients), their total, and the mean day."""
    busy = bool(total.any())
    return {
        "windows": len(total),
        "clients": known.shape[1],
        "window_min": window_min,
        "span_hours": None if window_min is None else len(total) * window_min / 60,
        "mean_rate": float(total.mean()),
        "peak_rate": float(total.max()),
        "lowest_rate": float(total.min()),
        "peak_to_mean": float(total.max() / total.mean()) if busy else math.nan,
        "daily_amplitude_pct": None
        if day is None or not busy
        else pct(float(amplitude(day[:, None])[0]) / total.mean()),
        "zero_windows": int((total == 0).sum()),
        "zero_values_pct": pct(float((known == 0).mean())),
        "silent_clients": int((known == 0).all(axis=0).sum()),
        "largest_client_pct": pct(float(known.sum(axis=0).max() / total.sum())) if busy else math.nan,
    }


def _window(
    table: pl.DataFrame, time: str | None, preview: Preview, window: Duration | None
) -> tuple[float | None, str, pl.Series | None]:
    """Return the minutes between rows, where they are stated, and the times of the rows."""
    times = (
        None if time is None else read_times(table[time], None, preview.file_name, preview.layout.first_line)
    )
    if window is not None:
        return float(window.minutes), "stated", times
    if times is not None:
        step_us = common_step_us(pl.DataFrame({"zone": pl.repeat("", len(times), eager=True), "time": times}))
        if step_us is None:
            return None, "its times do not say", times
        return step_us / US_PER_MINUTE, "by its times", times
    if named := re.search(
        r"(?<![0-9A-Za-z])([0-9]{1,4})(min|h)(?![A-Za-z0-9])", Path(preview.file_name).name
    ):
        return float(Duration.parse(named[0]).minutes), f"{named[0]}, by the file's name: check it", None
    return None, "neither times nor name of the file say how long it is", None


@dataclass(frozen=True)
class _Gaps:
    """Windows without a row, and rows that are no window's.

    `missing`: windows between the first and the last row that have none.
    `findings`, `comments`: the same in words, and the rules that a scenario has for them.
    """

    missing: int
    findings: Sequence[str]
    comments: Sequence[str]

    @classmethod
    def of(cls, times: pl.Series, window_min: float, total: Array) -> _Gaps:
        """Return the gaps in the times of rows, whose rates add up to `total`."""
        lost = times.null_count()
        findings = [f"{lost:,} rows without a time that can be read"] if lost else []
        known = times.drop_nulls()
        if not len(known):
            return cls(0, findings, [])
        slot, off = windows_of(known, round(window_min * US_PER_MINUTE))
        steps = np.diff(slot)
        if off.any():
            at = iso(known[int(off.argmax())])
            findings.append(f"{int(off.sum()):,} rows begin a tenth of a window and more off: first {at}")
        if (steps < 1).any():
            at = iso(known[int((steps < 1).argmax()) + 1])
            said = f"{int((steps < 1).sum()):,} rows not later than the one before them: first {at}"
            findings.append(f"{said}; a scenario reads one row per window, with a column for each region")
        begin = cast(datetime, known.min()).replace(minute=0, second=0, microsecond=0)
        begin += timedelta(hours=1) if begin < cast(datetime, known.min()) else timedelta()
        comments = [f"horizon: from start = {begin:%Y-%m-%dT%H:%M:00Z} or later"]
        if not (steps > 1).any():
            return cls(0, findings, comments)
        missing, longest = int((steps[steps > 1] - 1).sum()), int(steps.max()) - 1
        first = iso(known[int((steps > 1).argmax())] + timedelta(minutes=window_min))
        said = f"{missing:,} windows of {window_min:g} min have no row, up to {longest:,} in a row"
        findings.append(f"{said}: first {first}")
        if lost or off.any() or (steps < 1).any() or window_min % 1:
            return cls(missing, findings, comments)
        span = spelled_minutes(longest * int(window_min))
        between = float(np.interp(np.arange(slot[-1] + 1), slot, total).mean())
        nothing, mean = float(total.sum() / (slot[-1] + 1)), float(total.mean())
        rules = [
            f'gaps = "{rule}:{span}" # {missing:,} {become}: mean {mean:.6g} before, {after:.6g} after'
            for rule, become, after in (
                ("zero", "windows count as 0", nothing),
                ("interpolate", "windows lie between their neighbours", between),
            )
        ]
        return cls(missing, findings, [*rules, *comments])


def _spelt(window_min: float | None) -> str | None:
    return f"{window_min:g}min" if window_min and window_min % 1 == 0 else None


def _mean_day(total: np.ndarray, window_min: float | None) -> np.ndarray | None:
    """Return the mean of each window of the day, from the first row on; None for less than a day."""
    if not window_min or MINUTES_PER_DAY % window_min:
        return None
    per_day = int(MINUTES_PER_DAY // window_min)
    days = len(total) // per_day
    return total[: days * per_day].reshape(days, per_day).mean(axis=0) if days else None
