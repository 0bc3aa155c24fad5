"""Routing plans: the regions of all requests of a cell by service time or dice, whatever their number.

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
from carbonroute.engines.routing import Answer, Dispatcher
from carbonroute.policies.base import Regions, splits
from carbonroute.traffic import Requests

#: Cells of hours to come that are planned for at once.
_AHEAD = 512


@dataclass(frozen=True)
class Choices:
    """Where the requests of C cells go, by a value that each request has.

    `breaks`: values, shape (C, K); inf stands for none.
    `regions`: the region of a request whose value lies above k of its cell's breaks, shape (C, K + 1).
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


def value_of(dispatcher: Dispatcher, block: Block) -> Array:
    """Return the values by which a plan chooses, shape (n,): dice, or actual or estimated service times."""
    if splits(dispatcher.candidate.policy):
        return block.dice()
    if dispatcher.candidate.information.clairvoyant:
        return block.service_ms
    return dispatcher.request_estimates_ms(block)


def plan(dispatcher: Dispatcher, of: Requests, kept: dict[int, Answer], most: int) -> Choices | None:
    """Return where a policy sends the requests of some cells.

    Parameters
    ----------
    dispatcher, kept
        The policy; see `Dispatcher.ask`.
    of
        Hour, origin and workload of each cell.

    Returns
    -------
    The plan of the cells, or None where it takes more questions than that, or every request has to be asked
    about.
    """
    if dispatcher.by_cell:
        return Choices(np.empty((len(of), 0)), dispatcher.ask(of, kept=kept)[:, np.newaxis])
    if splits(dispatcher.candidate.policy):
        limits = limits_of(dispatcher.ask(of, kept=kept))
        regions = np.broadcast_to(np.arange(limits.shape[1] + 1), (len(of), limits.shape[1] + 1))
        # A value on a limit belongs to the next region.
        return Choices(np.nextafter(limits, -np.inf), regions)
    if not _by_service_time(dispatcher):
        return None
    stated_ms = dispatcher.breaks_ms(of)
    if stated_ms is None or len(of) * (stated_ms.shape[1] + 1) > most:
        return None

    def choose(cell: Index, service_ms: Array) -> Regions:
        cells = Requests(of.hour[cell], of.origin[cell], of.workload[cell])
        return dispatcher.ask(cells, Traits(service_ms))

    return Choices(*settled(choose, stated_ms, dispatcher.site.slo_ms[of.workload]))


def _by_service_time(dispatcher: Dispatcher) -> bool:
    """Whether it is the service time alone that tells requests of a cell apart."""
    reads = dispatcher.candidate.reads
    by_tokens = dispatcher.site.has_tokens and (reads("energy_j") or reads("violation_share"))
    return reads("service_ms") and not (by_tokens or dispatcher.candidate.on_jitter or reads("turn"))


class Plans:
    """The plans of policies for the cells of the last block and of the hours after it.

    The next block has most of these cells again. Where an hour has more requests than a block, hours to come
    are planned for as well, so that a policy is asked seldom and about many cells at once.

    Attributes
    ----------
    plans
        Each policy's, for the C cells that are planned for; None where every request has to be asked about.
    by_cell, others
        Policies (by index) that send all requests of a cell to one region, and the rest.
    regions
        Choices of the former, shape (C, P).
    """

    def __init__(self, dispatchers: Sequence[Dispatcher], hours: int) -> None:
        self.dispatchers = dispatchers
        origins, workloads, _ = dispatchers[0].site.shape
        self._shape = hours, origins, workloads
        cell_wise = np.array([dispatcher.by_cell for dispatcher in dispatchers], dtype=bool)
        self.by_cell, self.others = np.flatnonzero(cell_wise), np.flatnonzero(~cell_wise).tolist()
        self.plans: list[Choices | None] = [None for _ in dispatchers]
        self.regions = np.empty((0, len(self.by_cell)), dtype=np.intp)
        self._kept: list[dict[int, Answer]] = [{} for _ in dispatchers]
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
        hours, origins, workloads = self._shape
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
        for policy, dispatcher in enumerate(self.dispatchers):
            former, kept = self.plans[policy], self._kept[policy]
            cells = self._of(self._keys if former is None else new)
            planned = plan(dispatcher, cells, kept, len(block))
            self.plans[policy] = former.joined(planned, place) if former and planned else planned
        chosen = [one.regions[:, 0] for one in map(self.plans.__getitem__, self.by_cell) if one]
        self.regions = np.column_stack(chosen) if chosen else np.empty((len(order), 0), dtype=np.intp)

    def _of(self, keys: Index) -> Requests:
        hours, origins, _ = self._shape
        return Requests(keys // origins % hours, keys % origins, keys // (origins * hours))

    def _key(self, of: Requests) -> Index:
        hours, origins, _ = self._shape
        return (of.workload * hours + of.hour) * origins + of.origin
