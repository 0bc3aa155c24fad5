"""Servers of a region, as the scenario file spells them: how many, how fast, and for which workloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from carbonroute.errors import Fault, did_you_mean
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.llm import Llm
from carbonroute.scenario.written.names import Name
from carbonroute.spec import Spec
from carbonroute.units import MAX_TIME_MS, S_PER_HOUR

MAX_SERVERS = 1_000_000
MAX_QUEUE = 1_000_000_000
MAX_BATCH = 10_000
MAX_WINDOWS = 1000
#: A server that is a thousand times as fast, or as slow, is a fault of unit.
MAX_SPEED = 1000.0
MAX_LOAD_SHARE = 1000.0
MAX_HOURS = 1e6
MAX_POWER_W = 1e6

Milliseconds = Annotated[float, Field(ge=0, le=MAX_TIME_MS)]
Watts = Annotated[float, Field(ge=0, le=MAX_POWER_W)]


class Unavailable(Spec):
    """Hours in which a pool takes no requests.

    Attributes
    ----------
    kind
        ``"maintenance"``: requests that wait at its start are still served; ``"outage"``: they are rejected.
    from_hour
        When it begins, hours from the start of the horizon.
    hours
        How long it lasts.
    """

    kind: Literal["maintenance", "outage"]
    from_hour: float = Field(ge=0, le=MAX_HOURS)
    hours: float = Field(gt=0, le=MAX_HOURS)

    @property
    def start_s(self) -> float:
        """When it begins, s from the start of the horizon."""
        return self.from_hour * S_PER_HOUR

    @property
    def end_s(self) -> float:
        """When it is over, s from the start of the horizon."""
        return (self.from_hour + self.hours) * S_PER_HOUR


class Batching(Spec):
    """Requests that a server takes together; n of them take (fixed + n · per request) / speed.

    Attributes
    ----------
    max_batch
        Requests of a full batch: it starts at once where a server is free.
    max_wait_ms
        How long the first request of a batch that is not full waits for others, ms.
    fixed_ms
        Time of a batch, however many requests are in it, at speed 1, ms.
    per_request_ms
        Time of each of its requests, at speed 1, ms; their own service times do not count.
    """

    max_batch: int = Field(ge=1, le=MAX_BATCH)
    max_wait_ms: Milliseconds
    fixed_ms: Milliseconds
    per_request_ms: Milliseconds

    @model_validator(mode="after")
    def _takes_time(self) -> Batching:
        if self.fixed_ms + self.per_request_ms == 0:
            raise ValueError("found fixed_ms and per_request_ms of 0; a batch takes time, state one of them")
        return self

    @property
    def full_ms(self) -> float:
        """Server time of a request in a full batch at speed 1, ms."""
        return self.fixed_ms / self.max_batch + self.per_request_ms


class Pool(Spec):
    """Equal servers with one queue: first come, first served.

    Attributes
    ----------
    servers
        How many there are.
    load_share
        Instead: as many as carry this share of the expected load of the pool's workloads, all origins
        together and on average. Without either, nothing limits them.
    speed
        Service times here are the workload's, divided by it.
    workloads
        Ids of those that it serves; without, all.
    queue_limit
        Waiting requests at most; further ones are rejected. Without, all may wait.
    batching
        How requests are served together; without, each alone.
    llm
        Instead: every server is a replica of a language model that batches continuously, and its time and
        power come from there.
    idle_power_w
        IT power of a server that has nothing to do, W; with `busy_power_w`, instead of the workloads'
        energies.
    busy_power_w
        IT power of a server while it serves, W.
    unavailable
        Outages and maintenance.
    """

    servers: int | None = Field(default=None, ge=1, le=MAX_SERVERS)
    load_share: float | None = Field(default=None, gt=0, le=MAX_LOAD_SHARE)
    speed: float = Field(default=1.0, ge=1 / MAX_SPEED, le=MAX_SPEED)
    workloads: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)] | None = None
    queue_limit: int | None = Field(default=None, ge=0, le=MAX_QUEUE)
    batching: Batching | None = None
    llm: Llm | None = None
    idle_power_w: Watts | None = None
    busy_power_w: Watts | None = None
    unavailable: Annotated[tuple[Unavailable, ...], Field(strict=False, max_length=MAX_WINDOWS)] = ()

    @model_validator(mode="after")
    def _keys_agree(self) -> Pool:
        refuse(
            [
                *self._of_servers(),
                *self._of_power(),
                *self._of_workloads(),
                *self._of_windows(),
                *self._of_llm(),
            ]
        )
        return self

    @property
    def unlimited(self) -> bool:
        """Whether nothing limits its servers."""
        return self.servers is None and self.load_share is None

    def _of_servers(self) -> Iterator[Fault]:
        if self.servers is not None and self.load_share is not None:
            yield Fault("", "found both of servers and load_share", "one is expected, or neither")
        if self.unlimited and self.queue_limit is not None:
            problem = "found a limit of the queue, and none of the servers"
            yield Fault(".queue_limit", problem, "state servers or load_share")

    def _of_power(self) -> Iterator[Fault]:
        idle, busy = self.idle_power_w, self.busy_power_w
        if (idle is None) != (busy is None):
            yield Fault("", "found one of idle_power_w and busy_power_w", "both are expected, or neither")
        elif idle is not None and busy is not None and busy < idle:
            problem = f"found {busy:g} W, less than the {idle:g} W of an idle server"
            yield Fault(".busy_power_w", problem, "as much is expected, or more")

    def _of_workloads(self) -> Iterator[Fault]:
        named = self.workloads or ()
        for place, name in enumerate(named):
            if name in named[:place]:
                yield Fault(f".workloads[{place}]", f"{name!r} stands twice", "name it once")

    def _of_windows(self) -> Iterator[Fault]:
        order = sorted(range(len(self.unavailable)), key=lambda index: self.unavailable[index].start_s)
        for first, second in pairwise(order):
            if self.unavailable[second].start_s < self.unavailable[first].end_s:
                problem = f"it begins before unavailable[{first}] is over"
                yield Fault(f".unavailable[{second}]", problem, "windows of a pool must not overlap")

    def _of_llm(self) -> Iterator[Fault]:
        if self.llm is None:
            return
        if self.unlimited:
            yield Fault("", "found llm, and no number of replicas", "state servers or load_share")
        if self.speed != 1:
            yield Fault(".speed", f"found {self.speed:g} beside llm", "state the step times of llm instead")
        if self.batching is not None:
            yield Fault(".batching", "found both of batching and llm", "one is expected")
        if self.idle_power_w is not None or self.busy_power_w is not None:
            yield Fault(".idle_power_w", "found power of servers beside llm", "state llm.power instead")


def pool_faults(pools: Sequence[Pool], workloads: Sequence[str], silent: Sequence[str]) -> Iterator[Fault]:
    """Yield the faults of one region's pools.

    `workloads`: ids of the scenario's workloads: each must be in exactly one pool.
    `silent`: ids of those that state no energy. Power of servers is for engines that know servers; the others
    count grams by energies.
    """
    for index, pool in enumerate(pools):
        for place, name in enumerate(pool.workloads or ()):
            if name not in workloads:
                where = f"[{index}].workloads[{place}]"
                yield Fault(where, f"there is no workload {name!r}", did_you_mean(name, workloads))
        if pool.idle_power_w is not None and set(silent) & set(pool.workloads or workloads):
            problem = "found power, and the workloads state no energies"
            remedy = "state energy_j of all workloads: engines without servers count grams by it"
            yield Fault(f"[{index}].idle_power_w", problem, remedy)
    serving: dict[str, list[str]] = {name: [] for name in workloads}
    for index, pool in enumerate(pools):
        for name in dict.fromkeys(pool.workloads or workloads):
            serving.get(name, []).append(f"[{index}]")
    remedy = "every workload must be in exactly one pool of a region"
    for name, places in serving.items():
        if not places:
            yield Fault("", f"workload {name!r} is in none of them", remedy)
        elif len(places) > 1:
            yield Fault("", f"workload {name!r} is in {' and '.join(places[:3])}", remedy)
