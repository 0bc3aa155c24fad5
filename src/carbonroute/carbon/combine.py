"""One signal of regions whose carbon comes from different sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from carbonroute.arrays import Integers
from carbonroute.carbon.formats import labelled
from carbonroute.carbon.signal import Accounting, MixedAccounting, Query, Signal, StepValues
from carbonroute.errors import Fault, InputError


class Source(Protocol):
    """A carbon source."""

    @property
    def allow_mixed_accounting(self) -> bool:
        """Whether regions may be compared whose numbers count different things."""

    @property
    def accounting(self) -> Accounting:
        """Accounting of the values, as the scenario states it."""

    def signal(self, query: Query) -> Signal:
        """Return the signal of a query's regions and hours."""


def combined(default: Source, own: Sequence[Source | None], query: Query) -> Signal:
    """Return the signal of all regions; each source is asked once, for its own regions.

    Raises InputError if a source refuses; or if numbers count different things and `default` does not allow
    that.

    Parameters
    ----------
    default
        The scenario's source.
    own
        Each region's own source, or None where it is the scenario's.
    query
        Zones and hours of all regions.
    """
    groups: list[tuple[Source, list[int]]] = []
    for region, source in enumerate(default if source is None else source for source in own):
        regions = next((regions for known, regions in groups if known == source), None)
        if regions is None:
            groups.append((source, [region]))
        else:
            regions.append(region)
    if [source for source, _ in groups] == [default]:
        return default.signal(query)
    asked = [
        (query.part(regions, "carbon" if source == default else f"regions[{regions[0]}].carbon"), source)
        for source, regions in groups
    ]
    queries = [query for query, _ in asked]
    parts, labels, refused = [], [], []
    for part, source in asked:
        try:
            parts.append(source.signal(part))
            labels.append(parts[-1].accounting)
        except InputError as error:
            refused.append(error)
            labels.append(_stated(source))
    if not default.allow_mixed_accounting and any(label != labels[0] for label in labels):
        refused.append(_mixed(labels, queries))
    if refused:
        raise refused[0] if len(refused) == 1 else InputError.together("carbon", refused)
    order = np.argsort([region for _, regions in groups for region in regions])
    references = [part.reference_g_per_kwh for part in parts]
    known = [reference for reference in references if reference is not None]
    accounting, notes = _accounting(parts, queries)
    return Signal(
        np.hstack([part.g_per_kwh for part in parts])[:, order],
        np.hstack([part.measured_g_per_kwh for part in parts])[:, order],
        accounting,
        "; ".join(dict.fromkeys(part.source for part in parts)),
        {name: path for part in parts for name, path in part.files.items()},
        np.concatenate(known)[order] if len(known) == len(parts) else None,
        _cleaning(parts, [query.key for query in queries]),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)) + notes,
        max(part.persistence_hours for part in parts),
        _within_hour(parts, order),
    )


def _within_hour(parts: Sequence[Signal], order: Integers) -> StepValues | None:
    """Return the measured values of all parts at a step that divides that of each; None if all are hourly."""
    if all(part.within_hour is None for part in parts):
        return None
    measured = [part.within_hour or part.measured for part in parts]
    per_hour = math.lcm(*(values.per_hour for values in measured))
    alike = [values.split(per_hour) for values in measured]
    begun = [np.broadcast_to(values.begun_minutes, values.g_per_kwh.shape) for values in alike]
    return StepValues(
        np.hstack([values.g_per_kwh for values in alike])[:, order], per_hour, np.hstack(begun)[:, order]
    )


def _stated(source: Source) -> Accounting:
    """Return the accounting of a source, without reading them."""
    known = getattr(source, "labels", None)
    return labelled(source.accounting, known) if known else source.accounting


def _mixed(labels: Sequence[Accounting | MixedAccounting], queries: Sequence[Query]) -> InputError:
    remedy = "compare what counts the same, or state carbon.allow_mixed_accounting = true"
    return InputError(
        "carbon",
        [
            Fault(f"regions {', '.join(query.regions)}", f"accounting is {label}", remedy, "mixed-accounting")
            for label, query in zip(labels, queries, strict=True)
        ],
    )


def _accounting(
    parts: Sequence[Signal], queries: Sequence[Query]
) -> tuple[Accounting | MixedAccounting, tuple[str, ...]]:
    """Return the label that all parts share, or all of them with a note."""
    first = parts[0].accounting
    if all(part.accounting == first for part in parts):
        return first, ()
    labels = [
        (query.index[i] if query.index else i, region, part.accounting)
        for part, query in zip(parts, queries, strict=True)
        for i, region in enumerate(query.regions)
        if isinstance(part.accounting, Accounting)
    ]
    mixed = MixedAccounting(
        tuple((region, label) for _, region, label in sorted(labels, key=lambda at: at[0]))
    )
    return mixed, (f"mixed accounting allowed: {mixed.labels}",)


def _cleaning(parts: Sequence[Signal], keys: Sequence[str]) -> dict[str, Any]:
    """Return the cleaning of all parts by source; where two read the same file, with their keys."""
    merged: dict[str, Any] = {}
    for part, key in zip(parts, keys, strict=True):
        for name, done in part.cleaning.items():
            merged[f"{name} ({key})" if name in merged else name] = done
    return merged
