"""The random variables on which a choice is conditioned, besides hour, origin and workload.

A choice is constant on segments of the variable, whose law gives the probability of each::

    Conditioning          segments, share, beyond, means
    ├── ByCell            none: one answer for all requests of a cell, or weights
    ├── ByServiceTime     the request's service time: clairvoyant policies
    ├── ByPrompt          the request's prompt, from which a router estimates service time, energy and risk
    ├── ByTotal           the sum of service time and jitter: oracles, where jitter is the same to all regions
    └── ByPairJitter      service time and jitter: oracles, where each origin and region has its own jitter

The last two are in `carbonroute.engines.oracles` and `carbonroute.engines.pair_jitter`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from typing import ClassVar

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.control.site import Site
from carbonroute.control.views import Traits
from carbonroute.engines.routing import Dispatcher
from carbonroute.engines.segments import Segments, Span, grid, searched, segments
from carbonroute.outcome.mixture import Groups
from carbonroute.policies.base import Regions
from carbonroute.traffic import Requests
from carbonroute.workloads import By, Tokens

#: The first cell, for questions that any cell answers.
_FIRST = Requests(*np.zeros((3, 1), dtype=np.intp))


class Conditioning(ABC):
    """Base of the family."""

    #: The variable that the ends of segments are values of.
    by: ClassVar[By] = "service"
    #: How many rows there are of a cell, or thereabouts.
    rows: ClassVar[int] = 1

    def __init__(self, dispatcher: Dispatcher, site: Site, span: Span) -> None:
        self.dispatcher, self.site, self.span = dispatcher, site, span
        self._has_tokens = np.array([isinstance(law, Tokens) for law in site.laws])

    @abstractmethod
    def segments(self, cells: Requests) -> Segments:
        """Return the regions of the requests of some cells, by segment."""

    @property
    def searches(self) -> bool:
        """Whether the policy does not tell where its choice changes, and that has to be searched for."""
        return False

    @property
    def alike(self) -> Hashable:
        """A key that is equal for laws of the same probabilities: all of a site, but those with their own."""
        own = type(self).beyond is not Conditioning.beyond
        return id(self) if own else (id(self.site.latency), self.by)

    def share(self, groups: Groups) -> Array:
        """Return the probability of each group's segment, shape (m,)."""
        shares = np.empty(len(groups))
        for by, rows in self._by(groups):
            of = groups[rows]
            shares[rows] = self.site.latency.share(of.workload, of.low, of.high, by=by)
        return shares

    def beyond(self, time_ms: Array, groups: Groups) -> Array:
        """Return the probability of each group's segment and of service + jitter > time, shape (m,)."""
        shares = np.empty(len(groups))
        for by, rows in self._by(groups):
            shares[rows] = self.site.latency.beyond(time_ms[rows], *vars(groups[rows]).values(), by=by)
        return shares

    def late(self, groups: Groups) -> Array:
        """Return the probability of each group's segment and of a violation, shape (m,).

        Where the law of service times has a step next to the limit, the last bit of the sum decides.
        """
        slo_ms = self.site.slo_ms[groups.workload]
        rtt_ms = self.site.rtt_ms[groups.origin, groups.region]
        step_ms = self.span.atoms_near(groups.workload, slo_ms - rtt_ms)
        last_ms = np.where(rtt_ms + step_ms <= slo_ms, step_ms, np.nextafter(step_ms, -np.inf))
        return self.beyond(np.where(np.isnan(step_ms), slo_ms - rtt_ms, last_ms), groups)

    def means(self, groups: Groups) -> Array:
        """Return E[X · 1(segment)] of a request of each group, shape (5, m).

        X is 1 (the share of the segment), service + jitter (ms), the square of that, prompt and answer
        (tokens; 0 where there are none).
        """
        means, latency = np.zeros((5, len(groups))), self.site.latency
        means[0] = self.share(groups)
        for by, rows in self._by(groups):
            means[1:3, rows] = latency.moments(*vars(groups[rows]).values(), by=by)
            with_tokens = rows[self._has_tokens[groups.workload[rows]]]
            of = groups[with_tokens]
            means[3:, with_tokens] = latency.tokens_mean(of.workload, of.low, of.high, by=by)
        return means

    def _by(self, groups: Groups) -> Iterator[tuple[By, Index]]:
        """Yield a variable and the rows integrated over it: of whole cells with tokens, the prompt."""
        by_prompt = self._has_tokens[groups.workload] & ((self.by == "prompt") | groups.are_whole)
        if by_prompt.any():
            yield "prompt", np.flatnonzero(by_prompt)
        if not by_prompt.all():
            yield "service", np.flatnonzero(~by_prompt)

    def _asked(self, cells: Requests, cell: Index, traits: Traits) -> Regions:
        of = Requests(cells.hour[cell], cells.origin[cell], cells.workload[cell])
        region: Regions = self.dispatcher.ask(of, traits)
        return region


