"""Time series of metrics: requests, service times or power, and the kind of their values.

A metric whose name says that it counts (``_total``, ``_count``, ``_bucket``) and that falls only where it
begins again is a running total: its increase from one sample to the next came in between. A metric whose name
is that of a rate has requests per second. Of any other, each value is that of its own step; the user is asked
where such a one never falls. NaN and infinity are unknown.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from carbonroute.errors import InputError, did_you_mean
from carbonroute.files.text import refused
from carbonroute.importing.aggregates import MILLIONTHS, AggregateRow, Aggregates, CellKey
from carbonroute.importing.coverage import may_be_same
from carbonroute.importing.roles import NAMES, service_unit
from carbonroute.importing.settings import MS_IN, ImportSettings, Role, Values
from carbonroute.units import US_PER_S

#: The last two are counters of Triton, TGI and Envoy.
_COUNTS = re.compile(r"_(total|count|bucket|success|completed)$")
#: Names of rates, such as ``job:http_requests:rate5m`` and ``requests_per_second``.
_RATE = re.compile(r"(^|[:_])(i?rate(\d+[smhd])?|rps|qps|per_s(ec(ond)?)?)($|[:_])", re.I)
_REQUESTS = re.compile(r"request|query|queries|calls|hits|responses|completions", re.I)
_NO_REQUESTS = re.compile(r"_(sum|created|info)$|token|byte|cache|running|waiting|memory", re.I)
_DURATION = re.compile(r"latency|duration|seconds|_ms|time", re.I)
#: Times of a part of a request.
_PART = re.compile(r"first_token|per_output|inter_token|queue|prefill|decode|wait|connect|schedul", re.I)
_POWER = re.compile(r"watt|power_usage|power_draw|power", re.I)
#: A running total may begin again, but seldom, and from far below.
_MOST_RESETS, _RESET_TO = 0.05, 0.5
#: Up to this share of falls, all to less than half, values may be either: the user is asked.
_ASKED_RESETS = 0.25
#: Asked is a metric of another name that never falls in so many samples, or rises to so many times its first.
_FEWEST_SAMPLES, _LEAST_RISE = 24, 10.0
#: Above, a time stamp is in ms, as Prometheus's own text format has it; others have seconds.
_MOST_SECONDS = 1e11
#: Labels by which servers of Prometheus that measure the same tell themselves apart.
_COPIES = re.compile(r"(prometheus|thanos|receive|rule)_replica|__replica__")


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
    is_raw
        Whether they are samples as a server gives them, and not the answer of a query.
    is_counter
        Whether the file says that it is a running total.
    """

    name: str
    labels: Mapping[str, str]
    times_s: Sequence[float]
    values: Sequence[float]
    is_raw: bool = False
    is_counter: bool = False

    @property
    def key(self) -> str:
        """Text that tells it apart from others."""
        return f"{self.name}{sorted(self.labels.items())}"


def add(aggregates: Aggregates, file_name: str, every: Sequence[MetricSeries]) -> list[str]:
    """Count the requests, service times and power of the series of a file; return how they were read.

    Raises InputError if none of them is of requests, service times or power, or their values could be either
    of two things.
    """
    by_name: defaultdict[str, list[MetricSeries]] = defaultdict(list)
    once, notes = _without_copies(every)
    for series in once:
        by_name[series.name].append(series)
    timed = _timed(by_name, aggregates.settings, file_name)
    counting = _counting(by_name, aggregates, file_name)
    read_before = len(notes)
    unused = []
    for name, group in sorted(by_name.items()):
        if name in timed:
            read = _add_buckets if "le" in group[0].labels else _add_quantiles
            notes.append(read(aggregates, file_name, name, group))
        elif name in counting:
            notes.append(_add_counts(aggregates, file_name, name, group))
        elif _POWER.search(name) and not _is_distribution(group):
            notes.append(_add_power(aggregates, file_name, name, group))
        else:
            unused.append(name)
    if len(notes) == read_before:
        problem = f"none of its metrics counts requests: {', '.join(sorted(by_name)[:8])}"
        raise refused(file_name, problem, "a metric such as http_requests_total is expected")
    if unused:
        more = f" and {len(unused) - 8} more" if len(unused) > 8 else ""
        notes.append(f"not used: {', '.join(unused[:8])}{more}")
    return notes


