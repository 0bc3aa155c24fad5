"""Requests per window and origin: windows that lack a value by a named rule, and whole hours at both ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Integers
from carbonroute.errors import Fault, InputError
from carbonroute.files.text import refused
from carbonroute.files.time_columns import span_text
from carbonroute.files.times import EPOCH
from carbonroute.importing.aggregates import HERE, MILLIONTHS, Aggregates, CellKey
from carbonroute.importing.settings import Gaps
from carbonroute.units import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE

MAX_HOURS = 1_000_000
_MAX_VALUES = 50_000_000
_MOST_PER_WINDOW = 10**12
_MAX_LISTED = 5
#: Requests that are expected in the empty part of a window, from which on it is taken as not logged.
_SURPRISING = 10
_RULES: Mapping[Gaps, str] = MappingProxyType(
    {"refuse": "refused", "zero": "taken as no requests", "interpolate": "linear between the neighbours"}
)
#: What helps where every row is left out for a reason that holds these words.
_REMEDIES = (
    ("no workload is stated", "name the column of models: --field workload=COLUMN; a path begins with '/'"),
    ("no region is stated", "name the column of the region: --field region=COLUMN"),
    ("no origin is stated", "name the column of the origin: --field origin=COLUMN"),
    ("no --workload pattern", "give one that fits a path or model of the file: --workload PATTERN=WORKLOAD"),
    ("before --from", "give an earlier --from"),
    ("at or after --until", "give a later --until"),
    ("the time cannot be read", "name the column of times: --field time=COLUMN"),
)


@dataclass(frozen=True)
class Rates:
    """Requests per window.

    Attributes
    ----------
    start_us, window_us
        Start of the first window, µs since 1970 or the files' own zero; and the length of each.
    origins, regions
        Names, sorted.
    requests
        In millionths, shape (windows, origins).
    of_workload
        Requests by workload, in millionths.
    notes
        Gaps that were filled, and hours that are not covered, in sentences.
    """

    start_us: int
    window_us: int
    origins: tuple[str, ...]
    regions: tuple[str, ...]
    requests: Integers
    of_workload: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def hours(self) -> int:
        """Length of the horizon."""
        return len(self.requests) * self.window_us // US_PER_HOUR

    @property
    def total(self) -> float:
        """All requests."""
        return int(self.requests.sum(dtype=object)) / MILLIONTHS

    def share_of_origins(self) -> dict[str, float]:
        """Return the share of all requests by origin."""
        sums = self.requests.sum(axis=0, dtype=object).tolist()
        return shares(dict(zip(self.origins, sums, strict=True)))


@dataclass
class _Filled:
    """Requests by window or step and cell, with the values that were filled in."""

    counts: dict[tuple[int, CellKey], int]
    notes: list[str] = field(default_factory=list)


class _Gap(NamedTuple):
    """Windows or rows without a value: of one cell, or of all of them where that is None."""

    cell: CellKey | None
    first: int
    missing: int
    at_edge: bool


def shares(sums: Mapping[str, int]) -> dict[str, float]:
    """Return shares with six decimals that sum to 1; the largest takes the remainder of rounding.

    >>> shares({"a": 1, "b": 2})
    {'a': 0.333333, 'b': 0.666667}
    """
    total = sum(sums.values())
    millionths = {name: value * MILLIONTHS // total for name, value in sums.items()}
    millionths[max(sums, key=lambda name: (sums[name], name))] += MILLIONTHS - sum(millionths.values())
    return {name: value / MILLIONTHS for name, value in millionths.items()}


def rates(aggregates: Aggregates, source: str) -> Rates:
    """Return the requests per window.

    `source`: what the files are called in messages.
    Raises InputError if no request was answered, a window lacks a value under the rule ``refuse``, or there
    are too many.
    """
    steps = _steps(aggregates)
    if not steps and not aggregates.counts:
        _refuse_all_left_out(aggregates, source)
        raise refused(
            source, "states no time of any request", "a log, a table of requests per hour, or a query_range"
        )
    step = step_us(aggregates)
    window_us = _window_us(aggregates, step, source) if steps else aggregates.window_us
    windows: Counter[tuple[int, CellKey]] = Counter()
    notes: list[str] = []
    if steps:
        by_step = _fill(steps, step, aggregates, source, whole=False)
        notes += by_step.notes
        for (begin, cell), requests in by_step.counts.items():
            windows[begin // window_us, cell] += requests
    if aggregates.counts:
        for (window, cell), count in aggregates.counts.items():
            windows[window * aggregates.window_us // window_us, cell] += count * MILLIONTHS
        filled = _fill(windows, window_us, aggregates, source, whole=True)
        notes += [*filled.notes, *_cut_windows(aggregates)]
        return _of_counts(_Filled(filled.counts, notes), window_us, aggregates, source)
    return _of_counts(_Filled(windows, notes), window_us, aggregates, source)


def _cut_windows(aggregates: Aggregates) -> Iterator[str]:
    """Yield a note on the first and the last window of a log, if it begins or ends well within them.

    A share s of a window at its end is empty of k requests at random with probability (1 − s)ᵏ ≤ exp(−sk).
    """
    counts: Counter[int] = Counter()
    for (window, _), count in aggregates.counts.items():
        counts[window] += count
    low_us, high_us = aggregates.low_us, aggregates.high_us
    if low_us is None or high_us is None:
        return
    window_us, first, last = aggregates.window_us, min(counts), max(counts)
    for empty_us, count, problem, option in (
        (low_us - first * window_us, counts[first], f"first window from {time_text(low_us)} on", "--from"),
        (
            (last + 1) * window_us - high_us,
            counts[last],
            f"last window until {time_text(high_us)}",
            "--until",
        ),
    ):
        if empty_us * count > _SURPRISING * window_us:
            yield (
                f"requests stand in the {problem}, and count as those of a whole one, so that rates and "
                f"amounts of a year are too low: {option} leaves it out"
            )


def _refuse_all_left_out(aggregates: Aggregates, source: str) -> None:
    """Raise InputError if there are rows, and each of them was left out or is a failed request."""
    left, failed = aggregates.left_out, aggregates.failed
    if not 0 < aggregates.read <= sum(one.count for one in left.values()) + failed.total():
        return
    reasons = [
        f"{one.count:,} left out, {reason}" + (f" (first: {one.lines[0]})" if one.lines else "")
        for reason, one in sorted(left.items())
    ]
    reasons += [f"{count:,} failed, {ending}" for ending, count in sorted(failed.items())]
    remedies = [remedy for pattern, remedy in _REMEDIES if any(pattern in reason for reason in left)]
    remedy = "; ".join(remedies) or "at least one answered request is expected"
    raise refused(source, f"none of {aggregates.read:,} rows is counted: {'; '.join(reasons)}", remedy)


def region_of(cell: CellKey, aggregates: Aggregates) -> str:
    """Return the region that served a cell's requests: the stated one, where the files name none."""
    return cell.region or aggregates.settings.region or HERE


