"""nginx, by a file that its configuration includes, a test and a reload; not for requests with a body."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import Field

from carbonroute.errors import Fault, shortened
from carbonroute.files.durations import Duration
from carbonroute.files.folder import write_named
from carbonroute.live.actuators.addresses import Addresses
from carbonroute.live.actuators.program import plain_environment, run_program
from carbonroute.live.actuators.rounding import largest_remainder
from carbonroute.live.actuators.target import (
    OpenTarget,
    Target,
    TargetContext,
    TargetError,
    endpoint_faults,
    url_faults,
)
from carbonroute.live.http import Request

_LOWEST_MINUTES = 5
#: So long only new workers must have answered.
_SETTLED_S = 0.3
_HELD = re.compile(r"carbonroute((?: [^\s=]+=\d+)+) v=([0-9a-f]{16})", re.ASCII)

Command = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class NginxUpstream(Target):
    """nginx's upstream, from an included file.

    Every change is a reload, and a reload resets requests with a body on connections that are kept alive: 22
    of 3,000 POSTs were lost when this was measured. Take Envoy or HAProxy where requests are POSTs, as
    prompts are.

    Two files are written: `path`, to be included in the upstream, has a line for each server; `answer`, to be
    included in a location that is read back at `held`, returns what the running configuration holds:
    ``location = /held { include answer.conf; }``. Regions with a share of 0 are backups. ``nginx -t`` refuses
    a file before it is used, and then the earlier one is put back.

    Attributes
    ----------
    kind
        ``"nginx"``.
    path, answer
        The files, from the live file's folder.
    held
        Address of the location, best on loopback.
    endpoints
        Addresses by region.
    test, reload
        The commands, without a shell.
    reload_every
        Shortest time between two reloads, from 5 minutes. Changes that are urgent, such as a restored
        baseline, do not wait.
    timeout_s
        Time limit for one change, s.
    """

    kind: Literal["nginx"]
    path: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    held: str
    endpoints: dict[str, Addresses]
    test: Command = ("nginx", "-t")
    reload: Command = ("nginx", "-s", "reload")
    reload_every: Duration = Duration.parse("5min")
    timeout_s: float = Field(5.0, gt=0, le=60)

    @property
    def label(self) -> str:
        """Its kind and file."""
        return f"nginx {self.path}"

    @property
    def place(self) -> str:
        """The file, as it has one upstream."""
        return f"file {PurePath(self.path)}"

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield faults of regions and addresses, and a budget of reloads that is too large."""
        yield from endpoint_faults("endpoints", self.endpoints, regions, served)
        yield from url_faults("held", self.held)
        if self.reload_every.minutes < _LOWEST_MINUTES:
            yield Fault(
                "reload_every", f"{self.reload_every.text!r}", "at least '5min': reloads lose requests"
            )
        if self.path == self.answer:
            yield Fault("answer", "is the same file as path", "name two files")

    def warnings(self) -> tuple[str, ...]:
        """Return that POSTs are lost at every change."""
        return (
            f"{self.label}: every change reloads nginx, which resets POST requests on connections that are "
            "kept alive (22 of 3,000 were lost); use kind 'envoy-file' or 'haproxy' for POST",
        )

    def open(self, context: TargetContext) -> OpenNginx:
        """Return the files with their commands."""
        return OpenNginx(self, context)


