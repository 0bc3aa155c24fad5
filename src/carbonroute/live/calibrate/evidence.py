"""What a calibration goes by: requests, weights, busy servers and energies, window by window of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.control.chain import journals, records
from carbonroute.control.decisions import DecisionRecord, MeasuredFacts
from carbonroute.control.estimator import Reading
from carbonroute.errors import Fault, InputError, RunFolderError
from carbonroute.scenario import Inputs, Scenario
from carbonroute.scenario.written.sections import Horizon
from carbonroute.units import MS_PER, S_PER_HOUR

#: Two windows tell a spread; fewer tell nothing.
_LEAST_WINDOWS = 2


@dataclass(frozen=True)
class Measurements:
    """Measurements over K windows of time. O origins, W workloads, R regions, P pools.

    Attributes
    ----------
    name
        What it was taken from, in words.
    passed_s, hour
        Length of each window, s, and the scenario's hour that it lies in, shape (K,).
    requests
        That came in each, shape (K, O, W).
    counted
        Whether all requests of a window were counted, shape (K,).
    sent
        Requests expected in each region by the weights in force, shape (K, W, R).
    busy_s
        Time of busy servers of each pool, s, shape (K, P); NaN where not measured.
    waiting, serving
        Requests in the queue and in service at the end of each window, shape (K, P).
    energy
        Windows of energy: lengths, s, shape (N,), requests, (N, W, R), and J, (N, R); NaN where unknown.
    rejecting
        Whether the queue of a pool was full at any moment, shape (P,).
    left_out
        Why windows do not count, and how many do not.
    """

    name: str
    passed_s: Array
    hour: Index
    requests: Array
    counted: Mask
    sent: Array
    busy_s: Array
    waiting: Array
    serving: Array
    energy: tuple[Array, Array, Array]
    rejecting: Mask
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.passed_s)


class _Window(NamedTuple):
    """A record with its reading, and the weights in force up to it, shape (O, W, R)."""

    record: DecisionRecord
    reading: Reading
    in_force: Array

    @property
    def facts(self) -> MeasuredFacts | None:
        return self.record.live.measured if self.record.live else None

    @property
    def passed_s(self) -> float:
        return float(self.reading.passed_s[0])


def of_journal(path: Path, inputs: Inputs) -> Measurements:
    """Return the measurements of a journal of decisions, of a simulation or of live control.

    `path`: folder of one journal, or one that holds a single journal.
    `inputs`: the scenario, whose origins, workloads and regions must be the journal's.
    Raises InputError if there are several journals, other names, or no measurements; RunFolderError if a
    record is damaged.
    """
    folders = journals(path)
    if not folders:
        raise RunFolderError(
            f"{path}: has no decision records; name a folder that simulate --journal or live run wrote"
        )
    if len(folders) > 1:
        problem = f"holds {len(folders)} journals, of the same requests"
        raise InputError(str(path), [Fault("", problem, f"name one of them, such as {folders[0]}")])
    kept, in_force, rows = None, None, list[_Window]()
    for record in records(folders[0]):
        if kept is None:
            _refuse_other_names(record, inputs.scenario, len(inputs.capacity.region), str(path))
        kept = record
        reading = record.read()
        expected = record.live is not None and record.live.traffic == "expected"
        if reading is not None and in_force is not None and reading.passed_s[0] > 0 and not expected:
            rows.append(_Window(record, reading, in_force))
        in_force = np.array(record.live.in_force, dtype=float) if record.live else _weights(record)
    if kept is None or len(rows) < _LEAST_WINDOWS:
        problem = (
            "holds fewer than two measurements: policies that go by the hour alone read nothing, and a live "
            "file without [live.observe] measures nothing"
        )
        remedy = "name the journal of a policy that reads the state of the regions, or of a longer run"
        raise InputError(str(path), [Fault("", problem, remedy)])
    name = f"{len(rows):,} intervals of {kept.policy.use!r} ({kept.mode})"
    return _evidence(name, rows, inputs.site.shape, inputs.capacity, inputs.scenario.horizon)


def _weights(record: DecisionRecord) -> Array:
    return np.array(record.weights, dtype=float)


def _evidence(
    name: str, rows: Sequence[_Window], shape: tuple[int, int, int], capacity: Capacity, horizon: Horizon
) -> Measurements:
    """Return the measurements of some windows; the shape is that of origins, workloads and regions."""
    origins, workloads, regions = shape
    column = {
        name: np.concatenate([getattr(row.reading, name) for row in rows])
        for name in ("passed_s", "busy_s", "waiting", "busy", "available", "requests")
    }
    requests = column["requests"].reshape(-1, origins, workloads)
    weights = np.stack([row.in_force for row in rows])
    live = np.array([row.record.live is not None for row in rows])
    sent, busy_s = np.einsum("kow,kowr->kwr", requests, weights), column["busy_s"].copy()
    busy_s[live] = np.stack([_served_s(row, capacity) for row in rows])[live]
    # A live sensor that does not know a region's requests takes those of before for them.
    measured = [row.record.live is None or row.record.live.traffic == "measured" for row in rows]
    counted = np.array(measured) & (~live | column["available"].all(axis=1))
    full = (column["waiting"] >= capacity.queue_limit) & (capacity.queue_limit < UNLIMITED)
    rejecting: Mask = np.asarray(full.any(axis=0))
    # Rejected requests came and were not served; a queue that is full at a moment rejects between others too.
    busy_s[rejecting | ~column["available"]] = np.nan
    left_out = {
        "not all requests were counted": int((~counted).sum()),
        "a pool took no requests": int((~column["available"]).any(axis=1).sum()),
    }
    return Measurements(
        name=name,
        passed_s=column["passed_s"],
        hour=_hours(rows, horizon),
        requests=requests,
        counted=counted,
        sent=sent,
        busy_s=busy_s,
        waiting=column["waiting"],
        serving=column["busy"],
        energy=_energy(rows, workloads, regions),
        rejecting=rejecting,
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _hours(rows: Sequence[_Window], horizon: Horizon) -> Index:
    """Return the scenario's hour of the middle of each window, shape (K,).

    A live journal is later than the scenario's horizon, whose hours then follow each other again and again.
    """
    start = horizon.start or datetime(1970, 1, 1, tzinfo=UTC)
    ends_s = [(datetime.fromisoformat(row.record.time_utc) - start).total_seconds() for row in rows]
    middle_s = np.array(ends_s) - np.array([row.passed_s for row in rows]) / 2
    return (middle_s // S_PER_HOUR).astype(np.intp) % horizon.hours


def _served_s(row: _Window, capacity: Capacity) -> Array:
    """Return the server time of the requests that a live sensor measured, s, shape (P,); NaN if unknown."""
    pools, facts = len(capacity.region), row.facts
    if facts is None:
        return np.full(pools, np.nan)
    requests, service_ms = np.array(facts.requests, dtype=float), np.array(facts.service_ms, dtype=float)
    work_s = (
        np.where(requests == 0, 0.0, requests * service_ms) / MS_PER["s"] * (row.passed_s / facts.range_s)
    )
    known = ~np.isnan(work_s).ravel()
    total = np.bincount(capacity.pool.ravel(), np.nan_to_num(work_s).ravel(), minlength=pools)
    all_known = np.bincount(capacity.pool.ravel()[~known], minlength=pools) == 0
    return np.where(all_known, total, np.nan)


def _energy(rows: Sequence[_Window], workloads: int, regions: int) -> tuple[Array, Array, Array]:
    """Return the windows of energy that do not overlap."""
    kept, end_s = [], -np.inf
    for row in rows:
        facts = row.facts
        if facts is None or row.record.monotonic_s - facts.range_s < end_s:
            continue
        end_s = row.record.monotonic_s
        requests, energy_j = np.array(facts.requests, dtype=float), np.array(facts.energy_j, dtype=float)
        kept.append((facts.range_s, requests, energy_j))
    if not kept:
        return np.zeros(0), np.zeros((0, workloads, regions)), np.zeros((0, regions))
    ranges_s, requests_of, energies_j = zip(*kept, strict=True)
    return np.array(ranges_s), np.stack(requests_of), np.stack(energies_j)


def _refuse_other_names(record: DecisionRecord, scenario: Scenario, pools: int, place: str) -> None:
    expected = {
        "origins": [origin.name for origin in scenario.origins],
        "workloads": [workload.id for workload in scenario.workloads],
        "regions": [region.name for region in scenario.regions],
    }
    recorded = {
        "origins": record.cells.origins,
        "workloads": record.cells.workloads,
        "regions": record.regions,
    }
    faults = [
        Fault(kind, f"the journal has {', '.join(recorded[kind])}", f"the scenario has {', '.join(names)}")
        for kind, names in expected.items()
        if recorded[kind] != names
    ]
    if not faults:
        reading = record.read()
        if reading is not None and reading.busy_s.shape[1] != pools:
            faults = [Fault("pools", "the journal has another number", f"the scenario has {pools}")]
    if faults:
        raise InputError(place, faults)
