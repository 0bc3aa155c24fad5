"""Decision records: a router's view and decision, one JSON line each, chained by their digests.

A journal is a folder of files `decisions-YYYY-MM-DD.jsonl`. Numbers are exact; values outside JSON stand as
``"inf"``, ``"-inf"`` or ``"nan"``. A line that a kill left torn at the end is cut. A durable journal names
its last record in ``head.json``, once that is on the disk: whole lines that go missing at the end are seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, BinaryIO, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from carbonroute.arrays import Array
from carbonroute.control.estimator import Reading
from carbonroute.control.knowledge import KINDS, Known
from carbonroute.control.loop import Decisions, decided
from carbonroute.control.router import Control, Router
from carbonroute.errors import RunFolderError
from carbonroute.files.folder import open_file, read_file, reading, stands, sync, write_all, writing
from carbonroute.policies.base import PolicyLike, View
from carbonroute.policies.plan import Plan

SCHEMA: Literal[1] = 1
#: Longer lines are none of ours.
_MAX_LINE_BYTES = 2**26
_TAIL_BYTES = 2**16
#: The first of some last lines may be torn by the cut, and the last by a kill: one between them is whole.
_LEAST_LINES = 2
#: Names the last record; it is overwritten in place, which needs no room on a full disk.
HEAD = "head.json"
_HEAD_BYTES = 120
_NAME = re.compile(r"decisions-\d{4}-\d\d-\d\d\.jsonl")
_DIGEST = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n')
_TYPES: Mapping[str, type[Any]] = {"available": np.bool_, "allowed": np.bool_, "pool": np.intp}

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Values = list[JsonValue]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class _Head(_Part):
    """The last record of a journal: its number and its digest."""

    seq: int = Field(ge=0)
    sha256: Sha256


class PolicyFacts(_Part):
    """Which policy: its name as a scenario spells it, its parameters, and the digest of its own file."""

    use: str
    parameters: dict[str, JsonValue]
    file_sha256: Sha256 | None


class CellNames(_Part):
    """Names of the origins, and ids of the workloads."""

    origins: list[str]
    workloads: list[str]


class KnownRegion(_Part):
    """Carbon of a region as known: see `Known`. None where it is unknown, or has no age."""

    region: str
    g_per_kwh: float | None
    source: str
    accounting: str
    observed_at: str | None
    age_s: float | None
    kind: Literal["measured", "forecast", "substituted", "static", "unknown"]


class MeasuredFacts(_Part):
    """Measurements beside a live reading; ``"nan"`` where unknown.

    Attributes
    ----------
    range_s
        Range of the counts and means, s.
    requests
        In the range, shape (W, R).
    service_ms
        Mean time in service over the range, ms, shape (W, R).
    energy_j
        IT energy in the range, J, shape (R,).
    """

    range_s: float
    requests: Values
    service_ms: Values
    energy_j: Values


class LiveFacts(_Part):
    """The part of a live decision that a simulation has not.

    Attributes
    ----------
    by
        Whose weights are in force: the policy's, the baseline's, or those of an earlier decision.
    in_force
        These weights as far as they were read back, shape (O, W, R).
    planned
        The policy's weights after `dwell`: what is sent, or would be in a shadow, shape (O, W, R).
    switchback
        Whether this interval was drawn to be the baseline's.
    traffic
        Whether the requests of the reading were measured, expected (where nothing measures), or are unknown.
    baselines
        Weights of the declared baselines by name, shape (O, W, R).
    energy_j
        Energy of a request at the wall, J, shape (W, R); None where it is not known.
    alarms
        What a person on call should know.
    measured
        Further measurements; None where nothing measures.
    """

    by: Literal["policy", "baseline", "held"]
    in_force: Values
    planned: Values
    switchback: bool
    traffic: Literal["measured", "expected", "unknown"]
    baselines: dict[str, Values]
    energy_j: Values | None
    alarms: list[str]
    measured: MeasuredFacts | None = None


@dataclass(frozen=True)
class LivePart:
    """What a live controller adds to the record of a decision: see `DecisionRecord` and `LiveFacts`.

    Attributes
    ----------
    time_utc
        By the calendar, which can jump.
    mode, rounded, actuators, reasons, counterfactual_g
        As in the record.
    sources, accounting, observed_at
        Of each region's carbon.
    facts
        The rest.
    """

    time_utc: datetime
    mode: str
    rounded: Array | None
    actuators: Sequence[Mapping[str, JsonValue]]
    reasons: Sequence[str]
    counterfactual_g: Mapping[str, float]
    sources: Sequence[str]
    accounting: Sequence[str]
    observed_at: Sequence[datetime | None]
    facts: LiveFacts


class DecisionRecord(_Part):
    """One decision.

    Attributes
    ----------
    schema_version
        1; ``schema`` in the file.
    seq, prev
        Number of the record, from 0, and the digest of the one before; empty before the first.
    time_utc, monotonic_s
        When: by the calendar, and by the loop's own clock, s.
    mode
        ``"simulated"``, or how a live controller runs.
    policy, control, max_utilisation
        Whom the router asked, and its limits.
    config_sha256, versions
        Digest of the scenario, and versions of the libraries.
    cells, regions
        Names along the axes of all arrays.
    reading
        The reading, by field of `Reading`; None where the policy goes by the hour alone.
    view, strides
        The policy's view, by field of `View`; and how each lies in memory, in elements per axis: the
        last bit of a sum over regions depends on it.
    known
        Carbon of each region.
    held, raw_weights, weights
        Weights in force before, as the policy answered, and within the limits, shape (O, W, R).
    servers, server_worth_g_per_h
        See `Decision`.
    rounded, actuators
        Weights that were sent, shape (O, W, R), and each actuator's answer; nothing in a simulation.
    reasons
        Why the weights are not those that the policy asks for.
    counterfactual_g
        Emissions until the next decision at the present rates, g: of the weights in force, and of
        baselines, by name; empty in a simulation, which runs them.
    live
        Further facts of a live decision; None in a simulation.
    """

    schema_version: Literal[1] = Field(alias="schema")
    seq: int = Field(ge=0)
    prev: str
    time_utc: str
    monotonic_s: float
    mode: str
    policy: PolicyFacts
    control: Control
    max_utilisation: float | None
    config_sha256: Sha256
    versions: dict[str, str]
    cells: CellNames
    regions: list[str]
    reading: dict[str, Values] | None
    view: dict[str, Values]
    strides: dict[str, list[int]]
    known: list[KnownRegion]
    held: Values | None
    raw_weights: Values
    weights: Values
    servers: Values | None
    server_worth_g_per_h: Values | None
    rounded: JsonValue
    actuators: list[JsonValue]
    reasons: list[str]
    counterfactual_g: dict[str, float]
    live: LiveFacts | None = None

    def shown(self) -> View:
        """Return the view, leading axes (1, O, W), as it lay in memory."""
        return View(**{name: self._laid_out(name, values) for name, values in self.view.items()})

    def read(self) -> Reading | None:
        """Return the reading, K = 1; None where nothing was read."""
        if self.reading is None:
            return None
        return Reading(
            **{name: np.array(values, _TYPES.get(name, float)) for name, values in self.reading.items()}
        )

    def carbon(self) -> Known:
        """Return carbon as known, K = 1."""
        values = [(one.g_per_kwh, one.age_s, KINDS.index(one.kind)) for one in self.known]
        g_per_kwh, age_s, kind = np.array(values, dtype=float).T[:, np.newaxis]
        return Known(g_per_kwh, age_s, kind.astype(np.int8))

    def holds(self) -> Array | None:
        """Return the weights in force before, shape (O, W, R), or None."""
        return None if self.held is None else np.array(self.held, dtype=float)

    def differs(self, plan: Plan) -> bool:
        """Whether a decision, K = 1, has other bits than the recorded one."""
        before_and_after = (
            (self.weights, plan.weights),
            (self.servers, plan.servers),
            (self.server_worth_g_per_h, plan.server_worth_g_per_h),
        )
        return any(
            (was is None) != (now is None)
            or (now is not None and np.array(was, dtype=float).tobytes() != np.float64(now[0]).tobytes())
            for was, now in before_and_after
        )

    def asked_again(self, policy: PolicyLike) -> Plan:
        """Return a router's decision by the record alone, K = 1.

        Raises
        ------
        PolicyError
            If the policy breaks its contract.
        """
        router = Router(policy, self.control, self.max_utilisation)
        return decided(router, self.shown(), self.carbon().unknown, self.holds())[1]

    def _laid_out(self, name: str, values: Values) -> NDArray[Any]:
        plain = np.array(values, _TYPES.get(name, float))[np.newaxis]
        strides = [abs(step) for step in self.strides[name]]
        size = 1 + sum((count - 1) * step for count, step in zip(plain.shape, strides, strict=True))
        if size > plain.size:
            raise ValueError(f"strides {strides} leave room between values")
        laid = np.lib.stride_tricks.as_strided(
            np.empty(size, plain.dtype), plain.shape, [step * plain.itemsize for step in strides]
        )
        laid[...] = plain
        laid.setflags(write=False)
        return laid


@dataclass(frozen=True)
class About:
    """Facts that all records of a journal repeat.

    Attributes
    ----------
    start
        The calendar at the loop's 0 s, UTC.
    mode, policy, max_utilisation, control, config_sha256, versions, cells, regions
        As of `DecisionRecord`.
    sources, accounting
        Of each region's carbon.
    reads_carbon
        Whether the policy reads it.
    """

    start: datetime
    mode: str
    policy: PolicyFacts
    control: Control
    max_utilisation: float | None
    config_sha256: str
    versions: Mapping[str, str]
    cells: CellNames
    regions: Sequence[str]
    sources: Sequence[str]
    accounting: Sequence[str]
    reads_carbon: bool


class DecisionJournal:
    """The decision records of one policy, open for writing; a torn last line is cut.

    Parameters
    ----------
    folder
        Of the journal; made if it is not there.
    about
        Facts that all records repeat.
    durable
        Whether every record is on the disk before the next thing happens. Of such a journal, which may be
        long, the last file alone is read at the start, and its end is compared with ``head.json``.

    Attributes
    ----------
    last
        The last whole record that was there when it was opened, or None.

    Raises
    ------
    RunFolderError
        If it cannot be written, or is damaged.
    """

    def __init__(self, folder: Path, about: About, *, durable: bool = False) -> None:
        self._folder, self._about, self._durable = folder, about, durable
        self.last: DecisionRecord | None = None
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._seq, self._prev, self._name, whole = 0, "", "", 0
        self._file: int | None = None
        self._head_file: int | None = None
        for name, end, record, digest in _lines(folder, last_file=durable):
            self._name, whole, self.last = name, end, record
            self._seq, self._prev = record.seq + 1, digest
        for name in _files(folder)[-1:]:
            with writing(folder / name):
                file = open_file(folder, name, os.O_WRONLY)
                os.ftruncate(file, whole if name == self._name else 0)
                os.close(file)
        self._day, self._name, self._first = self._name, "", (self._seq, self._prev)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Flush the records to the disk, and close the files."""
        if self._file is not None:
            with writing(self._folder / self._name):
                os.fsync(self._file)
                os.close(self._file)
            self._file = None
        if self._head_file is not None:
            os.close(self._head_file)
            self._head_file = None

    def begin_anew(self) -> None:
        """Take back all records that were written since it was opened.

        Raises
        ------
        RunFolderError
            If there are earlier ones, which stay.
        """
        self.close()
        if (self._seq, self._prev) == self._first:
            return
        if self._first[0]:
            raise RunFolderError(f"{self._folder}: holds records of an earlier run; name another folder")
        for name in _files(self._folder):
            with writing(self._folder / name):
                (self._folder / name).unlink()
        with writing(self._folder / HEAD):
            (self._folder / HEAD).unlink(missing_ok=True)
        (self._seq, self._prev), self._day, self._name = self._first, "", ""

    def add(
        self,
        decisions: Decisions,
        held: Array | None,
        *,
        measured: bool = True,
        live: LivePart | None = None,
    ) -> None:
        """Write the records of some decisions for whole cells, in the order of time.

        Parameters
        ----------
        decisions
            As they were kept.
        held
            Weights in force before the first, shape (O, W, R), or None.
        measured
            Whether their reading was read.
        live
            Further facts of a single decision on real traffic.

        Raises
        ------
        RunFolderError
            If a record cannot be written; then none of it stands in the file.
        """
        for moment in range(len(decisions)):
            one = decisions[moment : moment + 1]
            if one.view is None or one.asked_weights is None or one.plan is None:
                raise ValueError("requests that are asked about one by one have no decisions for whole cells")
            time_utc = self._about.start + timedelta(seconds=float(one.now_s[0]))
            if live is not None:
                time_utc = live.time_utc
            document = {
                **self._head(float(one.now_s[0]), time_utc),
                "reading": {name: _plain(values) for name, values in vars(one.reading).items()}
                if measured
                else None,
                **_shown(one.view),
                "known": self._known(one.known, time_utc),
                "held": None if held is None else _plain(held),
                "raw_weights": _plain(one.asked_weights[0]),
                "weights": _plain(one.plan.weights[0]),
                **{
                    name: None if values is None else _plain(values[0])
                    for name, values in vars(one.plan).items()
                    if name != "weights"
                },
                "rounded": None,
                "actuators": [],
                "reasons": list(self._reasons(one.known, one.asked_weights, one.plan.weights)),
                "counterfactual_g": {},
            }
            if live is not None:
                document |= _of_live(live, document)
            self._write(f"decisions-{time_utc.date().isoformat()}.jsonl", document)
            held = one.plan.weights[0]

    def _head(self, now_s: float, time_utc: datetime) -> dict[str, Any]:
        about = self._about
        return {
            "schema": SCHEMA,
            "seq": self._seq,
            "prev": self._prev,
            "time_utc": time_utc.isoformat(),
            "monotonic_s": now_s,
            "mode": about.mode,
            "policy": about.policy.model_dump(),
            "control": about.control.model_dump(),
            "max_utilisation": about.max_utilisation,
            "config_sha256": about.config_sha256,
            "versions": dict(about.versions),
            "cells": about.cells.model_dump(),
            "regions": list(about.regions),
        }

    def _known(self, known: Known, time_utc: datetime) -> list[dict[str, Any]]:
        columns = known.g_per_kwh[0].tolist(), known.age_s[0].tolist(), known.kind[0].tolist()
        names = self._about.regions, self._about.sources, self._about.accounting
        return [
            {
                "region": region,
                "g_per_kwh": None if np.isnan(g_per_kwh) else g_per_kwh,
                "source": source,
                "accounting": accounting,
                "observed_at": None if np.isnan(age_s) else (time_utc - timedelta(seconds=age_s)).isoformat(),
                "age_s": None if np.isnan(age_s) else age_s,
                "kind": KINDS[kind],
            }
            for region, source, accounting, g_per_kwh, age_s, kind in zip(*names, *columns, strict=True)
        ]

    def _reasons(self, known: Known, asked: Array, weights: Array) -> Iterator[str]:
        if self._about.reads_carbon and known.unknown.any():
            yield "carbon of a region is unknown: the lowest round trip decides"
        if not np.array_equal(asked, weights):
            yield "held within the limits of control"

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        body = text.encode(errors="replace")
        digest = hashlib.sha256(body).hexdigest()
        name = max(
            name, self._day
        )  # files are read in the order of their names, also where a clock went back
        with writing(self._folder / name):
            if name != self._name or self._file is None:
                self.close()
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                self._file, self._name, self._day = open_file(self._folder, name, flags), name, name
                if self._durable:
                    sync(self._folder, [name])
            end = os.fstat(self._file).st_size
            try:
                write_all(self._file, body[:-1] + f',"sha256":"{digest}"}}\n'.encode())
                if self._durable:
                    os.fsync(self._file)
                    self._name_last(_Head(seq=self._seq, sha256=digest))
            except OSError:
                os.ftruncate(self._file, end)
                raise
        self._seq, self._prev = self._seq + 1, digest

    def _name_last(self, head: _Head) -> None:
        """Write which record is the last."""
        if self._head_file is None:
            self._head_file = open_file(self._folder, HEAD, os.O_WRONLY | os.O_CREAT)
        os.pwrite(self._head_file, f"{head.model_dump_json():<{_HEAD_BYTES - 1}}\n".encode(), 0)