def _without_copies(every: Sequence[MetricSeries]) -> tuple[list[MetricSeries], list[str]]:
    """Return each series once, of several servers of Prometheus that measured it; and a note on the others.

    Of the copies, that with the most known values is taken.
    """
    once: dict[str, MetricSeries] = {}
    copies: Counter[str] = Counter()
    for series in every:
        labels = {name: value for name, value in series.labels.items() if not _COPIES.fullmatch(name)}
        one = replace(series, labels=labels)
        if one.key not in once:
            once[one.key] = one
            continue
        copies.update(name for name in series.labels if name not in labels)
        once[one.key] = max(
            once[one.key], one, key=lambda each: -sum(map(math.isnan, each.values)) + len(each.values)
        )
    if not copies:
        return list(every), []
    named = ", ".join(sorted(copies))
    return list(once.values()), [
        f"{sum(copies.values())} series are copies that another {named} measured: not counted"
    ]


def _is_distribution(group: Sequence[MetricSeries]) -> bool:
    """Whether series are the buckets of a histogram or the quantiles of a summary."""
    return "le" in group[0].labels or "quantile" in group[0].labels


def _timed(
    by_name: Mapping[str, Sequence[MetricSeries]], settings: ImportSettings, file_name: str
) -> set[str]:
    """Return the metric whose buckets or quantiles are service times.

    Raises InputError if there are several, which may be times of different parts of a request.
    """
    names = sorted(name for name, group in by_name.items() if _is_distribution(group))
    stated = settings.fields.get("service")
    if stated is not None:
        if not (chosen := {name for name in names if stated in {name, name.removesuffix("_bucket")}}):
            raise refused(
                file_name, f"no buckets or quantiles are called {stated!r}", did_you_mean(stated, names)
            )
        return chosen
    whole = [name for name in names if _DURATION.search(name) and not _PART.search(name)]
    if len(whole) > 1:
        problem = f"several metrics may be the service time: {', '.join(whole[:8])}"
        raise refused(file_name, problem, f"state which: --field service={whole[0]}")
    return set(whole)


def _counting(
    by_name: Mapping[str, Sequence[MetricSeries]], aggregates: Aggregates, file_name: str
) -> set[str]:
    """Return the metrics that count requests.

    Raises InputError if two of them may count the same ones.
    """
    plain = {
        name: group
        for name, group in by_name.items()
        if not _is_distribution(group) and not _POWER.search(name) and not _NO_REQUESTS.search(name)
    }
    stated = aggregates.settings.fields.get("requests")
    if stated is not None:
        if stated not in plain:
            raise refused(file_name, f"there is no metric {stated!r}", did_you_mean(stated, sorted(plain)))
        return {stated}
    counting = [name for name in plain if _REQUESTS.search(name) or len(plain) == 1 or not name]
    if any(not name.endswith(("_bucket", "_count")) for name in counting):
        counting = [name for name in counting if not name.endswith(("_bucket", "_count"))]
    cells = {name: {_cell(series, aggregates, file_name) for series in plain[name]} for name in counting}
    for name, other in combinations(sorted(counting), 2):
        if any(
            may_be_same(cell, further, aggregates.settings)
            for cell in cells[name]
            for further in cells[other]
            if cell is not None and further is not None
        ):
            problem = f"{name} and {other} may both count the same requests"
            raise refused(file_name, problem, f"state which counts them: --field requests={name}")
    aggregates.layout = ", ".join(sorted(counting))
    return set(counting)


def step_us(group: Sequence[MetricSeries], file_name: str) -> int:
    """Return the most frequent distance of samples, µs.

    Raises InputError if no series has two samples.
    """
    gaps = Counter(
        round((later - earlier) * US_PER_S) for series in group for earlier, later in pairwise(series.times_s)
    )
    if not gaps:
        raise refused(file_name, "no series has two samples", "query a range of time: query_range")
    return min(gaps, key=lambda gap: (-gaps[gap], gap))


