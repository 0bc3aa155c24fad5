"""The account of one policy in one system: its requests, its pools' time and power, and what follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.site import Site
from carbonroute.engines.queued.ledger import Ledger
from carbonroute.engines.queued.meter import Meter, PoolReadings
from carbonroute.engines.routing import Dispatcher
from carbonroute.outcome import Outcome
from carbonroute.outcome.queueing import Queueing
from carbonroute.units import HOURS_PER_DAY, S_PER_HOUR
from carbonroute.workloads.energy import Emissions


class Account:
    """Adds up what comes of a policy's requests. H hours, O origins, W workloads, R regions.

    Parameters
    ----------
    dispatcher
        The policy.
    site, carbon_g_per_kwh
        The facts of the regions, with their capacity, and their carbon intensity, gCO2e/kWh, shape (H, R).
    expected_share
        Each cell's expected part of all requests, shape (O, W).
    kept
        Whether every latency is kept.

    Attributes
    ----------
    ledger
        Of the requests.
    meter
        Of the pools.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        site: Site,
        carbon_g_per_kwh: Array,
        expected_share: Array,
        *,
        kept: bool,
    ) -> None:
        self._control, self._capacity, self._shape = dispatcher.candidate.control, site.capacity, site.shape
        self._expected_share = expected_share
        self._days = (len(carbon_g_per_kwh) - self._control.warmup_hours) / HOURS_PER_DAY
        warmup_s = self._control.warmup_hours * S_PER_HOUR
        pue = site.energy.pue if site.energy else np.ones(self._shape[2])
        self.meter = Meter(self._capacity, pue, carbon_g_per_kwh, warmup_s)
        self.ledger = Ledger(dispatcher, site, carbon_g_per_kwh, warmup_s, kept=kept)
        self._worth, self._worth_s = np.zeros(self._shape[2]), 0.0

    def pass_ticks(
        self, readings: PoolReadings, more: PoolReadings, worth_g_per_h: Sequence[Array | None]
    ) -> None:
        """Count the intervals that end at some readings.

        `readings`, `more`: as of `Meter.pass_ticks`.
        `worth_g_per_h`: saving by one more server in each region, by the decision in force in each, gCO2e/h,
        shape (R,).
        """
        counted_s = self.meter.pass_ticks(readings, more)
        for time_s, each in zip(counted_s, worth_g_per_h, strict=False):
            if each is not None:
                self._worth += time_s * each
                self._worth_s += time_s

    def outcome(self, flips: float) -> Outcome:
        """Return the results of all requests, once every one has left the system.

        `flips`: how often the main region of a cell changed, on average; NaN where there is none.
        """
        self.meter.add_up()
        outcome = self.ledger.outcome()
        if outcome.emissions is not None:
            outcome = replace(outcome, emissions=self._by_power(outcome.emissions))
        of_tokens = self.ledger.tokens
        serving = of_tokens.serving(self._capacity, self.meter) if of_tokens else None
        return replace(outcome, queueing=self._queueing(flips), serving=serving)

    def _by_power(self, emissions: Emissions) -> Emissions:
        """Return emissions, those of pools with a stated power by their servers' busy and idle time.

        A pool's grams are shared out by the service time of its requests; of one that served none, idle
        ones by the traffic that is expected, and evenly where there is none.
        """
        known = ~np.isnan(self.meter.busy_g)
        if not known.any():
            return emissions
        place = np.broadcast_to(self._capacity.pool, self._shape)
        work = self.ledger.work
        part = np.zeros(self._shape)
        for share in (work, self._expected_share[..., np.newaxis], np.ones(())):
            total = np.bincount(place.ravel(), part.ravel(), len(known))[place]
            part = np.where(total > 0, part, share)
        part /= np.bincount(place.ravel(), part.ravel(), len(known))[place]
        busy_g, idle_g = (
            np.where(known, grams, 0.0)[place] * part for grams in (self.meter.busy_g, self.meter.idle_g)
        )
        operational_g = np.where(known[place], busy_g, emissions.operational_g)
        return replace(emissions, operational_g=operational_g, idle_g=idle_g)

    def _queueing(self, flips: float) -> Queueing:
        meter = self.meter
        on_s = np.maximum(meter.server_s, meter.busy_s)
        used = np.divide(meter.busy_s, on_s, out=np.zeros(on_s.shape), where=on_s > 0)
        used[: math.ceil(self._control.warmup_hours * S_PER_HOUR / meter.slot_s)] = np.nan
        return Queueing(
            rejected=self.ledger.rejected.astype(np.int64),
            wait_sum_ms=self.ledger.wait_sum_ms,
            wait=self.ledger.wait.distribution(),
            utilisation=used,
            servers=meter.server_s / meter.slot_s,
            waiting=meter.waiting_s / meter.slot_s,
            offered=meter.sent_s / meter.slot_s,
            slot_s=meter.slot_s,
            hours_over_capacity=meter.over_s / S_PER_HOUR,
            flips_per_day=flips / self._days,
            server_worth_g_per_h=self._worth / self._worth_s if self._worth_s > 0 else None,
            left_out=self.ledger.left_out,
        )
