"""What may be done about the faults of a carbon file; the default of every rule is to refuse or to keep."""

from __future__ import annotations

import re
from typing import Literal, cast

from pydantic import field_validator

from carbonroute.carbon.gaps import Filling
from carbonroute.files.durations import minutes, whole_hours
from carbonroute.spec import Spec

Step = Literal["5min", "10min", "15min", "20min", "30min", "1h", "2h", "3h", "4h", "6h", "12h", "1d"]


class Rules(Spec):
    """How a series becomes complete, hourly and believable. Whatever a rule does is counted and shown.

    Attributes
    ----------
    step
        Length of the interval that one value stands for. Shorter ones are averaged into hours, and an hour
        that lacks one of them is missing; the value of a longer one stands for each of its hours.
    gaps
        What becomes of hours without a value: ``"refuse"``; ``"interpolate:6h"``, linear in time between the
        neighbours; or ``"previous-day:24h"``, the same hour of the last day before the gap. The span is the
        longest run of missing hours that is filled; longer ones are refused.
    duplicates
        Which of several values for one time counts: ``"refuse"``, ``"first"``, ``"last"`` or ``"mean"`` of
        those that are there.
    spikes
        ``"keep"``, or ``"remove:40"``: values that stand apart from their surroundings by more than so many
        times the zone's usual hourly change become missing; see `carbonroute.carbon.spikes`.
    absurd
        Whether what is no carbon intensity (words, negative, beyond `MAX_CARBON_G_PER_KWH`) is refused, or
        taken as missing.
    tiny
        Whether values that are all below 2 g/kWh are refused, because they look like kg/kWh, or kept.
    repeat
        ``"year"``: hours outside the file are the same calendar hours of the nearest year in it.
    """

    step: Step = "1h"
    gaps: str = "refuse"
    duplicates: Literal["refuse", "first", "last", "mean"] = "refuse"
    spikes: str = "keep"
    absurd: Literal["refuse", "missing"] = "refuse"
    tiny: Literal["refuse", "keep"] = "refuse"
    repeat: Literal["year"] | None = None

    @field_validator("gaps")
    @classmethod
    def _known_gaps(cls, rule: str) -> str:
        kind, _, span = rule.partition(":")
        try:
            known = rule == "refuse" or (kind in {"interpolate", "previous-day"} and whole_hours(span) >= 1)
        except ValueError:
            known = False
        if not known:
            raise ValueError(
                f"found {rule!r}; 'refuse', 'interpolate:6h' or 'previous-day:24h' is expected, with the "
                "longest gap to fill in whole hours"
            )
        return rule

    @field_validator("spikes")
    @classmethod
    def _known_spikes(cls, rule: str) -> str:
        if rule != "keep" and not (
            re.fullmatch(r"remove:[0-9]{1,6}(\.[0-9]{1,6})?", rule) and float(rule[7:]) >= 1
        ):
            raise ValueError(f"found {rule!r}; 'keep' or 'remove:40' is expected, with a limit of 1 and more")
        return rule

    @property
    def filling(self) -> tuple[Filling, int] | None:
        """The rule that fills gaps, and the longest gap that it fills, hours; None if they are refused."""
        kind, _, span = self.gaps.partition(":")
        return None if kind == "refuse" else (cast(Filling, kind), whole_hours(span))

    @property
    def spike_limit(self) -> float | None:
        """How many usual changes make a spike; None if all values are kept."""
        return None if self.spikes == "keep" else float(self.spikes.removeprefix("remove:"))

    @property
    def step_minutes(self) -> int:
        """Length of the interval of one value."""
        return minutes(self.step)
