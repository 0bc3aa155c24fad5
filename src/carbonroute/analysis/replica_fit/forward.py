"""A log of requests served again, by the model of a replica with some coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

import numpy as np

from carbonroute.arrays import Array, Integers
from carbonroute.importing.request_log import RequestLog
from carbonroute.llm import LlmPool, StepLaw

#: What is fitted of the time of a step, and which of its coefficients follow in proportion: the experts of a
#: sparse model are read at the bandwidth of its other weights.
COEFFICIENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "overhead_ms": (),
        "weights_ms": ("experts_ms",),
        "kv_ms_per_token": (),
        "compute_ms_per_token": (),
        "sequence_ms": (),
    }
)
#: Requests that wait at most: no log has as many.
_UNLIMITED = 2**40


@dataclass(frozen=True)
class RequestTimes:
    """What N requests took, ms, shape (N,) each; NaN where it is not known.

    Attributes
    ----------
    ttft_ms
        From arrival to the first token.
    tpot_ms
        For each token after the first.
    e2e_ms
        From arrival to the last token.
    """

    ttft_ms: Array
    tpot_ms: Array
    e2e_ms: Array

    @classmethod
    def of(cls, first_ms: Array, last_ms: Array, output: Integers) -> RequestTimes:
        """Return them by the first and the last token, and the number of tokens; shape (N,) each."""
        further = np.where(output > 1, output - 1.0, np.nan)
        return cls(first_ms, (last_ms - first_ms) / further, last_ms)

    @property
    def stacked(self) -> Array:
        """All three, shape (3, N)."""
        return np.stack([getattr(self, field.name) for field in fields(self)])

    def part(self, rows: slice) -> RequestTimes:
        """Return those of some requests."""
        return RequestTimes(*(getattr(self, field.name)[rows] for field in fields(self)))


#: The times of a request, as messages have them.
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {"ttft_ms": "time to first token", "tpot_ms": "time per further token", "e2e_ms": "end to end"}
)


@dataclass(frozen=True)
class ReplicaServer:
    """What served a log: replicas of a pool, whose law is the one to begin with.

    `pool`: with the law of data sheets, or another one to begin with.
    """

    pool: LlmPool
    replicas: int = 1

    def scaled(self, scale_ms: Mapping[str, float]) -> ReplicaServer:
        """Return a server with some of the `COEFFICIENTS`, ms."""
        law = self.pool.law
        return replace(self, pool=replace(self.pool, law=scaled_law(law, scale_ms)))

    def caching(self, tokens: int) -> ReplicaServer:
        """Return a server whose cache holds some tokens."""
        return replace(self, pool=replace(self.pool, kv_blocks=tokens // self.pool.block_tokens))


def scaled_law(law: StepLaw, values: Mapping[str, float]) -> StepLaw:
    """Return a law with some of the `COEFFICIENTS`, ms, and those that follow them."""
    followers = {
        name: getattr(law, name) * value / getattr(law, leader)
        for leader, value in values.items()
        for name in COEFFICIENTS[leader]
        if getattr(law, leader) > 0
    }
    return replace(law, **values, **followers)


def served(server: ReplicaServer, log: RequestLog) -> RequestTimes:
    """Return the times of a log's requests as the model has them; NaN where the cache can never hold one."""
    return served_apart(server, [log])[0]


def served_apart(server: ReplicaServer, logs: Sequence[RequestLog]) -> list[RequestTimes]:
    """Return the times of the requests of several logs, as of `served`; each has a server of its own."""
    from carbonroute.engines.queued.replicas import ReplicaSystem

    count, lengths = len(logs), [len(log) for log in logs]
    system = ReplicaSystem(
        [server.pool] * count, [server.replicas] * count, [_UNLIMITED] * count, np.zeros((0, 4))
    )
    columns = [
        np.concatenate([getattr(log, name) for log in logs]) for name in ("arrival_s", "prompt", "output")
    ]
    system.send(columns[0], np.repeat(np.arange(count), lengths), *columns[1:])
    system.advance(np.inf)
    settled = system.settle(sum(lengths))
    times = RequestTimes.of(settled.first_ms, settled.wait_ms + settled.service_ms, columns[2])
    ends = np.cumsum(lengths).tolist()
    return [times.part(slice(end - length, end)) for end, length in zip(ends, lengths, strict=True)]


def measured(log: RequestLog) -> RequestTimes:
    """Return the times of a log's requests."""
    return RequestTimes.of(log.first_ms, log.last_ms, log.output)


@dataclass(frozen=True)
class Load:
    """The model's replicas while N requests are served, shape (N,) each.

    `waiting`, `running`: requests in line, and sequences in batches, when each arrives.
    `preemptions`: while each is in the system: of any sequence.
    """

    waiting: Integers
    running: Integers
    preemptions: Integers


def load(server: ReplicaServer, log: RequestLog, e2e_ms: Array) -> Load:
    """Return the load that each request of a log meets in the model.

    `server`, `log`: as of `served`.
    `e2e_ms`: what `served` has of it, shape (N,).
    """
    from carbonroute.engines.queued.replicas import ReplicaSystem

    system = ReplicaSystem([server.pool], [server.replicas], [_UNLIMITED], np.zeros((0, 4)))
    system.send(log.arrival_s, 0, log.prompt, log.output)
    last_s = log.arrival_s + np.nan_to_num(e2e_ms) / 1000
    times_s, places = np.unique(np.concatenate([log.arrival_s, last_s]), return_inverse=True)
    readings = system.through(times_s)[:, 0]
    at_arrival, at_end = readings[places[: len(log)]], readings[places[len(log) :]]
    return Load(
        waiting=at_arrival["waiting"],
        running=at_arrival["running"],
        preemptions=at_end["preemptions"] - at_arrival["preemptions"],
    )
