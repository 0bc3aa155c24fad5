"""A controller put together from a live file, and its ticks until the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from carbonroute.arrays import Array
from carbonroute.carbon import Accounting, MixedAccounting
from carbonroute.control.decisions import DecisionRecord
from carbonroute.control.journal import DecisionJournal
from carbonroute.control.loop import ControlLoop, ExpectedTraffic
from carbonroute.control.router import Router
from carbonroute.files.folder import alone_in, made
from carbonroute.live.actuation import Actuation, Carried
from carbonroute.live.actuators.target import GaugeBoard, TargetContext
from carbonroute.live.baselines import weights_of
from carbonroute.live.clock import Clock
from carbonroute.live.config import LiveSetup
from carbonroute.live.controller import Controller, Ports, Snapshot
from carbonroute.live.http import Fetcher
from carbonroute.live.observe.sensor import LiveSensor, NoSensor
from carbonroute.live.signals.feed import FeedRegion, LiveFeed
from carbonroute.scenario.resolved.recorded import about
from carbonroute.units import HOURS_PER_DAY, HOURS_PER_WEEK, S_PER_HOUR

#: Folder of the carbon values that survive a restart, in that of the journal.
_CACHE = "carbon"


@dataclass(frozen=True)
class Parts:
    """A controller and its parts, ready to run.

    `controller`, `ports`: it, and what it is put together from.
    `gauges`: where actuators and the controller register metrics.
    """

    setup: LiveSetup
    controller: Controller
    ports: Ports
    gauges: GaugeBoard


class _Traffic:
    """The parts of the cells in all requests, as the scenario expects them by the hour of week or day.

    `start`: the calendar at 0 s, UTC.
    """

    def __init__(self, setup: LiveSetup, start: datetime) -> None:
        share, first = setup.inputs.traffic_share, setup.scenario.horizon.start
        self._share = share[: _repeats(len(share))]
        self._since_s = 0.0 if first is None else (start - first).total_seconds()

    def share_at(self, now_s: Array) -> Array:
        """Return each cell's expected part at K moments, shape (K, O, W)."""
        hour = ((now_s + self._since_s) // S_PER_HOUR).astype(np.intp) % len(self._share)
        return self._share[hour]


def _repeats(hours: int) -> int:
    """Return after how many hours expected traffic repeats: a week, where the horizon has one, or a day."""
    for period in (HOURS_PER_WEEK, HOURS_PER_DAY):
        if hours >= period:
            return period
    return 1


def journal_folder(setup: LiveSetup) -> Path:
    """Return the folder of the decision records."""
    return setup.folder / setup.settings.journal


@contextmanager
def assembled(setup: LiveSetup, clock: Clock, fetch: Fetcher) -> Iterator[Parts]:
    """Put a controller together; nobody else may run in its journal's folder.

    Raises RunFolderError if the journal is held by another process, cannot be written, or is damaged.
    """
    folder = journal_folder(setup)
    with ExitStack() as stack:
        stack.enter_context(made(folder))
        stack.enter_context(alone_in(folder, "routing"))
        start, start_s = clock.now(), clock.monotonic_s()
        facts = about(
            setup.inputs.scenario,
            setup.inputs.carbon,
            setup.entry,
            setup.candidate,
            mode=str(setup.settings.mode),
            start=start,
        )
        journal = stack.enter_context(DecisionJournal(folder, facts, durable=True))
        feed = LiveFeed(
            setup.settings.carbon,
            feed_regions(setup),
            folder=folder / _CACHE,
            clock=clock,
            fetch=fetch,
            start=start,
            base=setup.folder,
        )
        stack.callback(feed.close)
        traffic = expected_traffic(setup, start)
        sensor = sensor_of(setup, traffic, clock, fetch)
        gauges = GaugeBoard()
        actuation = stack.enter_context(actuation_of(setup, clock, fetch, gauges))
        loop = control_loop(setup, feed, traffic)
        ports = Ports(feed, sensor, actuation, journal)
        controller = Controller(setup, loop, ports, clock, start_s)
        controller.resume(planned_by(journal.last, setup))
        yield Parts(setup, controller, ports, gauges)


def run_ticks(
    parts: Parts, clock: Clock, note: Callable[[Snapshot, float], None], most: int | None = None
) -> Carried | None:
    """Run until the clock says that the end was asked for, or for so many ticks.

    Return the result of the baseline's weights; None where they are not sent at the end.

    `note`: takes each snapshot, and its time by the clock that never jumps, s.
    `most`: number of ticks, or None.
    """
    interval_s, next_s, count = parts.setup.candidate.control.interval_s, clock.monotonic_s(), 0
    while most is None or count < most:
        if clock.wait(next_s - clock.monotonic_s()):
            break
        snapshot = parts.controller.tick()
        note(snapshot, clock.monotonic_s())
        count += 1
        next_s = max(next_s + interval_s, clock.monotonic_s())
    return parts.controller.restore() if parts.setup.settings.on_stop == "baseline" else None


def expected_traffic(setup: LiveSetup, start: datetime) -> ExpectedTraffic:
    """Return the traffic that the scenario expects, from 0 s at `start` on, UTC."""
    return ExpectedTraffic(setup.inputs.expected_per_s[0], _Traffic(setup, start).share_at)


def control_loop(setup: LiveSetup, feed: LiveFeed, traffic: ExpectedTraffic) -> ControlLoop:
    """Return the control loop of the live file's policy: the one that a simulation runs."""
    candidate = setup.candidate
    router = Router(candidate.policy, candidate.control, candidate.max_utilisation)
    return ControlLoop(router, setup.inputs.site, feed, candidate.information, traffic)


def sensor_of(
    setup: LiveSetup, traffic: ExpectedTraffic, clock: Clock, fetch: Fetcher
) -> LiveSensor | NoSensor:
    """Return the sensor that the live file states, or the scenario's expected traffic."""
    site, observe = setup.inputs.site, setup.settings.observe
    if observe is None:
        return NoSensor(site, traffic)
    return LiveSensor(observe, site, setup.names, traffic=traffic, clock=clock, fetch=fetch)


def actuation_of(
    setup: LiveSetup, clock: Clock, fetch: Fetcher, gauges: GaugeBoard | None = None
) -> Actuation:
    """Open the targets that the live file states."""
    context = TargetContext(setup.folder, setup.names.regions, fetch, clock, gauges or GaugeBoard())
    baseline = weights_of(setup.settings.baseline, setup.inputs.site, setup.names.regions)
    return Actuation(setup.settings.actuators, setup.names, context, baseline, setup.inputs.allowed)


def feed_regions(setup: LiveSetup) -> tuple[FeedRegion, ...]:
    """Return the regions as a carbon feed knows them."""
    carbon = setup.inputs.carbon
    reference, label = carbon.reference_g_per_kwh, carbon.accounting
    own = dict(label.of_region) if isinstance(label, MixedAccounting) else {}
    return tuple(
        FeedRegion(
            region.name,
            region.zone or region.name,
            None if reference is None else float(reference[index]),
            own.get(region.name, label if isinstance(label, Accounting) else None),
        )
        for index, region in enumerate(setup.scenario.regions)
    )


def planned_by(last: DecisionRecord | None, setup: LiveSetup) -> Array | None:
    """Return the weights of a journal's last decision, if it is of the same cells and regions."""
    if last is None or (last.cells.origins, last.cells.workloads, last.regions) != (
        list(setup.names.origins),
        list(setup.names.workloads),
        list(setup.names.regions),
    ):
        return None
    return np.array(last.weights if last.live is None else last.live.planned, dtype=float)
