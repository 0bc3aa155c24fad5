"""Asking a policy where requests go: once per cell, or per request where its view differs within a cell."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index
from carbonroute.control import views
from carbonroute.control.draw import drawn, limits_of
from carbonroute.control.router import Control, Router
from carbonroute.control.site import Site
from carbonroute.control.unknown import unless_unknown
from carbonroute.control.views import Traits, average_traits, folded, view
from carbonroute.engines.draws import Block, Cells, tokens_energy_j
from carbonroute.policies import PolicyLike, View, decide, split, splits
from carbonroute.policies.base import Regions, breaks, fields_read, split_all
from carbonroute.policies.recording import unwrapped
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.workloads import Tokens

#: The region for each of n cells, shape (n,); of a policy that splits traffic, its weights, shape (n, R).
Answer = NDArray[Any]

#: Rows × regions of one question: a policy's intermediate arrays stay in the processor's cache.
_QUESTION = 2**17


class Asked(NamedTuple):
    """A policy's answer about cells."""

    of: Requests
    answer: Answer

    def is_about(self, of: Requests) -> bool:
        """Whether the question is the same."""
        pairs = ((self.of.hour, of.hour), (self.of.origin, of.origin), (self.of.workload, of.workload))
        return all(np.array_equal(*pair) for pair in pairs)


