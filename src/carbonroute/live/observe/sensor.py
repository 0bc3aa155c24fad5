"""Sensors: the readings of a control loop from Prometheus, or from what is expected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.control.capacity import UNLIMITED
from carbonroute.control.estimator import Reading
from carbonroute.control.information import Information
from carbonroute.control.loop import ExpectedTraffic
from carbonroute.control.site import Site
from carbonroute.control.views import estimates_ms
from carbonroute.live.clock import Clock
from carbonroute.live.http import Fetcher
from carbonroute.live.names import Names
from carbonroute.live.observe.energy import EnergyLog
from carbonroute.live.observe.measured import Answers, Axes, Measured, ask_all, measured
from carbonroute.live.observe.placing import LabelAxis
from carbonroute.live.observe.preset import Quantity
from carbonroute.live.observe.prometheus import PrometheusServer
from carbonroute.live.observe.settings import Observe
from carbonroute.live.secrets import hidden
from carbonroute.units import MS_PER

#: A pool is taken to be free only where these are known, as far as they are asked for.
_NEEDED: tuple[Quantity, ...] = ("requests", "running", "waiting", "servers", "available")


class LiveSensor:
    """Measures regions and traffic by Prometheus; what does not answer is unknown, and never 0.

    A pool takes requests (`available`) only where its samples are fresh, and its health, requests, servers,
    running and waiting requests are known, as far as they are asked for. While the requests of some pool are
    unknown, cells have at least the traffic of the last reading in which all were known, or at first the
    expected one.

    Raises SecretError if the variable that holds the token is not set.

    Parameters
    ----------
    settings
        The table ``[live.observe]``.
    traffic
        As expected: it splits counts that name no origin or workload.
    clock, fetch
        Tells the time; sends requests.

    Attributes
    ----------
    alarms, notes
        Of the last reading, in words: what is wrong, and what the server says besides.
    fresh
        Whether each pool's samples were fresh then, shape (P,).
    healthy
        Whether the server answered, and any pool takes requests.
    counted
        Whether all requests of the last reading were measured; else some are estimates, fit for decisions
        and not for accounts.
    age_s
        Age of each region's newest sample, s, shape (R,); NaN where unknown.
    measured
        The measurements; None before the first answer.
    energy
        Windows of time from which the marginal energy of a request follows.
    """

    def __init__(
        self,
        settings: Observe,
        site: Site,
        names: Names,
        *,
        traffic: ExpectedTraffic,
        clock: Clock,
        fetch: Fetcher,
    ) -> None:
        self._settings, self._site, self._traffic, self._clock = settings, site, traffic, clock
        self._names = names
        headers = {"authorization": f"Bearer {settings.token_env.secret()}"} if settings.token_env else {}
        self._server = PrometheusServer(settings.prometheus, fetch, settings.timeout.seconds, headers)
        scope = settings.scope(0.0, names.origins, names.regions)
        models = settings.workload_values
        self._axes = Axes(
            LabelAxis(scope.origin_label, scope.origins),
            LabelAxis(settings.workload_label, [models.get(name, name) for name in names.workloads]),
            LabelAxis(settings.region_label, scope.regions),
        )
        workload = np.arange(len(names.workloads))
        self._busy_ms = site.capacity.busy_ms(estimates_ms(site, Information()), workload)
        # What a full server serves at once: one request, or a full batch of a replica.
        self._at_once = site.capacity.at_once[site.capacity.pool]
        work = site.workload_share[:, np.newaxis] * self._busy_ms
        self._load = work / work.sum(axis=0)
        self._cells_per_s = traffic.at_first_per_s
        self._before_s: float | None = None
        self._mark: tuple[float, float] | None = None
        self.alarms: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.fresh: Mask = np.zeros(len(site.capacity.region), dtype=bool)
        self.healthy = False
        self.counted = False
        self.age_s = np.full(len(names.regions), np.nan)
        self.measured: Measured | None = None
        self.energy = EnergyLog(len(names.regions), by_workload=settings.workload_label is not None)

    def read(self, now_s: float) -> Reading:
        """Return the measurements now, K = 1.

        `now_s`: the loop's clock, s.
        """
        passed_s = 0.0 if self._before_s is None else max(now_s - self._before_s, 0.0)
        self._before_s = now_s
        scope = self._settings.scope(passed_s, self._names.origins, self._names.regions)
        queries = self._settings.asked(scope)
        answers = ask_all(self._server, queries)
        self.age_s = self._ages_s(answers)
        share, capacity = self._traffic.share_at(np.array([now_s]))[0], self._site.capacity
        self.measured = measured(answers, self._axes, capacity.pool, share, self._load, float(scope.range_s))
        with np.errstate(invalid="ignore"):
            # A sample of the future says nothing of the present either.
            self.fresh = (np.abs(self.age_s) <= self._settings.max_age.seconds)[capacity.region]
        self.energy.add(
            now_s, self.measured.range_s, self.measured.requests.sum(axis=0), self.measured.energy_j
        )
        known = self._known(self.measured, [name for name in _NEEDED if name in queries], answers)
        reading = self._reading(self.measured, passed_s, known)
        self.alarms = tuple(dict.fromkeys(map(hidden, answers.alarms)))
        self.notes = tuple(dict.fromkeys(map(hidden, answers.notes)))
        self.healthy = answers.reached and bool(reading.available.any())
        return reading

    def _ages_s(self, answers: Answers) -> Array:
        """Return the age of each region's newest sample, s, shape (R,); NaN where unknown.

        By the server's own clock. It must go on: an answer that a proxy has kept is as old as it is.
        """
        ages_s = np.full(len(self._names.regions), np.nan)
        samples = answers.vectors["sampled_at"].samples if "sampled_at" in answers.vectors else ()
        if not samples:
            return ages_s
        here_s, there_s, late_s = self._clock.monotonic_s(), max(one.at_s for one in samples), 0.0
        if self._mark is not None:
            late_s = max((here_s - self._mark[0]) - max(there_s - self._mark[1], 0.0), 0.0)
            if late_s > self._settings.max_age.seconds:
                answers.alarms.append(
                    f"the server's clock is {late_s:.0f} s behind: an old answer, or a step"
                )
        if self._mark is None or there_s > self._mark[1]:
            self._mark = here_s, there_s
        for sample in samples:
            place = self._axes.regions.place(sample.labels)
            if place is not None:
                ages_s[place] = np.fmin(ages_s[place], sample.at_s - sample.value + late_s)
        return ages_s

    def _known(self, tick: Measured, needed: Sequence[Quantity], answers: Answers) -> Mask:
        """Return whether each pool's samples are fresh and all that is needed is known, shape (P,)."""
        capacity, known = self._site.capacity, self.fresh.copy()
        for label in _labels(capacity.labels, ~self.fresh):
            answers.alarms.append(f"{label}: no fresh sample; it takes no requests")
        for name in needed:
            values = getattr(tick, name)
            values = values.sum(axis=0) if name == "requests" else values
            if values.ndim == 1:
                there = ~np.isnan(values)[capacity.region]
            else:
                there = ~np.isnan(self._of_pools(values))
            for label in _labels(capacity.labels, self.fresh & ~there):
                answers.alarms.append(f"{label}: {name} unknown; it takes no requests")
            known &= there
        unhealthy = (tick.available == 0)[capacity.region]
        answers.alarms += [f"{label}: not healthy" for label in _labels(capacity.labels, known & unhealthy)]
        return known

    def _reading(self, tick: Measured, passed_s: float, known: Mask) -> Reading:
        """Return the reading; of pools of which something is unknown, what is not is 0."""
        capacity, part = self._site.capacity, passed_s / tick.range_s
        requests = np.where(self.fresh[capacity.pool], tick.requests, np.nan) * part
        unknown = np.isnan(tick.service_ms)
        # A request in a batch takes longer than the part of a replica that it needs.
        server_ms = np.where(unknown | (self._at_once > 1), self._busy_ms, tick.service_ms)
        taken_ms = np.where(unknown, self._busy_ms * self._at_once, tick.service_ms)
        of_workloads = np.nan_to_num(requests.sum(axis=0))
        sent_s = of_workloads * server_ms / MS_PER["s"]
        per_s = np.nan_to_num(tick.requests.sum(axis=0)) / tick.range_s
        running = _first_known(tick.running, per_s * taken_ms / MS_PER["s"])
        waiting = _first_known(tick.waiting, per_s * tick.wait_ms / MS_PER["s"], np.zeros(per_s.shape))
        servers = self._servers(tick)
        healthy = np.where(np.isnan(tick.available), 1.0, tick.available)[capacity.region] > 0
        on_s = np.where(passed_s > 0, servers * passed_s if passed_s else 0.0, 0.0)
        columns = {
            "busy_s": _first_known(tick.mean_running, running) / self._at_once * passed_s,
            "waiting_s": _first_known(tick.mean_waiting, waiting) * passed_s,
            "sent_s": sent_s,
            "busy": running,
            "waiting": waiting,
        }
        of_pools = {
            name: np.where(known, np.nan_to_num(self._of_pools(values)), 0.0)[np.newaxis]
            for name, values in columns.items()
        }
        return Reading(
            passed_s=np.array([passed_s]),
            server_s=on_s[np.newaxis],
            requests=self._cells(requests, passed_s).reshape(1, -1),
            servers=servers[np.newaxis],
            available=(known & healthy)[np.newaxis],
            **of_pools,
        )

    def _servers(self, tick: Measured) -> Array:
        """Return the servers of each pool, shape (P,): measured ones are split by the expected work."""
        capacity = self._site.capacity
        stated = np.where(capacity.servers < UNLIMITED, capacity.servers, np.inf).astype(np.float64)
        counted = self._of_pools(tick.servers * self._load)
        return np.where(np.isnan(counted), stated, counted)

    def _cells(self, requests: Array, passed_s: float) -> Array:
        """Return the requests of each cell, shape (O, W), from those by region, NaN where unknown."""
        seen = np.nansum(requests, axis=2)
        self.counted = not np.isnan(requests).any()
        if self.counted and passed_s > 0:
            self._cells_per_s = seen / passed_s
        cells: Array = seen if self.counted else np.maximum(seen, self._cells_per_s * passed_s)
        return cells

    def _of_pools(self, values: Array) -> Array:
        """Return the sums of each pool, shape (P,), from those by workload and region; NaN where unknown."""
        pool, count = self._site.capacity.pool.ravel(), len(self._site.capacity.region)
        known = ~np.isnan(values).ravel()
        total = np.bincount(pool[known], np.asarray(values).ravel()[known], minlength=count)
        # Parts of a whole number sum to it but for the last bits, and full servers are told by equality.
        sums: Array = np.where(np.bincount(pool[known], minlength=count) > 0, total.round(9), np.nan)
        return sums