class OpenNginx(OpenTarget):
    """nginx in use."""

    def __init__(self, settings: NginxUpstream, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s)
        self._settings = settings
        self._paths = context.folder / settings.path, context.folder / settings.answer
        self._names = {f"r{place}": region for place, region in enumerate(context.regions)}
        self._before: tuple[bytes | None, bytes | None] = None, None
        self._is_written = self._is_reloaded = False
        self._pending, self._since_s = "", 0.0
        self._due_s = context.clock.monotonic_s() + self._left_s()

    def delay_s(self) -> float:
        """Return the time until the next reload is due, s."""
        return max(self._due_s - self.context.clock.monotonic_s(), 0.0)

    def _left_s(self) -> float:
        """Return the rest of the time between reloads, counted from when the file was written."""
        every_s = self._settings.reload_every.minutes * 60.0
        try:
            written = datetime.fromtimestamp(self._paths[0].stat().st_mtime, UTC)
        except OSError:
            return 0.0
        age_s = (self.context.clock.now() - written).total_seconds()
        return every_s - min(max(age_s, 0.0), every_s)

    def _write(self, parts: Mapping[str, float]) -> None:
        self._is_written = self._is_reloaded = False
        self._pending = ""
        servers, answer, version = self._files(parts)
        self._before = _content(self._paths[0]), _content(self._paths[1])
        if self._before == (servers, answer):
            return
        self._is_written = True
        self._put(servers, answer)
        self._run(self._settings.test)
        self._due_s = self.context.clock.monotonic_s() + self._settings.reload_every.minutes * 60.0
        self._is_reloaded = True
        self._run(self._settings.reload)
        self._pending, self._since_s = version, self.context.clock.monotonic_s()

    def _restore(self) -> None:
        self._pending = ""
        if self._is_written:
            self._put(*self._before)
        if self._is_reloaded and None not in self._before:
            self._run(self._settings.test)
            self._run(self._settings.reload)

    def _read(self) -> dict[str, float]:
        # A connection that was kept alive may lead to a worker of the file before, or to one that has gone.
        alone = {"connection": "close"}
        answer = self.context.fetch(Request(self._settings.held, headers=alone, timeout_s=self.timeout_s))
        match = _HELD.fullmatch(answer.content.decode("utf-8", "replace").strip())
        if not match:
            raise TargetError("unverified", f"{self._settings.held}: does not answer with the included file")
        if self._pending:
            self._require_settled(match[2])
        pairs = (pair.split("=") for pair in match[1].split())
        return {self._names.get(name, name): float(part) for name, part in pairs}

    def _require_settled(self, version: str) -> None:
        """Refuse an answer until no worker has answered from the file before for a while.

        The old workers go on accepting beside the new ones, about 0.1 s long.
        """
        now_s = self.context.clock.monotonic_s()
        if version != self._pending:
            self._since_s = now_s
            raise TargetError("unverified", "nginx still runs with the file before")
        if now_s - self._since_s < _SETTLED_S:
            raise TargetError("unverified", "nginx has workers that may run with the file before")
        self._pending = ""

    def _files(self, parts: Mapping[str, float]) -> tuple[bytes, bytes, str]:
        """Return the lines of the upstream, those of the location, and their version."""
        endpoints = self._settings.endpoints
        places = [place for region in parts for place in endpoints.get(region, ())]
        if not all(endpoints.get(region) for region in parts) or len(set(places)) < len(places):
            raise TargetError("rejected", "a region has no endpoint, or an address is repeated")
        lines = [line for region, part in parts.items() for line in _lines(region, int(part), endpoints)]
        servers = "".join(f"{line}\n" for line in lines)
        version = hashlib.sha256(servers.encode()).hexdigest()[:16]
        short = {region: name for name, region in self._names.items()}
        pairs = " ".join(f"{short[region]}={int(part)}" for region, part in parts.items())
        answer = f'default_type text/plain;\nreturn 200 "carbonroute {pairs} v={version}\\n";\n'
        return servers.encode(), answer.encode(), version

    def _put(self, servers: bytes | None, answer: bytes | None) -> None:
        for path, content in zip(self._paths, (servers, answer), strict=True):
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_named(path, content)

    def _run(self, command: Sequence[str]) -> None:
        """Run one of the two commands."""
        done = run_program(
            command,
            b"",
            folder=self.context.folder,
            env=plain_environment(),
            timeout_s=self._settings.timeout_s,
        )
        if done.code != 0:
            lines = done.errors.decode("utf-8", "replace").strip().splitlines() or [f"code {done.code}"]
            line = next((line for line in lines if "[emerg]" in line), lines[-1])
            raise TargetError("rejected", f"{' '.join(command[:2])}: {shortened(line, 200)}")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _lines(region: str, part: int, endpoints: Mapping[str, Addresses]) -> Iterator[str]:
    """Yield the servers of a region; their weights add up to its part, and what has none is a backup."""
    places = endpoints[region]
    even = largest_remainder({place.text: 1.0 for place in places}, part)
    for place in places:
        weight = even[place.text]
        yield f"server {place.text} {f'weight={weight}' if weight else 'backup'};"
