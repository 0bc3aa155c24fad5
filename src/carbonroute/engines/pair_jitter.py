"""Oracles conditioned on service time and on the jitter of each origin and region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.site import Site
from carbonroute.engines.oracles import OracleConditioning, average_request, later, stated
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.segments import FARTHEST, ROUNDING, Segments, Span, between, inside
from carbonroute.outcome.mixture import Groups
from carbonroute.traffic import Requests
from carbonroute.workloads.integrals import over_scores

#: Rows × parts in memory at once.
_AT_ONCE = 2**20
#: Scores between which breaks are interpolated.
_SCORES = np.linspace(0, FARTHEST, 1025)
#: Panels of an integral over jitter, at least, and nodes in each.
_PANELS, _NODES = 66, 8
#: Measured times that are looked at one by one.
_MOST_STEPS = 2048


@dataclass(frozen=True)
class _Parts:
    """Parts of requests, shape (P,): with a score of jitter and some service times, or the other way round.

    Attributes
    ----------
    weight
        Probability of the interval that the score, or the service time, represents.
    z_low, z_high
        Scores of the jitter; the same, where it is one.
    low, high
        Service times, ms; the same, where it is one.
    """

    weight: Array
    z_low: Array
    z_high: Array
    low: Array
    high: Array

    def __getitem__(self, rows: Index | Mask) -> _Parts:
        return _Parts(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class _Sets:
    """Sets of breaks that a request's service time exceeds: those of one origin and workload, or of all.

    `service_ms`, `jitter_ms`: a request of each set, shapes (S,) and (S, R).
    `count`: parts of each set, shape (S,).
    """

    service_ms: Array
    jitter_ms: Array
    count: Index
    parts: _Parts


class ByPairJitter(OracleConditioning):
    """Service time and jitter, where each origin and region has a jitter of its own.

    All regions' jitters have the same score. Requests that exceed the same of the policy's breaks go to the
    same region: they are one segment, and its number stands for both of its ends. A smooth law of service
    times is integrated over the score, and of fixed or measured ones each is cut by scores. A share errs by
    no more than 1e-5; where there are more than 2,048 measured times, and some are taken together, 5e-4.
    """

    def __init__(self, dispatcher: Dispatcher, site: Site, span: Span) -> None:
        super().__init__(dispatcher, site, span)
        origins, workloads, _ = site.shape
        of_pairs = [self._of_pair(o, w) for o in range(origins) for w in range(workloads)]
        parts = zip(*(vars(sets.parts).values() for sets in of_pairs), strict=True)
        self._sets = _Sets(
            service_ms=np.concatenate([sets.service_ms for sets in of_pairs]),
            jitter_ms=np.concatenate([sets.jitter_ms for sets in of_pairs]),
            count=np.concatenate([sets.count for sets in of_pairs]),
            parts=_Parts(*(np.concatenate(columns) for columns in parts)),
        )
        # Number of sets of each origin and workload, shape (O · W,).
        self._number = np.array([len(sets.count) for sets in of_pairs])

    def segments(self, cells: Requests) -> Segments:
        """Return the segments that exceed the same of the policy's breaks."""
        sets, count = self._sets, self._number
        pair = cells.origin * self.site.shape[1] + cells.workload
        cell, number = _expanded(np.cumsum(count)[pair] - count[pair], count[pair])
        workload, jitter_ms = cells.workload[cell], sets.jitter_ms[number]
        region = self._asked(
            cells, cell, average_request(self.site, workload, sets.service_ms[number], jitter_ms)
        )
        return Segments(cell, region, np.ones(len(cell)), number.astype(float), number.astype(float))

    def share(self, groups: Groups) -> Array:
        """Return the probability of each group's segment, shape (m,)."""
        return self.beyond(np.full(len(groups), -np.inf), groups)

    def beyond(self, time_ms: Array, groups: Groups) -> Array:
        """Return the probability of each group's segment and of service + jitter > time, shape (m,)."""
        from carbonroute.special import ndtr

        jitter, shares = self.site.jitter, np.zeros(len(groups))
        for row, parts in self._parts(groups):
            late = np.empty(len(row))
            scored = parts.z_low == parts.z_high
            at, of, left_ms = parts[scored], groups[row[scored]], time_ms[row[scored]]
            left_ms = left_ms - jitter.at(at.z_low, of.origin, of.region)
            ends = np.maximum(at.low, left_ms), np.maximum(at.high, left_ms)
            late[scored] = self.site.latency.share(of.workload, *ends)
            at, of, left_ms = parts[~scored], groups[row[~scored]], time_ms[row[~scored]]
            left_z = jitter.score(left_ms - at.low, of.origin, of.region)
            late[~scored] = ndtr(-np.maximum(at.z_low, left_z)) - ndtr(-np.maximum(at.z_high, left_z))
            shares += np.bincount(row, parts.weight * late, minlength=len(groups))
        return shares

    def means(self, groups: Groups) -> Array:
        """Return expectations of a request that count in the group's segment alone, shape (5, m)."""
        means = np.zeros((5, len(groups)))
        for row, parts in self._parts(groups):
            of, values = groups[row], np.empty((5, len(row)))
            for index in np.unique(of.workload):
                at = np.flatnonzero(of.workload == index)
                way = self._smooth if self.site.laws[index].steps is None else self._fixed
                values[:, at] = way(int(index), parts[at], of.origin[at], of.region[at])
            means += [np.bincount(row, parts.weight * one, minlength=len(groups)) for one in values]
        return means

    def _smooth(self, workload: int, parts: _Parts, origin: Index, region: Index) -> Array:
        """Return `means` of parts with one score, shape (5, P)."""
        high, low = (self.up_to(workload, end) for end in (parts.high, parts.low))
        return later(high - low, self.site.jitter.at(parts.z_low, origin, region))

    def _fixed(self, workload: int, parts: _Parts, origin: Index, region: Index) -> Array:
        """Return `means` of parts with one service time, shape (5, P)."""
        jitter, whole = self.site.jitter, self.up_to(workload, np.array(np.inf))

        def powers(z: Array, row: Index) -> Array:
            jitter_ms = jitter.at(z, origin[row], region[row])
            return np.stack([np.ones_like(z), jitter_ms, jitter_ms**2])

        share, first, square = over_scores(parts.z_low, parts.z_high, np.zeros((len(origin), 1)), powers)
        service_ms = parts.low
        squared = square + 2 * service_ms * first + service_ms**2 * share
        return np.stack([share, first + service_ms * share, squared, *(whole[3:, np.newaxis] * share)])

    def _parts(self, groups: Groups) -> Iterator[tuple[Index, _Parts]]:
        """Yield the parts of groups, some at a time, and the group that each is of."""
        sets, number = self._sets, groups.low.astype(np.intp)
        count = sets.count[number]
        begin = np.cumsum(sets.count)[number] - count
        for rows in np.array_split(np.arange(len(groups)), 1 + int(count.sum()) // _AT_ONCE):
            of, part = _expanded(begin[rows], count[rows])
            yield rows[of], sets.parts[part]

    def _of_pair(self, origin: int, workload: int) -> _Sets:
        steps = self.site.laws[workload].steps
        z, service_ms, parts = (
            self._cut_times(origin, workload) if steps is None else self._cut_scores(origin, workload, steps)
        )
        breaks, jitter_ms = self._breaks(origin, workload, z)
        over_ms = service_ms[:, np.newaxis] - breaks
        near = np.abs(over_ms) <= ROUNDING * service_ms[:, np.newaxis]  # a step of the law: rounding decides
        _, first, number, count = np.unique(
            np.hstack([over_ms > 0, near]), axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.argsort(number.reshape(-1), kind="stable")
        return _Sets(service_ms[first], jitter_ms[first], count, parts[order])

    def _cut_times(self, origin: int, workload: int) -> tuple[Array, Array, _Parts]:
        """Return parts with a score each, and score and service time of a request in each.

        Gauss–Legendre rules on panels, which end where a break passes an edge of the law of service times: in
        between, the integrand is smooth.
        """
        ends = self._passed(origin, workload, self.site.laws[workload].edges)
        limits = np.unique(np.append(np.linspace(0, FARTHEST, _PANELS + 1), ends[ends < FARTHEST]))
        node, weight = np.polynomial.legendre.leggauss(_NODES)
        half = np.diff(limits)[:, np.newaxis] / 2
        z = (limits[:-1, np.newaxis] + half * (1 + node)).ravel()
        weights = (half * weight).ravel() * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
        z, weights = np.append(0.0, z), np.append(0.5, weights)  # all scores up to 0 are no jitter
        workloads = np.full(len(z), workload)
        row, low, high = between(workloads, self._breaks(origin, workload, z)[0], self.span)
        parts = _Parts(weights[row], z[row], z[row], low, high)
        return z[row], inside(low, high, self.span, workloads[row]), parts

    def _cut_scores(self, origin: int, workload: int, steps: Array) -> tuple[Array, Array, _Parts]:
        """Return parts with a service time each, and score and service time of a request in each."""
        groups = np.array_split(np.sort(steps), min(len(steps), _MOST_STEPS))
        times_ms = np.array([group.mean() for group in groups])
        weight = np.array([len(group) for group in groups]) / len(steps)
        passed = np.sort(self._passed(origin, workload, times_ms), axis=1)
        edge = np.full((len(times_ms), 1), np.inf)
        ends = np.hstack([-edge, np.zeros_like(edge), passed, edge])  # all scores up to 0 are no jitter
        row, place = np.nonzero(ends[:, :-1] < ends[:, 1:])
        z_low, z_high = ends[row, place], ends[row, place + 1]
        z = np.where(z_high <= 0, 0.0, (np.maximum(z_low, 0.0) + np.minimum(z_high, z_low + 1)) / 2)
        return z, times_ms[row], _Parts(weight[row], z_low, z_high, times_ms[row], times_ms[row])

    def _passed(self, origin: int, workload: int, times_ms: Array) -> Array:
        """Return the score of jitter from which on times exceed each break, shape (n, K); inf for none."""
        breaks, _ = self._breaks(origin, workload, _SCORES)
        passed = [
            np.interp(-times_ms, -column, _SCORES, left=0.0, right=np.inf)
            for column in breaks.T
            if not np.isnan(column).any()
        ]
        return np.stack(passed, axis=1) if passed else np.empty((len(times_ms), 0))

    def _breaks(self, origin: int, workload: int, z: Array) -> tuple[Array, Array]:
        """Return the service times where the choice may change, given scores of jitter; and the jitter.

        Shapes (n, K) and (n, R), ms. It is asked as if jitter were part of the way and each score an origin.
        """
        regions, believed = np.arange(self.site.shape[2]), self.dispatcher.site
        jitter_ms = self.site.jitter.at(z[:, np.newaxis], np.array(origin), regions)
        allowed = believed.allowed
        if allowed is not None:
            allowed = np.broadcast_to(allowed[origin], (len(z), *allowed.shape[1:]))
        site = replace(believed, rtt_ms=believed.rtt_ms[origin] + jitter_ms, allowed=allowed)
        farther = replace(self.dispatcher, site=site)
        hour, place = np.zeros(len(z), dtype=np.intp), np.arange(len(z))
        return stated(farther, Requests(hour, place, np.full(len(z), workload))), jitter_ms


def _expanded(begin: Index, count: Index) -> tuple[Index, Index]:
    """Return the row and the number of each of so many things per row, numbered from some beginning on."""
    row = np.repeat(np.arange(len(count)), count)
    return row, begin[row] + np.arange(len(row)) - (np.cumsum(count) - count)[row]
