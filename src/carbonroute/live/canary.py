"""A canary: a share of the traffic follows the policy, the rest the baseline.

O origins, W workloads, R regions.
"""

from __future__ import annotations

import numpy as np

from carbonroute.arrays import Array, Mask

#: A router with few steps rounds shares by so much at most.
_ROUNDING = 0.005


def mixed(plan: Array, baseline: Array, share: float) -> Array:
    """Return the weights to be in force, shape (O, W, R).

    `plan`, `baseline`: weights of the policy and of the baseline, shape (O, W, R).
    `share`: of the traffic that follows the policy, 0…1.
    """
    return share * plan + (1 - share) * baseline


def held_at_start(
    share: float, baseline: Array, in_force: Array, known: Mask, planned: Array | None
) -> Array:
    """Return the policy's weights that a controller goes on from, shape (O, W, R).

    Parameters
    ----------
    share
        Of the traffic that follows the policy: in a shadow, 0, it begins at the baseline.
    baseline, in_force
        Weights of the baseline, and in force as read back, shape (O, W, R).
    known
        Cells whose weights were read back, shape (O, W): the others begin at the baseline.
    planned
        The policy's weights by the last record, shape (O, W, R), or None.
    """
    if share == 1:
        return np.where(known[:, :, np.newaxis], in_force, baseline)
    if share == 0 or planned is None or planned.shape != baseline.shape:
        return baseline.copy()
    return _behind(in_force, planned, baseline, share)


def _behind(in_force: Array, planned: Array, baseline: Array, share: float) -> Array:
    """Return the policy's weights behind the canary in force: the record's, where those are followed."""
    followed = np.maximum(in_force - (1 - share) * baseline, 0)
    total = followed.sum(axis=-1, keepdims=True)
    followed = np.where(total > 0, followed / np.where(total > 0, total, 1), baseline)
    as_recorded = np.abs(mixed(planned, baseline, share) - in_force) <= _ROUNDING
    return np.where(as_recorded.all(axis=-1, keepdims=True), planned, followed)
