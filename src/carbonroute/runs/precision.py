"""Stopping rule of replications: the half-width that an interval must reach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.metrics import intervals
from carbonroute.metrics.long import KEY, OF_ALL
from carbonroute.outcome import Outcome

#: Least number of replications: the spread of fewer is too uncertain.
FEWEST = 10
#: Largest number of replications, by default.
MOST = 1000

_PATTERN = re.compile(r"\s*(\S+?)\s*(?:±|\+/?-)\s*(\d+\.?\d*|\.\d+)\s*")


@dataclass(frozen=True)
class Precision:
    """Required half-width of the interval of a figure, under every policy.

    A run that ends as soon as its interval is narrow ends a little more often where chance made it narrow, so
    that it covers a little less often than it says; this vanishes with the width (Chow and Robbins, Annals of
    Mathematical Statistics 36 (1965), 457-462). `FEWEST` keeps it small where it would be largest.

    `half_width`: of its interval, in the figure's unit.
    """

    figure: str
    half_width: float

    @classmethod
    def read(cls, text: str) -> Precision:
        """Parse a text such as ``"slo_violation_pct ± 0.05"`` (or ``+-``).

        Raises InputError if it is malformed, or there is no such figure.
        """
        match = _PATTERN.fullmatch(text)
        if match is None or float(match[2]) == 0:
            remedy = "a figure and a half-width above 0 are expected, such as 'slo_violation_pct ± 0.05'"
            raise InputError("until", [Fault("", f"found {text!r}", remedy)])
        if match[1] not in OF_ALL:
            problem = f"there is no figure {match[1]!r}"
            raise InputError("until", [Fault("", problem, did_you_mean(match[1], OF_ALL))])
        return cls(match[1], float(match[2]))

    def __str__(self) -> str:
        return f"{self.figure} ± {self.half_width:g}"

    def widest(
        self, dependence: intervals.Dependence, outcomes: Sequence[Outcome], replications: pl.DataFrame
    ) -> tuple[str, float]:
        """Return the policy of the widest interval, and its half-width.

        Raises InputError if the run has no such figure.
        """
        whole = replications.filter(pl.col("workload").is_null(), figure=self.figure)
        if whole.is_empty():
            remedy = "name another figure, or state its data: energies, or carbon that is not fresh"
            raise InputError("until", [Fault("", f"this run has no {self.figure}", remedy)])
        means = whole.group_by(KEY, maintain_order=True).agg(pl.col("value").mean())
        table = intervals.over_replications(dependence, outcomes, "", means, whole)
        half_widths = (table["high"] - table["low"]) / 2
        # A share that never differs where requests queue has no interval, and none is required.
        place = half_widths.fill_null(0.0).arg_max() or 0
        return table["policy"][place], half_widths.fill_null(0.0)[place]
