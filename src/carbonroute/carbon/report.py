"""A report of cleaning: sentences for people, JSON values for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHOWN = 3


@dataclass
class Report:
    """Uses of rules on one source's data, and warnings: a sentence of each, and JSON values."""

    details: dict[str, Any] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)

    def add(self, key: str, detail: Any, sentence: str) -> None:
        """Add a use of a rule, or a warning."""
        self.details[key] = detail
        self.sentences.append(sentence)

    def count(
        self,
        key: str,
        times: NDArray[np.bool_] | NDArray[np.int64],
        zones: Sequence[str],
        time_of: Callable[[int], str],
        what: str,
        rule: str | None = None,
    ) -> None:
        """Add a count by zone, with the first hours; nothing if it is 0.

        Parameters
        ----------
        times
            Count in each hour and zone, shape (hours, zones).
        time_of
            Text of a row's hour.
        what
            The sentence's end, after the number.
        rule
            The rule, if the scenario names one.
        """
        counts = times.sum(axis=0)
        if not counts.any():
            return
        by_zone = {zone: int(count) for zone, count in zip(zones, counts, strict=True) if count}
        first = {
            zone: [time_of(int(hour)) for hour in np.flatnonzero(times[:, column])[:_SHOWN]]
            for column, zone in enumerate(zones)
            if zone in by_zone
        }
        listed = [
            f"{zone} {count}: {', '.join(first[zone])}{', …' if count > _SHOWN else ''}"
            for zone, count in list(by_zone.items())[:_SHOWN]
        ]
        rest = f"; {len(by_zone) - _SHOWN} more zones" if len(by_zone) > _SHOWN else ""
        named = {"rule": rule} if rule else {}
        self.add(
            key,
            {**named, "by_zone": by_zone, "first": first},
            f"{int(counts.sum()):,} {what} ({'; '.join(listed)}{rest})",
        )

    def note(self, file_name: str) -> tuple[str, ...]:
        """Return the sentences as one line, or nothing if there are none."""
        return (f"{file_name}: {'; '.join(self.sentences)}",) if self.sentences else ()

    def cleaning(self, file_name: str) -> dict[str, Any]:
        """Return the JSON values, by the name of the source."""
        return {file_name: self.details} if self.details else {}