@dataclass(frozen=True)
class Dispatcher:
    """A policy that is asked where requests go, and that sees no measurements.

    H hours, O origins, W workloads, R regions.

    Attributes
    ----------
    candidate
        The policy with its information.
    site
        The facts of the regions that its router believes in; an oracle's are the true ones.
    by_request
        Whether it is asked about single requests.
    expected_per_s
        Expected requests per second of each cell, shape (H, O, W); None where the policy does not read them.
    traffic_share
        Expected share of each cell in the requests of its hour, shape (H, O, W); None where the policy does
        not decide for all cells together.
    asked
        An answer that it has given: the same question is not asked again.
    """

    candidate: Candidate
    site: Site
    by_request: bool
    expected_per_s: Array | None
    traffic_share: Array | None
    asked: Asked | None = None

    @classmethod
    def of(cls, candidate: Candidate, inputs: Inputs, asked: Asked | None = None) -> Dispatcher:
        """Return the dispatcher of a policy whose requests meet a scenario."""
        believed = inputs if candidate.beliefs is None or candidate.oracle else candidate.beliefs
        site = believed.site
        if site.allowed is not inputs.allowed:  # no belief: where requests may be served
            site = replace(site, allowed=inputs.allowed)
        return cls(
            candidate,
            site,
            candidate.by_request(inputs.site),
            believed.expected_per_s if candidate.reads("requests_per_s") else None,
            believed.traffic_share if candidate.joint else None,
            asked,
        )

    @property
    def by_cell(self) -> bool:
        """Whether it sends all requests of a cell to one region."""
        return not (splits(self.candidate.policy) or self.by_request)

    def route(self, block: Block, kept: dict[int, Answer] | None = None) -> tuple[Cells, Regions]:
        """Ask where a block's requests go; where the policy splits traffic, draw the region of each.

        Parameters
        ----------
        kept
            See `ask`.

        Returns
        -------
        The block's cells or its single requests, and the region of each, shape (C,).
        """
        if splits(self.candidate.policy):
            limits = limits_of(self.ask(block.cells.of, kept=kept))
            return block.singles(), drawn(np.repeat(limits, block.cells.counts, axis=0), block.dice())
        cells = block.singles() if self.by_request else block.cells
        # A block whose cells have one request each may show it as such.
        traits = self.traits_of(block, cells) if len(cells.of) == len(block) else None
        return cells, self.ask(cells.of, traits, kept)

    def ask(
        self, of: Requests, traits: Traits | None = None, kept: dict[int, Answer] | None = None
    ) -> Answer:
        """Ask about n cells or requests.

        Raises PolicyError if the policy breaks its contract.

        Parameters
        ----------
        of
            Hour, origin and workload of each.
        traits
            The values that tell requests of a cell apart; None where none do.
        kept
            The answers of a joint policy, by hour: with the same dictionary for later hours, no hour is asked
            about twice. Hours before the first of a question are deleted from it.

        Returns
        -------
        The region for each, shape (n,); of a policy that splits traffic, its weights, shape (n, R).
        """
        if self.asked is not None and traits is None and self.asked.is_about(of):
            return self.asked.answer
        if self.candidate.joint:
            return self._ask_jointly(of, kept)
        splitting, regions = splits(self.candidate.policy), self.site.shape[2]
        answer = np.empty((len(of), regions) if splitting else len(of), float if splitting else np.intp)
        done = 0
        for hour, seen in self._views_of(of, traits):
            answer[done : done + len(hour)] = self._answer(hour, seen)
            done += len(hour)
        return answer

    def breaks_ms(self, of: Requests, traits: Traits | None = None) -> Array | None:
        """Return the service times at which the policy's choice may change; parameters as of `ask`.

        Returns
        -------
        Times in ms, shape (n, K), NaN for none; None where the policy does not state them.
        """
        if splits(self.candidate.policy):
            return None
        traits = traits or self._average_traits(of.workload)
        return breaks(self.candidate.policy, self.view_of(of, traits))

    def ask_with(self, others: Sequence[Dispatcher], of: Requests) -> list[Answer]:
        """Ask several policies that are shown the same, this one first; see `shown`.

        Returns
        -------
        The answer of each, as of `ask`.
        """
        if not others or not len(of):
            return [each.ask(of) for each in (self, *others)]
        views, at = self._views_of(of), None
        if self.candidate.joint:
            hours, place = np.unique(of.hour, return_inverse=True)
            views, at = self._views_of_hours(hours), (place.reshape(-1), of.origin, of.workload)
        parts = [self._answers(others, hour, seen) for hour, seen in views]
        answers = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return answers if at is None else [answer[at] for answer in answers]

    @property
    def shown(self) -> Hashable:
        """A key that is equal for policies that are shown the same about cells: see `ask_with`."""
        policy, estimate = self.candidate.policy, self.candidate.information.service_time
        arrays = self.site, self.candidate.knowledge, self.expected_per_s, self.traffic_share
        kind = type(unwrapped(policy)) if splits(policy) else self.candidate.joint
        return kind, frozenset(fields_read(policy)), str(estimate), *map(id, arrays)

    def view_of(self, of: Requests, traits: Traits) -> View:
        """Return the view of n cells or requests."""
        carbon = self.candidate.knowledge.shown_g_per_kwh.T.take(of.hour, axis=1).T
        expected = self.expected_per_s
        return view(
            self.site,
            fields_read(self.candidate.policy),
            views.CellIndex(of.origin, of.workload),
            carbon,
            traits,
            None if expected is None else expected[of.hour, of.origin, of.workload],
        )

    def estimates_ms(self) -> Array:
        """Return the estimated service time of any request of each workload, ms, shape (W,)."""
        return views.estimates_ms(self.site, self.candidate.information)

    def request_estimates_ms(self, block: Block) -> Array:
        """Return the estimated service time of each request, given its prompt, ms, shape (n,)."""
        information, estimates_ms = self.candidate.information, np.empty(len(block))
        for law, ends in zip(self.site.laws, pairwise(block.limits), strict=True):
            rows = slice(*ends)
            if isinstance(law, Tokens) and block.tokens is not None:
                estimates_ms[rows] = law.estimate_ms(block.tokens[0, rows], information.quantile)
            else:
                estimates_ms[rows] = information.service_estimate_ms(law)
        return estimates_ms

    def traits_of(self, block: Block, cells: Cells) -> Traits:
        """Return the traits of a block's requests, each of which is a cell."""
        candidate, tokens_j = self.candidate, None
        if candidate.reads("energy_j") and self.site.energy is not None:
            tokens_j = block.tokens_j if candidate.oracle else self._expected_tokens_j(block)
        return Traits(
            service_ms=self._service_ms(block, cells),
            tokens_j=tokens_j,
            jitter_ms=self._jitter_ms(block, cells.of.origin) if candidate.on_jitter else None,
            turn=(block.first + block.order).astype(float) if candidate.reads("turn") else None,
            violation_share=self._late_share(block, cells.of) if candidate.reads("violation_share") else None,
            prompt=None if block.tokens is None or not candidate.reads("ttft_ms") else block.tokens[0],
        )

    def _ask_jointly(self, of: Requests, kept: dict[int, Answer] | None) -> Answer:
        """Ask a policy that decides for all origins and workloads of an hour together."""
        hours, place = np.unique(of.hour, return_inverse=True)
        if kept is None:
            answers = np.concatenate(list(self._answers_about(hours)))
        else:
            for hour in [hour for hour in kept if hour < hours[0]]:
                del kept[hour]
            new = np.array([hour for hour in hours.tolist() if hour not in kept], dtype=np.intp)
            kept.update(zip(new.tolist(), chain.from_iterable(self._answers_about(new)), strict=True))
            answers = np.stack([kept[hour] for hour in hours.tolist()])
        return answers[place.reshape(-1), of.origin, of.workload]

    def _answers_about(self, hours: Index) -> Iterator[Answer]:
        """Yield the answers of a joint policy about some hours, so many of them at once."""
        for hour, seen in self._views_of_hours(hours):
            yield self._answer(hour, seen)

    def _views_of(self, of: Requests, traits: Traits | None = None) -> Iterator[tuple[Index, View]]:
        """Yield the hours and views of cells or requests, so many of them at once."""
        traits = traits or self._average_traits(of.workload)
        step = max(1, _QUESTION // self.site.shape[2])
        for first in range(0, len(of), step):
            rows = slice(first, first + step)
            cells = Requests(of.hour[rows], of.origin[rows], of.workload[rows])
            yield cells.hour, self.view_of(cells, traits.of(rows))

    def _views_of_hours(self, hours: Index) -> Iterator[tuple[Index, View]]:
        """Yield hours and views of a joint policy, so many of them at once, leading axes (hours, O, W)."""
        if self.traffic_share is None:
            raise RuntimeError("only a policy that decides for all cells together is asked about hours")
        step = max(1, _QUESTION // math.prod(self.site.shape))
        for first in range(0, len(hours), step):
            some = hours[first : first + step]
            leading = (len(some), *self.site.shape[:2])
            hour, origin, workload = np.indices(leading).reshape(3, -1)
            flat = self.view_of(Requests(some[hour], origin, workload), self._average_traits(workload))
            yield some[hour].reshape(leading), folded(flat, leading, self.traffic_share[some])

    def _answers(self, others: Sequence[Dispatcher], hour: Index, seen: View) -> list[Answer]:
        """Ask this policy and others about one view."""
        policies = [each.candidate.policy for each in (self, *others)]
        splitting = [policy for policy in policies if splits(policy)]
        simple = self.site.allowed is None and not self.candidate.knowledge.blind[hour].any()
        if simple and len(splitting) == len(policies):
            return list(split_all(splitting, seen))
        return [each._answer(hour, seen) for each in (self, *others)]

    def _answer(self, hour: Index, seen: View) -> Answer:
        """Ask about cells or requests of some hours, which have the leading axes of the view."""

        def asked(policy: PolicyLike) -> Answer:
            if self.site.allowed is not None:
                return self._kept_inside(policy, seen)
            if splits(policy):
                return split(policy, seen)
            region = decide(policy, seen)
            return np.eye(seen.rtt_ms.shape[-1])[region] if splits(self.candidate.policy) else region

        return unless_unknown(self.candidate.policy, self.candidate.knowledge.blind[hour], asked)

    def _kept_inside(self, policy: PolicyLike, seen: View) -> Answer:
        """Ask a policy, and have a router keep requests within the regions that are allowed."""
        router = Router(policy, Control())
        return router.ask(seen).weights if splits(self.candidate.policy) else router.choose(seen)

    def _average_traits(self, workload: Index) -> Traits:
        reads = fields_read(self.candidate.policy)
        return average_traits(self.site, self.candidate.information, reads, workload)

    def _expected_tokens_j(self, block: Block) -> Array | None:
        """Return the IT energy of each request's prompt and of an average answer, J, shape (n,)."""
        if block.tokens is None:
            return None
        answers = [law.answer_tokens.average() if isinstance(law, Tokens) else 0.0 for law in self.site.laws]
        tokens = np.stack([block.tokens[0], np.repeat(answers, np.diff(block.limits))])
        return tokens_energy_j(self.site.energy, tokens, block.limits)

    def _late_share(self, block: Block, of: Requests) -> Array | None:
        """Return the probability that each request is late in each region, given its prompt, shape (n, R)."""
        if block.tokens is None:
            return None
        latency, regions = self.site.latency, np.arange(self.site.shape[2])
        shares = latency.violation_share[of.origin, of.workload]
        for workload, (law, ends) in enumerate(zip(self.site.laws, pairwise(block.limits), strict=True)):
            if isinstance(law, Tokens):
                rows = slice(*ends)
                origin, prompt = of.origin[rows, np.newaxis], block.tokens[0, rows, np.newaxis]
                shares[rows] = latency.late_share(workload, origin, regions, prompt)
        return shares

    def _service_ms(self, block: Block, cells: Cells) -> Array:
        """Return actual service times for a clairvoyant policy, otherwise estimates, ms, shape (n,)."""
        if self.candidate.reads("service_ms"):
            if self.candidate.information.clairvoyant:
                return block.service_ms
            if self.site.has_tokens:
                return self.request_estimates_ms(block)
        return self.estimates_ms().take(cells.of.workload)

    def _jitter_ms(self, block: Block, origin: Index) -> Array:
        """Return the jitter of each request in each region, ms, shape (n, R)."""
        regions = np.arange(self.site.shape[2])
        jitter_ms = self.site.jitter.at(block.jitter_z[:, np.newaxis], origin[:, np.newaxis], regions)
        return np.broadcast_to(jitter_ms, (len(block), len(regions)))
