"""The system of language-model replicas: pools that batch continuously, and the requests in them.

Importing it imports numba: engines do so once a run begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from carbonroute.arrays import Array, Integers
from carbonroute.engines.queued import steps
from carbonroute.engines.queued.events import Records
from carbonroute.engines.queued.system import windows_by_pool
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
#: Rows that the array of requests has at least.
_ROWS = 1024


class Settled(NamedTuple):
    """Times of n requests, in the order of their sending; NaN where the request was rejected.

    Attributes
    ----------
    wait_ms
        From reaching the pool to the start of the step that first computes it, shape (n,).
    service_ms
        From then to its last token, shape (n,).
    first_ms
        From reaching the pool to its first token, shape (n,).
    rejected
        Shape (n,).
    """

    wait_ms: Array
    service_ms: Array
    first_ms: Array
    rejected: NDArray[np.bool_]


class Saved(NamedTuple):
    """A system at some moment, as far as the future changes it."""

    now_s: float
    pools: Records
    replicas: Records
    places: Records
    requests: Records
    order: Integers
    rows: tuple[int, int, int, int]


class ReplicaSystem:
    """P pools of replicas of a language model, each batching continuously as the scheduler of vLLM v1 does.

    A step of a replica computes one token of every sequence that writes its answer, and with the rest of its
    budget chunks of the prompts of the next ones in line, first come first served. Where blocks of the cache
    run out, the sequence admitted last is preempted: back at the head of the line, it will compute anew what
    it held, but for those of its blocks that nobody has taken since: free blocks are taken in the order in
    which they were given back, a sequence's last block first. Requests that reach a pool at the start of a
    step are considered in it; of those that do at the same instant, the one sent first is first. An outage
    rejects the requests in line that never began; preempted ones stay. Whatever the steps in which time
    advances, the same happens, to the bit. Memory is that of the replicas, of the requests in the system and
    of those not yet handed out.

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

    Attributes
    ----------
    now_s
        The time up to which all has happened, s; steps that begin at that instant have not.

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
        self.now_s = 0.0
        rows = np.zeros(len(pools), dtype=steps.POOL)
        rows["servers"], rows["queue_limit"] = servers, queue_limit
        ordered, bounds = windows_by_pool(windows, len(pools))
        rows["window"], rows["window_end"] = bounds[:-1], bounds[1:]
        rows["closed_until_s"] = -np.inf
        power_w = [_state(row, pool) for row, pool in zip(rows, pools, strict=True)]
        rows["decode_w"] = np.cumsum([0, *map(len, power_w[:-1])])
        self._system = steps.System(
            rows,
            ordered,
            np.zeros(0, dtype=steps.REPLICA),
            np.zeros(0, dtype=steps.PLACE),
            np.concatenate(power_w),
            np.empty(0, dtype=steps.REQUEST),
        )
        self._make_replicas(rows["servers"])
        self._system.replicas["powered"] = 1
        self._system.replicas["ready_s"] = -np.inf
        # Rows: of the oldest request not handed out, the oldest not known to be settled, the next to be sent.
        self._oldest = self._unsettled = self._next = 0
        # Rows of those that travel, by reach, from `_at` on; all below `_sorted` have been sorted in.
        self._order = np.empty(0, dtype=np.int64)
        self._at = self._sorted = 0

    def send(
        self, reach_s: ArrayLike, pool: ArrayLike, prompt_tokens: ArrayLike, answer_tokens: ArrayLike
    ) -> None:
        """Send n requests on their way.

        Parameters
        ----------
        reach_s
            When each reaches its pool, s, shape (n,), in any order; not before `now_s`.
        pool
            Index of the pool of each, shape (n,), or one for all.
        prompt_tokens, answer_tokens
            Shape (n,), or one for all; rounded to whole numbers, at least 1.

        Raises
        ------
        ValueError
            If a request should have reached its pool before now.
        """
        reach_s = np.asarray(reach_s, dtype=np.float64)
        if not (reach_s >= self.now_s).all():
            raise ValueError(f"a request cannot reach its pool before now, {self.now_s} s")
        columns = [
            np.ascontiguousarray(np.broadcast_to(column, reach_s.shape), dtype=np.float64)
            for column in (reach_s, pool, prompt_tokens, answer_tokens)
        ]
        self._make_rows(len(reach_s))
        steps.enter(self._system.requests, self._next, *columns)
        self._next += len(reach_s)

    def advance(self, until_s: float) -> None:
        """Let happen all that happens up to and including a time; steps that begin at it are yet to come.

        Parameters
        ----------
        until_s
            Not before `now_s`. Infinity: until all requests have finished; now is then the time of the last
            event.

        Raises
        ------
        ValueError
            If the time has passed.
        """
        if not until_s >= self.now_s:
            raise ValueError(f"{until_s} s has passed: now is {self.now_s} s")
        self._sort()
        self._at = steps.advance(self._system, self._order, self._at, float(until_s))
        pools = self._system.pools
        last_s = max(self.now_s, float(pools["clock_s"].max())) if math.isinf(until_s) else until_s
        self.now_s = float(last_s)

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

    def save(self, more: int) -> Saved:
        """Return the state that `restore` needs to come back to this moment.

        Parameters
        ----------
        more
            How many requests may be sent until then. None may be handed out.
        """
        self._make_rows(more)
        self._sort()
        start = self._oldest + self.settled  # settled requests do not change
        system = self._system
        return Saved(
            self.now_s,
            system.pools.copy(),
            system.replicas.copy(),
            system.places.copy(),
            system.requests[start : self._next].copy(),
            self._order,
            (self._unsettled, self._next, self._at, self._sorted),
        )

    def restore(self, saved: Saved) -> None:
        """Come back to a moment: nothing has happened since. Once for each."""
        self.now_s, pools, replicas, places, requests, self._order, rows = saved
        self._unsettled, self._next, self._at, self._sorted = rows
        self._system.requests[self._unsettled : self._next] = requests
        self._system = self._system._replace(pools=pools, replicas=replicas, places=places)

    @property
    def settled(self) -> int:
        """How many of the oldest requests not yet handed out are all settled: finished, or rejected."""
        self._unsettled = steps.settled(self._system.requests, self._unsettled, self._next)
        return self._unsettled - self._oldest

    def settle(self, count: int) -> Settled:
        """Hand out the oldest requests, and forget them.

        Parameters
        ----------
        count
            How many, at most `settled`.

        Raises
        ------
        ValueError
            If there are not as many.
        """
        if not 0 <= count <= self.settled:
            raise ValueError(f"{self.settled} requests are settled, not {count}")
        wait_ms, service_ms, first_ms = steps.times_ms(self._system.requests, self._oldest, count)
        self._oldest += count
        return Settled(wait_ms, service_ms, first_ms, np.isnan(wait_ms))

    def set_servers(self, servers: ArrayLike) -> None:
        """Set how many replicas are switched on from now on.

        Those beyond the number take no new requests; each serves those that it has, and is then powered off.
        One that is switched on takes requests once it has loaded, at once if it is still powered.

        Parameters
        ----------
        servers
            Shape (P,), 0 or more each.
        """
        by_pool = np.broadcast_to(np.asarray(servers, dtype=np.int64), self._system.pools.shape)
        self._make_replicas(by_pool)
        steps.switch(self._system, by_pool, self.now_s)

    @property
    def servers(self) -> Integers:
        """Replicas switched on, shape (P,)."""
        return self._column("servers")

    @property
    def busy(self) -> Integers:
        """Replicas that run at least one sequence, shape (P,)."""
        return self._column("busy")

    @property
    def running(self) -> Integers:
        """Sequences in batches, shape (P,)."""
        return self._column("running")

    @property
    def waiting(self) -> Integers:
        """Requests in line, preempted ones too, shape (P,)."""
        return self._column("waiting")

    @property
    def held(self) -> Integers:
        """Tokens in the caches of sequences that run, at the end of the present steps, shape (P,)."""
        tokens: Integers = steps.read(self._system, self.now_s)["held"]
        return tokens

    @property
    def travelling(self) -> Integers:
        """Requests that have not reached their pool yet, shape (P,)."""
        self._sort()
        travelling = self._system.requests["pool"][self._order[self._at :]]
        return np.bincount(travelling, minlength=len(self._system.pools))

    @property
    def served(self) -> Integers:
        """Requests finished so far, shape (P,)."""
        return self._column("served")

    @property
    def rejected(self) -> Integers:
        """Requests rejected so far, shape (P,)."""
        return self._column("rejected")

    @property
    def preemptions(self) -> Integers:
        """Preemptions so far, shape (P,)."""
        return self._column("preemptions")

    def _column(self, name: str) -> Integers:
        column: Integers = self._system.pools[name].copy()
        return column

    def _sort(self) -> None:
        """Sort newly sent requests in among those that travel; ties in the order of sending."""
        if self._sorted == self._next:
            return
        travelling = self._order[self._at :]
        rows = np.concatenate((travelling, np.arange(self._sorted, self._next)))
        by_reach = np.argsort(self._system.requests["reach_s"][rows], kind="stable")
        self._order, self._at = rows[by_reach], 0
        self._sorted = self._next

    def _make_rows(self, count: int) -> None:
        """Make rows for more requests; those of requests that were handed out are free."""
        requests = self._system.requests
        if self._next + count <= len(requests):
            return
        gone, kept = self._oldest, self._next - self._oldest
        # At least half of the rows are free afterwards: a request is moved once, on average.
        size = max(_ROWS, 1 << (2 * (kept + count) - 1).bit_length())
        rows = requests if size == len(requests) else np.empty(size, dtype=steps.REQUEST)
        rows[:kept] = requests[gone : self._next]
        for name in ("ahead", "behind"):
            rows[name][:kept] = _moved(rows[name][:kept], gone)
        for name in ("head", "tail", "last", "partial"):
            self._system.replicas[name] = _moved(self._system.replicas[name], gone)
        self._system.places["row"] -= gone
        self._order = self._order[self._at :] - gone
        self._system, self._at = self._system._replace(requests=rows), 0
        self._oldest, self._unsettled = 0, self._unsettled - gone
        self._sorted, self._next = self._sorted - gone, kept

    def _make_replicas(self, servers: Integers) -> None:
        """Make as many replicas as servers, shape (P,), or more, where there are fewer; they are off."""
        pools = self._system.pools
        present = pools["end"] - pools["first"]
        wanted = np.maximum(present, servers)
        if (wanted == present).all() and len(self._system.replicas):
            return
        ends = np.cumsum(wanted)
        of_pool = np.repeat(np.arange(len(pools)), wanted)
        old = np.concatenate(
            [np.arange(first, end) for first, end in zip(pools["first"], pools["end"], strict=True)]
        )
        new = np.concatenate([np.arange(count) for count in present]) + np.repeat(ends - wanted, present)
        replicas = np.zeros(len(of_pool), dtype=steps.REPLICA)
        replicas["begin_s"] = replicas["end_s"] = np.inf
        replicas["last"] = replicas["partial"] = replicas["head"] = replicas["tail"] = -1
        replicas["free"] = pools["kv_blocks"][of_pool]
        replicas[new] = self._system.replicas[old]
        size = np.maximum(pools["max_num_seqs"], pools["block_tokens"])[of_pool]
        replicas["place"] = np.cumsum(size) - size
        places = np.zeros(size.sum(), dtype=steps.PLACE)
        for before, after in zip(old, new, strict=True):
            start, at = self._system.replicas["place"][before], replicas["place"][after]
            places[at : at + size[after]] = self._system.places[start : start + size[after]]
        pools["first"], pools["end"] = ends - wanted, ends
        self._system = self._system._replace(replicas=replicas, places=places)


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


def _moved(rows: Integers, by: int) -> Integers:
    """Return rows of requests that moved to the front; −1 is none."""
    return np.where(rows >= 0, rows - by, -1)
