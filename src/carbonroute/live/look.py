"""A look at all that a live file names: sources, metrics and actuators are asked, nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.live.baselines import weights_of
from carbonroute.live.clock import Clock
from carbonroute.live.config import LiveSetup
from carbonroute.live.http import Fetcher
from carbonroute.live.running import actuation_of, control_loop, expected_traffic, feed_regions, sensor_of
from carbonroute.live.signals.feed import LiveFeed, RegionCarbon


@dataclass(frozen=True)
class Look:
    """What was found. O origins, W workloads, R regions.

    Attributes
    ----------
    carbon
        As known, by region.
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
    problems
        What should be mended before the start.
    """

    carbon: tuple[RegionCarbon, ...]
    per_s: Array
    available: Mask
    held: Array
    read_back: Mask
    weights: Array
    problems: tuple[str, ...]


def look(setup: LiveSetup, clock: Clock, fetch: Fetcher) -> Look:
    """Ask all sources, metrics and actuators once, and decide; nothing is sent.

    Raises
    ------
    PolicyError
        If the policy fails.
    """
    start, site = clock.now(), setup.inputs.site
    problems: list[str] = []
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
            reading = sensor.read(0.0)
            loop = control_loop(setup, feed, traffic)
            held = weights_of(setup.settings.baseline, site, setup.names.regions)
            with actuation_of(setup, clock, fetch) as actuation:
                known = actuation.read_back()
                held[known] = actuation.in_force[known]
                silent = [
                    name
                    for name, covered in zip(actuation.names, actuation.covered, strict=True)
                    if not known[covered].all()
                ]
            problems += [f"actuator {name}: its weights cannot be read back" for name in silent]
            loop.held = held.copy()
            decisions = loop.decide(np.zeros(1), reading)
            problems += [*sensor.alarms, *feed.alarms()]
            carbon = feed.described(0.0)
        finally:
            feed.close()
    if decisions.plan is None:
        raise RuntimeError("a policy that is asked about single requests decides nothing for whole cells")
    return Look(
        carbon=carbon,
        per_s=decisions.state.requests_per_s[0],
        available=decisions.state.available[0].any(axis=0),
        held=held,
        read_back=known,
        weights=decisions.plan.weights[0],
        problems=tuple(dict.fromkeys(problems)),
    )
