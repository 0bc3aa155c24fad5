"""Oracles conditioned on the sum of service time and jitter, where jitter is the same to all regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.control.site import Site
from carbonroute.control.views import Traits
from carbonroute.engines.conditioning import Conditioning
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.segments import FARTHEST, Segments, Span, segments
from carbonroute.errors import PolicyError
from carbonroute.outcome.mixture import Groups
from carbonroute.policies.base import Regions, policy_name
from carbonroute.traffic import Requests
from carbonroute.workloads import Tokens
from carbonroute.workloads.integrals import over_scores

#: Scores between which means of a law with tokens are interpolated: to 1e-5 of themselves.
_TABULATED = 1025
#: Sums × steps of a law of service times in memory at once.
_AT_ONCE = 2**17
#: Origin and region of jitter that is the same to all.
_NOWHERE = np.zeros(2, dtype=np.intp)


class OracleConditioning(Conditioning):
    """Base of oracles: expectations up to a service time, without jitter."""

    rows = 8

    def __init__(self, dispatcher: Dispatcher, site: Site, span: Span) -> None:
        super().__init__(dispatcher, site, span)
        # Of laws with tokens: service times, ms, at even scores, and `means` up to each, shape (5, n).
        self._tables: dict[int, tuple[Array, Array]] = {}
        z = np.linspace(-FARTHEST, FARTHEST, _TABULATED)
        for index, law in enumerate(site.laws):
            if isinstance(law, Tokens):
                times_ms = np.unique(law.at(z))
                self._tables[index] = times_ms, law.up_to(np.append(times_ms[:-1], np.inf))

    def up_to(self, workload: int, service_ms: Array) -> Array:
        """Return `means` of requests up to some service times, and without jitter, shape (5, …)."""
        from carbonroute.special import ndtr

        law = self.site.laws[workload]
        if isinstance(law, Tokens):
            times_ms, means = self._tables[workload]
            return np.stack([np.interp(service_ms, times_ms, row, left=0.0) for row in means])
        none = np.zeros_like(service_ms)
        return np.stack([ndtr(law.score(service_ms)), *law.partial(service_ms), none, none])


class ByTotal(OracleConditioning):
    """Service time and jitter together, where jitter is the same to all regions."""

    def segments(self, cells: Requests) -> Segments:
        """Return the segments between the sums of service time and jitter that the policy states."""

        def chosen(cell: Index, total_ms: Array) -> Regions:
            none_ms = np.zeros((len(cell), self.site.shape[2]))
            return self._asked(
                cells, cell, average_request(self.site, cells.workload[cell], total_ms, none_ms)
            )

        reach_ms = self.site.jitter.at(np.array(FARTHEST), *_NOWHERE)
        span = replace(self.span, high=self.span.high + reach_ms)
        return segments(cells.workload, stated(self.dispatcher, cells), span, chosen)

    def share(self, groups: Groups) -> Array:
        """Return the probability of each group's segment, shape (m,)."""
        late = (self._beyond(end, groups.workload) for end in (groups.low, groups.high))
        return np.maximum(next(late) - next(late), 0.0)

    def beyond(self, time_ms: Array, groups: Groups) -> Array:
        """Return the probability of each group's segment and of service + jitter > time, shape (m,)."""
        ends = (np.maximum(end, time_ms) for end in (groups.low, groups.high))
        return self.share(Groups(groups.workload, groups.origin, groups.region, *ends))

    def means(self, groups: Groups) -> Array:
        """Return expectations of a request that count in the group's segment alone, shape (5, m)."""
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
        law, jitter = self.site.laws[workload], self.site.jitter
        means = np.zeros((5, len(total_ms)))
        means[:, total_ms == np.inf] = super().means(_everywhere(np.array([workload])))
        finite = np.flatnonzero((total_ms >= 0) & (total_ms < np.inf))
        means[:, finite] = self.up_to(workload, total_ms[finite])
        if jitter.none:
            return means
        kinks_ms = law.edges if law.steps is None else np.unique(law.steps)
        for rows in np.array_split(finite, 1 + len(finite) * len(kinks_ms) // _AT_ONCE):
            times_ms, none, everywhere = total_ms[rows], np.zeros(len(rows)), np.full(len(rows), np.inf)

            def given(z: Array, row: Index, times_ms: Array = times_ms) -> Array:
                jitter_ms = jitter.at(z, *_NOWHERE)
                return later(self.up_to(workload, times_ms[row] - jitter_ms), jitter_ms)

            splits = jitter.score(times_ms[:, np.newaxis] - kinks_ms, *_NOWHERE)
            # Formula total-moments.
            means[:, rows] = means[:, rows] / 2 + over_scores(none, everywhere, splits, given)
        return means


def states_breaks(dispatcher: Dispatcher) -> bool:
    """Whether an oracle states where its choice may change."""
    first = np.zeros(1, dtype=np.intp)
    return _breaks(dispatcher, Requests(first, first, first)) is not None


def stated(dispatcher: Dispatcher, cells: Requests) -> Array:
    """Return the sums of service time and jitter at which an oracle's choice may change, ms, shape (n, K).

    Raises PolicyError if it states none.
    """
    breaks = _breaks(dispatcher, cells)
    if breaks is None:
        raise PolicyError(policy_name(dispatcher.candidate.policy), "breaks_ms states nothing")
    return breaks


def _breaks(dispatcher: Dispatcher, cells: Requests) -> Array | None:
    none_ms = np.zeros((len(cells), dispatcher.site.shape[2]))
    traits = average_request(dispatcher.site, cells.workload, none_ms[:, 0], none_ms)
    return dispatcher.breaks_ms(cells, traits)


def average_request(site: Site, workload: Index, service_ms: Array, jitter_ms: Array) -> Traits:
    """Return the traits of requests of average length, with these service times and jitter."""
    tokens_j = np.zeros(len(workload))
    for index, law in enumerate(site.laws):
        if isinstance(law, Tokens) and site.energy:
            prompt = law.prompt_tokens.average() if law.prompt_tokens else 0.0
            lengths = prompt, law.answer_tokens.average()
            tokens_j[workload == index] = site.energy.token_j[index] @ lengths
    return Traits(service_ms, tokens_j, jitter_ms)


def later(means: Array, jitter_ms: Array) -> Array:
    """Return `means` after a jitter is added to the service time, shape (5, …)."""
    share, first, square, prompt, answer = means
    squared = square + 2 * jitter_ms * first + jitter_ms**2 * share
    return np.stack([share, first + jitter_ms * share, squared, prompt, answer])


def _everywhere(workload: Index) -> Groups:
    """Return groups of all requests of workloads, for laws that do not depend on where they come from."""
    nowhere = np.zeros_like(workload)
    return Groups.whole(workload, nowhere, nowhere)