def meaning(name: str, group: Sequence[MetricSeries], settings: ImportSettings, file_name: str) -> Values:
    """Return the kind of values of a metric.

    Raises InputError if a query has dropped the metric's name, or the values may be either, and the user does
    not state it.
    """
    if settings.values is not None:
        return settings.values
    if not name:
        problem = "the query has dropped the metric's name, and with it the kind of its values"
        raise refused(
            file_name, problem, "state it: --values counter, count (requests per step) or rate (per s)"
        )
    counts = _COUNTS.search(name) is not None
    if group[0].is_counter or (counts and group[0].is_raw):
        return "counter"
    if not counts and _RATE.search(name):
        return "rate"
    falls = _falls(group)
    if falls is None or falls > _ASKED_RESETS or not (counts or _rises_long(group)):
        return "count"
    if counts and falls <= _MOST_RESETS:
        return "counter"
    problem = (
        f"{name} falls to less than half, in {falls:.0%} of its steps: a total that begins again, or not"
    )
    if not falls:
        problem = f"{name} never falls, and its name does not say that it is a running total"
    raise refused(file_name, problem, "state it: --values counter, or count (requests per step)")


def _falls(group: Sequence[MetricSeries]) -> float | None:
    """Return the share of steps at which values fall to less than half; None where some fall by less."""
    steps = falls = 0
    for series in group:
        known = [value for value in series.values if not math.isnan(value)]
        for earlier, later in pairwise(known):
            steps += 1
            if later < earlier:
                if later > _RESET_TO * earlier:
                    return None
                falls += 1
    return falls / steps if steps else 0.0


def _rises_long(group: Sequence[MetricSeries]) -> bool:
    """Whether some series rises for so long, or by so much, as no requests per step do."""
    known = [[value for value in series.values if not math.isnan(value)] for series in group]
    return any(
        values[-1] > values[0] and (len(values) >= _FEWEST_SAMPLES or values[-1] >= _LEAST_RISE * values[0])
        for values in known
        if values
    )


def seconds(stamp: float) -> float:
    """Return a time stamp in s since 1970, which may be in ms."""
    return stamp / 1000 if stamp > _MOST_SECONDS else stamp


def steps_of(series: MetricSeries, values: Values, step: int, stamp: str | None) -> list[tuple[int, float]]:
    """Return the requests of each step of a series, with the start of the step, µs since 1970."""
    requests = []
    samples = [
        (round(time * US_PER_S), value)
        for time, value in zip(series.times_s, series.values, strict=True)
        if not math.isnan(value)
    ]
    if values == "counter":
        for (begin, before), (end, value) in pairwise(samples):
            if end - begin <= 1.5 * step:  # over a longer one, it is not known when they came
                requests.append((begin, value - before if value >= before else value))
        return requests
    factor = step / US_PER_S if values == "rate" else 1.0
    late = step if stamp == "end" else 0
    return [(time - late, value * factor) for time, value in samples]


def _cell(series: MetricSeries, aggregates: Aggregates, file_name: str) -> CellKey | None:
    """Return whose requests a series counts; None where no workload pattern matches."""
    names: dict[str, str] = {}
    kinds: tuple[tuple[Role, str], ...] = (
        ("region", "region"),
        ("origin", "origin"),
        ("workload", "workload"),
        ("path", "workload"),
    )
    for role, kind in kinds:
        label = aggregates.settings.fields.get(role) or next(
            (label for label in sorted(series.labels) if NAMES[role].fullmatch(label)), None
        )
        if label is None or label not in series.labels or kind in names:
            continue
        text = series.labels[label]
        name = aggregates.names_of(kind, [text], file_name)[text]
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