def workload_of(cell: CellKey, aggregates: Aggregates) -> str:
    """Return a cell's workload."""
    return aggregates.workload_name(cell.workload)


def _steps(aggregates: Aggregates) -> dict[tuple[int, CellKey], int]:
    """Return requests by time and cell of tables and series."""
    steps: Counter[tuple[int, CellKey]] = Counter()
    for (begin, cell, _), row in aggregates.rows.items():
        if row.requests is not None and row.is_counted:
            steps[begin, cell] += row.requests
    return dict(steps)


def step_us(aggregates: Aggregates) -> int:
    """Return the most frequent distance of rows, µs; without any, the length of a window."""
    steps = aggregates.steps
    return min(steps, key=lambda step: (-steps[step], step)) if steps else aggregates.window_us


def _times(counts: Iterable[tuple[int, CellKey]]) -> dict[CellKey, list[int]]:
    by_cell: defaultdict[CellKey, list[int]] = defaultdict(list)
    for begin, cell in counts:
        by_cell[cell].append(begin)
    return {cell: sorted(by_cell[cell]) for cell in sorted(by_cell)}


def _window_us(aggregates: Aggregates, step_us: int, source: str) -> int:
    stated = aggregates.settings.window_us
    if stated is not None:
        if stated < step_us:
            problem = f"rows are {span_text(step_us)} apart, and windows of {span_text(stated)} are asked for"
            raise refused(source, problem, "state a window that holds a row: --window")
        return stated
    window_us = US_PER_HOUR if step_us <= US_PER_HOUR else step_us
    if (US_PER_DAY % window_us and window_us % US_PER_DAY) or (aggregates.counts and window_us % US_PER_HOUR):
        raise refused(source, f"rows are {span_text(step_us)} apart", "state the window: --window 6h")
    return window_us


