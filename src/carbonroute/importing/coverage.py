"""Which requests each imported file counts, by cell and time: none may count the requests of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from carbonroute.errors import InputError
from carbonroute.files.text import refused
from carbonroute.files.time_columns import span_text
from carbonroute.importing.aggregates import MILLIONTHS, Aggregates, CellKey
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.windows import step_us, time_text

Span = tuple[int, int]


@dataclass(frozen=True)
class Coverage:
    """The requests that one file counts.

    Attributes
    ----------
    file_name, form, layout
        Of the file; its format; and how that tells requests apart. Files alike in both are parts of a whole,
        such as the logs of several servers.
    spans
        Start and end of the times that it covers by cell, µs, ascending and apart.
    step_us
        Distance of its rows, µs; None of a log.
    """

    file_name: str
    form: str
    layout: str
    spans: Mapping[CellKey, Sequence[Span]]
    requests: float
    step_us: int | None

    @classmethod
    def of(cls, file_name: str, form: str, aggregates: Aggregates) -> Coverage:
        """Return the coverage of the aggregates of one file."""
        spans: defaultdict[CellKey, list[Span]] = defaultdict(list)
        window_us, total = aggregates.window_us, aggregates.counts.total() * MILLIONTHS
        first, last = aggregates.low_us or 0, (aggregates.high_us or 0) + 1
        for window, cell in aggregates.counts:
            begin = window * window_us
            spans[cell].append((max(begin, first), min(begin + window_us, last)))
        step = step_us(aggregates)
        for (begin, cell, _), row in aggregates.rows.items():
            if row.requests is not None:
                spans[cell].append((begin, begin + step))
                total += row.requests
        joined = {cell: _joined(of_cell) for cell, of_cell in spans.items()}
        return cls(
            file_name, form, aggregates.layout, joined, total / MILLIONTHS, step if aggregates.rows else None
        )

    def covers(self, time_us: int, cell: CellKey) -> bool:
        """Whether it counts the requests of a cell at a time."""
        return any(begin <= time_us < end for begin, end in self.spans.get(cell, ()))

    @property
    def detail(self) -> tuple[int, int, float]:
        """How much it tells: numbers of workloads and regions, and of requests."""
        return (
            len({cell.workload for cell in self.spans}),
            len({cell.region for cell in self.spans}),
            self.requests,
        )


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans in ascending order, those that touch as one."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def refuse_same_requests(files: Sequence[Coverage], settings: ImportSettings) -> None:
    """Refuse files of different formats or layouts that count requests of the same time and cell.

    Raises InputError with the files, the span of time and the ways to choose; or if rows of two files are of
    unlike length.
    """
    overlaps = {
        (first.file_name, second.file_name): overlap
        for first, second in combinations(files, 2)
        if (first.form, first.layout) != (second.form, second.layout)
        and (overlap := _overlap(first, second, settings)) is not None
    }
    if overlaps:
        same = {name for pair in overlaps for name in pair}
        raise _counted_twice([file for file in files if file.file_name in same], list(overlaps.values()))
    steps = {one.step_us: one for one in files if one.step_us is not None}
    if len(steps) > 1:
        (short, one), (long, other) = sorted(steps.items())[:2]
        longer = f"those of {other.file_name} {span_text(long or 0)}"
        problem = f"its rows are {span_text(short or 0)} apart, and {longer}"
        raise refused(
            one.file_name, problem, f"import them by themselves, or --requests-from '{one.file_name}'"
        )


def _counted_twice(files: Sequence[Coverage], overlaps: Sequence[Span]) -> InputError:
    listed = ", ".join(
        f"{Path(file.file_name).name} ({file.requests:,.0f}, {file.layout or file.form})" for file in files
    )
    begin, end = min(begin for begin, _ in overlaps), max(end for _, end in overlaps)
    best = max(files, key=lambda file: (*file.detail, file.file_name))
    problem = (
        f"these files count requests of the same hours, {time_text(begin)} to {time_text(end)}: {listed}"
    )
    remedy = (
        "no request must count twice. Count those of one, such as the one that tells most: --requests-from "
        f"'{best.file_name}'; the others then give service times and power. If they are other requests, name "
        "their workloads: --workload '/v1/chat/*=chat' --workload 'bge*=embed'; or import the files alone"
    )
    return refused("import", problem, remedy)


def _overlap(first: Coverage, second: Coverage, settings: ImportSettings) -> Span | None:
    """Return the first and the last common time of two files; None where they have no requests in common."""
    common = [
        span
        for cell, spans in first.spans.items()
        for other, other_spans in second.spans.items()
        if may_be_same(cell, other, settings)
        for span in _common(spans, other_spans)
    ]
    return (min(begin for begin, _ in common), max(end for _, end in common)) if common else None


def _common(spans: Sequence[Span], other_spans: Sequence[Span]) -> Iterator[Span]:
    """Yield the times that are in both of two ascending lists of spans."""
    place = other_place = 0
    while place < len(spans) and other_place < len(other_spans):
        (begin, end), (other_begin, other_end) = spans[place], other_spans[other_place]
        if max(begin, other_begin) < min(end, other_end):
            yield max(begin, other_begin), min(end, other_end)
        if end <= other_end:
            place += 1
        else:
            other_place += 1


def may_be_same(cell: CellKey, other: CellKey, settings: ImportSettings) -> bool:
    """Whether two cells can hold the same requests: a name that a file does not state may be any."""
    everything = next((name for pattern, name in settings.workloads if pattern == "*"), "")
    region, other_region = cell.region or settings.region or "", other.region or settings.region or ""
    workload, other_workload = cell.workload or everything, other.workload or everything
    return (
        _alike(cell.origin, other.origin)
        and _alike(region, other_region)
        and (
            _alike(workload, other_workload)
            # A path and the name of a model may mean the same, unless the user named both.
            or (not settings.workloads and workload.startswith("/") != other_workload.startswith("/"))
        )
    )


def _alike(name: str, other: str) -> bool:
    return not name or not other or name == other
