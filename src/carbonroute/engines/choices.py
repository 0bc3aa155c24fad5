"""What a policy does with all requests of a cell, whatever their number.

Most policies cannot tell a cell's requests apart and send all of them to one region. One that splits traffic
goes by the dice of each request, and one that sees service times by those: between two breaks the region is
the same, and the policy is asked once for all that lies there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.control.draw import limits_of
from carbonroute.control.views import Traits
from carbonroute.engines.breaks import settled
from carbonroute.engines.draws import Block
from carbonroute.engines.routing import Answer, ask, believed, breaks_ms
from carbonroute.policies.base import Regions, splits
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests

#: Cells of hours to come that are planned for at once.
_AHEAD = 512


@dataclass(frozen=True)
class Choices:
    """Where the requests of C cells go, by a value that each request has.

    Attributes
    ----------
    breaks
        Values, shape (C, K); inf stands for none.
    regions
        The region of a request whose value lies above k of its cell's breaks, shape (C, K + 1).
    """

    breaks: Array
    regions: Regions

    def joined(self, other: Choices, place: Index) -> Choices:
        """Return the plan of this one's cells and another's, by their place among all of them, (C,)."""
        width = max(self.breaks.shape[1], other.breaks.shape[1])
        breaks = np.full((len(self.breaks) + len(other.breaks), width), np.inf)
        regions = np.zeros((len(breaks), width + 1), dtype=np.intp)
        first = 0
        for part in (self, other):
            last, columns = first + len(part.breaks), part.breaks.shape[1]
            breaks[first:last, :columns], regions[first:last, : columns + 1] = part.breaks, part.regions
            first = last
        return Choices(breaks[place], regions[place])


def value_of(candidate: Candidate, block: Block) -> Array:
    """Return what a plan goes by: the dice of each request, or what is known of its service time."""
    if splits(candidate.policy):
        return block.uniform
    if candidate.information.clairvoyant:
        return block.service_ms
    return believed(candidate, block).estimate_ms(candidate.information)


def by_cell(candidate: Candidate, inputs: Inputs) -> bool:
    """Whether a candidate sends all requests of a cell to one region."""
    per_request = inputs.by_request(candidate)
    return not (splits(candidate.policy) or per_request)


def plan(
    candidate: Candidate, inputs: Inputs, of: Requests, kept: dict[int, Answer], most: int
) -> Choices | None:
    """Return what a candidate does with requests of some cells.

    Parameters
    ----------
    candidate, inputs, kept
        See `ask`.
    of
        Hour, origin and workload of each cell.
    most
        How many questions are worth asking.

    Returns
    -------
    The plan of the cells, or None where it takes more questions than that, or every request has to be asked
    about.
    """
    if by_cell(candidate, inputs):
        return Choices(np.empty((len(of), 0)), ask(candidate, inputs, of, kept=kept)[:, np.newaxis])
    if splits(candidate.policy):
        limits = limits_of(ask(candidate, inputs, of, kept=kept))
        regions = np.broadcast_to(np.arange(limits.shape[1] + 1), (len(of), limits.shape[1] + 1))
        # What falls on a limit belongs to the next region.
        return Choices(np.nextafter(limits, -np.inf), regions)
    if not _by_service_time(candidate, inputs):
        return None
    stated_ms = breaks_ms(candidate, inputs, of)
    if stated_ms is None or len(of) * (stated_ms.shape[1] + 1) > most:
        return None

    def choose(cell: Index, service_ms: Array) -> Regions:
        asked = Requests(of.hour[cell], of.origin[cell], of.workload[cell])
        return ask(candidate, inputs, asked, Traits(service_ms))

    return Choices(*settled(choose, stated_ms, inputs.slo_ms[of.workload]))


def _by_service_time(candidate: Candidate, inputs: Inputs) -> bool:
    """Whether it is the service time alone that tells requests of a cell apart."""
    by_tokens = inputs.has_tokens and (candidate.reads("energy_j") or candidate.reads("violation_share"))
    by_jitter = candidate.oracle and candidate.reads("jitter_ms")
    return candidate.reads("service_ms") and not (by_tokens or by_jitter or candidate.reads("turn"))


class Plans:
    """What policies do with the cells of the last block and of the hours after it.

    The next block has most of these cells again. Where an hour has more requests than a block, hours to come
    are planned for as well, so that a policy is asked seldom and about many cells at once.

    Attributes
    ----------
    plans
        Each policy's, for the C cells that are planned for; None where every request has to be asked about.
    by_cell, others
        Policies (by index) that send all requests of a cell to one region, and the rest.
    regions
        What the former choose, shape (C, P).
    """

    def __init__(self, inputs: Inputs, candidates: Sequence[Candidate]) -> None:
        self.inputs, self.candidates = inputs, candidates
        cell_wise = np.array([by_cell(candidate, inputs) for candidate in candidates], dtype=bool)
        self.by_cell, self.others = np.flatnonzero(cell_wise), np.flatnonzero(~cell_wise).tolist()
        self.plans: list[Choices | None] = [None for _ in candidates]
        self.regions = np.empty((0, len(self.by_cell)), dtype=np.intp)
        self._kept: list[dict[int, Answer]] = [{} for _ in candidates]
        self._keys = np.empty(0, dtype=np.intp)

    def rows(self, block: Block) -> Index:
        """Return where the cells of a block stand in the plans, shape (C,)."""
        keys = self._key(block.cells.of)  # ascending, as cells are sorted
        rows = np.searchsorted(self._keys, keys)
        known = np.append(self._keys, -1)[rows] == keys
        if not known.all():
            self._plan(block, keys[~known])
            rows = np.searchsorted(self._keys, keys)
        return rows

    def _plan(self, block: Block, missing: Index) -> None:
        hours, origins, workloads, _ = self.inputs.shape
        first, last = block.cells.of.hour.min(), block.cells.of.hour.max()
        ahead = _AHEAD // (origins * workloads) if last - first <= 1 else 0
        end = min(last + ahead + 1, hours) if ahead else first
        hour, origin, workload = np.indices((end - first, origins, workloads)).reshape(3, -1)
        coming = self._key(Requests(hour + first, origin, workload))
        new = np.setdiff1d(np.union1d(missing, coming), self._keys)
        old = np.flatnonzero(self._keys // origins % hours >= first)
        keys = np.append(self._keys[old], new)
        order = np.argsort(keys)
        place = np.append(old, len(self._keys) + np.arange(len(new)))[order]
        self._keys = keys[order]
        for policy, candidate in enumerate(self.candidates):
            former, kept = self.plans[policy], self._kept[policy]
            wanted = self._of(self._keys if former is None else new)
            found = plan(candidate, self.inputs, wanted, kept, len(block))
            self.plans[policy] = former.joined(found, place) if former and found else found
        chosen = [one.regions[:, 0] for one in map(self.plans.__getitem__, self.by_cell) if one]
        self.regions = np.column_stack(chosen) if chosen else np.empty((len(order), 0), dtype=np.intp)

    def _of(self, keys: Index) -> Requests:
        hours, origins, _, _ = self.inputs.shape
        return Requests(keys // origins % hours, keys % origins, keys // (origins * hours))

    def _key(self, of: Requests) -> Index:
        hours, origins, _, _ = self.inputs.shape
        return (of.workload * hours + of.hour) * origins + of.origin
