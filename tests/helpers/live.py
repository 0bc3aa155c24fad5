"""A live file on a small scenario; a clock that tests move, a provider that answers, a router in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from carbonroute.control.chain import records
from carbonroute.control.decisions import DecisionRecord
from carbonroute.live.actuators import OpenTarget, Target, TargetContext, TargetError
from carbonroute.live.config import LiveSetup, load_live
from carbonroute.live.http import FetchError, Request
from carbonroute.live.running import Parts, assembled, journal_folder
from carbonroute.runs.journals import replay
from helpers.clocks import FakeClock
from helpers.fake_provider import FakeFetcher, Said, iso, maps_latest
from helpers.small import changed, write

ENERGIES: Sequence[tuple[str, str]] = (
    ("slo_ms = 100\n", "slo_ms = 100\nenergy_j = 300\n"),
    ("slo_ms = 300\n", "slo_ms = 300\nenergy_j = 3000\n"),
)
LIVE = """\
schema = 1
scenario = "small.toml"
policy = "Carbon-First"

[live]
mode = "live"
baseline = { kind = "static", weights = { A = 0.75, B = 0.25 } }
listen = ""

[live.carbon]
max_age = "2h"

[[live.carbon.sources]]
kind = "electricity-maps"
token_env = "EM_TOKEN"
every = "1min"
"""


#: How a router in memory fails.
Problem = Literal["", "lies", "down", "refuses"]


@dataclass
class Router:
    """A router in memory: what it holds, and how it fails."""

    held: dict[str, float] = field(default_factory=lambda: {"A": 1.0, "B": 0.0})
    problem: Problem = ""
    writes: int = 0


class RouterTarget(Target):
    """A target that writes to a router in memory."""

    kind: Literal["memory"] = "memory"

    @property
    def label(self) -> str:
        return "memory"

    def open(self, context: TargetContext) -> OpenTarget:
        return _OpenRouter(context, self.timeout_s, ROUTERS[context.folder])


#: The router of each live file's folder; pydantic's models hold no mutable objects.
ROUTERS: dict[Path, Router] = {}


class _OpenRouter(OpenTarget):
    def __init__(self, context: TargetContext, timeout_s: float, router: Router) -> None:
        super().__init__(context, timeout_s)
        self._router = router
        self._before: dict[str, float] = {}

    def _write(self, parts: Mapping[str, float]) -> None:
        self._before = dict(self._router.held)
        if self._router.problem == "down":
            raise TargetError("unreachable", "no router answers")
        if self._router.problem == "refuses":
            raise TargetError("rejected", "the router refuses")
        self._router.writes += 1
        if self._router.problem != "lies":
            self._router.held = {"A": 0.0, "B": 0.0, **parts}

    def _read(self) -> dict[str, float]:
        if self._router.problem == "down":
            raise TargetError("unreachable", "no router answers")
        return dict(self._router.held)

    def _restore(self) -> None:
        self._router.held = self._before or self._router.held


@dataclass
class Bed:
    """Everything that a live file meets.

    Attributes
    ----------
    folder
        Of the live file.
    clock, router
        Its clock, and where its weights go.
    carbon
        Answers by zone: a value, or a failure.
    """

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    router: Router = field(default_factory=Router)
    carbon: dict[str, float | FetchError | None] = field(default_factory=lambda: {"A": 130.0, "B": 90.0})

    @property
    def path(self) -> Path:
        return self.folder / "live.toml"

    @property
    def fetch(self) -> FakeFetcher:
        def say(request: Request) -> Said:
            zone = str(request.params["zone"])
            value = self.carbon[zone]
            now = self.clock.now().replace(minute=0, second=0, microsecond=0)
            return value if isinstance(value, FetchError) else maps_latest(zone, now, value)

        return FakeFetcher(say)

    def setup(self, **changes: object) -> LiveSetup:
        """Return the live file with other keys of its table, and the router in memory as its target."""
        mode = str(changes.pop("mode", "live"))
        setup = load_live(self.path, {"mode": "shadow", **changes})
        settings = setup.settings.model_copy(
            update={"mode": type(setup.settings.mode).parse(mode), "actuators": (RouterTarget(),)}
        )
        ROUTERS[self.folder] = self.router
        return replace(setup, settings=settings)

    @contextmanager
    def running(self, **changes: object) -> Iterator[Parts]:
        """Put a controller together, with carbon asked once."""
        with assembled(self.setup(**changes), self.clock, self.fetch) as parts:
            parts.ports.feed.poll()
            yield parts

    def differences(self) -> int:
        """Return how many recorded decisions are others when they are replayed."""
        (one,) = replay(journal_folder(self.setup()), beside=self.folder, code=False)
        return one.differ

    def records(self) -> list[DecisionRecord]:
        return list(records(journal_folder(self.setup())))


def bed(folder: Path, *changes: tuple[str, str], policy: str = 'use = "carbon-first"') -> Bed:
    """Write a scenario and a live file, and return what they meet.

    Parameters
    ----------
    folder
        Where to.
    changes
        Of the scenario's text.
    policy
        A further policy of the scenario.
    """
    extra = (
        '[[policies]]\nuse = "latency-first"\n',
        f'[[policies]]\nuse = "latency-first"\n[[policies]]\n{policy}\n',
    )
    write(folder, *ENERGIES, extra, *changes)
    (folder / "live.toml").write_text(changed(LIVE), encoding="utf-8")
    return Bed(folder)


def only(region: int) -> np.ndarray:
    """Return weights of the small scenario's cells that send everything to one region, shape (2, 2, 2)."""
    return np.broadcast_to(np.eye(2)[region], (2, 2, 2))


__all__ = ["Bed", "Problem", "Router", "bed", "iso", "only"]
