"""A controller whose router is a file, killed at any of its calls that change files.

As a program (``python -m helpers.killing ROOT MODE TICKS``): runs it whole in ``ROOT/whole``, writes its
calls to ``ROOT/calls.json``, and then runs and kills it in ``ROOT/NNNN`` for each number that it reads.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from carbonroute.files.folder import write_whole
from carbonroute.live.actuators import OpenTarget, Target, TargetContext
from carbonroute.live.config import LiveSetup
from carbonroute.live.running import run_ticks
from helpers.live import Bed, bed

#: Calls that change files.
_CHANGING = ("open", "write", "pwrite", "fsync", "replace", "unlink", "mkdir", "ftruncate")
WEIGHTS = "weights.json"
TICK_S = 3600.0
INTERVAL_S = 60.0


class FileTarget(Target):
    """A router that holds whatever its file says."""

    kind: Literal["file"] = "file"

    @property
    def label(self) -> str:
        return "file"

    def open(self, context: TargetContext) -> OpenTarget:
        return _OpenFile(context, self.timeout_s)


class _OpenFile(OpenTarget):
    def _write(self, parts: Mapping[str, float]) -> None:
        write_whole(self.context.folder, WEIGHTS, json.dumps({"A": 0, "B": 0, **parts}).encode())

    def _read(self) -> dict[str, float]:
        return dict(json.loads((self.context.folder / WEIGHTS).read_text(encoding="utf-8")))

    def _restore(self) -> None:
        return


class FileBed(Bed):
    """A live file whose weights go to a file."""

    def setup(self, **changes: object) -> LiveSetup:
        setup = super().setup(**changes)
        return replace(setup, settings=setup.settings.model_copy(update={"actuators": (FileTarget(),)}))

    def weights(self) -> list[float]:
        """Return the shares of the regions that the router holds."""
        parts = json.loads((self.folder / WEIGHTS).read_text(encoding="utf-8"))
        return [parts[region] / sum(parts.values()) for region in ("A", "B")]


def world(folder: Path) -> FileBed:
    """Write a live file and a router's first weights."""
    folder.mkdir()
    bed(folder)
    (folder / WEIGHTS).write_text(json.dumps({"A": 1.0, "B": 0.0}), encoding="utf-8")
    return FileBed(folder)


def run(made: Bed, mode: str, ticks: int) -> None:
    """Run a controller for hourly ticks, between which the carbon of the regions changes places."""

    def ask() -> None:
        low_a = int(made.clock.since_s // TICK_S) % 2
        made.carbon = {"A": 80.0, "B": 140.0} if low_a else {"A": 130.0, "B": 90.0}
        parts.ports.feed.poll()

    def next_hour(*_: object) -> None:
        made.clock.wait(TICK_S - INTERVAL_S)
        ask()

    with made.running(mode=mode) as parts:
        ask()
        run_ticks(parts, made.clock, next_hour, ticks)


def _counted(name: str, calls: list[str], last: int | None) -> Callable[..., object]:
    """Return a call of the operating system that notes itself, and as the `last` kills the process."""
    call = getattr(os, name)

    def passing(*arguments: Any, **how: Any) -> object:
        if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
            return call(*arguments, **how)
        calls.append(f"{name} {arguments[1]}" if name == "replace" else name)
        if len(calls) == last:
            if name == "write":  # half of it is written, and then the end comes
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **how)

    return passing


def _end_of(root: Path, mode: str, ticks: int, last: int | None = None) -> int:
    """Run a controller in a fork that is killed at its `last` call; return how it ended."""
    made = world(root / ("whole" if last is None else f"{last:04}"))
    fork = os.fork()
    if fork == 0:
        calls: list[str] = []
        for name in _CHANGING:
            setattr(os, name, _counted(name, calls, last))
        run(made, mode, ticks)
        (root / "calls.json").write_text(json.dumps(calls), encoding="utf-8")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])


def main() -> None:
    root, mode, ticks = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    assert _end_of(root, mode, ticks) == 0
    sys.stdout.write("whole\n")
    sys.stdout.flush()
    for place in json.loads(sys.stdin.readline()):
        assert _end_of(root, mode, ticks, place) == -signal.SIGKILL, place


if __name__ == "__main__":
    main()