class ByCell(Conditioning):
    """No further variable: one answer for all requests of a cell, or weights."""

    def segments(self, cells: Requests) -> Segments:
        """Return one row per cell; where traffic is split, one for each part."""
        answer = self.dispatcher.ask(cells)
        if answer.ndim == 1:
            return Segments.whole(np.arange(len(cells)), answer, np.ones(len(cells)))
        cell, region = np.nonzero(answer)
        return Segments.whole(cell, region, answer[cell, region])

    def late(self, groups: Groups) -> Array:
        """Return the probability of a violation, shape (m,): the same under every policy."""
        late = super().late
        (kept,) = self._kept("late", groups, lambda rows: late(groups[rows])[np.newaxis])
        return np.asarray(kept)

    def means(self, groups: Groups) -> Array:
        """Return the means of a request of each group, shape (5, m): the same under every policy."""
        means = super().means
        return self._kept("means", groups, lambda rows: means(groups[rows]))

    def _kept(self, name: str, groups: Groups, work_out: Callable[[Index], Array]) -> Array:
        at = groups.origin, groups.workload, groups.region
        place: Index = np.ravel_multi_index(at, self.site.shape)
        return self.site.latency.of_cells(name, place, work_out)


class ByServiceTime(Conditioning):
    """Conditioned on the request's service time."""

    rows = 8

    def segments(self, cells: Requests) -> Segments:
        """Return the segments between the breaks that the policy states, or that a search finds."""

        def chosen(cell: Index, service_ms: Array) -> Regions:
            return self._asked(cells, cell, Traits(service_ms))

        breaks = self.dispatcher.breaks_ms(cells)
        if breaks is None:
            breaks = searched(cells.workload, grid(self.site.laws), chosen)
        return segments(cells.workload, breaks, self.span, chosen)

    @property
    def searches(self) -> bool:
        """Whether the policy does not tell where its choice changes, and that has to be searched for."""
        return self.dispatcher.breaks_ms(_FIRST) is None


class ByPrompt(Conditioning):
    """Conditioned on the request's prompt; all requests of a workload without tokens are alike."""

    by = "prompt"
    rows = 300

    def __init__(self, dispatcher: Dispatcher, site: Site, span: Span) -> None:
        super().__init__(dispatcher, site, span)
        self._lengths = tuple(law.prompts if isinstance(law, Tokens) else None for law in site.laws)

    def segments(self, cells: Requests) -> Segments:
        """Return the segments between the breaks that the policy states, or that a search finds."""

        def chosen(cell: Index, prompt: Array) -> Regions:
            return self._asked(cells, cell, self._traits(cells.origin[cell], cells.workload[cell], prompt))

        breaks = self._stated(cells)
        if breaks is None:
            breaks = searched(cells.workload, grid(self._lengths), chosen)
        return segments(cells.workload, breaks, Span.of(self._lengths), chosen)

    @property
    def searches(self) -> bool:
        """Whether the policy does not tell where its choice changes, and that has to be searched for."""
        return self._stated(_FIRST) is None

    def _stated(self, cells: Requests) -> Array | None:
        """Return the prompts where the choice may change, shape (n, K); None if not known."""
        candidate, laws = self.dispatcher.candidate, self.dispatcher.site.laws
        if candidate.reads("energy_j") or candidate.reads("violation_share"):
            return None
        times_ms = self.dispatcher.breaks_ms(cells)
        if times_ms is None:
            return None
        rest_ms, per_token_ms = np.full((2, len(laws), 1), np.nan)
        for index, law in enumerate(laws):
            if isinstance(law, Tokens) and law.prefill_ms_per_token:
                rest_ms[index] = law.estimate_ms(np.zeros(()), self._quantile)
                per_token_ms[index] = law.prefill_ms_per_token
        with np.errstate(over="ignore"):  # where a token takes next to no time, no prompt reaches a break
            prompts: Array = (times_ms - rest_ms[cells.workload]) / per_token_ms[cells.workload]
        return prompts

    def _traits(self, origin: Index, workload: Index, prompt: Array) -> Traits:
        """Return the traits of requests with these prompts, tokens."""
        candidate, site = self.dispatcher.candidate, self.dispatcher.site
        service_ms = self.dispatcher.estimates_ms()[workload]
        tokens_j = np.zeros(len(workload)) if candidate.reads("energy_j") and site.energy else None
        by_risk = candidate.reads("violation_share")
        risk = site.latency.violation_share[origin, workload] if by_risk else None
        for index, law in enumerate(site.laws):
            rows = np.flatnonzero(workload == index)
            if not isinstance(law, Tokens) or not len(rows):
                continue
            if candidate.reads("service_ms"):
                service_ms[rows] = law.estimate_ms(prompt[rows], self._quantile)
            if tokens_j is not None and site.energy:
                prompt_j, answer_j = site.energy.token_j[index]
                tokens_j[rows] = prompt_j * prompt[rows] + answer_j * law.answer_tokens.average()
            if risk is not None:
                o, p = (column[rows, np.newaxis] for column in (origin, prompt))
                risk[rows] = site.latency.late_share(index, o, np.arange(site.shape[2]), p)
        return Traits(service_ms, tokens_j, violation_share=risk)

    @property
    def _quantile(self) -> float | None:
        return self.dispatcher.candidate.information.quantile
