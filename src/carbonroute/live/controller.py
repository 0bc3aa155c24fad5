"""The controller: one tick reads, decides, moves the weights, and records."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.control.decisions import LiveFacts
from carbonroute.control.estimator import Reading
from carbonroute.control.journal import DecisionJournal, LivePart
from carbonroute.control.loop import ControlLoop, Decisions
from carbonroute.errors import PolicyError, RunFolderError
from carbonroute.live.actuation import Actuation, Carried
from carbonroute.live.baselines import decided_by_j, emissions_of_all, energy_j, nearest, weights_of
from carbonroute.live.canary import held_at_start, mixed
from carbonroute.live.clock import Clock
from carbonroute.live.config import LiveSetup
from carbonroute.live.deciding import Deciding
from carbonroute.live.deferral import Deferral
from carbonroute.live.observe.energy import EnergyLog
from carbonroute.live.observe.measured import Measured
from carbonroute.live.savings import POLICY, Arm, Interval, SavingsAccount, arm_of
from carbonroute.live.signals.feed import LiveFeed, RegionCarbon
from carbonroute.units import S_PER_HOUR, S_PER_MINUTE

#: The calendar and the clock that never jumps may drift apart by so much from tick to tick, s.
_MOST_DRIFT_S = 30.0

By = Literal["policy", "baseline", "held"]
Traffic = Literal["measured", "expected", "unknown"]


class LiveSensing(Protocol):
    """Reads measurements, whatever the outer world does, and tells what is wrong."""

    @property
    def alarms(self) -> Sequence[str]:
        """Notes for the person on call, of the last reading."""
        ...

    @property
    def measured(self) -> Measured | None:
        """Measurements beside the last reading; None where nothing measures."""
        ...

    @property
    def counted(self) -> bool:
        """Whether all requests of the last reading were measured."""
        ...

    @property
    def energy(self) -> EnergyLog | None:
        """What the marginal energy of a request follows from; None where nothing measures."""
        ...

    def read(self, now_s: float) -> Reading:
        """Return the measurements now, K = 1."""
        ...


@dataclass(frozen=True)
class Ports:
    """The outer world, as the controller meets it."""

    feed: LiveFeed
    sensor: LiveSensing
    actuation: Actuation
    journal: DecisionJournal


@dataclass(frozen=True)
class Snapshot:
    """The controller after a tick. O origins, W workloads, R regions.

    Attributes
    ----------
    time_utc, tick, took_s
        When, the number of the tick from 0, and how long it took, s.
    policy_s
        How long the policy took for its decision, or has taken so far, s; None where it failed.
    mode, by, reasons
        How it runs, whose weights are in force, and why they are not the policy's plain answer.
    weights, in_force
        As decided, and in force as far as known, shape (O, W, R).
    per_s
        Requests per s of each cell, shape (O, W).
    available
        Whether each region takes requests of some workload, shape (R,).
    carbon
        As known, by region.
    emissions_g_per_h
        By the present rates and carbon: of the weights in force, and of each baseline; empty where unknown.
    alarms
        Notes for the person on call.
    """

    time_utc: datetime
    tick: int
    took_s: float
    policy_s: float | None
    mode: str
    by: By
    reasons: tuple[str, ...]
    weights: Array
    in_force: Array
    per_s: Array
    available: NDArray[np.bool_]
    carbon: tuple[RegionCarbon, ...]
    actuators: tuple[Mapping[str, Any], ...]
    emissions_g_per_h: Mapping[str, float]
    alarms: tuple[str, ...]


class _TickReport(NamedTuple):
    """What is told of a tick: whose weights are in force, why, and the alarms."""

    by: By
    reasons: Sequence[str]
    alarms: Sequence[str]


@dataclass
class _Dwell:
    """Holds a cell's planned weights for a while after they have changed."""

    least_s: float
    planned: Array | None = None
    changed_s: dict[tuple[int, int], float] = field(default_factory=dict)

    def held(self, plan: Array, available: NDArray[np.bool_], now_s: float) -> Array:
        """Return the plan, with the cells as before that changed too lately; `available`: shape (O, W, R)."""
        before, result = plan if self.planned is None else self.planned, plan.copy()
        for cell in np.argwhere((plan != before).any(axis=-1)):
            key = int(cell[0]), int(cell[1])
            reachable = bool((available[key] | (before[key] == 0)).all())
            if reachable and now_s - self.changed_s.get(key, -np.inf) < self.least_s:
                result[key] = before[key]
            else:
                self.changed_s[key] = now_s
        self.planned = result
        return result

    def start_from(self, planned: Array) -> None:
        """Go on from weights that may move at once, shape (O, W, R)."""
        self.planned = planned.copy()
        self.changed_s.clear()