def _add_counts(aggregates: Aggregates, file_name: str, name: str, group: Sequence[MetricSeries]) -> str:
    values, step = meaning(name, group, aggregates.settings, file_name), step_us(group, file_name)
    for series in group:
        aggregates.steps[step] += len(series.values)
        cell, failure = _cell(series, aggregates, file_name), _failure(series, aggregates.settings)
        aggregates.read += len(series.values)
        unknown = sum(map(math.isnan, series.values))
        aggregates.leave_out(file_name, "values that are not finite", [], unknown)
        if cell is None:
            aggregates.leave_out(file_name, "no --workload pattern matches", [], len(series.values))
            continue
        for begin, requests in steps_of(series, values, step, aggregates.settings.stamp):
            if requests < 0:
                problem = f"{name or 'a series'} counts {requests:g} requests"
                raise refused(
                    file_name, problem, "state the kind of its values: --values counter, count or rate"
                )
            if failure is not None:
                aggregates.failed[failure] += round(requests)
            else:
                row = AggregateRow(requests=round(requests * MILLIONTHS))
                aggregates.add_row(file_name, series.key, (begin, cell, series.key), row)
    says = {
        "counter": "a running total: its increase per step is counted",
        "count": "values of steps, as increase() gives them: "
        "taken as the requests from each time stamp on; --stamp end: up to it",
        "rate": "requests per second, times the step",
    }
    return f"{name or 'requests'}: {says[values]}"


def _ms(name: str, settings: ImportSettings, file_name: str) -> float:
    return MS_IN[service_unit(re.sub(r"_(bucket|sum|count)$", "", name), settings, file_name)]


def _add_buckets(aggregates: Aggregates, file_name: str, name: str, group: Sequence[MetricSeries]) -> str:
    factor = _ms(name, aggregates.settings, file_name)
    single = all(len(series.values) == 1 for series in group)
    values = "counter" if single else meaning(name, group, aggregates.settings, file_name)
    step = 0 if single else step_us(group, file_name)
    for series in group:
        cell = _cell(series, aggregates, file_name)
        if cell is None or _failure(series, aggregates.settings):
            continue
        try:
            upper = float(series.labels["le"])
        except ValueError as error:
            raise refused(
                file_name, f"{name}: le = {series.labels['le']!r}", "a number or +Inf is expected"
            ) from error
        counted = (
            [(0, value) for value in series.values if not math.isnan(value)]
            if single
            else steps_of(series, values, step, "start")
        )
        total = sum(round(requests * MILLIONTHS) for _, requests in counted)
        aggregates.buckets[cell.workload][upper * factor] += total
    return f"{name}: service times by bucket, quantiles by linear interpolation within one"


def _add_quantiles(aggregates: Aggregates, file_name: str, name: str, group: Sequence[MetricSeries]) -> str:
    import numpy as np

    factor = _ms(name, aggregates.settings, file_name)
    for series in group:
        cell = _cell(series, aggregates, file_name)
        try:
            p = float(series.labels["quantile"])
        except ValueError as error:
            problem = f"{name}: quantile = {series.labels['quantile']!r}"
            raise refused(file_name, problem, "a number is expected") from error
        known = [value * factor for value in series.values if value >= 0]
        if cell is not None and known and 0 < p < 1:
            aggregates.quantiles[cell.workload, p].add(np.array(known))
    return f"{name}: service time, the median over time of each quantile"


def _add_power(aggregates: Aggregates, file_name: str, name: str, group: Sequence[MetricSeries]) -> str:
    step = step_us(group, file_name)
    kilo = 1000.0 if re.search(r"kilowatt|_kw", name, re.I) else 1.0
    for series in group:
        cell = _cell(series, aggregates, file_name)
        if cell is None:
            continue
        for begin, watts in steps_of(series, "count", step, aggregates.settings.stamp):
            if watts >= 0:
                row = AggregateRow(power_w=watts * kilo)
                aggregates.add_row(file_name, series.key, (begin, cell, series.key), row)
    return f"{name}: power in W"


def checked(series: Sequence[MetricSeries], file_name: str) -> Sequence[MetricSeries]:
    """Return series whose times ascend; refuse others.

    Raises InputError if a time of a series is not after the one before.
    """
    for series_ in series:
        for earlier, later in pairwise(series_.times_s):
            if later <= earlier:
                problem = f"{series_.name}: {later:.0f} comes after {earlier:.0f}"
                raise InputError(
                    file_name, refused(file_name, problem, "samples in the order of time").faults
                )
    return series
