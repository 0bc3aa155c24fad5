"""The table ``[live.carbon]`` of a live file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from carbonroute.files.durations import Duration, above_zero
from carbonroute.live.signals import AnyProvider
from carbonroute.rng import MAX_SEED
from carbonroute.spec import Spec
from carbonroute.units import MAX_CARBON_G_PER_KWH


class ValueLimits(Spec):
    """Which values are believed.

    Attributes
    ----------
    ratio, g_per_kwh
        A value is a jump if it differs from the one before it by more than `g_per_kwh` and is more than
        `ratio` times it, or less than one in so many. A jump is believed once a later interval, of a later
        answer, agrees with it.
    reference_ratio
        The same for a value with none before it, compared with the region's long-run mean.
    unit_ratio
        A value more than so many times the long-run mean, or less than one in so many, is of another unit
        and is never believed.
    """

    ratio: Annotated[float, Field(gt=1)] = 3.0
    g_per_kwh: Annotated[float, Field(ge=0, le=MAX_CARBON_G_PER_KWH)] = 100.0
    reference_ratio: Annotated[float, Field(gt=1)] = 10.0
    unit_ratio: Annotated[float, Field(gt=1)] = 100.0


class LiveCarbon(Spec):
    """Live carbon values: whom to ask, and what to do where there is no answer.

    For each region and at each moment the first of these steps that has a value decides: a fresh measured
    value; a forecast for now that was made at most `max_age` ago; the last good value, at most `max_age` old;
    the value of the same hour yesterday; the long-run mean of the scenario; none, so that latency alone
    decides. Within a step, the source that is named first goes first.

    Attributes
    ----------
    sources
        Whom to ask; the first that serves a region goes first.
    max_age
        Age up to which the last good value, or a forecast, stands for the present.
    yesterday
        Whether the value of the same hour yesterday may stand for the present.
    limits
        Which values are believed.
    allow_mixed_accounting
        Whether regions may be compared whose numbers count different things.
    seed
        Of the random differences between the times of questions.
    """

    sources: Annotated[tuple[AnyProvider, ...], Field(strict=False, min_length=1)]
    max_age: Duration = Duration.parse("3h")
    yesterday: bool = True
    limits: ValueLimits = ValueLimits()
    allow_mixed_accounting: bool = False
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0

    _is_some_time = field_validator("max_age")(above_zero)