class NoSensor:
    """Reads the expected traffic, where nothing is measured: all pools take requests, and nobody waits.

    `alarms`, `notes`, `fresh`, `healthy`, `counted`, `measured`, `energy`: as of `LiveSensor`; nothing is
    ever measured.
    """

    def __init__(self, site: Site, traffic: ExpectedTraffic) -> None:
        self._site, self._traffic = site, traffic
        self._before_s: float | None = None
        self.alarms: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.fresh: Mask = np.zeros(len(site.capacity.region), dtype=bool)
        self.healthy = True
        self.counted = False
        self.measured: Measured | None = None
        self.energy: EnergyLog | None = None

    def read(self, now_s: float) -> Reading:
        """Return what is expected since the reading before, K = 1."""
        passed_s = 0.0 if self._before_s is None else max(now_s - self._before_s, 0.0)
        self._before_s = now_s
        none = Reading.none(self._site, 1)
        share = self._traffic.share_at(np.array([now_s]))
        requests = share.reshape(1, -1) * self._traffic.at_first_per_s.sum() * passed_s
        return Reading(**{**vars(none), "passed_s": np.array([passed_s]), "requests": requests})


def _labels(labels: Sequence[str], chosen: Mask) -> list[str]:
    return [label for label, one in zip(labels, chosen, strict=True) if one]


def _first_known(first: Array, *others: Array) -> Array:
    """Return the first of some arrays in each place that is known there; NaN where none is."""
    result: Array = first
    for other in others:
        result = np.where(np.isnan(result), other, result)
    return result
