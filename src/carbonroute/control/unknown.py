"""Decisions where the carbon of a region is not known: unknown is never green."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array
from carbonroute.policies.base import LowestRtt, PolicyLike, fields_read
from carbonroute.units import MAX_CARBON_G_PER_KWH

Answer = TypeVar("Answer")


def is_unknown(g_per_kwh: Array) -> NDArray[np.bool_]:
    """Return whether some region's carbon is not known, shape (…), of values of shape (…, R)."""
    unknown: NDArray[np.bool_] = np.logical_or.reduce(np.isnan(g_per_kwh), axis=-1)
    return unknown


def shown_g_per_kwh(g_per_kwh: Array) -> Array:
    """Return the values that a policy is shown: the highest there is for all regions where one is unknown."""
    unknown = is_unknown(g_per_kwh)
    if not unknown.any():
        return g_per_kwh
    return np.where(unknown[..., np.newaxis], MAX_CARBON_G_PER_KWH, g_per_kwh)


def unless_unknown(
    policy: PolicyLike, unknown: NDArray[np.bool_], ask: Callable[[PolicyLike], Answer]
) -> Answer:
    """Ask a policy; where it reads carbon that is unknown, the lowest round trip decides.

    Leaving out the unknown region alone would favour a region for its neighbour's broken meter.

    Parameters
    ----------
    policy
        Whom to ask.
    unknown
        Where some region's carbon is not known, with the leading axes of the answer.
    ask
        Asks a policy. Its answer is an array where `unknown` is mixed.
    """
    if "carbon_g_per_kwh" not in fields_read(policy) or not unknown.any():
        return ask(policy)
    nearest = ask(LowestRtt())
    if unknown.all():
        return nearest
    answer = ask(policy)
    if not (isinstance(answer, np.ndarray) and isinstance(nearest, np.ndarray)):
        raise TypeError("moments at which carbon is known and unknown are decided apart")
    where = unknown.reshape(unknown.shape + (1,) * (answer.ndim - unknown.ndim))
    return cast("Answer", np.where(where, nearest, answer))
