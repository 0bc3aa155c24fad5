"""A carbon signal: hours × regions, with the accounting behind its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from carbonroute.carbon.profile import Profile
from carbonroute.spec import Spec
from carbonroute.units import MAX_CARBON_G_PER_KWH


class Accounting(Spec):
    """What a carbon intensity counts. Numbers with different labels must not be compared.

    Attributes
    ----------
    rate
        Of all generation, or of the plants that follow demand.
    scope
        Combustion alone, or the whole life cycle of plants and fuels.
    boundary
        Of what a zone generates, or of what it uses (flow-traced).
    """

    rate: Literal["average", "marginal"] | None = None
    scope: Literal["direct", "lifecycle"] | None = None
    boundary: Literal["production", "consumption"] | None = None

    def __str__(self) -> str:
        stated = [label for label in (self.rate, self.scope, self.boundary) if label]
        return ", ".join(stated) or "not stated"


@dataclass(frozen=True)
class Query:
    """What a scenario wants of a carbon source.

    Attributes
    ----------
    regions, zones
        Names of the regions, and the key of each one's grid in a data file.
    mean_g_per_kwh
        Stated mean of each region, or None where the scenario has none.
    profiles
        Shape of each region's synthetic carbon, or None where it is the scenario's.
    hours, start
        The horizon; `start` (UTC) is None without a calendar.
    folder
        What paths in the scenario are relative to.
    reference
        Whether long-run means from before the horizon are asked for.
    uniform, normal
        Give the scenario's dice: uniform numbers in [0, 1) for noise and standard normals for weather, shape
        (R, hours).
    """

    regions: tuple[str, ...]
    zones: tuple[str, ...]
    mean_g_per_kwh: tuple[float | None, ...]
    profiles: tuple[Profile | None, ...]
    hours: int
    start: datetime | None
    folder: Path
    reference: bool
    uniform: Callable[[], NDArray[np.float64]]
    normal: Callable[[], NDArray[np.float64]]


@dataclass(frozen=True)
class Signal:
    """Carbon intensity of every hour and region.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh, shape (hours, R); finite, 0 … `MAX_CARBON_G_PER_KWH`.
    accounting
        What the numbers count.
    source
        Where they come from, with licence or attribution.
    files
        Data files read, for the manifest.
    reference_g_per_kwh
        Long-run mean of each region that is known before the horizon, shape (R,), or None.
    """

    g_per_kwh: NDArray[np.float64]
    accounting: Accounting = field(default_factory=Accounting)
    source: str = ""
    files: tuple[Path, ...] = ()
    reference_g_per_kwh: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        known = (self.g_per_kwh >= 0) & (self.g_per_kwh <= MAX_CARBON_G_PER_KWH)  # False for NaN
        if not known.all():
            hour, region = np.argwhere(~known)[0]
            raise ValueError(
                f"carbon intensity {self.g_per_kwh[hour, region]} g/kWh at hour {hour}, "
                f"region index {region}; 0 … {MAX_CARBON_G_PER_KWH:g} is expected"
            )
