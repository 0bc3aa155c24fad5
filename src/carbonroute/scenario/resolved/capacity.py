"""The capacity of a scenario's regions, and the load that is offered to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Protocol

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.control.capacity import UNLIMITED, Capacity, whole
from carbonroute.errors import Fault, InputError
from carbonroute.llm import LlmPool
from carbonroute.scenario.resolved.llm import with_replicas
from carbonroute.scenario.resolved.pools import places_of, pools_of, serving
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.pools import MAX_SERVERS, Pool
from carbonroute.traffic import Arrivals
from carbonroute.units import MS_PER, S_PER_HOUR
from carbonroute.workloads import ServiceLaw, Tokens


class Offering(Protocol):
    """A scenario with the data that determine its load."""

    @property
    def scenario(self) -> Scenario:
        """Where all of it comes from."""
        ...

    @property
    def arrivals(self) -> Arrivals:
        """The requests."""
        ...

    @property
    def laws(self) -> tuple[ServiceLaw, ...]:
        """Laws of service time."""
        ...

    @property
    def capacity(self) -> Capacity:
        """Pools of the regions."""
        ...


def offered_load(inputs: Offering) -> Array:
    """Return the work that is expected of each workload, in servers of speed 1 (Erlangs), shape (W,).

    Requests per second, mean over the horizon and of all origins, times mean service time, or the part of a
    full batch. NaN for a workload whose service times only its log states.
    """
    service_ms = mean_service_ms(inputs.scenario, inputs.laws)
    return inputs.capacity.offered(mean_rates_per_s(inputs.arrivals), service_ms)


def mean_rates_per_s(arrivals: Arrivals) -> Array:
    """Return the expected requests of each workload per second, mean over the horizon, shape (W,)."""
    by_hour: Array = arrivals.expected().sum(axis=1)
    rates: Array = by_hour.mean(axis=0) / S_PER_HOUR
    return rates


def mean_service_ms(scenario: Scenario, laws: Sequence[ServiceLaw]) -> Array:
    """Return the expected service time of each workload, ms, shape (W,); NaN where only a log tells."""
    return np.array(
        [
            math.nan if _only_logged(scenario, workload.id, law) else law.average()
            for workload, law in zip(scenario.workloads, laws, strict=True)
        ]
    )


def _only_logged(scenario: Scenario, workload: str, law: ServiceLaw) -> bool:
    """Whether service times of a workload come with its requests, and no law tells them before."""
    measured = any(scenario.traffic.measures("service_ms", workload))
    return measured or (isinstance(law, Tokens) and law.prompt_tokens is None)


def capacity_of(
    scenario: Scenario, arrivals: Arrivals, laws: Sequence[ServiceLaw], llm: Mapping[int, LlmPool]
) -> tuple[Capacity, tuple[str, ...]]:
    """Return the pools of a scenario's regions, and notes on the servers that load shares make.

    `scenario`, `arrivals`, `laws`: the scenario, its requests, and the laws of service time.
    `llm`: the pools that batch continuously, by the index of the pool.
    Raises InputError if a load share is stated, and the load cannot be known, or needs too many servers.
    """
    pools = pools_of(scenario)
    every = [pool for own in pools for pool in own]
    capacity = _capacity(
        pools,
        [pool.servers or UNLIMITED for pool in every],
        [workload.id for workload in scenario.workloads],
        [region.name for region in scenario.regions],
    )
    if llm:
        capacity = with_replicas(capacity, scenario, mean_rates_per_s(arrivals), laws, llm)
    share = np.array([pool.load_share or 0.0 for pool in every])
    if not share.any():
        return capacity, ()
    service_ms = mean_service_ms(scenario, laws)
    server_s = capacity.busy_ms(service_ms, np.arange(len(service_ms))) / MS_PER["s"]
    load = np.zeros(len(every))
    np.add.at(load, capacity.pool, mean_rates_per_s(arrivals)[:, np.newaxis] * server_s)
    faults = _unfit_shares(scenario, share * load, share > 0)
    if faults:
        raise InputError(scenario.name, faults)
    servers = capacity.servers.copy()
    servers[share > 0] = whole((share * load)[share > 0])
    return capacity.with_servers(servers), _made_of_shares(every, capacity.with_servers(servers))


def _capacity(
    pools: Sequence[Sequence[Pool]],
    servers: Sequence[int],
    workloads: Sequence[str],
    names: Sequence[str],
) -> Capacity:
    """Return the capacity of regions."""
    every = [pool for own in pools for pool in own]
    batching = [pool.batching for pool in every]
    windows = [
        (index, float(window.kind == "outage"), window.start_s, window.end_s)
        for index, pool in enumerate(every)
        for window in pool.unavailable
    ]
    windows.sort(key=itemgetter(2))
    in_s = MS_PER["s"]
    return Capacity(
        region=np.repeat(np.arange(len(pools)), [len(own) for own in pools]),
        pool=serving(pools, workloads),
        servers=np.array(servers, dtype=np.int64),
        speed=np.array([pool.speed for pool in every]),
        queue_limit=np.array(
            [UNLIMITED if pool.queue_limit is None else pool.queue_limit for pool in every],
            dtype=np.int64,
        ),
        max_batch=np.array([b.max_batch if b else 0 for b in batching], dtype=np.int64),
        max_wait_s=np.array([b.max_wait_ms / in_s if b else 0.0 for b in batching]),
        batch_fixed_s=np.array([b.fixed_ms / in_s if b else 0.0 for b in batching]),
        batch_per_request_s=np.array([b.per_request_ms / in_s if b else 0.0 for b in batching]),
        idle_w=np.array([pool.idle_power_w for pool in every], dtype=np.float64),  # None becomes NaN
        busy_w=np.array([pool.busy_power_w for pool in every], dtype=np.float64),
        windows=np.array(windows, dtype=np.float64).reshape(-1, 4),
        labels=tuple(
            f"{name}: {', '.join(pool.workloads or workloads)}" if len(own) > 1 else name
            for name, own in zip(names, pools, strict=True)
            for pool in own
        ),
        region_names=tuple(names),
    )


def _unfit_shares(scenario: Scenario, servers: Array, stated: Mask) -> list[Fault]:
    """Return the faults in load shares that make so many servers, shape (P,), each once."""
    places = places_of(scenario)
    faults = []
    for index in np.flatnonzero(stated & ~(servers <= MAX_SERVERS)):  # or NaN
        where = f"{places[index]}.load_share"
        if np.isnan(servers[index]):
            problem = "service times of its workloads come with the log, and nothing tells the load before"
            faults.append(Fault(where, problem, "state servers"))
        else:
            problem = f"makes {servers[index]:,.0f} servers"
            faults.append(
                Fault(where, problem, f"up to {MAX_SERVERS:,} are expected: check rates and service times")
            )
    return list(dict.fromkeys(faults))


def _made_of_shares(pools: Sequence[Pool], capacity: Capacity) -> tuple[str, ...]:
    """Return how many servers load shares make: one line for all regions where it is the same."""
    alike: dict[tuple[str, int], list[str]] = {}
    for pool, servers, region in zip(pools, capacity.servers.tolist(), capacity.region, strict=True):
        if pool.load_share is not None:
            whose = f" of {', '.join(pool.workloads)}" if pool.workloads else ""
            made = f"{pool.load_share:g} of the load{whose}", servers
            alike.setdefault(made, []).append(capacity.region_names[region])
    return tuple(
        f"{share} is {servers:,} server{'s' * (servers > 1)} in "
        f"{'each region' if len(regions) == len(capacity.region_names) else ', '.join(regions)}"
        for (share, servers), regions in alike.items()
    )
