"""Traffic as it was: logs of requests, played again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from carbonroute import memory, rng
from carbonroute.arrays import Array, Index
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.durations import Duration
from carbonroute.files.limits import BATCH_BYTES
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.text import listed
from carbonroute.files.times import EPOCH
from carbonroute.traffic.log import Log
from carbonroute.traffic.logs import LogFile, located
from carbonroute.traffic.requests import Arrivals, Demand, Pending, Requests, pick
from carbonroute.traffic.source import Form, Measured, TrafficContent, TrafficFile, TrafficSource
from carbonroute.traffic.summary import LogSummary, joined
from carbonroute.units import US_PER_HOUR, US_PER_S

#: Requests of one moment are told apart by all that is known of them, so that no order of rows counts.
ORDER = "time_us", "origin", "workload", "prompt_tokens", "answer_tokens", "service_ms"
#: A row that waits for its turn, and its copy while it is sorted.
_BYTES_PER_ROW = 2 * 8 * len(ORDER)
#: Share of a horizon without requests that is told.
_MUCH = 0.1
#: Logs that are named in one note.
_NAMED = 3


class Replay(TrafficSource):
    """The requests of one log or several, at the times when they came.

    Requests come in the order of their times, whatever the order of rows and files; those of one moment in
    that of `ORDER`. Requests outside the horizon are left out and counted. Origins and workloads that a log
    does not state are drawn from the scenario's shares. Logs of any size are streamed: read once (by
    ``align = "first-request"``, their times once more) to check every row, to count, and to see how late rows
    come; and again by every pass over the blocks, which holds no more rows than that lateness asks for.

    Attributes
    ----------
    logs
        The files, each by its name or several by a pattern.
    align
        ``"calendar"``: the horizon takes the requests of its own dates; ``"first-request"``: the earliest
        request of all logs comes at the beginning of the horizon.
    sort_within
        How much earlier than a row above it a row may be; a log with a later one is refused. Without, rows in
        any order are sorted.
    """

    is_random: ClassVar[bool] = False
    is_logged: ClassVar[bool] = True
    form: ClassVar[Form] = "traffic"
    rate_key: ClassVar[None] = None
    skips_rows: ClassVar[bool] = True

    kind: Literal["replay"]
    logs: Annotated[tuple[Log, ...], Field(strict=False, min_length=1, max_length=1000)]
    align: Literal["calendar", "first-request"] = "calendar"
    sort_within: Duration | None = None

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise a log of requests."""
        return Log.recognise(preview)

    @classmethod
    def suggest(cls, path: str, recognition: Recognition, content: TrafficContent) -> str:
        """Return the lines of a scenario that replay a log."""
        columns = recognition.columns
        service = columns.get("service time")
        entries = {
            "path": path,
            "time_column": columns["time"],
            "time_unit": None
            if content.time_unit == "iso"
            else content.time_unit or toml.ask("one of s, ms, us, ns"),
            "time_zone": toml.ZONE if content.lacks_zone else None,
            "prompt_tokens_column": columns.get("prompt tokens"),
            "answer_tokens_column": columns.get("answer tokens"),
            "service_column": service,
            "service_unit": toml.ask("ms or s") if service else None,
            "skip_rows": content.skip_rows or None,
        }
        comments = [f"horizon: hours = {content.hours} holds all of it"]
        if content.start is not None:
            start = f"{content.start.replace(tzinfo=None).isoformat(timespec='minutes')}:00Z"
            comments.append(f'or align = "calendar", with horizon.start = {start}')
        for role, words in content.words.items():
            key = f"{role}_column = {toml.text(columns[role])}"
            comments.append(f"{key} would tell each request's {role}: {toml.names(words)}")
        comments.append("source and licence: whom to cite")
        traffic = toml.section("[traffic]", {"kind": "replay", "align": "first-request"})
        return f"{traffic}\n{toml.section('[[traffic.logs]]', entries, comments)}"

    def files(self) -> tuple[TrafficFile, ...]:
        """Return the logs."""
        return tuple(log.as_file() for log in self.logs)

    def measures(self, column: Measured, workload: str) -> tuple[bool, ...]:
        """Return whether each log that can hold requests of a workload has a column of `Requests`."""
        return tuple(log.measures(column) for log in self.logs if log.workload in {None, workload})

    @field_validator("logs")
    @classmethod
    def _files_differ(cls, logs: tuple[Log, ...]) -> tuple[Log, ...]:
        paths = [log.path for log in logs]
        for index, path in enumerate(paths):
            if paths.index(path) != index:
                raise ValueError(f"{path!r} stands at [{paths.index(path)}] and [{index}]; files must differ")
        return logs

    def arrivals(self, demand: Demand, batch_bytes: int = BATCH_BYTES) -> Arrivals:
        """Return the requests of a horizon; the result does not depend on the size of a batch."""
        self._require(demand)
        files = located(self.logs, demand)
        summaries = [LogSummary() for _ in files]
        start_us = self._start_us(files, demand, batch_bytes)
        for file, summary in zip(files, summaries, strict=True):
            for batch in self._batches(file, demand, batch_bytes):
                summary.add(batch, start_us, demand.hours)
            summary.refuse_unit(file.log.path)
            if self.sort_within is not None:
                summary.refuse_late(file.log, self.sort_within)
        summarised = [(file.log, summary) for file, summary in zip(files, summaries, strict=True)]
        count = sum(summary.inside for summary in summaries)
        if not count:
            spans = ", ".join(f"{log.path}: {summary.span}" for log, summary in summarised)
            nothing = Fault("traffic.logs", f"no request within the horizon ({spans})", "move horizon.start")
            raise InputError("scenario", [nothing])
        return Arrivals(
            count=count,
            pending=partial(
                self._pending,
                files,
                demand,
                start_us,
                [summary.earliest_us for summary in summaries],
                [summary.late_us for summary in summaries],
                batch_bytes,
            ),
            expected=partial(self._expected, files, demand, start_us, batch_bytes),
            own="; ".join(filter(None, (log.own for log in self.logs))),
            files={file.log.path: demand.folder / file.log.path for file in files},
            source="; ".join(
                ", ".join(filter(None, [log.source or f"file {log.path}", log.licence])) for log in self.logs
            ),
            synthetic_geography=not all(log.states_origins for log in self.logs),
            provenance={
                "align": self.align,
                "logs": [summary.provenance(log) for log, summary in summarised],
            },
            notes=tuple(
                note
                for index, log in enumerate(self.logs)
                for note in joined(
                    summary for file, summary in zip(files, summaries, strict=True) if file.index == index
                ).notes(log)
            )
            + tuple(self._idle(joined(summaries), start_us, demand.hours)),
        )

    def _require(self, demand: Demand) -> None:
        faults = [
            Fault(f"traffic.logs[{i}]{fault.where}", fault.found, fault.remedy)
            for i, log in enumerate(self.logs)
            for fault in log.faults(demand)
        ]
        if self.align == "calendar" and demand.start is None:
            remedy = 'a log needs the date and time of hour 0; or set traffic.align = "first-request"'
            faults.append(Fault("horizon.start", "missing", remedy))
        if faults:
            raise InputError("scenario", faults)

    def _idle(self, whole: LogSummary, start_us: int, hours: int) -> Iterator[str]:
        """Say how much of the horizon is before the first request, and after the last, where it is much."""
        before_us, after_us = whole.earliest_us - start_us, start_us + hours * US_PER_HOUR - whole.latest_us
        logs = listed([log.path for log in self.logs], _NAMED, " and {} more")
        for idle_us, which in ((before_us, "first"), (after_us, "last")):
            if idle_us >= US_PER_HOUR * max(1.0, _MUCH * hours):
                where = f"the {which} {idle_us / US_PER_HOUR:,.3g} h of the horizon"
                yield f"no request of {logs} comes in {where}: amounts of a year count these hours in"

    def _batches(self, file: LogFile, demand: Demand, batch_bytes: int) -> Iterator[pl.DataFrame]:
        return file.log.batches(demand, file.place, self.align == "calendar", batch_bytes)

    def _start_us(self, files: Sequence[LogFile], demand: Demand, batch_bytes: int) -> int:
        """Return when hour 0 begins, on the clock of the logs."""
        if self.align == "calendar" and demand.start is not None:
            return (demand.start - EPOCH) // timedelta(microseconds=1)
        return min(
            int(times.to_numpy().min())
            for file in files
            for times in file.log.times(demand, file.place, dated=False, batch_bytes=batch_bytes)
        )

    def _inside(
        self, files: Sequence[LogFile], demand: Demand, start_us: int, batch_bytes: int
    ) -> list[Iterator[pl.DataFrame]]:
        """Return the rows of each file within the horizon, batch by batch."""
        return [
            (_within(batch, start_us, demand.hours) for batch in self._batches(file, demand, batch_bytes))
            for file in files
        ]

    def _expected(self, files: Sequence[LogFile], demand: Demand, start_us: int, batch_bytes: int) -> Array:
        origins, workloads = len(demand.origins), len(demand.workloads)
        counts = np.zeros((demand.hours, origins + 1, workloads + 1))  # −1, to be drawn, counts as the last
        for rows in chain.from_iterable(self._inside(files, demand, start_us, batch_bytes)):
            hour = (rows["time_us"].to_numpy() - start_us) // US_PER_HOUR
            np.add.at(counts, (hour, rows["origin"].to_numpy(), rows["workload"].to_numpy()), 1)
        known = counts[:, :-1] + counts[:, -1:] * demand.origin_share[:, np.newaxis]
        return known[..., :-1] + known[..., -1:] * demand.workload_share

    def _pending(
        self,
        files: Sequence[LogFile],
        demand: Demand,
        start_us: int,
        earliest_us: Sequence[int],
        late_us: Sequence[int],
        batch_bytes: int,
    ) -> Iterator[Pending]:
        inside = self._inside(files, demand, start_us, batch_bytes)
        for index, rows in enumerate(_of_size(_in_order(inside, earliest_us, late_us), rng.BLOCK)):
            yield partial(self._requests, demand, start_us, index, rows)

    def _requests(self, demand: Demand, start_us: int, index: int, rows: pl.DataFrame) -> Requests:
        since_us = rows["time_us"].to_numpy() - start_us
        return Requests(
            hour=(since_us // US_PER_HOUR).astype(np.intp),
            origin=_drawn(rows["origin"], demand.seed, "origin", index, demand.origin_share),
            workload=_drawn(rows["workload"], demand.seed, "workload", index, demand.workload_share),
            time_s=since_us / US_PER_S,
            prompt_tokens=self._measured("prompt_tokens", rows),
            answer_tokens=self._measured("answer_tokens", rows),
            service_ms=self._measured("service_ms", rows),
        )

    def _measured(self, column: Measured, rows: pl.DataFrame) -> Array | None:
        return rows[column].to_numpy() if any(log.measures(column) for log in self.logs) else None


def _within(rows: pl.DataFrame, start_us: int, hours: int) -> pl.DataFrame:
    return rows.filter(pl.col("time_us").is_between(start_us, start_us + hours * US_PER_HOUR, closed="left"))


def _in_order(
    logs: Sequence[Iterator[pl.DataFrame]], earliest_us: Sequence[int], late_us: Sequence[int]
) -> Iterator[pl.DataFrame]:
    """Yield the rows of several logs in the order of `ORDER`, each as soon as no earlier one can come.

    Parameters
    ----------
    logs
        The batches of each log.
    earliest_us
        When the first request of each log comes, or before: its file is not opened until then.
    late_us
        By how much a row of each log is earlier than one above it, at most.
    """
    #: No row to come of a log is earlier.
    reached = dict(enumerate(earliest_us))
    held: list[pl.DataFrame] = []
    while reached:
        slowest = min(reached, key=reached.__getitem__)
        frame = next(logs[slowest], None)
        if frame is None:
            del reached[slowest]
        elif len(frame):
            held.append(_sorted(frame))
            reached[slowest] = max(reached[slowest], held[-1]["time_us"][-1] - late_us[slowest])
        until = min(reached.values(), default=2**63 - 1)
        cuts = [int(frame["time_us"].search_sorted(until, side="left")) for frame in held]
        ready = [frame[:cut] for frame, cut in zip(held, cuts, strict=True) if cut]
        held = [frame[cut:] for frame, cut in zip(held, cuts, strict=True) if cut < len(frame)]
        if ready:
            yield ready[0] if len(ready) == 1 else _sorted(pl.concat(ready))
        rows = sum(map(len, held))
        what = f"{rows:,} requests of logs that are not sorted by time"
        memory.require(rows * _BYTES_PER_ROW, "scenario", "traffic.logs", what)


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the order of `ORDER`; of rows in the order of time, only equal times are sorted."""
    apart_us = np.diff(frame["time_us"].to_numpy())
    if (apart_us < 0).any():
        return frame.sort(ORDER)
    equal = np.flatnonzero(apart_us == 0)
    if not len(equal):
        return frame
    rows = np.union1d(equal, equal + 1)
    row = np.arange(len(frame))
    row[rows] = rows[frame[rows].select(pl.arg_sort_by(ORDER)).to_series().to_numpy()]
    return frame if (row[1:] > row[:-1]).all() else frame[row]


def _of_size(frames: Iterable[pl.DataFrame], size: int) -> Iterator[pl.DataFrame]:
    """Yield the same rows in frames of one size; the last may be shorter."""
    held = pl.DataFrame()
    for frame in frames:
        held = pl.concat([held, frame]) if len(held) else frame
        for first in range(0, len(held) - size + 1, size):
            yield held[first : first + size]
        held = held[len(held) // size * size :]
    if len(held):
        yield held


def _drawn(column: pl.Series, seed: int, what: str, index: int, share: Array) -> Index:
    """Return a column of members, drawn by their shares where the log does not say."""
    logged: Index = column.to_numpy().astype(np.intp)
    unknown = logged < 0
    if not unknown.any():
        return logged
    return np.where(unknown, pick(rng.stream(seed, what, index).random(len(logged)), share), logged)
