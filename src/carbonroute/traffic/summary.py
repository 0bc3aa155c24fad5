"""Counts over the rows of a request log, made while they are checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from carbonroute.arrays import Integers
from carbonroute.errors import Fault, InputError
from carbonroute.files.durations import MAX_MINUTES, Duration
from carbonroute.files.times import EPOCH
from carbonroute.traffic.log import Log
from carbonroute.units import US_PER_HOUR, US_PER_MINUTE, US_PER_S

_NEVER_US = 2**62
#: A median inference time beyond these is a fault of unit.
_SHORTEST_MS, _LONGEST_MS = 1e-3, 3.6e6


@dataclass
class LogSummary:
    """Counts over the rows of one log, batch after batch.

    Attributes
    ----------
    earliest_us, latest_us, previous_us
        Of all rows and of the last one, on the clock of the log.
    reached_us, late_us, late_row
        Of the rows within the horizon: the latest time so far; by how much one is earlier than a row above
        it, at most, and which row that is.
    served, service_ms, too_short, too_long
        Rows with an inference time, their sum, and how many are believable for nothing.
    unanswered
        Rows of 0 answer tokens.
    """

    rows: int = 0
    inside: int = 0
    out_of_order: int = 0
    earliest_us: int = _NEVER_US
    latest_us: int = -_NEVER_US
    previous_us: int = -_NEVER_US
    reached_us: int = -_NEVER_US
    late_us: int = 0
    late_row: int = 0
    served: int = 0
    service_ms: float = 0.0
    too_short: int = 0
    too_long: int = 0
    unanswered: int = 0

    def add(self, batch: pl.DataFrame, start_us: int, hours: int) -> None:
        """Count a batch's rows."""
        time, service = pl.col("time_us"), pl.col("service_ms").filter(pl.col("service_ms").is_not_nan())
        previous = time.shift(1, fill_value=self.previous_us)
        row = batch.select(
            earliest=time.min(),
            latest=time.max(),
            last=time.last(),
            inside=time.is_between(start_us, start_us + hours * US_PER_HOUR, closed="left").sum(),
            out_of_order=(time < previous).sum(),
            served=service.len(),
            service_ms=service.sum(),
            too_short=(service < _SHORTEST_MS).sum(),
            too_long=(service > _LONGEST_MS).sum(),
            unanswered=(pl.col("answer_tokens") == 0).sum(),
        ).row(0, named=True)
        end_us = start_us + hours * US_PER_HOUR
        if row["out_of_order"] or row["earliest"] < self.reached_us:
            self._add_lateness(batch["time_us"].to_numpy(), start_us, end_us)
        elif row["inside"]:  # in the order of time: the last row within the horizon is the latest
            before = int(batch["time_us"].search_sorted(end_us, side="left"))
            self.reached_us = int(batch["time_us"][before - 1])
        self.rows += len(batch)
        self.earliest_us = min(self.earliest_us, row["earliest"])
        self.latest_us = max(self.latest_us, row["latest"])
        self.previous_us = row["last"]
        self.inside += row["inside"]
        self.out_of_order += row["out_of_order"]
        self.served += row["served"]
        self.service_ms += row["service_ms"]
        self.too_short += row["too_short"]
        self.too_long += row["too_long"]
        self.unanswered += row["unanswered"]

    def _add_lateness(self, time_us: Integers, start_us: int, end_us: int) -> None:
        rows = np.flatnonzero((time_us >= start_us) & (time_us < end_us))
        if not len(rows):
            return
        reached_us = np.maximum.accumulate(np.append(self.reached_us, time_us[rows]))
        late_us = reached_us[:-1] - time_us[rows]
        latest = int(late_us.argmax())
        self.reached_us = int(reached_us[-1])
        if late_us[latest] > self.late_us:
            self.late_us, self.late_row = int(late_us[latest]), self.rows + int(rows[latest])

    def refuse_late(self, log: Log, limit: Duration) -> None:
        """Refuse a log in which a row is earlier than one above it by more than a limit.

        Raises InputError with the line of the row that is latest.
        """
        minutes = -(-self.late_us // US_PER_MINUTE)
        if minutes <= limit.minutes:
            return
        stated = f'state sort_within = "{minutes}min"' if minutes <= MAX_MINUTES else "leave sort_within out"
        problem = f"is {minutes:,} min earlier than a row above it, and sort_within = {limit.text!r}"
        line = self.late_row + (1 if log.is_json_lines else log.layout.first_line)
        raise InputError(log.path, [Fault(f"line {line}", problem, f"sort the file by time, or {stated}")])

    def refuse_unit(self, file_name: str) -> None:
        """Refuse inference times that only a wrong unit explains.

        Raises InputError if more than half of them are under a microsecond, or over an hour.
        """
        for count, what in ((self.too_short, "under a microsecond"), (self.too_long, "over an hour")):
            if 2 * count > self.served:
                problem = f"{count:,} of {self.served:,} inference times are {what}"
                raise InputError(file_name, [Fault("service_column", problem, "check service_unit")])

    @property
    def span(self) -> str:
        """From the earliest to the latest request, as text."""
        return f"{_text(self.earliest_us)} … {_text(self.latest_us)}"

    def provenance(self, log: Log) -> dict[str, object]:
        """Return the counts, for the manifest."""
        return {
            "path": log.path,
            "rows": self.rows,
            "outside_horizon": self.rows - self.inside,
            "out_of_order": self.out_of_order,
            "latest_row_s": self.late_us / US_PER_S,
            "earliest": _text(self.earliest_us),
            "latest": _text(self.latest_us),
            "without_service_time": self.rows - self.served if log.service_column else None,
            "mean_service_ms": float(f"{self.service_ms / self.served:.6g}") if self.served else None,
            "origins": "logged" if log.origin_column else log.origin or "drawn",
            "workloads": "logged" if log.workload_column else log.workload or "drawn",
            "licence": log.licence,
        }

    def notes(self, log: Log) -> Iterator[str]:
        """Yield the same for people."""
        if not log.states_origins:
            yield f"synthetic geography: {log.path} names no origins, they are drawn by their shares"
        if not log.states_workloads:
            yield f"{log.path} names no workloads, they are drawn by their shares"
        if outside := self.rows - self.inside:
            yield f"{outside:,} of {self.rows:,} requests of {log.path} lie outside the horizon: left out"
        if self.out_of_order:
            by = f", by up to {self.late_us / US_PER_MINUTE:,.4g} min: sorted by time" if self.late_us else ""
            yield f"{self.out_of_order:,} rows of {log.path} are earlier than the row before{by}"
        if self.served:
            yield f"{log.path}: inference times of {self.service_ms / self.served:.4g} ms on average"
        if self.unanswered:
            rows = f"{self.unanswered:,} of {self.rows:,} requests of {log.path}"
            yield f"{rows} have 0 answer tokens, as failed ones have: served like all others"
        if log.service_column and self.served < self.rows:
            yield f"{self.rows - self.served:,} of {self.rows:,} rows of {log.path} have no inference time"


def joined(summaries: Iterable[LogSummary]) -> LogSummary:
    """Return the counts of several files: sums, and of times and lateness the extremes."""
    whole = LogSummary()
    for one in summaries:
        for name in ("rows", "inside", "out_of_order", "served", "service_ms", "unanswered"):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
        whole.earliest_us = min(whole.earliest_us, one.earliest_us)
        whole.latest_us = max(whole.latest_us, one.latest_us)
        whole.late_us = max(whole.late_us, one.late_us)
    return whole


def _text(time_us: int) -> str:
    return (EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
