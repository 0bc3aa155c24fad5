"""Compiled event loop of replicas that batch continuously: steps of prompts and answers, in vLLM's order.

Steps that only decode the same sequences follow each other as a run, whose times have a closed form: it ends
with the first sequence that finishes, before the cache runs short, or where a request that arrives may join.
It is anchored at its first step, whatever the steps in which time advances. At one instant, steps end first,
then windows begin, then requests arrive, and steps begin as time leaves the instant.

Requests in line are a list linked through the requests, and so are those that run, in the order of admission.
A prompt that is only partly computed is always the last of these. Those that decode are in a heap of the
decode steps, counted by replica, with which they finish; as each of them holds one token more after every
step, the tokens that it holds minus that count are constant, and tell with which steps it needs a block.

All parts of the loop are in this file: numba keeps compiled loops on disk, and compiles anew where the file
of a loop has changed, not where other files have.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numba import njit

from carbonroute.arrays import Array, Integers
from carbonroute.engines.kernel import compiled
from carbonroute.engines.queued.events import Records, records
from carbonroute.units import MS_PER

P = ParamSpec("P")
T = TypeVar("T")

_MS_PER_S = MS_PER["s"]
_OUTAGE = 1
#: The last moment of all, s; infinity is when nothing is to happen.
_LAST_S = sys.float_info.max
#: Steps that no run has, and yet few enough to be exact as a float.
_MOST_STEPS = 2**52

#: One pool at one moment: time integrals up to it, counts up to it, and counts at it.
READING = records(
    [
        ("busy_s", np.float64),
        ("waiting_s", np.float64),
        ("server_s", np.float64),
        ("busy", np.int64),
        ("waiting", np.int64),
        ("servers", np.int64),
        ("energy_j", np.float64),
        ("running_s", np.float64),
        ("held_s", np.float64),
        ("prompt_tokens", np.int64),
        ("answer_tokens", np.int64),
        ("preemptions", np.int64),
        ("held", np.int64),
        ("running", np.int64),  # sequences
    ]
)


class System(NamedTuple):
    """Pools and their windows; replicas and their places; power by sequences that decode; requests."""

    pools: Records
    windows: Array
    replicas: Records
    places: Records
    decode_w: Array
    requests: Records


#: Options of the parts of the loops: they make no arrays, and count no references to those that the loops
#: hold, which would take a quarter of the time or more. No documented option says so.
_PART: Mapping[str, Any] = MappingProxyType({"nogil": True, "error_model": "numpy", "_nrt": False})


def _shared(function: Callable[P, T]) -> Callable[P, T]:
    """Return a compiled part that is called at several places."""
    part: Callable[P, T] = njit(**_PART)(function)
    return part


def _inlined(function: Callable[P, T]) -> Callable[P, T]:
    """Return a compiled part, inlined: a call would cost more than the part itself."""
    part: Callable[P, T] = njit(forceinline=True, **_PART)(function)
    return part


@compiled
def advance(system: System, order: Integers, at: int, until_s: float) -> int:
    """Process all events up to and including a time.

    Parameters
    ----------
    system
        Changed in place; windows are those of `Capacity`, sorted by pool and start.
    order, at
        Rows of requests that travel, by the time at which they reach their pools, and the first of them that
        has not done so.
    until_s
        Infinity: until all have finished.

    Returns
    -------
    The new `at`.
    """
    pools, windows, replicas, places, decode_w, requests = system
    stop_s = min(until_s, _LAST_S)
    left = len(pools)
    while left > 0:
        arriving = at < len(order) and requests[order[at]].reach_s <= stop_s
        left -= not arriving
        row = order[at] if arriving else -1
        pool = pools[requests[row].pool if arriving else left]
        next_s = requests[row].reach_s if arriving else stop_s
        _run(pool, windows, replicas, places, decode_w, requests, next_s)
        if arriving:
            _arrive(pool, replicas, requests, row)
            at += 1
    return at


@compiled
def through(system: System, order: Integers, at: int, times_s: Array) -> tuple[int, Records]:
    """Process all events up to each of some times in turn, and read all pools at each.

    Parameters
    ----------
    system, order, at
        As of `advance`.
    times_s
        Ascending, shape (n,).

    Returns
    -------
    The new `at`, and the readings, `READING`, shape (n, P). Between events, integrals are not added to,
    whatever the steps of time.
    """
    pools, replicas = system.pools, system.replicas
    readings = np.zeros((len(times_s), len(pools)), dtype=READING)
    for step in range(len(times_s)):
        at = advance(system, order, at, times_s[step])
        for p in range(len(pools)):
            _read(pools[p], replicas, times_s[step], readings[step, p])
    return at, readings


@compiled
def switch(system: System, servers: Integers, now_s: float) -> None:
    """Set the number of servers, shape (P,), from now on; there are as many replicas, or more."""
    pools, replicas = system.pools, system.replicas
    for p in range(len(pools)):
        pool = pools[p]
        if servers[p] == pool.servers:
            continue
        pool.server_s += pool.servers * (now_s - pool.switched_s)
        pool.switched_s = now_s
        before, pool.servers = pool.servers, servers[p]
        for index in range(min(before, pool.servers), max(before, pool.servers)):
            replica = replicas[pool.first + index]
            if index < before:
                _release(pool, replica, index, now_s)
            elif replica.powered == 0:
                replica.powered, replica.clock_s, replica.ready_s = 1, now_s, now_s + pool.load_s


@compiled
def enter(
    requests: Records, start: int, reach_s: Array, pool: Array, prompt_tokens: Array, answer_tokens: Array
) -> None:
    """Write new requests into rows from `start` on; shape (n,) each. Lengths become whole, and 1 at least."""
    for i in range(len(reach_s)):
        request = requests[start + i]
        request.reach_s, request.pool = reach_s[i], int(pool[i])
        request.prompt = max(int(np.rint(prompt_tokens[i])), 1)
        request.answer = max(int(np.rint(answer_tokens[i])), 1)
        request.produced, request.computed, request.residue, request.begin_s = 0, 0, 0, 0.0
        request.wait_ms, request.first_ms, request.service_ms = -1.0, -1.0, -1.0
        request.ahead, request.behind = -1, -1


@compiled
def times_ms(requests: Records, start: int, count: int) -> tuple[Array, Array, Array]:
    """Return waits, service times, and times to the first token of some rows, ms, shape (count,) each."""
    wait_ms, service_ms, first_ms = np.empty(count), np.empty(count), np.empty(count)
    for i in range(count):
        request = requests[start + i]
        wait_ms[i], service_ms[i], first_ms[i] = request.wait_ms, request.service_ms, request.first_ms
    return wait_ms, service_ms, first_ms


@compiled
def settled(requests: Records, start: int, end: int) -> int:
    """Return the first row from `start` on that has neither finished nor been rejected; `end` if none."""
    while start < end and not requests[start].service_ms < 0:
        start += 1
    return start


@_inlined
def _run(
    pool: Any,
    windows: Array,
    replicas: Records,
    places: Records,
    decode_w: Array,
    requests: Records,
    until_s: float,
) -> None:
    """Let a pool's own events happen, up to and including a time; steps begin before it."""
    while True:
        close_s = np.inf
        if pool.window < pool.window_end and (until_s < _LAST_S or pool.running + pool.waiting > 0):
            close_s = windows[pool.window, 2]
        stop_s = min(until_s, close_s)
        for r in range(pool.first, pool.end):
            replica = replicas[r]
            while replica.end_s <= stop_s or replica.begin_s < stop_s:
                if replica.begin_s < stop_s:
                    _begin(pool, replica, places, decode_w, requests)
                else:
                    _end(pool, replica, places, requests, r - pool.first)
        if close_s > until_s:
            return
        _close(pool, windows, replicas, requests)


