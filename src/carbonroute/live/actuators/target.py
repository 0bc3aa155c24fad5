"""Targets: the traffic machinery that weights are written to, and what every member has in common.

A member writes and reads. That a write counts only once it was read back is the same for all, and stands
here.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import Field

from carbonroute.errors import (
    CarbonrouteError,
    Fault,
    InputError,
    RunFolderError,
    described,
    did_you_mean,
    shortened,
)
from carbonroute.live.actuators.rounding import divided
from carbonroute.live.clock import Clock
from carbonroute.live.http import Fetcher, FetchError
from carbonroute.live.secrets import SecretError
from carbonroute.spec import Spec, Spelled

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Gauge

#: Weights of routers that take any whole number: their sum.
STEPS = 10_000
#: Shares whose sum is farther from 1 are refused: whoever asks has made a mistake.
_SUM_TOLERANCE = 1e-6
_PAUSE_S = 0.01

Result = Literal["ok", "rejected", "unverified", "unreachable"]


class TargetError(CarbonrouteError):
    """A router did not take weights, or cannot be asked.

    `detail`: in words, without secrets.
    """

    def __init__(self, result: Result, detail: str) -> None:
        self.result: Result = result
        self.detail = detail
        super().__init__(result, detail)

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True)
class Applied:
    """The outcome of one write.

    Attributes
    ----------
    sent
        Shares by region as they were sent, after rounding; empty where nothing was.
    read_back
        Shares by region that the router was last seen to hold, or None where it could not be asked.
    result
        ``"ok"``: read back, and equal to what was sent. ``"rejected"``: refused, by the router or before it
        was asked. ``"unverified"``: written, but not read back within the time limit. ``"unreachable"``: it
        could not be written, or not be asked. Whatever is not ``"ok"`` leaves what is held as it was: the
        member takes back what it wrote.
    ms
        Time for writing and reading back, ms.
    detail
        The reason of a failure, in words; without secrets.
    """

    sent: Mapping[str, float]
    read_back: Mapping[str, float] | None
    result: Result
    ms: float
    detail: str = ""


class GaugeBoard:
    """A registry of Prometheus metrics of its own, made when it is first asked for."""

    def __init__(self) -> None:
        self._registry: CollectorRegistry | None = None
        #: Registered gauges of shares and of deferral budgets, by the prefix of their names.
        self.gauges: dict[str, tuple[Gauge, Gauge]] = {}

    @property
    def registry(self) -> CollectorRegistry:
        """The registry, which a server can expose."""
        if self._registry is None:
            from prometheus_client import CollectorRegistry

            self._registry = CollectorRegistry()
        return self._registry


@dataclass(frozen=True)
class TargetContext:
    """What targets are opened with.

    `folder`: of the live file; relative paths are taken from it.
    `board`: where gauges of all targets are registered.
    """

    folder: Path
    regions: Sequence[str]
    fetch: Fetcher
    clock: Clock
    board: GaugeBoard = field(default_factory=GaugeBoard)


class Target(Spec, ABC):
    """A router, or a part of one, that weights are written to.

    Attributes
    ----------
    origin, workload
        The traffic that it carries; none means all.
    timeout_s
        Time limit for one write with its reading back, s.
    """

    origin: str | None = None
    workload: str | None = None
    timeout_s: float = Field(2.0, gt=0, le=60)

    @property
    @abstractmethod
    def label(self) -> str:
        """Its kind and place in one short text, for journals and messages."""

    @property
    def place(self) -> str:
        """What it overwrites, if another target must not write there too; empty: it may be shared."""
        return ""

    @abstractmethod
    def open(self, context: TargetContext) -> OpenTarget:
        """Return the target ready for use; nothing is written yet."""

    def faults(self, regions: Sequence[str], served: Sequence[str] | None = None) -> Iterator[Fault]:
        """Yield all faults of the settings that only the scenario can show.

        `served`: those that may serve the target's traffic; by default, all.
        """
        del regions, served
        yield from ()

    def warnings(self) -> tuple[str, ...]:
        """Return what a user of this kind should know before it is used, a sentence each."""
        return ()


class OpenTarget(ABC):
    """A target in use.

    `timeout_s`: time limit for one write with its reading back, s.
    `trickle`: lowest share of a region that may serve.
    """

    def __init__(self, context: TargetContext, timeout_s: float, trickle: float = 0.0) -> None:
        self.context = context
        self.timeout_s = timeout_s
        self.trickle = trickle
        #: Part of the time limit within which a write is verified; the rest is for taking it back.
        self.verified_within = 1.0
        self._end_s: float | None = None
        #: Time between two readings while a write is verified, s.
        self.pause_s = _PAUSE_S
        #: A share that is read back may differ by so much from that sent.
        self.tolerance = 1e-9
        #: Shares of the last write that was verified.
        self.verified: Mapping[str, float] | None = None
        #: Why the router could not be asked last; empty where it could.
        self.problem = ""
        #: Shares that the router held after the last write; None where that is not sure.
        self._left: Mapping[str, float] | None = None
        #: Whether, before the last write, it held others than after the write before.
        self.changed_by_others = False

    def apply(self, shares: Mapping[str, float], *, urgent: bool = False) -> Applied:
        """Write shares, read them back, and verify them within the time limit.

        Before that it is read, within a time limit of its own, whether others have changed what was held
        after the last write, unless that is not sure.

        A region that is not in `shares` may not serve at all: it gets no traffic, no trickle and no standby.
        One with a share of 0 may: it stands by.

        `shares`: share of the traffic by region, at least 0 each, with a sum of 1.
        `urgent`: whether to write even if the member's own limits on changes say to wait, as for a restored
        baseline.
        """
        self.changed_by_others = not urgent and self._is_changed()
        clock, start_s = self.context.clock, self.context.clock.monotonic_s()
        self._end_s = start_s + self.timeout_s
        try:
            parts = self._rounded(self._checked(shares))
            applied = self._applied(parts, start_s + self.verified_within * self.timeout_s, urgent=urgent)
        except TargetError as error:
            applied = Applied({}, self.held(), error.result, 0.0, error.detail)
        finally:
            self._end_s = None
        # What could not be verified may come into force later.
        self._left = applied.read_back if applied.result in {"ok", "rejected"} else None
        return replace(applied, ms=(clock.monotonic_s() - start_s) * 1e3)

    def held(self) -> dict[str, float] | None:
        """Return the shares by region that the router holds, or None where it cannot be asked."""
        self.problem = ""
        try:
            return self._asked()
        except TargetError as error:
            self.problem = error.detail
            return None

    def rounded(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Return the shares that would be sent for these.

        Raises TargetError if none would.
        """
        return in_shares(self._rounded(self._checked(shares)))

    def left_s(self) -> float:
        """Return what is left of the time limit of a write; all of it where none is under way, s."""
        if self._end_s is None:
            return self.timeout_s
        return max(self._end_s - self.context.clock.monotonic_s(), 0.0)

    def delay_s(self) -> float:
        """Return how long a change that is not urgent has to wait, s."""
        return 0.0

    def close(self) -> None:
        """Free what was opened; the router keeps what it holds."""
        return

    @abstractmethod
    def _write(self, parts: Mapping[str, float]) -> None:
        """Write numbers in proportion to shares, by region; a region that is left out gets no traffic."""

    @abstractmethod
    def _read(self) -> dict[str, float]:
        """Return the numbers by region that the router holds."""

    @abstractmethod
    def _restore(self) -> None:
        """Take back the last write, as far as that can be done."""

    def _rounded(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        """Return what is written for these shares: whole numbers with a sum of `STEPS`."""
        try:
            return divided(shares, STEPS, self.trickle)
        except ValueError as error:
            raise TargetError("rejected", str(error)) from error

    def _mismatch(self) -> str:
        """Return the likely reason why what is held is not what was sent."""
        return "the router does not hold what was sent"

    def _checked(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        """Return shares that may be written.

        Raises TargetError if they are empty, all 0, negative, not numbers, of unknown regions, or do not add
        up to 1.
        """
        unknown = [region for region in shares if region not in self.context.regions]
        if unknown:
            raise TargetError(
                "rejected", f"unknown region {unknown[0]!r}; {did_you_mean(unknown[0], self.context.regions)}"
            )
        if not all(math.isfinite(share) and share >= 0 for share in shares.values()):
            raise TargetError("rejected", "a share is not a number from 0 to 1; nothing was written")
        if not abs(math.fsum(shares.values()) - 1) <= _SUM_TOLERANCE:
            raise TargetError("rejected", "the shares do not add up to 1; nothing was written")
        return {region: float(shares[region]) for region in self.context.regions if region in shares}

    def _applied(self, parts: Mapping[str, float], end_s: float, *, urgent: bool) -> Applied:
        """Write, verify, and take back what cannot be verified."""
        sent = in_shares(parts)
        if not urgent and (delay_s := self.delay_s()) > 0:
            held = self.held()
            if held is not None and self._is_equal(held, sent):
                return Applied(sent, held, "ok", 0.0, "held already")
            return Applied({}, held, "rejected", 0.0, f"the next change is due in {delay_s:.0f} s")
        try:
            with outer_world():
                self._write(parts)
            held = self._verified(sent, end_s)
            self.verified = sent
            return Applied(sent, held, "ok", 0.0)
        except TargetError as error:
            detail = error.detail
            try:
                with outer_world():
                    self._restore()
            except TargetError as second:
                detail = f"{detail}; and it could not be taken back: {second.detail}"
            return Applied(sent, self.held(), error.result, 0.0, detail)

    def _verified(self, sent: Mapping[str, float], end_s: float) -> dict[str, float]:
        """Return the shares held, once they are those sent.

        Raises TargetError if they are not within the time limit.
        """
        clock = self.context.clock
        for _ in range(math.ceil(self.timeout_s / self.pause_s) + 1):
            problem = TargetError("unverified", self._mismatch())
            try:
                held = self._asked()
                if self._is_equal(held, sent):
                    return held
            except TargetError as error:
                if error.result == "rejected":
                    raise
                problem = error
            if clock.monotonic_s() >= end_s:
                break
            if clock.wait(self.pause_s):
                time.sleep(self.pause_s)  # the end was asked for: baselines are written after that, too
        raise problem

    def _asked(self) -> dict[str, float]:
        with outer_world():
            parts = self._read()
        if not all(math.isfinite(part) and part >= 0 for part in parts.values()):
            raise TargetError("unverified", f"{self._mismatch()}: a weight is not a number of at least 0")
        if not any(parts.values()):
            raise TargetError("unverified", f"{self._mismatch()}: all weights are 0")
        try:
            return in_shares(parts)
        except OverflowError as error:
            raise TargetError(
                "unverified", f"{self._mismatch()}: the weights are too large to add"
            ) from error

    def _is_changed(self) -> bool:
        """Whether the router is known to hold other shares than after the last write."""
        held = None if self._left is None else self.held()
        return held is not None and self._left is not None and not self._is_equal(held, self._left)

    def _is_equal(self, held: Mapping[str, float], sent: Mapping[str, float]) -> bool:
        regions = held.keys() | sent.keys()
        return all(abs(held.get(name, 0.0) - sent.get(name, 0.0)) <= self.tolerance for name in regions)


def in_shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Return numbers divided by their sum, which is above 0."""
    total = math.fsum(parts.values())
    return {region: part / total for region, part in parts.items()}


@contextmanager
def outer_world() -> Iterator[None]:
    """Turn failures of files, sockets, HTTP and secrets, and odd answers, into a `TargetError`."""
    try:
        yield
    except FetchError as error:
        refused = error.status is not None and 400 <= error.status < 500
        raise TargetError("rejected" if refused else "unreachable", error.detail) from error
    except (SecretError, RunFolderError, InputError) as error:
        raise TargetError("unreachable", str(error)) from error
    except OSError as error:
        raise TargetError("unreachable", described(error)) from error
    except OverflowError as error:
        raise TargetError("unverified", "a number of an answer is too large") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"an answer has another form than expected ({type(error).__name__})"
        raise TargetError("unreachable", problem) from error


def endpoint_faults(
    key: str,
    endpoints: Mapping[str, Sequence[str | Spelled]],
    regions: Sequence[str],
    served: Sequence[str] | None,
) -> Iterator[Fault]:
    """Yield the faults of a table of endpoints by region: unknown, missing and empty regions, repeats."""
    for region in endpoints:
        if region not in regions:
            yield Fault(f"{key}.{region}", "no such region in the scenario", did_you_mean(region, regions))
    for region in regions if served is None else served:
        if region not in endpoints:
            yield Fault(key, f"region {region!r} is missing", "state what serves each region")
    seen: dict[str | Spelled, str] = {}
    for region, places in endpoints.items():
        if not places:
            yield Fault(f"{key}.{region}", "is empty", "state at least one")
        for place in places:
            if place in seen:
                remedy = f"{seen[place]!r} has it already; state each once"
                yield Fault(f"{key}.{region}", f"{place!r} is repeated", remedy)
            seen.setdefault(place, region)


def url_faults(key: str, url: str) -> Iterator[Fault]:
    """Yield the fault of an address that is not of HTTP, or holds a password."""
    remedy = "an address such as 'http://127.0.0.1:9901' is expected"
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        yield Fault(key, "is no address", remedy)
        return
    if parts.username is not None or parts.password is not None:
        yield Fault(key, "holds a user or a password", "name an environment variable instead")
    elif not is_whole or parts.query or parts.fragment:
        yield Fault(key, f"{shortened(url)!r} is no address of HTTP", remedy)
