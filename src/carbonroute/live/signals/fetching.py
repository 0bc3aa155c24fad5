"""History of a provider into a folder: what is there is not fetched again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError, NoDataError
from carbonroute.files.folder import read_file, write_whole, writing
from carbonroute.live.clock import Clock
from carbonroute.live.http import FetchError
from carbonroute.live.secrets import hidden, without_secrets
from carbonroute.live.signals.archives import Archive, ArchivePart, Kind
from carbonroute.live.signals.provider import ProviderContext, Session, remedy_for, utc
from carbonroute.live.signals.schedule import Hosts, Turn, host_of

_STAMP = "%Y%m%dT%H%M"
_TRIES = 6
#: Tries where nobody answers at all.
_TRIES_UNREACHABLE = 2
_ZONE = re.compile(r"[^./\\*?\[\]{}\x00-\x20]{1,100}")
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Gaps:
    """The intervals of a zone that have no value.

    `first`, `last`: start of the first and of the last that is missing, UTC; None where none is.
    """

    missing: int
    intervals: int
    minutes: float
    first: datetime | None = None
    last: datetime | None = None

    def __str__(self) -> str:
        count = f"{self.missing:,} of {self.intervals:,} intervals of {self.minutes:g} min are missing"
        if self.first is None or self.last is None:
            return count
        return f"{count}, the first {utc(self.first)}, the last {utc(self.last)}"

    def as_json(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        times = {"first": self.first, "last": self.last}
        return {
            "missing": self.missing,
            "intervals": self.intervals,
            "minutes": self.minutes,
            **{name: time and utc(time) for name, time in times.items()},
        }


@dataclass(frozen=True)
class Fetched:
    """History in a folder.

    Attributes
    ----------
    there
        How many files were there before, of the time that was asked for.
    empty
        Zone and time for which the provider has nothing, in words.
    gaps
        What is missing of each zone, in all files of the time that was asked for.
    keys
        Of ``[carbon]``, `path` included, that read the files.
    """

    written: tuple[str, ...]
    there: int
    empty: tuple[str, ...]
    gaps: Mapping[str, Gaps]
    keys: dict[str, Any]


@dataclass(frozen=True)
class Listener:
    """Who is told of a fetch.

    `step`: called with the number of requests done and of all.
    `again`: called with a line for each request that is sent again, why, and after how long; and for what a
    server says beside its values.
    """

    step: Callable[[int, int], None] = lambda _done, _total: None
    again: Callable[[str], None] = lambda _text: None


def fetch_history(
    kind: Kind,
    archive: Archive,
    zones: Sequence[str],
    span: Span,
    folder: Path,
    around: ProviderContext,
    listener: Listener | None = None,
) -> Fetched:
    """Fetch the history of some zones into files of a folder, each whole or not at all.

    ``KIND.gaps.json`` beside them says what is missing.

    Raises InputError if a zone or a time is impossible, or the provider refuses for good; RunFolderError if a
    file cannot be written.

    Parameters
    ----------
    zones
        The provider's names.
    span
        Start and end, UTC.
    folder
        Where; files of an earlier call are kept, and their times not asked for again.
    listener
        Is told how far it is, and of requests that are sent again.
    """
    _check(zones, span, around.clock)
    told = listener or Listener()
    session = _Patient(archive, around, told.again)
    known = {zone: _covered(folder, kind, zone, archive.ending) for zone in zones}
    gaps = [(zone, gap) for zone in zones for gap in _gaps(known[zone], span, archive.longest)]
    written, empty = [], []
    for done, (zone, (start, end)) in enumerate(gaps):
        told.step(done, len(gaps))
        part = _archive_part(archive, session, f"{kind}, zone {zone}", (zone, start, end))
        if part is None:
            empty.append(f"{zone}, {utc(start)} to {utc(end)}")
            continue
        for text in part.remarks:
            told.again(f"{zone}, {utc(start)} to {utc(end)}: the server says: {hidden(text)}")
        name = f"{kind}.{zone}.{start:{_STAMP}}-{part.end:{_STAMP}}{archive.ending}"
        with writing(folder / name):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder, name, part.content)
        written.append(name)
    there = sum(start < span[1] and end > span[0] for spans in known.values() for start, end in spans)
    gaps_of = {zone: _gaps_in(folder, kind, zone, archive, span) for zone in zones}
    if written or there:
        _write_gaps(folder, kind, span, gaps_of)
    keys = archive.keys()
    path = f"{kind}.{{zone}}.*{archive.ending}"
    keys = {"kind": keys.pop("kind"), "path": str(folder / path), **keys}
    return Fetched(tuple(written), there, tuple(empty), gaps_of, keys)


def _archive_part(
    archive: Archive, session: Session, name: str, asked: tuple[str, datetime, datetime]
) -> ArchivePart | None:
    """Return the history of a zone, or None where the provider has none; refuse what is no history."""
    try:
        return archive.fetched(session, *asked)
    except NoDataError:
        return None
    except FetchError as error:
        remedy = remedy_for(error.status) or "try again later: what is fetched is kept"
        raise InputError(name, [Fault(utc(asked[1]), str(error), remedy)]) from error
    except InputError as error:
        raise without_secrets(error) from None


def _write_gaps(folder: Path, kind: Kind, span: Span, gaps_of: Mapping[str, Gaps]) -> None:
    """Write beside the files what they lack."""
    zones = {zone: gaps.as_json() for zone, gaps in gaps_of.items()}
    content = json.dumps({"from": utc(span[0]), "to": utc(span[1]), "zones": zones}, indent=1)
    with writing(folder / f"{kind}.gaps.json"):
        write_whole(folder, f"{kind}.gaps.json", f"{content}\n".encode())


def _gaps_in(folder: Path, kind: Kind, zone: str, archive: Archive, span: Span) -> Gaps:
    """Return what the files of a folder lack of a zone and a time."""
    have: set[datetime] = set()
    for (start, end), name in _files(folder, kind, zone, archive.ending):
        if start < span[1] and end > span[0]:
            have |= archive.begins(read_file(folder, name), name)
    count = math.ceil((span[1] - span[0]) / archive.step)
    missing = [time for i in range(count) if (time := span[0] + i * archive.step) not in have]
    first, last = (missing[0], missing[-1]) if missing else (None, None)
    return Gaps(len(missing), count, archive.step / timedelta(minutes=1), first, last)


class _Patient:
    """Sends requests, and waits where the provider asks for it, or does not answer."""

    def __init__(self, archive: Archive, around: ProviderContext, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._session: Session = archive.session(around)
        self._clock, self._archive = around.clock, archive
        self._hosts: Hosts | None = None

    def __call__(self, request: Any) -> Any:
        host = host_of(request.url)
        self._hosts = self._hosts or Hosts({host: self._archive.per_minute})
        turn = Turn(request.shown, 0.0, 0, self._clock.monotonic_s())
        while True:
            now_s = self._clock.monotonic_s()
            free_s = max(turn.due_s, self._hosts.free_s(host, now_s))
            if free_s > now_s and self._clock.wait(free_s - now_s):
                raise KeyboardInterrupt
            self._hosts.sent(host, self._clock.monotonic_s())
            try:
                return self._session(request)
            except FetchError as error:
                turn.failed(self._clock.monotonic_s(), error)
                lasting = (
                    error.status is not None and error.status not in {408, 425, 429} and error.status < 500
                )
                hopeless = error.problem in {"redirect", "forbidden-host", "too-large"}
                most = _TRIES if error.problem == "status" else _TRIES_UNREACHABLE
                if lasting or hopeless or turn.failures >= most:
                    raise
                wait_s = max(turn.due_s - self._clock.monotonic_s(), 0.0)
                again = f"asked again in {wait_s:.0f} s (try {turn.failures + 1} of {most})"
                self._tell(hidden(f"{error}; {again}"))


def _check(zones: Sequence[str], span: Span, clock: Clock) -> None:
    faults = [
        Fault("--zones", f"found {zone!r}", "a zone's name without dots, slashes and blanks is expected")
        for zone in zones
        if not _ZONE.fullmatch(zone)
    ]
    if not zones:
        faults.append(Fault("--zones", "is missing", "name one zone or several, separated by commas"))
    start, end = span
    if start >= end:
        faults.append(Fault("--to", f"{utc(end)} is not after --from", "state a later time"))
    if end > clock.now():
        faults.append(Fault("--to", f"{utc(end)} lies in the future", f"{utc(clock.now())} at the latest"))
    faults += [
        Fault(option, f"found {utc(time)}", "a whole hour is expected")
        for option, time in (("--from", start), ("--to", end))
        if time.minute or time.second
    ]
    if faults:
        raise InputError("fetch", faults)


def _covered(folder: Path, kind: str, zone: str, ending: str) -> list[Span]:
    """Return the times that files of a folder have of a zone, in order."""
    return sorted(span for span, _ in _files(folder, kind, zone, ending))


def _files(folder: Path, kind: str, zone: str, ending: str) -> Iterator[tuple[Span, str]]:
    """Yield the files of a zone in a folder, each with the time that its name states."""
    form = re.compile(
        rf"{re.escape(f'{kind}.{zone}.')}(\d{{8}}T\d{{4}})-(\d{{8}}T\d{{4}}){re.escape(ending)}"
    )
    for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
        if match := form.fullmatch(name):
            try:
                start, end = (datetime.strptime(text, _STAMP).replace(tzinfo=UTC) for text in match.groups())
            except ValueError:
                continue
            yield (start, end), name


def _gaps(covered: Sequence[Span], span: Span, longest: timedelta) -> Iterator[Span]:
    """Yield the parts of a span that are not covered, none of them longer than `longest`."""
    begin = span[0]
    for start, end in [*covered, (span[1], span[1])]:
        stop = min(start, span[1])
        while begin < stop:
            until = min(begin + longest, stop)
            yield begin, until
            begin = until
        begin = max(begin, min(end, span[1]))