def _of_live(live: LivePart, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a record that a live controller knows better, or alone."""
    each = zip(live.sources, live.accounting, live.observed_at, strict=True)
    known = [
        {
            **region,
            "source": source,
            "accounting": accounting,
            "observed_at": at.isoformat() if at else None,
        }
        for region, (source, accounting, at) in zip(document["known"], each, strict=True)
    ]
    return {
        "mode": live.mode,
        "known": known,
        "rounded": None if live.rounded is None else _plain(live.rounded),
        "actuators": list(live.actuators),
        "reasons": [*document["reasons"], *live.reasons],
        "counterfactual_g": dict(live.counterfactual_g),
        "live": live.facts.model_dump(),
    }


def journals(folder: Path) -> list[Path]:
    """Return the folders with decision records, at and below one, in the order of their names.

    Raises
    ------
    RunFolderError
        If it cannot be read.
    """
    with reading(folder):
        return sorted({path.parent for path in folder.rglob("*.jsonl") if _NAME.fullmatch(path.name)})


def records(folder: Path) -> Iterator[DecisionRecord]:
    """Yield the records of a journal, in their order; a torn last line is left out.

    Raises
    ------
    RunFolderError
        If a record is damaged, or one is missing.
    """
    return (record for _, _, record, _ in _lines(folder))


def last_record(folder: Path) -> DecisionRecord | None:
    """Return the last whole record of a journal, or None; the chain before it is not read.

    Raises
    ------
    RunFolderError
        If it is damaged.
    """
    for name in reversed(_files(folder)):
        if lines := _last_lines(folder, name):
            return _read(lines[-1], f"{folder / name}: last line")[0]
    return None


def last_of_chain(folder: Path) -> DecisionRecord | None:
    """Return the last record of a journal, or None; of a long one, the chain in the last file is read.

    Raises
    ------
    RunFolderError
        If a record of that file is damaged, or one is missing.
    """
    last = None
    for _, _, record, _ in _lines(folder, last_file=True):
        last = record
    return last


def _last_with_record(folder: Path, names: list[str]) -> list[str]:
    """Return the last file that has a whole record, and those after it; all, if none has."""
    for index in reversed(range(len(names))):
        if _last_lines(folder, names[index]):
            return names[index:]
    return names


def _last_lines(folder: Path, name: str) -> list[bytes]:
    """Return some whole lines at the end of a file; none where it has none."""
    with reading(folder / name), os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
        return [line for line in _tail(file) if line.endswith(b"\n")]


def _tail(file: BinaryIO) -> list[bytes]:
    """Return the last lines of a file, of which the first but one are whole."""
    size, length = os.fstat(file.fileno()).st_size, _TAIL_BYTES
    while True:
        file.seek(max(size - length, 0))
        lines = file.read().splitlines(keepends=True)
        if length >= size:
            return lines
        if len(lines) > _LEAST_LINES:
            return lines[1:]
        length *= 4


def _files(folder: Path) -> list[str]:
    with reading(folder):
        return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _lines(folder: Path, *, last_file: bool = False) -> Iterator[tuple[str, int, DecisionRecord, str]]:
    """Yield the file of each record, where its line ends there, the record, and its digest.

    Of the last file alone, the first record is taken for the one that follows those before it.

    Raises
    ------
    RunFolderError
        If a record is damaged or missing, at the end too, as far as ``head.json`` tells.
    """
    head, last = _head(folder), -1  # read before the records: who writes them writes it after
    for name, end, record, digest in _in_files(folder, last_file=last_file):
        last = record.seq
        if head is not None and head.seq == last and head.sha256 != digest:
            raise _unlike_head(folder, f"record {last} is another one than {HEAD} names")
        yield name, end, record, digest
    if head is not None and last < head.seq:
        count = head.seq - last
        lost = f"{count:,} of {head.seq + 1:,} records are missing at the end, as {HEAD} tells"
        raise _unlike_head(folder, lost)


def _unlike_head(folder: Path, problem: str) -> RunFolderError:
    remedy = f"take the journal from where it was written, or remove {HEAD} to go on without them"
    return RunFolderError(f"{folder}: {problem}; {remedy}")


def _head(folder: Path) -> _Head | None:
    """Return which record is the last, as ``head.json`` tells; None where it is not there, or not written."""
    with reading(folder / HEAD):
        if not stands(folder, HEAD):
            return None
    content = read_file(folder, HEAD, _HEAD_BYTES)
    if not content.strip(b"\0"):  # a kill, or a power cut, after it was made
        return None
    try:
        return _Head.model_validate_json(content)
    except ValidationError as error:
        raise _unlike_head(folder, f"{HEAD} is damaged") from error


def _in_files(folder: Path, *, last_file: bool) -> Iterator[tuple[str, int, DecisionRecord, str]]:
    """Yield what `_lines` yields, each record compared with the one before it."""
    names, seq, prev = _files(folder), 0, ""
    for name in _last_with_record(folder, names) if last_file else names:
        end = 0
        with reading(folder / name), os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=1):
                if not line.endswith(b"\n") and name == names[-1] and len(line) < _MAX_LINE_BYTES:
                    return
                place, end = f"{folder / name}: line {number}", end + len(line)
                record, digest = _read(line, place)
                if last_file and number == 1 and not prev:
                    seq, prev = record.seq, record.prev
                if (record.seq, record.prev) != (seq, prev):
                    problem = f"record {record.seq} follows another than the one before it"
                    raise RunFolderError(f"{place}: {problem}; take the journal from where it was written")
                yield name, end, record, digest
                seq, prev = seq + 1, digest


def _read(line: bytes, place: str) -> tuple[DecisionRecord, str]:
    remedy = "take the journal from where it was written"
    stated = _DIGEST.search(line)
    body = line[: stated.start()] + b"}" if stated and stated.end() == len(line) else b""
    digest = hashlib.sha256(body).hexdigest()
    if not stated or digest.encode() != stated[1]:
        raise RunFolderError(f"{place} is damaged: its digest does not match; {remedy}")
    try:
        return DecisionRecord.model_validate_json(body), digest
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise RunFolderError(f"{place} is damaged: {problem}; {remedy}") from error


def _shown(view: View) -> dict[str, Any]:
    known = {field.name: getattr(view, field.name) for field in fields(view)}
    arrays = {name: values for name, values in known.items() if values is not None}
    return {
        "view": {name: _plain(values[0]) for name, values in arrays.items()},
        "strides": {
            name: [0, *(step // values.itemsize for step in values.strides[1:])]
            for name, values in arrays.items()
        },
    }


def _plain(values: NDArray[Any]) -> Values:
    """Return an array as nested lists, with words for values that are no numbers in JSON."""
    listed: Values = values.tolist()
    return listed if values.dtype.kind != "f" or np.isfinite(values).all() else _in_words(listed)


def _in_words(values: Values) -> Values:
    return [
        _in_words(value)
        if isinstance(value, list)
        else value
        if isinstance(value, float) and np.isfinite(value)
        else str(value)
        for value in values
    ]
