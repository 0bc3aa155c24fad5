"""Rules for the faults of a carbon file; every default refuses, or keeps a value that may be right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, cast, get_args

from carbonroute.carbon.gaps import Filling
from carbonroute.errors import did_you_mean
from carbonroute.files.durations import Duration, whole_hours
from carbonroute.spec import Spec, Spelled
from carbonroute.units import US_PER_MINUTE

_STEPS = "5min", "10min", "15min", "20min", "30min", "1h", "2h", "3h", "4h", "6h", "12h", "1d"


#: How a scenario spells that a value stands until the next one, before the longest interval.
UNTIL_NEXT = "until-next:"
#: The marks of the clock that all times stand on, min.
FINEST_MINUTES = 5


@dataclass(frozen=True, eq=False, repr=False)
class Step(Duration):
    """The length of the interval that one value stands for: one that divides a day, from 5 minutes on.

    `until_next`: whether a value stands until the next one of its zone, and `minutes` are the longest such
    interval.
    """

    until_next: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the step that a text spells."""
        longest = text.removeprefix(UNTIL_NEXT)
        if longest not in _STEPS:
            raise ValueError(f"found {text!r}; {did_you_mean(text, (*_STEPS, f'{UNTIL_NEXT}1h'))}")
        return cls(text, Duration.parse(longest).minutes, longest != text)

    @property
    def slot_minutes(self) -> int:
        """Distance of the marks that times may stand on, min."""
        return FINEST_MINUTES if self.until_next else min(self.minutes, 60)


def until_next(minutes: int) -> str:
    """Return how a scenario spells that values stand until the next one, for so many minutes at most."""
    return f"{UNTIL_NEXT}{next((step for step in _STEPS if Step.parse(step).minutes >= minutes), _STEPS[-1])}"


def step_of(step_us: int | None) -> Step | None:
    """Return a step of so many microseconds as a scenario spells it; None if there is no such step.

    >>> step_of(1_800_000_000), step_of(420_000_000)
    ('30min', None)
    """
    return next((step for step in map(Step.parse, _STEPS) if step.minutes * US_PER_MINUTE == step_us), None)


@dataclass(frozen=True, eq=False, repr=False)
class GapRule(Spelled):
    """How hours without a value are filled: ``"refuse"``, ``"interpolate:6h"`` or ``"previous-day:24h"``.

    `filling`: where the values come from; None if gaps are refused.
    """

    filling: Filling | None = None
    max_hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a text spells."""
        if text == "refuse":
            return cls(text)
        kind, _, span = text.partition(":")
        try:
            hours = whole_hours(span)
        except ValueError:
            hours = 0
        if kind not in get_args(Filling) or hours < 1:
            raise ValueError(
                f"found {text!r}; 'refuse', 'interpolate:6h' or 'previous-day:24h' is expected, with the "
                "longest gap to fill in whole hours"
            )
        return cls(text, cast(Filling, kind), hours)


@dataclass(frozen=True, eq=False, repr=False)
class SpikeRule(Spelled):
    """Which values are removed as spikes: ``"keep"`` for none, or ``"remove:40"``.

    `limit`: distance of a spike from the values around it, in usual hourly changes; None if all are kept.
    """

    limit: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a text spells."""
        if text == "keep":
            return cls(text)
        match = re.fullmatch(r"remove:([0-9]{1,6}(?:\.[0-9]{1,6})?)", text)
        if not match or float(match[1]) < 1:
            raise ValueError(f"found {text!r}; 'keep' or 'remove:40' is expected, with a limit of 1 and more")
        return cls(text, float(match[1]))


class Rules(Spec):
    """How a series becomes complete, hourly and plausible. Every use of a rule is counted and reported.

    Attributes
    ----------
    step
        Length of the interval that one value stands for. Shorter ones are averaged into hours, and an hour
        that lacks one of them is missing; the value of a longer one stands for each of its hours. Where steps
        change, ``"until-next:1h"``: a value stands until the next of its zone, for an hour at most, and the
        last one for as long as the one before it.
    gaps
        How hours without a value are filled: ``"refuse"``; ``"interpolate:6h"``, linear in time between the
        neighbours; or ``"previous-day:24h"``, the same hour of the last day before the gap. The span is the
        longest run of missing hours that is filled; longer ones are refused.
    duplicates
        Which of several values for one time counts: ``"refuse"``, ``"first"``, ``"last"``, ``"mean"``.
    spikes
        ``"keep"``, or ``"remove:40"``: values further from the hours around them than 40 times the zone's
        usual hourly change become missing; see `carbonroute.carbon.spikes`.
    absurd
        Whether an impossible carbon intensity (words, negative, beyond 2,000 g/kWh) is refused, or
        counts as missing.
    tiny
        Whether a zone's values that are all below 2 g/kWh are refused, because they look like kg/kWh, or
        kept; and so single ones between hundreds, as a thousands separator makes them.
    zeros
        What becomes of a value of 0 between hundreds, which may mean that there is no data: ``"warn"`` keeps
        and reports it, ``"keep"`` keeps it, ``"missing"`` takes it as missing.
    repeat
        ``"year"``: hours outside the file are the same calendar hours of the nearest year in it.
    """

    #: Whether the format of the files states the unit and the interval of each value.
    is_published: ClassVar[bool] = False

    step: Step = Step.parse("1h")
    gaps: GapRule = GapRule("refuse")
    duplicates: Literal["refuse", "first", "last", "mean"] = "refuse"
    spikes: SpikeRule = SpikeRule("keep")
    absurd: Literal["refuse", "missing"] = "refuse"
    tiny: Literal["refuse", "keep"] = "refuse"
    zeros: Literal["warn", "keep", "missing"] = "warn"
    repeat: Literal["year"] | None = None
