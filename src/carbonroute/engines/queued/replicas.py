"""The system of language-model replicas: pools that batch continuously, and the requests in them.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array, Integers
from carbonroute.engines.queued import steps
from carbonroute.engines.queued.base import PoolSystem, Settled
from carbonroute.engines.queued.events import Records
from carbonroute.engines.queued.replica_records import PLACE, POOL, REPLICA, REQUEST
from carbonroute.llm import LlmPool

#: Fields that a pool takes unchanged from its `LlmPool`, and from its `StepLaw`.
_STATED = (
    "max_num_seqs",
    "max_num_batched_tokens",
    "kv_blocks",
    "block_tokens",
    "prefix_hit_share",
    "prefix_caching",
    "load_s",
)
_OF_LAW = (
    "link_ms_per_token",
    "sequence_ms",
    "weights_ms",
    "experts_ms",
    "expert_share",
    "kv_ms_per_token",
    "compute_ms_per_token",
)


class ReplicaSystem(PoolSystem):
    """P pools of replicas of a language model, each batching continuously as the scheduler of vLLM v1 does.

    A step of a replica computes one token of every sequence that writes its answer, and with the rest of its
    budget chunks of the prompts of the next ones in line, first come first served. Where blocks of the cache
    run out, the sequence admitted last is preempted: back at the head of the line, it will compute anew what
    it held, but for those of its blocks that nobody has taken since: free blocks are taken in the order in
    which they were given back, a sequence's last block first. Requests that reach a pool at the start of a
    step are considered in it; of those that do at the same instant, the one sent first is first. An outage
    rejects the requests in line that never began; preempted ones stay. When time has advanced, steps that
    begin at that instant are yet to come.

    Parameters
    ----------
    pools
        P of them.
    servers
        Replicas switched on, and loaded, at first, shape (P,).
    queue_limit
        Requests that wait in a pool at most, beyond those for which a batch has a place, shape (P,).
    windows
        When pools take no requests, as of `Capacity`, shape (N, 4).

    Examples
    --------
    One token takes 10 ms, whatever the batch; the second request waits for the end of a step.

    >>> from carbonroute.llm import StepLaw
    >>> law = StepLaw(10.0, 0.0, 0.0, 0.0)
    >>> pool = LlmPool(law, None, max_num_seqs=8, max_num_batched_tokens=512, kv_blocks=100)
    >>> system = ReplicaSystem([pool], [1], [100], np.zeros((0, 4)))
    >>> system.send([1.0, 1.034], 0, [100, 100], [5, 3])
    >>> system.advance(10)
    >>> system.settle(2).service_ms.round(6).tolist()
    [50.0, 30.0]
    """

    def __init__(
        self, pools: Sequence[LlmPool], servers: ArrayLike, queue_limit: ArrayLike, windows: Array
    ) -> None:
        rows = np.zeros(len(pools), dtype=POOL)
        rows["servers"], rows["queue_limit"] = servers, queue_limit
        power_w = [_state(row, pool) for row, pool in zip(rows, pools, strict=True)]
        rows["decode_w"] = np.cumsum([0, *map(len, power_w[:-1])])
        super().__init__(rows, windows, REQUEST)
        self._decode_w = np.concatenate(power_w)
        self._replicas: Records = np.zeros(0, dtype=REPLICA)
        self._places: Records = np.zeros(0, dtype=PLACE)
        self._make_replicas(rows["servers"])
        self._replicas["powered"] = 1
        self._replicas["ready_s"] = -np.inf

    def send(
        self, reach_s: ArrayLike, pool: ArrayLike, prompt_tokens: ArrayLike, answer_tokens: ArrayLike
    ) -> None:
        """Send n requests on their way.

        Raises ValueError if a request should have reached its pool before now.

        Parameters
        ----------
        reach_s
            When each reaches its pool, s, shape (n,), in any order; not before `now_s`.
        pool
            Index of the pool of each, shape (n,), or one for all.
        prompt_tokens, answer_tokens
            Shape (n,), or one for all; rounded to whole numbers, at least 1.
        """
        reach_s = self._reaching(reach_s)
        columns = [
            np.ascontiguousarray(np.broadcast_to(column, reach_s.shape), dtype=np.float64)
            for column in (reach_s, pool, prompt_tokens, answer_tokens)
        ]
        start = self._enter(len(reach_s)).start
        steps.enter(self._requests, start, *columns)

    def through(self, times_s: Array) -> Records:
        """Let happen all that happens up to and including each of some times in turn.

        Parameters
        ----------
        times_s
            Finite and ascending, shape (n,), n > 0; none before `now_s`.

        Returns
        -------
        The readings of all pools at each time, `steps.READING`, shape (n, P): time integrals up to it, s, of
        replicas that run sequences (`busy_s`), requests that wait, replicas switched on, sequences that run
        (`running_s`) and tokens in the cache (`held_s`), energy of powered replicas (`energy_j`); tokens that
        steps have computed of prompts, recomputed ones too, and produced; preemptions; and how many there are
        at it of `busy`, `waiting`, `servers` and `held`.
        """
        self._sort()
        times_s = np.ascontiguousarray(times_s, dtype=np.float64)
        self._at, readings = steps.through(self._system, self._order, self._at, times_s)
        self.now_s = float(times_s[-1])
        return readings

    def set_servers(self, servers: ArrayLike) -> None:
        """Set how many replicas are switched on from now on.

        Those beyond the number take no new requests; each serves those that it has, and is then powered off.
        One that is switched on takes requests once it has loaded, at once if it is still powered.

        `servers`: shape (P,), 0 or more each.
        """
        by_pool = np.broadcast_to(np.asarray(servers, dtype=np.int64), self._pools.shape)
        self._make_replicas(by_pool)
        steps.switch(self._system, by_pool, self.now_s)

    @property
    def preemptions(self) -> Integers:
        """Preemptions so far, shape (P,)."""
        return self._column("preemptions")

    @property
    def _system(self) -> steps.System:
        return steps.System(
            self._pools, self._windows, self._replicas, self._places, self._decode_w, self._requests
        )

    def _process(self, until_s: float) -> None:
        self._at = steps.advance(self._system, self._order, self._at, until_s)

    def _first_unsettled(self, start: int) -> int:
        row: int = steps.settled(self._requests, start, self._next)
        return row

    def _times_ms(self, start: int, count: int) -> Settled:
        return Settled(*steps.times_ms(self._requests, start, count))

    def _links(self, requests: Records) -> Iterable[tuple[Records, tuple[str, ...]]]:
        yield requests, ("ahead", "behind")
        yield self._replicas, ("head", "tail", "last", "partial")
        yield self._places, ("row",)

    def _make_replicas(self, servers: Integers) -> None:
        """Make as many replicas as servers, shape (P,), or more, where there are fewer; they are off."""
        pools = self._pools
        present = pools["end"] - pools["first"]
        most = np.maximum(present, servers)
        if (most == present).all() and len(self._replicas):
            return
        ends = np.cumsum(most)
        of_pool = np.repeat(np.arange(len(pools)), most)
        old = np.concatenate(
            [np.arange(first, end) for first, end in zip(pools["first"], pools["end"], strict=True)]
        )
        new = np.concatenate([np.arange(count) for count in present]) + np.repeat(ends - most, present)
        replicas = np.zeros(len(of_pool), dtype=REPLICA)
        replicas["begin_s"] = replicas["end_s"] = np.inf
        replicas["last"] = replicas["partial"] = replicas["head"] = replicas["tail"] = -1
        replicas["free"] = pools["kv_blocks"][of_pool]
        replicas[new] = self._replicas[old]
        size = np.maximum(pools["max_num_seqs"], pools["block_tokens"])[of_pool]
        replicas["place"] = np.cumsum(size) - size
        places = np.zeros(size.sum(), dtype=PLACE)
        for before, after in zip(old, new, strict=True):
            start, at = self._replicas["place"][before], replicas["place"][after]
            places[at : at + size[after]] = self._places[start : start + size[after]]
        pools["first"], pools["end"] = ends - most, ends
        self._replicas, self._places = replicas, places


def _state(row: np.void, pool: LlmPool) -> Array:
    """Write what a pool is like into its record; return the power of a step by sequences that decode, W."""
    for name in _STATED:
        row[name] = getattr(pool, name)
    for name in _OF_LAW:
        row[name] = getattr(pool.law, name)
    row["fixed_ms"] = pool.law.overhead_ms + pool.law.link_ms
    row["in_turn"] = pool.balance == "round-robin"
    if pool.power is None:
        return np.zeros(pool.max_num_seqs + 1)
    row["idle_w"], row["prefill_w"] = pool.power.idle_w, pool.power.prefill_w
    return pool.power.at_w(np.arange(pool.max_num_seqs + 1))