@_inlined
def _begin(pool: Any, replica: Any, places: Records, decode_w: Array, requests: Records) -> None:
    """Begin a run of steps: blocks for those that run, then those that wait, then how long it lasts."""
    now_s, replica.begin_s = replica.begin_s, np.inf
    _idle(pool, replica, now_s)
    before = replica.waiting
    _continue(pool, replica, places, requests)
    preempted = replica.waiting > before
    if replica.waiting > 0 and not preempted:
        _admit(pool, replica, requests)
    _plan(pool, replica, places, decode_w, preempted)


@_inlined
def _continue(pool: Any, replica: Any, places: Records, requests: Records) -> None:
    """Give those that run their blocks for the next step; preempt the last while there are too few."""
    replica.prefilling, replica.prompt = 0, 0
    row, needed, chunk = replica.partial, 0, 0
    crossing = places[replica.place + replica.next].crossing
    if row >= 0:
        computed = requests[row].computed
        left = pool.max_num_batched_tokens - (replica.running - 1)
        chunk = min(requests[row].prompt + requests[row].produced - computed, left)
        needed = _blocks(pool, computed + chunk) - _blocks(pool, computed)
    while crossing + needed > replica.free:
        crossing -= _preempt(pool, replica, places, requests)
        needed = 0
    replica.free -= crossing + needed
    if replica.partial >= 0:
        requests[row].computed += chunk
        replica.held += chunk
        replica.prefilling, replica.prompt = 1, chunk


