"""Compiled loops of the sampled engine over requests; imported only where there are many.

They do what `carbonroute.engines.samples` does in NumPy, to the bit for violations and latencies, without a
pass over all requests for every step. Arrays come in bundles: named tuples of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from carbonroute.arrays import Array, Integers

P = ParamSpec("P")
T = TypeVar("T")

#: Requests of a cell from which on those that share a region are counted once for all their policies.
_MANY = 512


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Return a compiled function, kept on disk where there is a place for it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder that numba could write into, not even the user's own
        return njit(nogil=True)(function)


class CellSpans(NamedTuple):
    """Cells of a block: their requests lie one after the other; shape (C,) each."""

    starts: Integers
    counts: Integers
    hour: Integers
    origin: Integers
    workload: Integers


class Draws(NamedTuple):
    """Service times, jitter and token energies of the requests of a block.

    Service time, shape (n,); jitter, shape (1, n) where it is the same to all regions and (L, n) otherwise;
    IT energy of the tokens, shape (n,), or (0,) where nothing depends on them.
    """

    service_ms: Array
    jitter_ms: Array
    tokens_j: Array


class Lookups(NamedTuple):
    """Round-trip times (O, R), carbon intensities (H, R), latency limits (W,), and the bins of latencies."""

    rtt_ms: Array
    carbon_g_per_kwh: Array
    slo_ms: Array
    shift: int
    offset: int


class Chosen(NamedTuple):
    """Regions of C cells under some policies, by index (P,), that send all requests of a cell to one.

    Distinct regions of each cell (C, L), −1 behind the last one, and which of them each policy's is (C, P).
    """

    policies: Integers
    regions: Integers
    layer: Integers


class Accumulators(NamedTuple):
    """Sums for P policies: by origin × workload × region (G), by workload, or in all.

    Requests and violations (P, G); sums (P, 3, G) of latency, carbon, and tokens' energy × carbon; latencies
    by bin (P, W, B); the lowest and the highest (P, W, 2). Against the baseline: sums by which latency and
    carbon are more, each with its squares (P, 4); requests late here alone, or there alone (P, 2).
    """

    requests: Integers
    violations: Integers
    sums: Array
    bins: Integers
    ends_ms: Array
    more: Array
    apart: Integers


@compiled
def sort(
    columns: tuple[Integers, Integers, Integers],
    first_hour: int,
    scores: tuple[Array, Array],
    counts: Integers,
) -> tuple[NDArray[np.int32], Array, Array]:
    """Sort n requests by workload, hour and origin, and leave those of a cell in the order of their coming.

    Parameters
    ----------
    columns, first_hour
        Hour, origin and workload of each, shape (n,), and the earliest hour.
    scores
        Two numbers for each, shape (n,).
    counts
        Incremented by the number of requests in each cell, shape (W, hours, O).

    Returns
    -------
    The requests' places before sorting, and their scores, sorted.
    """
    hour, origin, workload = columns
    _, hours, origins = counts.shape
    in_cell = counts.reshape(-1)
    cell = np.empty(len(hour), dtype=np.uint16)
    for i in range(len(hour)):
        cell[i] = (workload[i] * hours + hour[i] - first_hour) * origins + origin[i]
        in_cell[cell[i]] += 1
    place = np.cumsum(in_cell) - in_cell
    order, one, other = np.empty(len(hour), dtype=np.int32), np.empty(len(hour)), np.empty(len(hour))
    for i in range(len(hour)):
        to = place[cell[i]]
        order[to], one[to], other[to] = i, scores[0][i], scores[1][i]
        place[cell[i]] = to + 1
    return order, one, other


@compiled
def pick(places: CellSpans, value: Array, breaks: Array, regions: Integers) -> Integers:
    """Return the region of each of n requests: its cell's, behind as many breaks as lie below its value.

    `places`, `value`: the C cells, and a number for each request, shape (n,).
    `breaks`, `regions`: shapes (C, K) and (C, K + 1).
    """
    region = np.empty(len(value), dtype=np.int64)
    for c in range(len(places.starts)):
        for i in range(places.starts[c], places.starts[c] + places.counts[c]):
            passed = 0
            for k in range(breaks.shape[1]):
                passed += breaks[c, k] < value[i]
            region[i] = regions[c, passed]
    return region


@compiled
def layers(regions: Integers) -> tuple[Integers, Integers]:
    """Return the distinct regions of each row, and which of them each entry is; see `Chosen`.

    Parameters
    ----------
    regions
        Region that each of P policies chose for each of C cells, shape (C, P).

    Returns
    -------
    Region of each layer, shape (C, L), −1 behind the last one, and layer of each entry, shape (C, P).
    """
    cells, policies = regions.shape
    layer = np.empty((cells, policies), dtype=np.int64)
    distinct = np.full((cells, policies), -1, dtype=np.int64)
    most = 0
    for c in range(cells):
        count = 0
        for p in range(policies):
            known = 0
            while known < count and distinct[c, known] != regions[c, p]:
                known += 1
            if known == count:
                distinct[c, count] = regions[c, p]
                count += 1
            layer[c, p] = known
        most = max(most, count)
    return distinct[:, :most].copy(), layer


@compiled
def sum_cells(
    places: CellSpans, draws: Draws, tables: Lookups, chosen: Chosen, totals: Accumulators
) -> Integers:
    """Add up C cells under policies that send each of them to one region.

    Where a cell has many requests, those that go to one region are counted once for all such policies.

    Returns
    -------
    Violations in each cell's regions, shape (C, L).
    """
    policies, regions, layer = chosen
    violations = np.zeros(regions.shape, dtype=np.int64)
    apart = len(draws.jitter_ms) > 1
    shared = np.zeros(totals.bins.shape[2], dtype=np.int64)
    for c in range(len(places.starts)):
        workload, count = places.workload[c], places.counts[c]
        row = (places.origin[c] * len(tables.slo_ms) + workload) * tables.rtt_ms.shape[1]
        start, end = places.starts[c], places.starts[c] + count
        tokens_j = _sum(draws.tokens_j, start, end)
        for d in range(regions.shape[1]):
            region = regions[c, d]
            if region < 0:
                break
            carbon = tables.carbon_g_per_kwh[places.hour[c], region]
            rtt_ms = tables.rtt_ms[places.origin[c], region]
            of = (start, end, d if apart else 0, rtt_ms, tables.slo_ms[workload])
            late, total_ms, low_ms, high_ms = 0, 0.0, 0.0, 0.0
            if count >= _MANY:
                late, total_ms, low_ms, high_ms = _count(draws, of, tables, shared)
            first, last = _bin_of(low_ms, tables, len(shared)), _bin_of(high_ms, tables, len(shared))
            for column, p in enumerate(policies):
                if layer[c, column] != d:
                    continue
                bins, ends_ms = totals.bins[p, workload], totals.ends_ms[p, workload]
                if count >= _MANY:
                    _add(bins, shared, first, last)
                else:
                    late, total_ms, low_ms, high_ms = _count(draws, of, tables, bins)
                totals.requests[p, row + region] += count
                totals.violations[p, row + region] += late
                totals.sums[p, 0, row + region] += total_ms
                totals.sums[p, 1, row + region] += count * carbon
                totals.sums[p, 2, row + region] += tokens_j * carbon
                ends_ms[0], ends_ms[1] = min(ends_ms[0], low_ms), max(ends_ms[1], high_ms)
            for b in range(first, last + 1):
                shared[b] = 0
            violations[c, d] = late
    return violations


@compiled
def pair_cells(
    places: CellSpans,
    tables: Lookups,
    chosen: Chosen,
    violations: Integers,
    baseline: int,
    totals: Accumulators,
) -> None:
    """Hold C cells under each policy against those under one of them, by its place among them.

    A request's latencies differ by its round trips alone: who is late in the nearer region is in the other.
    """
    policies, regions, layer = chosen
    for c in range(len(places.starts)):
        count, other = places.counts[c], layer[c, baseline]
        rtt_ms = tables.rtt_ms[places.origin[c]]
        carbon = tables.carbon_g_per_kwh[places.hour[c]]
        for column, p in enumerate(policies):
            here = layer[c, column]
            longer_ms = rtt_ms[regions[c, here]] - rtt_ms[regions[c, other]]
            more = carbon[regions[c, here]] - carbon[regions[c, other]]
            late = violations[c, here] - violations[c, other]
            totals.more[p, 0] += count * longer_ms
            totals.more[p, 1] += count * longer_ms**2
            totals.more[p, 2] += count * more
            totals.more[p, 3] += count * more**2
            totals.apart[p, 0] += max(late, 0)
            totals.apart[p, 1] += max(-late, 0)


@compiled
def pair_requests(
    places: CellSpans,
    tables: Lookups,
    draws: tuple[Draws, Draws],
    region: tuple[Integers, Integers],
    policy: int,
    totals: Accumulators,
) -> None:
    """Hold n requests under one policy against the same under another; draws and regions of both, (n,)."""
    own, of_baseline = region
    for c in range(len(places.starts)):
        rtt_ms, slo_ms = tables.rtt_ms[places.origin[c]], tables.slo_ms[places.workload[c]]
        carbon = tables.carbon_g_per_kwh[places.hour[c]]
        longer_ms, longer_square, more, more_square = 0.0, 0.0, 0.0, 0.0
        late_here, late_there = 0, 0
        for i in range(places.starts[c], places.starts[c] + places.counts[c]):
            here_ms = rtt_ms[own[i]] + draws[0].service_ms[i]
            here_ms += draws[0].jitter_ms[0, i]
            there_ms = rtt_ms[of_baseline[i]] + draws[1].service_ms[i]
            there_ms += draws[1].jitter_ms[0, i]
            longer_ms += here_ms - there_ms
            longer_square += (here_ms - there_ms) ** 2
            more += carbon[own[i]] - carbon[of_baseline[i]]
            more_square += (carbon[own[i]] - carbon[of_baseline[i]]) ** 2
            late_here += here_ms > slo_ms and there_ms <= slo_ms
            late_there += there_ms > slo_ms and here_ms <= slo_ms
        totals.more[policy, 0] += longer_ms
        totals.more[policy, 1] += longer_square
        totals.more[policy, 2] += more
        totals.more[policy, 3] += more_square
        totals.apart[policy, 0] += late_here
        totals.apart[policy, 1] += late_there


@compiled
def sum_requests(
    places: CellSpans, draws: Draws, tables: Lookups, region: Integers, totals: Accumulators, policy: int
) -> None:
    """Add up one policy's n requests, each in a region of its own, shape (n,)."""
    regions = tables.rtt_ms.shape[1]
    count, late = np.zeros(regions, dtype=np.int64), np.zeros(regions, dtype=np.int64)
    total_ms, tokens_j = np.zeros(regions), np.zeros(regions)
    for c in range(len(places.starts)):
        workload = places.workload[c]
        rtt_ms, slo_ms = tables.rtt_ms[places.origin[c]], tables.slo_ms[workload]
        bins, ends_ms = totals.bins[policy, workload], totals.ends_ms[policy, workload]
        low_ms, high_ms = ends_ms
        for i in range(places.starts[c], places.starts[c] + places.counts[c]):
            to = np.uint64(region[i])
            latency_ms = rtt_ms[to] + draws.service_ms[i]
            latency_ms += draws.jitter_ms[0, i]
            count[to] += 1
            late[to] += latency_ms > slo_ms
            total_ms[to] += latency_ms
            low_ms = latency_ms if latency_ms < low_ms else low_ms
            high_ms = latency_ms if latency_ms > high_ms else high_ms
            bins[_bin_of(latency_ms, tables, len(bins))] += 1
        ends_ms[0], ends_ms[1] = low_ms, high_ms
        if len(draws.tokens_j):
            for i in range(places.starts[c], places.starts[c] + places.counts[c]):
                tokens_j[region[i]] += draws.tokens_j[i]
        row = (places.origin[c] * len(tables.slo_ms) + workload) * regions
        for r in range(regions):
            carbon = tables.carbon_g_per_kwh[places.hour[c], r]
            totals.requests[policy, row + r] += count[r]
            totals.violations[policy, row + r] += late[r]
            totals.sums[policy, 0, row + r] += total_ms[r]
            totals.sums[policy, 1, row + r] += count[r] * carbon
            totals.sums[policy, 2, row + r] += tokens_j[r] * carbon
            count[r], late[r], total_ms[r], tokens_j[r] = 0, 0, 0.0, 0.0


