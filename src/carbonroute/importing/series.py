"""Time series of metrics: which are requests, service times or power, and what their values are.

A metric whose name says that it counts (``_total``, ``_count``, ``_bucket``) and that falls only where it
begins again is a running total: its increase from one sample to the next is what came in between. Of any
other, each value is that of its own step. NaN and infinity are unknown.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from carbonroute.errors import InputError
from carbonroute.files.text import refused
from carbonroute.importing.roles import NAMES, service_unit
from carbonroute.importing.settings import MS_IN, ImportSettings, Role, Values
from carbonroute.importing.tally import MILLIONTHS, CellKey, RequestTally, Row
from carbonroute.units import US_PER_S

_COUNTS = re.compile(r"_(total|count|bucket)$")
_REQUESTS = re.compile(r"request|query|queries|calls|hits|responses|completions", re.I)
_NO_REQUESTS = re.compile(r"_(sum|created|info)$|token|byte|cache|running|waiting|memory", re.I)
_DURATION = re.compile(r"latency|duration|seconds|_ms|time", re.I)
_POWER = re.compile(r"watt|power_usage|power_draw|power", re.I)
#: A running total may begin again, but seldom, and from far below.
_MOST_RESETS, _RESET_TO = 0.05, 0.5


@dataclass(frozen=True)
class MetricSeries:
    """One metric with one set of labels.

    Attributes
    ----------
    name
        Of the metric; the empty text where a query has dropped it.
    labels
        Value by label, without the name.
    times_s, values
        Samples in the order of time; NaN where one is unknown.
    """

    name: str
    labels: Mapping[str, str]
    times_s: Sequence[float]
    values: Sequence[float]

    @property
    def key(self) -> str:
        """Text that tells it apart from others."""
        return f"{self.name}{sorted(self.labels.items())}"


def add(tally: RequestTally, shown: str, every: Sequence[MetricSeries]) -> list[str]:
    """Count the requests, service times and power of the series of a file; return how they were read.

    Raises
    ------
    InputError
        If none of them is of requests, service times or power, or their values could be either of two things.
    """
    by_name: defaultdict[str, list[MetricSeries]] = defaultdict(list)
    for series in every:
        by_name[series.name].append(series)
    said: list[str] = []
    unused = []
    alone = len([name for name in by_name if not _NO_REQUESTS.search(name)]) == 1
    has_counts = any(
        _REQUESTS.search(name) and not _NO_REQUESTS.search(name) and not name.endswith(("_bucket", "_count"))
        for name in by_name
    )
    for name, group in sorted(by_name.items()):
        labels = group[0].labels
        if "le" in labels:
            said.append(_add_buckets(tally, shown, name, group))
        elif "quantile" in labels:
            said.append(_add_quantiles(tally, shown, name, group))
        elif _POWER.search(name):
            said.append(_add_power(tally, shown, name, group))
        elif _NO_REQUESTS.search(name) or (name.endswith("_count") and has_counts and _DURATION.search(name)):
            unused.append(name)
        elif _REQUESTS.search(name) or alone or not name:
            said.append(_add_counts(tally, shown, name, group))
        else:
            unused.append(name)
    if not said:
        found = f"none of its metrics counts requests: {', '.join(sorted(by_name)[:8])}"
        raise refused(shown, found, "a metric such as http_requests_total is expected")
    if unused:
        more = f" and {len(unused) - 8} more" if len(unused) > 8 else ""
        said.append(f"not used: {', '.join(unused[:8])}{more}")
    return said


def step_us(group: Sequence[MetricSeries], shown: str) -> int:
    """Return the most frequent distance of samples, µs.

    Raises
    ------
    InputError
        If no series has two samples.
    """
    gaps = Counter(
        round((later - earlier) * US_PER_S) for series in group for earlier, later in pairwise(series.times_s)
    )
    if not gaps:
        raise refused(shown, "no series has two samples", "query a range of time: query_range")
    return min(gaps, key=lambda gap: (-gaps[gap], gap))


def meaning(name: str, group: Sequence[MetricSeries], settings: ImportSettings, shown: str) -> Values:
    """Return what the values of a metric are.

    Raises
    ------
    InputError
        If a query has dropped the metric's name, and the user does not state it.
    """
    if settings.values is not None:
        return settings.values
    if not name:
        found = "the query has dropped the metric's name, and with it what the values are"
        raise refused(shown, found, "state it: --values counter, count (requests per step) or rate (per s)")
    return "counter" if _COUNTS.search(name) and _rises(group) else "count"


def _rises(group: Sequence[MetricSeries]) -> bool:
    """Whether values fall only where a running total begins again."""
    steps = falls = 0
    for series in group:
        known = [value for value in series.values if not math.isnan(value)]
        for earlier, later in pairwise(known):
            steps += 1
            if later < earlier:
                if later > _RESET_TO * earlier:
                    return False
                falls += 1
    return falls <= _MOST_RESETS * steps


def steps_of(series: MetricSeries, values: Values, step: int, stamp: str) -> list[tuple[int, float]]:
    """Return the requests of each step of a series, with the start of the step, µs since 1970."""
    found = []
    samples = [
        (round(time * US_PER_S), value)
        for time, value in zip(series.times_s, series.values, strict=True)
        if not math.isnan(value)
    ]
    if values == "counter":
        for (begin, before), (end, value) in pairwise(samples):
            if end - begin <= 1.5 * step:  # over a longer one, it is not known when they came
                found.append((begin, value - before if value >= before else value))
        return found
    factor = step / US_PER_S if values == "rate" else 1.0
    late = step if stamp == "end" else 0
    return [(time - late, value * factor) for time, value in samples]


def _cell(series: MetricSeries, tally: RequestTally, shown: str) -> CellKey | None:
    """Return whose requests a series counts; None where no workload pattern matches."""
    names: dict[str, str] = {}
    kinds: tuple[tuple[Role, str], ...] = (
        ("region", "region"),
        ("origin", "origin"),
        ("workload", "workload"),
        ("path", "workload"),
    )
    for role, kind in kinds:
        label = tally.settings.fields.get(role) or next(
            (label for label in sorted(series.labels) if NAMES[role].fullmatch(label)), None
        )
        if label is None or label not in series.labels or kind in names:
            continue
        text = series.labels[label]
        name = tally.names_of(kind, [text], shown)[text]
        if name is None:
            return None
        names[kind] = name
    return CellKey(*(names.get(kind, "") for kind in CellKey._fields))


def _failure(series: MetricSeries, settings: ImportSettings) -> str | None:
    """Return how the requests of a series ended, where its labels say that they were not answered."""
    label = settings.fields.get("status") or next(
        (label for label in sorted(series.labels) if NAMES["status"].fullmatch(label)), ""
    )
    code = series.labels.get(label, "")
    return f"{code[0]}xx" if re.match(r"[45]([0-9]{2}|xx)", code) else None


def _add_counts(tally: RequestTally, shown: str, name: str, group: Sequence[MetricSeries]) -> str:
    values, step = meaning(name, group, tally.settings, shown), step_us(group, shown)
    for series in group:
        tally.steps[step] += len(series.values)
        cell, failure = _cell(series, tally, shown), _failure(series, tally.settings)
        tally.read += len(series.values)
        unknown = sum(map(math.isnan, series.values))
        tally.leave_out(shown, "values that are not finite", [], unknown)
        if cell is None:
            tally.leave_out(shown, "no --workload pattern matches", [], len(series.values))
            continue
        for begin, requests in steps_of(series, values, step, tally.settings.stamp):
            if requests < 0:
                found = f"{name or 'a series'} counts {requests:g} requests"
                raise refused(shown, found, "state what its values are: --values counter, count or rate")
            if failure is not None:
                tally.failed[failure] += round(requests)
            else:
                row = Row(requests=round(requests * MILLIONTHS))
                tally.add_row(shown, series.key, (begin, cell, series.key), row)
    says = {
        "counter": "a running total that never falls: its increase per step is counted",
        "count": "values of steps, as increase() gives them (they fall): "
        "taken as the requests from each time stamp on; --stamp end: up to it",
        "rate": "requests per second, times the step",
    }
    return f"{name or 'requests'}: {says[values]}"


def _ms(name: str, settings: ImportSettings, shown: str) -> float:
    return MS_IN[service_unit(re.sub(r"_(bucket|sum|count)$", "", name), settings, shown)]


def _add_buckets(tally: RequestTally, shown: str, name: str, group: Sequence[MetricSeries]) -> str:
    factor = _ms(name, tally.settings, shown)
    single = all(len(series.values) == 1 for series in group)
    values = "counter" if single else meaning(name, group, tally.settings, shown)
    step = 0 if single else step_us(group, shown)
    for series in group:
        cell = _cell(series, tally, shown)
        if cell is None or _failure(series, tally.settings):
            continue
        try:
            upper = float(series.labels["le"])
        except ValueError as error:
            raise refused(
                shown, f"{name}: le = {series.labels['le']!r}", "a number or +Inf is expected"
            ) from error
        counted = (
            [(0, value) for value in series.values if not math.isnan(value)]
            if single
            else steps_of(series, values, step, "start")
        )
        total = sum(round(requests * MILLIONTHS) for _, requests in counted)
        tally.buckets[cell.workload][upper * factor] += total
    return f"{name}: service times by bucket, quantiles by linear interpolation within one"


def _add_quantiles(tally: RequestTally, shown: str, name: str, group: Sequence[MetricSeries]) -> str:
    import numpy as np

    factor = _ms(name, tally.settings, shown)
    for series in group:
        cell = _cell(series, tally, shown)
        try:
            p = float(series.labels["quantile"])
        except ValueError as error:
            found = f"{name}: quantile = {series.labels['quantile']!r}"
            raise refused(shown, found, "a number is expected") from error
        known = [value * factor for value in series.values if value >= 0]
        if cell is not None and known and 0 < p < 1:
            tally.quantiles[cell.workload, p].add(np.array(known))
    return f"{name}: service time, the median over time of each quantile"


def _add_power(tally: RequestTally, shown: str, name: str, group: Sequence[MetricSeries]) -> str:
    step = step_us(group, shown)
    kilo = 1000.0 if re.search(r"kilowatt|_kw", name, re.I) else 1.0
    for series in group:
        cell = _cell(series, tally, shown)
        if cell is None:
            continue
        for begin, watts in steps_of(series, "count", step, tally.settings.stamp):
            if watts >= 0:
                row = Row(power_w=watts * kilo)
                tally.add_row(shown, series.key, (begin, cell, series.key), row)
    return f"{name}: power in W"


def checked(series: Sequence[MetricSeries], shown: str) -> Sequence[MetricSeries]:
    """Return series whose times ascend; refuse others.

    Raises
    ------
    InputError
        If a time of a series is not after the one before.
    """
    for one in series:
        for earlier, later in pairwise(one.times_s):
            if later <= earlier:
                found = f"{one.name}: {later:.0f} comes after {earlier:.0f}"
                raise InputError(shown, refused(shown, found, "samples in the order of time").faults)
    return series