def is_killed(setup: LiveSetup) -> bool:
    """Whether the kill file is there."""
    return os.path.lexists(setup.folder / setup.settings.kill_file)


def back_to_baseline(setup: LiveSetup, *, anything: bool) -> str:
    """Return why the baseline is in force now, whatever the policy says; empty: it is not.

    `anything`: whether any region is available.
    """
    if is_killed(setup):
        return "kill file: back to the baseline"
    return "" if anything else "no region is available: back to the baseline"


class Controller:
    """Runs a policy tick by tick. It never raises for what the outer world does: it holds, and tells.

    `clock`: of the calendar, and the one that never jumps.
    `start_s`: that clock at the loop's 0 s.
    """

    def __init__(
        self,
        setup: LiveSetup,
        loop: ControlLoop,
        ports: Ports,
        clock: Clock,
        start_s: float,
    ) -> None:
        self._setup, self._loop, self._clock, self._start_s = setup, loop, clock, start_s
        self._feed, self._sensor = ports.feed, ports.sensor
        self._actuation, self._journal = ports.actuation, ports.journal
        self._live, self._site = setup.settings, setup.inputs.site
        self._mode = str(self._live.mode)
        self._interval_s = setup.candidate.control.interval_s
        self.baseline = weights_of(self._live.baseline, self._site, setup.names.regions)
        self._baselines = {"baseline": self.baseline, "nearest": nearest(self._site)}
        self._energy_j = energy_j(self._site)
        self._deciding = Deciding(clock, self._interval_s, lambda: self.killed or clock.wait(0.0))
        self._dwell = _Dwell(self._live.dwell.minutes * S_PER_MINUTE)
        self._in_force = self.baseline
        self._tick, self._journal_problem, self._drift_s = -1, "", 0.0
        self._odd: Sequence[str] = ()
        self._deferral = Deferral(self._interval_s)
        self._clocks: tuple[datetime, float] | None = None
        self._before: tuple[datetime, Array, Array, Array | None, Arm | None] | None = None
        self._available = np.ones(self._site.shape[2], dtype=bool)
        #: Intervals since the start.
        self.account = SavingsAccount()

    @property
    def killed(self) -> bool:
        """Whether the kill file is there."""
        return is_killed(self._setup)

    def resume(self, planned: Array | None = None) -> None:
        """Take what is in force for what is held: as read back, or as the baseline has it.

        `planned`: the policy's weights behind a canary, as the journal has them, shape (O, W, R), or None.
        """
        known, share = np.zeros(self._site.shape[:2], dtype=bool), self._live.mode.share
        if share > 0:
            known = self._actuation.read_back()
            self._in_force = self._actuation.in_force.copy()
        held = held_at_start(share, self.baseline, self._in_force, known, planned)
        self._loop.held = held
        self._dwell.start_from(held)

    def tick(self) -> Snapshot:
        """Read, decide, apply and record; return the controller after it.

        Where the policy fails, nothing is decided, and the weights are held.
        """
        begun_s, time_utc = self._clock.monotonic_s(), self._clock.now()
        self._tick += 1
        alarms = [*self._jumps(time_utc, begun_s)]
        held = self._loop.held
        try:
            decided = self._deciding.decide(held, self._asked)
        except PolicyError as error:
            problem, self._before = ("the policy failed", str(error)), None
            return self._failed(time_utc, begun_s, held, [*alarms, *self._sensor.alarms], problem)
        if decided is None:
            slow = f"the policy has been deciding since {self._deciding.since:%Y-%m-%d %H:%M:%S}Z"
            return self._failed(time_utc, begun_s, held, alarms, ("the policy is still deciding", slow))
        decisions, before = decided.decisions, decided.held
        alarms += [*self._slowness(decided.took_s), *self._odd]
        now_s = float(decisions.now_s[0])
        self._loop.keep(decisions)
        self._available = decisions.state.available[0].any(axis=0)
        plan, by, reasons = self._plan(decisions, now_s)
        carried, problems = self._apply(by, plan, decisions, before)
        moved = carried is not None and bool(carried.verified.all())
        if self._live.mode.share > 0 and not moved:
            by = "held"
        self._actuation.defer(self._deferral.budget(self._in_force, decisions.known.g_per_kwh[0]))
        alarms += [*self._sensor.alarms, *self._feed.alarms(), *problems, *self._actuation.alarms]
        carbon = self._feed.described(now_s)
        self._count(decisions, time_utc, plan, by)
        grams = self._emissions_g_per_h(decisions, self._followed(plan))
        part = self._part(time_utc, _TickReport(by, reasons, alarms), plan, carried, carbon, grams)
        alarms += self._record(decisions, before, part)
        return Snapshot(
            time_utc=time_utc,
            tick=self._tick,
            took_s=self._clock.monotonic_s() - begun_s,
            policy_s=decided.took_s,
            mode=self._mode,
            by=by,
            reasons=tuple(reasons),
            weights=plan,
            in_force=self._in_force,
            per_s=decisions.state.requests_per_s[0],
            available=self._available,
            carbon=carbon,
            actuators=() if carried is None else carried.records,
            emissions_g_per_h=grams,
            alarms=tuple(alarms),
        )

    def _followed(self, plan: Array) -> Array:
        """Return the weights that the policy has to answer for: in force, or in a shadow as planned."""
        return plan if self._live.mode.share == 0 else self._in_force

    @property
    def _traffic(self) -> Traffic:
        if self._live.observe is None:
            return "expected"
        return "measured" if self._sensor.counted else "unknown"

    def restore(self) -> Carried | None:
        """Send the baseline's weights, for the end; None where nothing is moved."""
        if self._live.mode.share == 0:
            return None
        return self._actuation.apply(self.baseline, np.ones(self._site.shape[:2]), urgent=True)

    def _plan(self, decisions: Decisions, now_s: float) -> tuple[Array, By, list[str]]:
        """Return the policy's weights, whose weights go into force, and why."""
        if decisions.plan is None:
            raise RuntimeError("a policy that is asked about single requests decides nothing for whole cells")
        plan, available = decisions.plan.weights[0], decisions.state.available[0]
        reasons = []
        if self._dwell.least_s > 0:
            everywhere = np.ones(self._site.shape, dtype=bool)
            allowed = everywhere if self._site.allowed is None else self._site.allowed
            kept = self._dwell.held(plan, available & allowed, now_s)
            if not np.array_equal(kept, plan):
                reasons.append("dwell: weights that changed lately stay")
            plan = kept
        why = back_to_baseline(self._setup, anything=bool(available.any()))
        if not why and self._switchback:
            why = "switchback: an interval of the baseline"
        return plan, "baseline" if why else "policy", [*reasons, why] if why else reasons

    @property
    def _switchback(self) -> bool:
        """Whether the present interval is drawn to be the baseline's."""
        share = self._live.switchback
        return share > 0 and bool(rng.stream(self._live.seed, "switchback", self._tick).random() < share)

    def _apply(
        self, by: By, plan: Array, decisions: Decisions, before: Array | None
    ) -> tuple[Carried | None, list[str]]:
        """Put weights into force, and hold what is known to be; return problems beside."""
        share = self._live.mode.share
        if share == 0:
            self._actuation.read_back()
            self._in_force = self._actuation.in_force.copy()
            self._loop.held = plan
            return None, []
        killed = self.killed or not decisions.state.available.any()
        if self._journal_problem and not killed:
            self._loop.held = before
            return None, ["nothing is moved while decisions cannot be recorded"]
        target = self.baseline if by == "baseline" else mixed(plan, self.baseline, share)
        carried = self._actuation.apply(target, decisions.state.requests_per_s[0], urgent=killed)
        self._in_force = carried.in_force
        # From the baseline, the policy's weights come back within the limits of a step, as from anywhere.
        held = carried.in_force if share == 1 or by == "baseline" else plan
        self._go_on_from(held, carried, plan if before is None else before, anew=by == "baseline")
        return carried, []

    def _go_on_from(self, held: Array, carried: Carried, before: Array, *, anew: bool) -> None:
        """Hold these weights where they were read back, and elsewhere those of before, shape (O, W, R)."""
        self._loop.held = np.where(carried.verified[:, :, np.newaxis], held, before)
        if anew:
            self._dwell.start_from(self._loop.held)

    def _asked(self) -> Callable[[], Decisions]:
        """Read what there is to decide on; return what decides on it."""
        now_s = self._clock.monotonic_s() - self._start_s
        reading = self._sensor.read(now_s)
        self._loop.energy_j, self._odd = self._energies()
        return lambda: self._loop.decide(np.array([now_s]), reading)

    def _energies(self) -> tuple[Array | None, Sequence[str]]:
        """Return the energies to decide by, shape (W, R), or None for the scenario's; and what is odd."""
        log = self._sensor.energy
        if self._live.energies == "scenario" or log is None:
            return None, ()
        measured_j, odd = decided_by_j(self._site, log.per_request_j(self._site.shape[1]))
        names = self._setup.names.workloads
        text = "its measured energy is far from the scenario's, which is decided by"
        return measured_j, [f"workload {names[one]}: {text}" for one in odd]

    def _slowness(self, took_s: float) -> Sequence[str]:
        """Tell where the policy takes a large part of the interval."""
        if took_s <= self._live.slow_policy * self._interval_s:
            return ()
        share = f"{self._live.slow_policy:.0%} of the interval of {self._interval_s:g} s"
        return (f"the policy is slow: it takes more than {share}",)

    def _failed(
        self,
        time_utc: datetime,
        begun_s: float,
        before: Array | None,
        alarms: list[str],
        problem: tuple[str, str],
    ) -> Snapshot:
        """Return the controller after a tick in which nothing was decided: weights are held.

        `problem`: in short, and as an alarm.
        """
        self._loop.held, held = before, self.baseline if before is None else before
        by: By = "held"
        reason = f"{problem[0]}: weights are held"
        alarms.append(problem[1])
        if self.killed and (carried := self.restore()) is not None:
            self._in_force, reason = carried.in_force, "kill file: back to the baseline"
            by = "baseline" if carried.verified.all() else "held"
            self._go_on_from(carried.in_force, carried, held, anew=True)
            self._deciding.drop()
            self._before = None
        alarms += self._actuation.alarms
        return Snapshot(
            time_utc=time_utc,
            tick=self._tick,
            took_s=self._clock.monotonic_s() - begun_s,
            policy_s=self._deciding.since_s or None,
            mode=self._mode,
            by=by,
            reasons=(reason,),
            weights=held,
            in_force=self._in_force,
            per_s=np.full(self._site.shape[:2], np.nan),
            available=self._available,
            carbon=self._feed.described(begun_s - self._start_s),
            actuators=(),
            emissions_g_per_h={},
            alarms=tuple(alarms),
        )

    def _jumps(self, time_utc: datetime, monotonic_s: float) -> Sequence[str]:
        """Tell where the calendar has jumped since the last tick."""
        if self._clocks is not None:
            passed_s = (time_utc - self._clocks[0]).total_seconds()
            self._drift_s = passed_s - (monotonic_s - self._clocks[1])
        self._clocks = time_utc, monotonic_s
        if abs(self._drift_s) <= _MOST_DRIFT_S:
            return ()
        return (f"the calendar jumped by {self._drift_s:+.0f} s; ages go by the clock that does not",)

    def _emissions_g_per_h(self, decisions: Decisions, followed: Array) -> dict[str, float]:
        """Return grams per hour by the present rates and carbon, where all carbon that counts is known."""
        if self._energy_j is None:
            return {}
        carbon, per_h = decisions.known.g_per_kwh[0], decisions.state.requests_per_s[0] * S_PER_HOUR
        weights = {POLICY: followed, "in force": self._in_force, **self._baselines}
        grams = emissions_of_all(weights, per_h, self._energy_j, carbon)
        return {name: value for name, value in grams.items() if np.isfinite(value)}

    def _count(self, decisions: Decisions, time_utc: datetime, plan: Array, by: By) -> None:
        """Count the emissions since the tick before, and note what is followed from now on."""
        seconds = float(decisions.reading.passed_s[0])
        known = self._traffic != "unknown" and not self._actuation.changed_by_others
        if self._before is not None and seconds > 0 and known:
            start, weights, carbon, energy, arm = self._before
            requests = decisions.reading.requests[0].reshape(self._site.shape[:2])
            each = {POLICY: weights, **self._baselines}
            grams = {} if energy is None else emissions_of_all(each, requests, energy, carbon)
            if grams and np.isfinite([*grams.values()]).all():
                self.account.add(Interval(start, seconds, float(requests.sum()), arm, grams, {}))
        log = self._sensor.energy
        self._energy_j = energy_j(self._site, None if log is None else log.per_request_j(self._site.shape[1]))
        arm = arm_of(self._mode, by, switchback=self._switchback)
        carbon = decisions.known.g_per_kwh[0]
        self._before = time_utc, self._followed(plan).copy(), carbon, self._energy_j, arm

    def _part(
        self,
        time_utc: datetime,
        told: _TickReport,
        plan: Array,
        carried: Carried | None,
        carbon: Sequence[RegionCarbon],
        grams_per_h: Mapping[str, float],
    ) -> LivePart:
        hours = self._interval_s / S_PER_HOUR
        facts = LiveFacts(
            by=told.by,
            in_force=self._in_force.tolist(),
            planned=plan.tolist(),
            switchback=self._switchback,
            traffic=self._traffic,
            baselines={name: weights.tolist() for name, weights in self._baselines.items()},
            energy_j=None if self._energy_j is None else self._energy_j.tolist(),
            alarms=list(told.alarms),
            measured=None if self._sensor.measured is None else self._sensor.measured.facts,
            changed_by_others=self._actuation.changed_by_others,
        )
        return LivePart(
            time_utc=time_utc,
            mode=self._mode,
            rounded=None if carried is None else carried.sent,
            actuators=() if carried is None else carried.records,
            reasons=told.reasons,
            counterfactual_g={name: grams * hours for name, grams in grams_per_h.items()},
            sources=[one.source for one in carbon],
            accounting=[str(one.accounting) for one in carbon],
            observed_at=[one.observed_at for one in carbon],
            facts=facts,
        )

    def _record(self, decisions: Decisions, before: Array | None, part: LivePart) -> Sequence[str]:
        """Write the record; where it cannot be written, say so, and hold the weights from now on."""
        try:
            self._journal.add(decisions, before, live=part)
        except RunFolderError as error:
            self._journal_problem = str(error)
            return (f"journal: {error}",)
        self._journal_problem = ""
        return ()