@compiled
def _count(
    draws: Draws, of: tuple[int, int, int, float, float], tables: Lookups, bins: Integers
) -> tuple[int, float, float, float]:
    """Count the latencies of a cell's requests to one region by bin.

    Parameters
    ----------
    draws, tables, bins
        The draws, the scenario's tables, and the counts that are incremented.
    of
        First request, and the one after the last; row of the jitter; round trip and latency limit, ms.

    Returns
    -------
    Number of violations; sum, lowest and highest of the latencies, ms.
    """
    start, end, row, rtt_ms, slo_ms = of
    late, total_ms, low_ms, high_ms = 0, 0.0, np.inf, -np.inf
    for i in range(start, end):
        latency_ms = rtt_ms + draws.service_ms[i]
        latency_ms += draws.jitter_ms[row, i]
        late += latency_ms > slo_ms
        total_ms += latency_ms
        low_ms = latency_ms if latency_ms < low_ms else low_ms
        high_ms = latency_ms if latency_ms > high_ms else high_ms
        bins[_bin_of(latency_ms, tables, len(bins))] += 1
    return late, total_ms, low_ms, high_ms


@compiled
def _add(bins: Integers, more: Integers, first: int, last: int) -> None:
    """Add some bins to others, from the first one up to the last."""
    for b in range(first, last + 1):
        bins[b] += more[b]


@compiled
def _sum(values: Array, start: int, end: int) -> float:
    """Return the sum of some values; 0 where there are none at all."""
    total = 0.0
    for i in range(min(start, len(values)), min(end, len(values))):
        total += values[i]
    return total


@compiled
def _bin_of(latency_ms: float, tables: Lookups, bins: int) -> int:
    """Return a latency's bin; see `carbonroute.outcome.histogram.bin_of`."""
    index = int(np.float64(latency_ms).view(np.int64) >> tables.shift) - tables.offset
    return min(max(index, 0), bins - 1)