@_shared
def _preempt(pool: Any, replica: Any, places: Records, requests: Records) -> int:
    """Put the sequence admitted last at the head of the line; return 1 if it needed a block, else 0."""
    row = replica.last
    request = requests[row]
    tokens, crosses = request.computed, 0
    if row == replica.partial:
        replica.partial = -1
    else:
        tokens += replica.count
        crosses = int(tokens % pool.block_tokens == 0)
        places[replica.place + request.residue].crossing -= 1
        request.produced = request.answer - (_take(replica, places, row) - replica.count)
    _leave(pool, replica, requests, row)
    request.kept, request.kept_from = tokens // pool.block_tokens, replica.freed
    request.kept_from += _blocks(pool, tokens) - request.kept  # the last one is not full
    _free(pool, replica, tokens)
    request.computed = 0
    request.behind = replica.head
    if replica.waiting == 0:
        replica.tail = row
    replica.head = row
    replica.begun += 1
    _wait(pool, replica, replica.clock_s, 1)
    pool.preemptions += 1
    return crosses


@_inlined
def _admit(pool: Any, replica: Any, requests: Records) -> None:
    """Let those that wait begin to read their prompts, as far as sequences, tokens and blocks allow."""
    left = pool.max_num_batched_tokens - (replica.running - replica.prefilling) - replica.prompt
    while replica.waiting > 0 and replica.running < pool.max_num_seqs and left > 0:
        row = replica.head
        request = requests[row]
        hit = 0
        if request.wait_ms < 0 and pool.prefix_hit_share > 0:
            blocks = int(pool.prefix_hit_share * request.prompt / pool.block_tokens)
            hit = min(blocks, (request.prompt - 1) // pool.block_tokens) * pool.block_tokens
        elif request.wait_ms >= 0 and pool.prefix_caching:
            taken = replica.freed - replica.free - request.kept_from
            hit = max(request.kept - max(taken, 0), 0) * pool.block_tokens
        chunk = min(request.prompt + request.produced - hit, left)
        needed = _blocks(pool, hit + chunk)
        if needed > replica.free:
            return
        if request.wait_ms < 0:
            request.begin_s = replica.clock_s
            request.wait_ms = (replica.clock_s - request.reach_s) * _MS_PER_S
        else:
            replica.begun -= 1
            replica.freed -= hit // pool.block_tokens
        replica.head = request.behind
        _wait(pool, replica, replica.clock_s, -1)
        request.ahead, request.behind, request.computed = replica.last, -1, hit + chunk
        if replica.running > 0:
            requests[replica.last].behind = row
        replica.last = row
        pool.busy += replica.running == 0
        replica.running += 1
        pool.running += 1
        replica.free -= needed
        replica.held += hit + chunk
        replica.prompt += chunk
        replica.prefilling += 1
        left -= chunk


@_inlined
def _plan(pool: Any, replica: Any, places: Records, decode_w: Array, preempted: bool) -> None:
    """Work out the time and the power of the next steps, and how many there are."""
    decoding = replica.running - replica.prefilling
    tokens = decoding + replica.prompt
    # Formula step-time.
    fixed_ms = pool.fixed_ms + pool.link_ms_per_token * tokens + pool.sequence_ms * replica.running
    memory_ms = pool.weights_ms
    if pool.experts_ms > 0:
        memory_ms += pool.experts_ms * (1 - (1 - pool.expert_share) ** tokens)
    arithmetic_ms = pool.compute_ms_per_token * tokens
    replica.decoding, replica.steps = decoding, 1
    if replica.prefilling > 0:
        replica.held += decoding
        memory_ms += pool.kv_ms_per_token * replica.held
        replica.grown, replica.flat_steps = 0, 1
        replica.flat_ms = fixed_ms + max(memory_ms, arithmetic_ms)
    else:
        memory_ms += pool.kv_ms_per_token * replica.held
        slope_ms = pool.kv_ms_per_token * decoding
        replica.flat_steps = 0
        if memory_ms + slope_ms < arithmetic_ms:
            over = (arithmetic_ms - memory_ms) / max(slope_ms, arithmetic_ms / _MOST_STEPS)
            replica.flat_steps = int(min(over, _MOST_STEPS))
        replica.flat_ms = fixed_ms + arithmetic_ms
        replica.base_ms, replica.slope_ms = fixed_ms + memory_ms, slope_ms
        replica.grown = decoding
        if not preempted:
            replica.steps = _most_steps(pool, replica, places)
    # Formula step-power.
    power_w = decode_w[pool.decode_w + max(decoding, 1)]
    if replica.prompt > 0:
        power_w += replica.prompt / pool.max_num_batched_tokens * max(pool.prefill_w - power_w, 0.0)
    replica.power_w = power_w
    replica.end_s = _time_s(replica, replica.steps)


@_inlined
def _most_steps(pool: Any, replica: Any, places: Records) -> int:
    """Return the decode steps until a sequence finishes, or before the cache runs short.

    The blocks of the first one are given out already.
    """
    steps: int = places[replica.place].finish - replica.count
    size, sequences = pool.block_tokens, replica.running
    if (steps + size) * sequences <= replica.free * size:
        return steps
    rounds = replica.free // sequences
    left = replica.free - rounds * sequences
    residue = replica.next
    most: int = 1 + rounds * size
    while most < steps:
        residue = residue - 1 if residue > 0 else size - 1
        left -= places[replica.place + residue].crossing
        if left < 0:
            return most
        most += 1
    return steps


@_inlined
def _end(pool: Any, replica: Any, places: Records, requests: Records, index: int) -> None:
    """End a run of steps: add up what it took, and let sequences finish, or go on from prompt to answer."""
    now_s, steps, replica.end_s = replica.end_s, replica.steps, np.inf
    passed_s = now_s - replica.clock_s
    replica.busy_s += passed_s
    replica.running_s += replica.running * passed_s
    replica.energy_j += replica.power_w * passed_s
    replica.held_s += _held_s(replica, steps)
    replica.clock_s = now_s
    pool.clock_s = max(pool.clock_s, now_s)
    size, residue, more = pool.block_tokens, replica.next, steps - 1
    if more >= size:
        rounds = more // size
        more -= rounds * size
        replica.free -= rounds * replica.decoding
    for _ in range(more):
        residue = residue - 1 if residue > 0 else size - 1
        replica.free -= places[replica.place + residue].crossing
    replica.next = residue - 1 if residue > 0 else size - 1
    replica.count += steps
    replica.held += replica.grown * steps
    replica.answer_tokens += replica.decoding * steps
    replica.prompt_tokens += replica.prompt
    left = replica.decoding
    while left > 0 and places[replica.place].finish == replica.count:
        left -= 1
        row = places[replica.place].row
        _drop(replica, places, 0, left)
        places[replica.place + requests[row].residue].crossing -= 1
        _finish(pool, replica, requests, row, requests[row].computed + replica.count)
    replica.decoding = left
    if replica.prefilling > 0:
        _answer(pool, replica, places, requests)
    if replica.running + replica.waiting > 0:
        replica.begin_s = now_s
    else:
        _release(pool, replica, index, now_s)


@_inlined
def _answer(pool: Any, replica: Any, places: Records, requests: Records) -> None:
    """Let sequences whose prompt is computed produce a token, and decode from now on."""
    row = replica.last
    replica.partial = -1
    for _ in range(replica.prefilling):
        request = requests[row]
        this, row = row, request.ahead
        tokens = request.prompt + request.produced
        if request.computed < tokens:
            replica.partial = this
            continue
        replica.answer_tokens += 1
        request.produced += 1
        if request.first_ms < 0:
            request.first_ms = (replica.clock_s - request.reach_s) * _MS_PER_S
        if request.produced == request.answer:
            _finish(pool, replica, requests, this, tokens)
            continue
        request.computed = tokens - replica.count
        request.residue = request.computed % pool.block_tokens
        places[replica.place + request.residue].crossing += 1
        _push(replica, places, replica.count + request.answer - request.produced, this)
    replica.prefilling = 0


@_inlined
def _finish(pool: Any, replica: Any, requests: Records, row: int, tokens: int) -> None:
    """Let a sequence that holds some tokens leave with its last one."""
    request = requests[row]
    request.service_ms = (replica.clock_s - request.begin_s) * _MS_PER_S
    _free(pool, replica, tokens)
    pool.served += 1
    _leave(pool, replica, requests, row)


@_inlined
def _free(pool: Any, replica: Any, tokens: int) -> None:
    """Give back the blocks that hold some tokens: behind all others that are free."""
    blocks = _blocks(pool, tokens)
    replica.free += blocks
    replica.freed += blocks
    replica.held -= tokens


@_inlined
def _leave(pool: Any, replica: Any, requests: Records, row: int) -> None:
    """Take a sequence out of those that run."""
    ahead, behind = requests[row].ahead, requests[row].behind
    if ahead >= 0:
        requests[ahead].behind = behind
    if behind >= 0:
        requests[behind].ahead = ahead
    else:
        replica.last = ahead
    replica.running -= 1
    pool.running -= 1
    pool.busy -= replica.running == 0


@_inlined
def _arrive(pool: Any, replicas: Records, requests: Records, row: int) -> None:
    """Put a request that reaches a pool in the line of a replica, or reject it."""
    request = requests[row]
    now_s = pool.clock_s = request.reach_s
    r = -1
    fits = request.prompt + request.answer <= pool.kv_blocks * pool.block_tokens
    if fits and not now_s < pool.closed_until_s:
        r = _choose(pool, replicas, now_s)
    if r >= 0 and pool.waiting >= pool.queue_limit:
        replica = replicas[r]
        if replica.running + replica.waiting >= pool.max_num_seqs:
            r = -1
    if r < 0:
        _reject(pool, request)
        return
    replica = replicas[r]
    if replica.waiting > 0:
        requests[replica.tail].behind = row
    else:
        replica.head = row
    replica.tail = row
    _wait(pool, replica, now_s, 1)
    if replica.end_s == np.inf:
        if replica.begin_s == np.inf:
            replica.begin_s = max(now_s, replica.ready_s)
    elif replica.waiting == 1 and replica.running < pool.max_num_seqs and replica.prefilling == 0:
        replica.steps = _steps_until(replica, now_s)
        replica.end_s = _time_s(replica, replica.steps)


@_inlined
def _choose(pool: Any, replicas: Records, now_s: float) -> int:
    """Return the replica that gets a request; one that loads if none has loaded; −1 if none is on."""
    chosen, fewest, best = -1, 0, 0
    for index in range(pool.servers):
        place = (pool.turn + index) % pool.servers if pool.in_turn else index
        replica = replicas[pool.first + place]
        requests = 0 if pool.in_turn else replica.running + replica.waiting
        loading = int(replica.ready_s > now_s)
        if chosen < 0 or loading < best or (loading == best and requests < fewest):
            chosen, fewest, best = place, requests, loading
    if chosen < 0:
        return -1
    pool.turn = chosen + 1
    replica_row: int = pool.first + chosen
    return replica_row


@_inlined
def _close(pool: Any, windows: Array, replicas: Records, requests: Records) -> None:
    """Begin a pool's next window; an outage rejects the waiting requests that never began."""
    _, kind, start_s, end_s = windows[pool.window]
    pool.window += 1
    pool.closed_until_s = max(pool.closed_until_s, end_s)
    if kind != _OUTAGE:
        return
    for r in range(pool.first, pool.end):
        replica = replicas[r]
        fresh = replica.waiting - replica.begun
        if fresh == 0:
            continue
        row = replica.head
        for _ in range(replica.begun):
            replica.tail, row = row, requests[row].behind
        for _ in range(fresh):
            _reject(pool, requests[row])
            row = requests[row].behind
        _wait(pool, replica, start_s, -fresh)
        pool.clock_s = max(pool.clock_s, start_s)
        if replica.running + replica.waiting == 0:
            replica.begin_s = np.inf
            _release(pool, replica, r - pool.first, start_s)


@_inlined
def _reject(pool: Any, request: Any) -> None:
    """Reject a request."""
    request.wait_ms, request.first_ms, request.service_ms = np.nan, np.nan, np.nan
    pool.rejected += 1


@_inlined
def _wait(pool: Any, replica: Any, now_s: float, more: int) -> None:
    """Change the number of requests in a replica's line."""
    replica.waiting_s += replica.waiting * (now_s - replica.line_s)
    replica.line_s = now_s
    replica.waiting += more
    pool.waiting += more


@_inlined
def _idle(pool: Any, replica: Any, now_s: float) -> None:
    """Let time pass in a replica that is in no run of steps."""
    replica.energy_j += replica.powered * pool.idle_w * (now_s - replica.clock_s)
    replica.clock_s = now_s


@_inlined
def _release(pool: Any, replica: Any, index: int, now_s: float) -> None:
    """Switch the power of a replica off if it has no request and is beyond the pool's number."""
    if replica.running + replica.waiting == 0 and index >= pool.servers and replica.powered:
        _idle(pool, replica, now_s)
        replica.powered = 0


@_inlined
def _blocks(pool: Any, tokens: int) -> int:
    """Return the blocks that hold some tokens."""
    blocks: int = (tokens + pool.block_tokens - 1) // pool.block_tokens
    return blocks


@_inlined
def _time_s(replica: Any, steps: int) -> float:
    """Return when so many steps of a run have passed."""
    flat = min(steps, replica.flat_steps)
    time_ms: float = flat * replica.flat_ms
    if steps > flat:
        # Formula decode-run.
        time_ms += (steps - flat) * (replica.base_ms + replica.slope_ms * (0.5 * (steps + flat + 1)))
    time_s: float = replica.clock_s + time_ms / _MS_PER_S
    return time_s


@_shared
def _steps_until(replica: Any, time_s: float) -> int:
    """Return the fewest steps of a run, at least 1 and at most all, that end at a time or later."""
    time_ms = (time_s - replica.clock_s) * _MS_PER_S
    flat = min(replica.flat_steps, replica.steps)
    left_ms = time_ms - flat * replica.flat_ms
    if left_ms <= 0:
        guess = time_ms / replica.flat_ms
    else:
        # The positive root of the quadratic equation, in the form that does not cancel.
        first_ms = replica.base_ms + replica.slope_ms * (flat + 0.5)
        root_ms = np.sqrt(first_ms * first_ms + 2 * replica.slope_ms * left_ms)
        guess = flat + 2 * left_ms / (first_ms + root_ms)
    steps: int = min(max(int(np.ceil(guess)), 1), replica.steps)
    while steps > 1 and _time_s(replica, steps - 1) >= time_s:
        steps -= 1
    while steps < replica.steps and _time_s(replica, steps) < time_s:
        steps += 1
    return steps


@_inlined
def _steps_done(replica: Any, now_s: float) -> int:
    """Return the steps of the present run that have ended by now, before its end."""
    steps = _steps_until(replica, now_s)
    return steps if _time_s(replica, steps) <= now_s else steps - 1


@_shared
def _held_s(replica: Any, steps: int) -> float:
    """Return the integral of the tokens held over the first steps of a run, s."""
    flat = min(steps, replica.flat_steps)
    upto, below = float(steps), float(flat)
    token_ms: float = replica.flat_ms * below * (replica.held + replica.grown * 0.5 * (below + 1))
    if steps > flat:
        # Formula decode-run.
        ones = upto - below
        sums = 0.5 * (upto * (upto + 1) - below * (below + 1))
        squares = (upto * (upto + 1) * (2 * upto + 1) - below * (below + 1) * (2 * below + 1)) / 6
        token_ms += replica.held * (ones * replica.base_ms + sums * replica.slope_ms)
        token_ms += replica.grown * (sums * replica.base_ms + squares * replica.slope_ms)
    return token_ms / _MS_PER_S


@_shared
def _read(pool: Any, replicas: Records, now_s: float, reading: Any) -> None:
    """Read a pool now, into zeros."""
    for r in range(pool.first, pool.end):
        replica = replicas[r]
        passed_s = now_s - replica.clock_s
        reading.busy_s += replica.busy_s
        reading.running_s += replica.running_s
        reading.held_s += replica.held_s
        reading.energy_j += replica.energy_j
        reading.waiting_s += replica.waiting_s + replica.waiting * (now_s - replica.line_s)
        reading.prompt_tokens += replica.prompt_tokens
        reading.answer_tokens += replica.answer_tokens
        if replica.end_s == np.inf:
            reading.energy_j += replica.powered * pool.idle_w * passed_s
            reading.held += replica.held
            continue
        steps = _steps_done(replica, now_s)
        tokens = replica.held + replica.grown * (steps + 1)
        since_s = now_s - _time_s(replica, steps)
        reading.busy_s += passed_s
        reading.running_s += replica.running * passed_s
        reading.energy_j += replica.power_w * passed_s
        reading.held_s += _held_s(replica, steps) + tokens * since_s
        reading.answer_tokens += replica.decoding * steps
        reading.held += tokens
    reading.server_s = pool.server_s + pool.servers * (now_s - pool.switched_s)
    reading.busy, reading.waiting, reading.servers = pool.busy, pool.waiting, pool.servers
    reading.preemptions, reading.running = pool.preemptions, pool.running


@_inlined
def _push(replica: Any, places: Records, finish: int, row: int) -> None:
    """Add a sequence to those that decode: sift it up from the end of the heap."""
    top, at = replica.place, replica.decoding
    replica.decoding += 1
    _sift_up(places, top, at, finish, row)


@_inlined
def _sift_up(places: Records, top: int, at: int, finish: int, row: int) -> None:
    """Put an entry at a place of a heap, or above."""
    while at > 0:
        above = (at - 1) >> 1
        if places[top + above].finish <= finish:
            break
        places[top + at].finish = places[top + above].finish
        places[top + at].row = places[top + above].row
        at = above
    places[top + at].finish = finish
    places[top + at].row = row


@_inlined
def _drop(replica: Any, places: Records, at: int, last: int) -> None:
    """Take an entry out of a heap whose last one is at `last`: sift that down from its place, or up."""
    top = replica.place
    finish, row = places[top + last].finish, places[top + last].row
    below = 2 * at + 1
    while below < last:
        if below + 1 < last and places[top + below + 1].finish < places[top + below].finish:
            below += 1
        if finish <= places[top + below].finish:
            break
        places[top + at].finish = places[top + below].finish
        places[top + at].row = places[top + below].row
        at, below = below, 2 * below + 1
    _sift_up(places, top, at, finish, row)


@_inlined
def _take(replica: Any, places: Records, row: int) -> int:
    """Take a sequence out of those that decode; return the count of steps with which it would finish."""
    at, last = 0, replica.running - 1 - (replica.partial >= 0)
    while places[replica.place + at].row != row:
        at += 1
    finish = int(places[replica.place + at].finish)
    if at < last:
        _drop(replica, places, at, last)
    return finish
