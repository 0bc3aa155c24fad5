"""The pieces of oracles, which are shown a request's own jitter beside its service time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.luck import Luck
from carbonroute.engines.pieces import FARTHEST, ROUNDING, Pieces, Span, between, inside, pieces
from carbonroute.engines.routing import Traits, breaks_ms
from carbonroute.errors import PolicyError
from carbonroute.outcome.mixture import Groups
from carbonroute.policies.base import Regions, policy_name
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads import Tokens
from carbonroute.workloads.integrals import over_scores

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Scores between which means of a law with tokens are interpolated: to 1e-5 of themselves.
_TABULATED = 1025
#: Rows × nodes in memory at once.
_AT_ONCE = 2**20
#: Nodes per panel of an integral over jitter, and steps of a law of service times that panels end at.
_NODES, _MOST_STEPS = 8, 64
#: Origin and region of jitter that is the same to all.
_NOWHERE = np.zeros(2, dtype=np.intp)


class _Oracle(Luck):
    """Base of both: what they share is service time without jitter."""

    questions = 8

    def _up_to(self, workload: int, service_ms: Array) -> Array:
        """Return `means` of requests up to some service times, and without jitter, shape (5, …)."""
        from scipy.special import ndtr

        law = self.inputs.laws[workload]
        if isinstance(law, Tokens):
            times_ms, means = self._tables[workload]
            return np.stack([np.interp(service_ms, times_ms, row, left=0.0) for row in means])
        none = np.zeros_like(service_ms)
        return np.stack([ndtr(law.score(service_ms)), *law.partial(service_ms), none, none])

    @cached_property
    def _tables(self) -> dict[int, tuple[Array, Array]]:
        """Of laws with tokens: service times, ms, at even scores, and `means` up to each, shape (5, n)."""
        tables = {}
        z = np.linspace(-FARTHEST, FARTHEST, _TABULATED)
        for index, law in enumerate(self.inputs.laws):
            if isinstance(law, Tokens):
                times_ms = np.unique(law.at(z))
                tables[index] = times_ms, law.up_to(np.append(times_ms[:-1], np.inf))
        return tables


class Totals(_Oracle):
    """Service time and jitter together, where jitter is the same to all regions."""

    def pieces(self, cells: Requests) -> Pieces:
        """Return the pieces between the sums of service time and jitter that the policy states."""

        def chosen(cell: Index, total_ms: Array) -> Regions:
            none_ms = np.zeros((len(cell), self.inputs.shape[3]))
            return self._asked(cells, cell, _traits(self.inputs, cells.workload[cell], total_ms, none_ms))

        return pieces(cells.workload, _stated(self.candidate, self.inputs, cells), self._span, chosen)

    def share(self, groups: Groups) -> Array:
        """Return the probability of each group's piece, shape (m,)."""
        late = (self._beyond(end, groups.workload) for end in (groups.low, groups.high))
        return np.maximum(next(late) - next(late), 0.0)

    def beyond(self, time_ms: Array, groups: Groups) -> Array:
        """Return the probability of each group's piece and of service + jitter > time, shape (m,)."""
        ends = (np.maximum(end, time_ms) for end in (groups.low, groups.high))
        return self.share(Groups(groups.workload, groups.origin, groups.region, *ends))

    def means(self, groups: Groups) -> Array:
        """Return what a request is expected to have that counts in the group's piece alone, shape (5, m)."""
        means = np.empty((5, len(groups)))
        for index in np.unique(groups.workload):
            rows = np.flatnonzero(groups.workload == index)
            ends, place = np.unique([groups.low[rows], groups.high[rows]], return_inverse=True)
            low, high = place.reshape(2, -1)
            up_to = self._together(int(index), ends)
            means[:, rows] = up_to[:, high] - up_to[:, low]
        means[0] = self.share(groups)
        return means

    def _beyond(self, total_ms: Array, workload: Index) -> Array:
        """Return P(service + jitter > total), shape (m,)."""
        shares = np.where(total_ms < 0, 1.0, 0.0)
        rows = np.flatnonzero((total_ms >= 0) & (total_ms < np.inf))
        shares[rows] = super().beyond(total_ms[rows], _everywhere(workload[rows]))
        return shares

    def _together(self, workload: int, total_ms: Array) -> Array:
        """Return `means` of requests up to some sums of service time and jitter, shape (5, n).

        Half of the requests have no jitter, and that of the others has the positive scores z:
        ½·f(t) + ∫ φ(z)·f(t − J(z)) dz.
        """
        law, jitter = self.inputs.laws[workload], self.inputs.jitter
        means = np.zeros((5, len(total_ms)))
        means[:, total_ms == np.inf] = super().means(_everywhere(np.array([workload])))
        there = np.flatnonzero((total_ms >= 0) & (total_ms < np.inf))
        means[:, there] = self._up_to(workload, total_ms[there])
        if jitter.none:
            return means
        kinks_ms = law.edges if law.steps is None else np.unique(law.steps)
        for rows in np.array_split(there, 1 + _NODES * len(there) * len(kinks_ms) // _AT_ONCE):
            times_ms, none, everywhere = total_ms[rows], np.zeros(len(rows)), np.full(len(rows), np.inf)

            def given(z: Array, row: Index, times_ms: Array = times_ms) -> Array:
                jitter_ms = jitter.at(z, *_NOWHERE)
                return _later(self._up_to(workload, times_ms[row] - jitter_ms), jitter_ms)

            splits = jitter.score(times_ms[:, np.newaxis] - kinks_ms, *_NOWHERE)
            means[:, rows] = means[:, rows] / 2 + over_scores(none, everywhere, splits, given)
        return means

    @cached_property
    def _span(self) -> Span:
        span, jitter = Span.of(self.inputs.laws), self.inputs.jitter
        return replace(span, high=span.high + jitter.at(np.array(FARTHEST), *_NOWHERE))


@dataclass(frozen=True)
class _Sets:
    """Sets of breaks that a request's service time exceeds: those of one origin and workload, or of all.

    Attributes
    ----------
    service_ms, jitter_ms
        A request of each set, shapes (S,) and (S, R).
    count
        Parts of each set, shape (S,).
    z, weight
        The parts, set by set: score of the jitter, and what it stands for, shape (P,).
    low, high
        Their service times, ms, shape (P,).
    """

    service_ms: Array
    jitter_ms: Array
    count: Index
    z: Array
    weight: Array
    low: Array
    high: Array


class Pairs(_Oracle):
    """Service time and jitter, where each origin and region has a jitter of its own.

    All regions' jitters have the same score, over which is integrated; given jitter, service times are cut
    between the policy's breaks. All that exceeds the same breaks goes to the same region: it is one piece, and
    its number stands for both of its ends. A share errs by no more than 1e-5.
    """

    def pieces(self, cells: Requests) -> Pieces:
        """Return the pieces that exceed the same of the policy's breaks."""
        (sets, count), pair = self._sets, cells.origin * self.inputs.shape[2] + cells.workload
        cell, number = _expanded(np.cumsum(count)[pair] - count[pair], count[pair])
        workload, jitter_ms = cells.workload[cell], sets.jitter_ms[number]
        region = self._asked(cells, cell, _traits(self.inputs, workload, sets.service_ms[number], jitter_ms))
        return Pieces(cell, region, np.ones(len(cell)), number.astype(float), number.astype(float))

    def share(self, groups: Groups) -> Array:
        """Return the probability of each group's piece, shape (m,)."""
        return self.beyond(np.full(len(groups), -np.inf), groups)

    def beyond(self, time_ms: Array, groups: Groups) -> Array:
        """Return the probability of each group's piece and of service + jitter > time, shape (m,)."""
        shares = np.zeros(len(groups))
        for row, weight, z, parts in self._parts(groups):
            left_ms = time_ms[row] - self.inputs.jitter.at(z, parts.origin, parts.region)
            ends = np.maximum(parts.low, left_ms), np.maximum(parts.high, left_ms)
            late = self.inputs.latency.share(parts.workload, *ends)
            shares += np.bincount(row, weight * late, minlength=len(groups))
        return shares

    def means(self, groups: Groups) -> Array:
        """Return what a request is expected to have that counts in the group's piece alone, shape (5, m)."""
        means = np.zeros((5, len(groups)))
        for row, weight, z, parts in self._parts(groups):
            values = np.empty((5, len(row)))
            for index in np.unique(parts.workload):
                of = np.flatnonzero(parts.workload == index)
                high, low = (self._up_to(int(index), end[of]) for end in (parts.high, parts.low))
                values[:, of] = high - low
            values = weight * _later(values, self.inputs.jitter.at(z, parts.origin, parts.region))
            means += [np.bincount(row, one, minlength=len(groups)) for one in values]
        return means

    def _parts(self, groups: Groups) -> Iterator[tuple[Index, Array, Array, Groups]]:
        """Yield the parts of groups, some at a time.

        Of each, the group that it is of, weight and score of its jitter, and what it is: its ends are service
        times, ms.
        """
        sets, _ = self._sets
        number = groups.low.astype(np.intp)
        count = sets.count[number]
        begin = np.cumsum(sets.count)[number] - count
        for rows in np.array_split(np.arange(len(groups)), 1 + int(count.sum()) // _AT_ONCE):
            of, part = _expanded(begin[rows], count[rows])
            row = rows[of]
            pair = groups.workload[row], groups.origin[row], groups.region[row]
            yield row, sets.weight[part], sets.z[part], Groups(*pair, sets.low[part], sets.high[part])

    @cached_property
    def _sets(self) -> tuple[_Sets, Index]:
        """Sets of all origins and workloads, and how many each of them has, shape (O · W,)."""
        _, origins, workloads, _ = self.inputs.shape
        found = [self._of_pair(o, w) for o in range(origins) for w in range(workloads)]
        columns = zip(*(vars(sets).values() for sets in found), strict=True)
        return _Sets(*(np.concatenate(column) for column in columns)), np.array([len(s.count) for s in found])

    def _of_pair(self, origin: int, workload: int) -> _Sets:
        z, weight = self._nodes(origin, workload)
        breaks, jitter_ms = self._breaks(origin, workload, z)
        workloads, span = np.full(len(z), workload), Span.of(self.inputs.laws)
        node, low, high = between(workloads, breaks, span)
        service_ms = inside(low, high, span, workloads[node])
        over_ms = service_ms[:, np.newaxis] - breaks[node]
        near = np.abs(over_ms) <= ROUNDING * service_ms[:, np.newaxis]  # a step of the law: rounding decides
        _, first, number, count = np.unique(
            np.hstack([over_ms > 0, near]), axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.argsort(number.reshape(-1), kind="stable")
        parts = z[node], weight[node], low, high
        return _Sets(service_ms[first], jitter_ms[node[first]], count, *(column[order] for column in parts))

    def _nodes(self, origin: int, workload: int) -> tuple[Array, Array]:
        """Return scores of jitter to integrate over, and their weights; all scores up to 0 are no jitter.

        Gauss–Legendre rules on panels, which end where a break passes an edge of the service time's law: in
        between, the integrand is smooth.
        """
        law, z = self.inputs.laws[workload], np.linspace(0, FARTHEST, _TABULATED)
        steps = law.edges if law.steps is None else np.unique(law.steps)
        edges_ms = steps[:: 1 + len(steps) // _MOST_STEPS]
        breaks, _ = self._breaks(origin, workload, z)
        passed = [np.interp(-edges_ms, -column, z) for column in breaks.T if not np.isnan(column).any()]
        limits = np.unique(np.concatenate([np.linspace(0, FARTHEST, 17), *passed]))
        node, weight = np.polynomial.legendre.leggauss(_NODES)
        half = np.diff(limits)[:, np.newaxis] / 2
        nodes = (limits[:-1, np.newaxis] + half * (1 + node)).ravel()
        weights = (half * weight).ravel() * np.exp(-nodes * nodes / 2) / np.sqrt(2 * np.pi)
        return np.append(0.0, nodes), np.append(0.5, weights)

    def _breaks(self, origin: int, workload: int, z: Array) -> tuple[Array, Array]:
        """Return the service times where the choice may change, given scores of jitter; and the jitter.

        Shapes (n, K) and (n, R), ms. It is asked as if jitter were part of the way and each score an origin.
        """
        jitter_ms = self.inputs.jitter.at(z[:, np.newaxis], np.array(origin), np.arange(self.inputs.shape[3]))
        seen = replace(self.inputs, rtt_ms=self.inputs.rtt_ms[origin] + jitter_ms)
        hour, place = np.zeros(len(z), dtype=np.intp), np.arange(len(z))
        return _stated(self.candidate, seen, Requests(hour, place, np.full(len(z), workload))), jitter_ms


def states_breaks(candidate: Candidate, inputs: Inputs) -> bool:
    """Whether an oracle says where its choice may change."""
    nowhere = np.zeros(1, dtype=np.intp)
    return _breaks(candidate, inputs, Requests(nowhere, nowhere, nowhere)) is not None


def _stated(candidate: Candidate, inputs: Inputs, cells: Requests) -> Array:
    breaks = _breaks(candidate, inputs, cells)
    if breaks is None:
        raise PolicyError(policy_name(candidate.policy), "breaks_ms states nothing")
    return breaks


def _breaks(candidate: Candidate, inputs: Inputs, cells: Requests) -> Array | None:
    none_ms = np.zeros((len(cells), inputs.shape[3]))
    return breaks_ms(candidate, inputs, cells, _traits(inputs, cells.workload, none_ms[:, 0], none_ms))


def _traits(inputs: Inputs, workload: Index, service_ms: Array, jitter_ms: Array) -> Traits:
    """Return what an oracle is shown of requests of average length."""
    tokens_j = np.zeros(len(workload))
    for index, law in enumerate(inputs.laws):
        if isinstance(law, Tokens) and inputs.energy:
            lengths = law.prompts.average(), law.answer_tokens.average()
            tokens_j[workload == index] = inputs.energy.token_j[index] @ lengths
    return Traits(service_ms, tokens_j, jitter_ms)


def _later(means: Array, jitter_ms: Array) -> Array:
    """Return the same with jitter, shape (5, …)."""
    share, first, square, prompt, answer = means
    squared = square + 2 * jitter_ms * first + jitter_ms**2 * share
    return np.stack([share, first + jitter_ms * share, squared, prompt, answer])


def _expanded(begin: Index, count: Index) -> tuple[Index, Index]:
    """Return the row and the number of each of so many things per row, numbered from some beginning on."""
    row = np.repeat(np.arange(len(count)), count)
    return row, begin[row] + np.arange(len(row)) - (np.cumsum(count) - count)[row]


def _everywhere(workload: Index) -> Groups:
    """Return groups of all requests of workloads, for laws that do not depend on where they come from."""
    nowhere = np.zeros_like(workload)
    return Groups.whole(workload, nowhere, nowhere)
