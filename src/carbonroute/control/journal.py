"""Writing decision records: one JSON line each, chained by their digests, in files by day.

Numbers are exact; values outside JSON stand as ``"inf"``, ``"-inf"`` or ``"nan"``. A durable journal names
its last record in ``head.json``, once that is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from carbonroute.arrays import Array
from carbonroute.control.chain import HEAD, HEAD_BYTES, Head, chained, files
from carbonroute.control.decisions import CellNames, DecisionRecord, LiveFacts, PolicyFacts, Values
from carbonroute.control.knowledge import KINDS, Known
from carbonroute.control.loop import Decisions
from carbonroute.control.router import Control
from carbonroute.errors import RunFolderError
from carbonroute.files.folder import open_file, sync, write_all, writing
from carbonroute.policies.base import View
from carbonroute.spec import SCHEMA


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

    Raises RunFolderError if it cannot be written, or is damaged.

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
    """

    def __init__(self, folder: Path, about: About, *, durable: bool = False) -> None:
        self._folder, self._about, self._durable = folder, about, durable
        self.last: DecisionRecord | None = None
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._seq, self._prev, self._name, whole = 0, "", "", 0
        self._end, self._torn = 0, False
        self._file: int | None = None
        self._head_file: int | None = None
        for name, end, record, digest in chained(folder, last_file=durable):
            self._name, whole, self.last = name, end, record
            self._seq, self._prev = record.seq + 1, digest
        for name in files(folder)[-1:]:
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

        Raises RunFolderError if there are earlier ones, which stay.
        """
        self.close()
        if (self._seq, self._prev) == self._first:
            return
        if self._first[0]:
            raise RunFolderError(f"{self._folder}: holds records of an earlier run; name another folder")
        for name in files(self._folder):
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

        Raises RunFolderError if a record cannot be written; then none of it stands in the file.

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
            self._cut()
            if name != self._name or self._file is None:
                self.close()
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                self._file, self._name, self._day = open_file(self._folder, name, flags), name, name
                self._end = os.fstat(self._file).st_size
                if self._durable:
                    sync(self._folder, [name])
            if self._durable:
                self._require_ours(self._file)
            try:
                write_all(self._file, body[:-1] + f',"sha256":"{digest}"}}\n'.encode())
                if self._durable:
                    os.fsync(self._file)
                    self._name_last(Head(seq=self._seq, sha256=digest))
            except OSError as error:
                self._torn = True
                try:
                    self._cut()
                except OSError:  # a full disk may refuse this too: it is cut before the next record
                    raise error from None
                raise
            self._end = os.fstat(self._file).st_size
        self._seq, self._prev = self._seq + 1, digest

    def _cut(self) -> None:
        """Cut what a write that failed has left at the end of the file."""
        if self._torn and self._file is not None:
            os.ftruncate(self._file, self._end)
            self._torn = False

    def _require_ours(self, file: int) -> None:
        """Refuse a file that others have moved, shortened or written to: its records would be lost."""
        path, status = self._folder / self._name, os.fstat(file)
        try:
            is_there = os.path.samestat(path.lstat(), status)
        except FileNotFoundError:
            is_there = False
        if not is_there or status.st_size != self._end:
            problem = "others have moved or changed it; put it back, or start the controller again"
            raise RunFolderError(f"{path}: {problem}")

    def _name_last(self, head: Head) -> None:
        """Write which record is the last."""
        if self._head_file is None:
            self._head_file = open_file(self._folder, HEAD, os.O_WRONLY | os.O_CREAT)
        os.pwrite(self._head_file, f"{head.model_dump_json():<{HEAD_BYTES - 1}}\n".encode(), 0)


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