def _fill(
    counts: dict[tuple[int, CellKey], int], step: int, aggregates: Aggregates, source: str, *, whole: bool
) -> _Filled:
    """Return counts without gaps, by the rule of the settings.

    Parameters
    ----------
    counts
        By window (``whole``) or by time, and cell.
    step
        Between times; windows are numbered, and 1 apart.
    whole
        A window lacks a value only where nothing at all was counted in it: of a log, a cell without requests
        has none. Of rows, every cell has its own.
    """
    apart, rule = 1 if whole else step, aggregates.settings.gaps
    gaps = _gaps(counts, apart, whole=whole)
    lacking = [gap for gap in gaps if rule == "refuse" or (rule == "interpolate" and gap.at_edge)]
    if lacking:
        raise InputError(source, _faults(lacking, step, rule, aggregates.or_zone, whole=whole))
    if not gaps:
        return _Filled(counts)
    kind = "windows" if whole else "rows"
    total = sum(gap.missing for gap in gaps)
    says = f"{total:,} {kind} of {span_text(step)} without a value, by the rule {rule!r}: {_RULES[rule]}"
    return _Filled(_interpolated(counts, gaps, apart) if rule == "interpolate" else counts, [says])


def _gaps(counts: Iterable[tuple[int, CellKey]], apart: int, *, whole: bool) -> list[_Gap]:
    """Return the spans without a value of each cell, or of all of them together."""
    stamps = list(counts)
    all_times = sorted({begin for begin, _ in stamps})
    gaps: list[_Gap] = []

    def note(cell: CellKey | None, first: int, span: int, *, at_edge: bool) -> None:
        if (missing := round(span / apart)) > 0:
            gaps.append(_Gap(cell, first, missing, at_edge))

    for cell, times in ({None: all_times} if whole else _times(stamps)).items():
        note(cell, all_times[0], times[0] - all_times[0], at_edge=True)
        for earlier, later in pairwise(times):
            note(cell, earlier + apart, later - earlier - apart, at_edge=False)
        note(cell, times[-1] + apart, all_times[-1] - times[-1], at_edge=True)
    return gaps


def _interpolated(
    counts: Mapping[tuple[int, CellKey], int], gaps: Iterable[_Gap], apart: int
) -> dict[tuple[int, CellKey], int]:
    """Return counts with gaps filled by straight lines between the neighbours."""
    filled = dict(counts)
    cells = sorted({cell for _, cell in counts})
    for gap in gaps:
        for cell in cells if gap.cell is None else [gap.cell]:
            before = counts.get((gap.first - apart, cell), 0)
            after = _after(counts, gap, apart, cell)
            for place in range(gap.missing):
                share = before + (after - before) * (place + 1) // (gap.missing + 1)
                if share:
                    filled[gap.first + place * apart, cell] = share
    return filled


