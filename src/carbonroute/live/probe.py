"""A probe of all that a live file names: sources, metrics and actuators are asked, nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.control.chain import last_record
from carbonroute.control.estimator import Reading
from carbonroute.control.loop import ControlLoop
from carbonroute.errors import RunFolderError
from carbonroute.live.actuation import Actuation
from carbonroute.live.baselines import weights_of
from carbonroute.live.canary import held_at_start, mixed
from carbonroute.live.clock import Clock
from carbonroute.live.config import LiveSetup
from carbonroute.live.controller import back_to_baseline
from carbonroute.live.http import Fetcher
from carbonroute.live.running import (
    actuation_of,
    control_loop,
    expected_traffic,
    feed_regions,
    journal_folder,
    planned_by,
    sensor_of,
)
from carbonroute.live.signals.feed import LiveFeed, RegionCarbon
from carbonroute.live.startup import startup_problems


@dataclass(frozen=True)
class Probe:
    """Answers of a probe. O origins, W workloads, R regions.

    Attributes
    ----------
    per_s
        Requests per s of each cell, shape (O, W).
    available
        Whether each region takes requests of some workload, shape (R,).
    held
        Weights in force as read back, or the baseline's where nothing tells, shape (O, W, R).
    read_back
        Whether an actuator told, of each cell, shape (O, W).
    weights
        The decision now, shape (O, W, R).
    sent
        What the actuators would be sent now, rounded as they round, shape (O, W, R); None in a shadow.
    reasons
        Why that would be the baseline.
    problems
        Problems to mend before the start.
    notes
        Warnings and notes of servers.
    """

    carbon: tuple[RegionCarbon, ...]
    per_s: Array
    available: Mask
    held: Array
    read_back: Mask
    weights: Array
    sent: Array | None
    reasons: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def probe(setup: LiveSetup, clock: Clock, fetch: Fetcher) -> Probe:
    """Ask all sources, metrics and actuators once, and decide; nothing is sent.

    Raises PolicyError if the policy fails.
    """
    start = clock.now()
    problems = list(startup_problems(setup.settings, journal_folder(setup)))
    with TemporaryDirectory() as folder:
        feed = LiveFeed(
            setup.settings.carbon,
            feed_regions(setup),
            folder=Path(folder),
            clock=clock,
            fetch=fetch,
            start=start,
            base=setup.folder,
        )
        try:
            feed.poll()
            traffic = expected_traffic(setup, start)
            sensor = sensor_of(setup, traffic, clock, fetch)
            loop = control_loop(setup, feed, traffic)
            with actuation_of(setup, clock, fetch) as actuation:
                seen = _decided(setup, loop, sensor.read(0.0), actuation)
            problems += [*seen.problems, *sensor.alarms, *feed.alarms()]
            notes, carbon = (*sensor.notes, *feed.notes()), feed.described(0.0)
        finally:
            feed.close()
    return replace(seen, carbon=carbon, problems=tuple(dict.fromkeys(problems)), notes=notes)


def _decided(setup: LiveSetup, loop: ControlLoop, reading: Reading, actuation: Actuation) -> Probe:
    """Return the decision, without carbon."""
    known, share = actuation.read_back(), setup.settings.mode.share
    baseline = weights_of(setup.settings.baseline, setup.inputs.site, setup.names.regions)
    loop.held = held_at_start(share, baseline, actuation.in_force, known, _planned(setup))
    decisions = loop.decide(np.zeros(1), reading)
    if decisions.plan is None:
        raise RuntimeError("a policy that is asked about single requests decides nothing for whole cells")
    plan, state = decisions.plan.weights[0], decisions.state
    why = back_to_baseline(setup, anything=bool(state.available.any()))
    target = baseline if why else mixed(plan, baseline, share)
    sent, refused = actuation.would_send(target, state.requests_per_s[0])
    return Probe(
        carbon=(),
        per_s=state.requests_per_s[0],
        available=state.available[0].any(axis=0),
        held=actuation.in_force,
        read_back=known,
        weights=plan,
        sent=sent if share else None,
        reasons=(why,) if why else (),
        problems=(*actuation.silent, *(refused if share else ())),
    )


def _planned(setup: LiveSetup) -> Array | None:
    """Return the weights of the last decision by the journal; None where it has none, or is damaged."""
    try:
        return planned_by(last_record(journal_folder(setup)), setup)
    except RunFolderError:  # told by the startup checks
        return None