def _after(counts: Mapping[tuple[int, CellKey], int], gap: _Gap, apart: int, cell: CellKey) -> int:
    """Return the count behind a gap: of rows off the grid, the nearest one."""
    place = gap.first + gap.missing * apart
    if (place, cell) in counts or apart == 1:
        return counts.get((place, cell), 0)
    near = [begin for begin, other in counts if other == cell and begin >= place - apart // 2]
    return counts[min(near), cell]


def _faults(gaps: Sequence[_Gap], step: int, rule: Gaps, or_zone: str, *, whole: bool) -> Iterator[Fault]:
    at_edge = rule == "interpolate"
    remedy = "take them as no requests: --gaps zero"
    if not at_edge:
        remedy += "; or interpolate: --gaps interpolate"
    remedy += f"; or import a part: --from, --until{or_zone}"
    kind = "window" if whole else "row"
    for gap in gaps[:_MAX_LISTED]:
        begin = time_text(gap.first * (step if whole else 1))
        whose = ", ".join(filter(None, gap.cell or ())) or "of all requests"
        many = f"{gap.missing:,} {kind}s of {span_text(step)} are" if gap.missing > 1 else f"a {kind} is"
        where = " at an edge, where nothing can be interpolated" if at_edge else ""
        yield Fault("", f"from {begin} on {many} missing{where} ({whose})", remedy)
    if len(gaps) > _MAX_LISTED:
        yield Fault("", f"{len(gaps) - _MAX_LISTED:,} gaps more", remedy)


def time_text(us: int) -> str:
    """Return a time as text; one outside the calendar as a number of hours.

    >>> time_text(1_793_491_200_000_000)
    '2026-11-01T00:00:00Z'
    """
    try:
        return (EPOCH + timedelta(microseconds=us)).isoformat(timespec="seconds").replace("+00:00", "Z")
    except OverflowError:
        return f"hour {us // US_PER_HOUR:,}"


def _of_counts(filled: _Filled, window_us: int, aggregates: Aggregates, source: str) -> Rates:
    counts = filled.counts
    if not any(counts.values()):
        raise refused(source, "no request was answered", "at least one is expected")
    first, last = min(begin for begin, _ in counts), max(begin for begin, _ in counts)
    per_hour = max(US_PER_HOUR // window_us, 1)
    low, high = first // per_hour * per_hour, -(-(last + 1) // per_hour) * per_hour
    notes = list(filled.notes)
    if padded := (first - low) + (high - 1 - last):
        notes.append(f"{padded} windows at the ends, to whole hours, are taken as no requests")
    regions = sorted({region_of(cell, aggregates) for _, cell in counts})
    origins = sorted({cell.origin or region_of(cell, aggregates) for _, cell in counts})
    windows = high - low
    if windows * window_us // US_PER_HOUR > MAX_HOURS or windows * len(origins) > _MAX_VALUES:
        problem = (
            f"from {time_text(low * window_us)} to {time_text(high * window_us)} are {windows:,} windows"
        )
        raise refused(source, problem, "import a part: --from, --until; or longer windows: --window")
    place_of = {origin: place for place, origin in enumerate(origins)}
    sums: Counter[tuple[int, int]] = Counter()
    of_workload: Counter[str] = Counter()
    for (begin, cell), count in counts.items():
        sums[begin - low, place_of[cell.origin or region_of(cell, aggregates)]] += count
        of_workload[workload_of(cell, aggregates)] += count
    if (most := max(sums.values())) > _MOST_PER_WINDOW * MILLIONTHS:
        problem = f"a window has {most / MILLIONTHS:,.0f} requests"
        raise refused(
            source, problem, f"up to {_MOST_PER_WINDOW:,} are expected: check the unit of the numbers"
        )
    requests = np.zeros((windows, len(origins)), dtype=np.int64)
    for at, count in sums.items():
        requests[at] = count
    answered = {name: of_workload[name] for name in sorted(of_workload) if of_workload[name]}
    return Rates(low * window_us, window_us, tuple(origins), tuple(regions), requests, answered, tuple(notes))


def minutes(window_us: int) -> str:
    """Return the length of a window as a scenario spells it."""
    return f"{window_us // US_PER_MINUTE}min"
