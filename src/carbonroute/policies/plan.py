"""The plan of an hour as a whole: weights, and maybe the servers for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array
from carbonroute.policies.base import Splitter, View, as_shares, asking, refused, split


@dataclass(frozen=True)
class Plan:
    """The answer of a joint policy's `plan(view)`, for H hours.

    Attributes
    ----------
    weights
        The part of the requests that each region gets, shape (H, O, W, R): 0…1, 1 in all.
    servers
        Servers that the policy wants in the pools, shape (H, O, W, R): the same number wherever the pool is
        the same. None to leave them as they are.
    server_worth_g_per_h
        Saving by one more server in each region, gCO2e per hour, shape (H, R). None where not known.
    """

    weights: Array
    servers: Array | None = None
    server_worth_g_per_h: Array | None = None


def plan(policy: Splitter, view: View) -> Plan:
    """Ask a policy that splits traffic for its plan: its `plan` where it has one, its weights otherwise.

    `policy`: any object with `name` and `weights`.
    `view`: the information of the policy; leading axes (H, O, W).
    Raises PolicyError if the policy raises, or returns weights that are no shares or servers that are no
    numbers from 0.
    """
    rule: Callable[[View], Plan] | None = getattr(policy, "plan", None)
    if rule is None:
        return Plan(split(policy, view))
    with asking(policy, view) as seen:
        answer = rule(seen)
    servers = answer.servers
    if servers is not None and (servers.shape != view.rtt_ms.shape or not (servers >= 0).all()):  # or NaN
        problem = f"servers have shape {servers.shape}, from {servers.min():g}"
        raise refused(policy, problem, f"a number from 0 per pool is expected, {view.rtt_ms.shape}")
    weights = as_shares(policy, view, np.asarray(answer.weights))
    return Plan(weights, servers, answer.server_worth_g_per_h)


def grams(view: View) -> Array:
    """Return the emissions of a request in each region, shape (…, R), up to a factor that is the same in all.

    Carbon intensity times energy, where energies are known. Those that are all in tokens of unknown number
    are 0: carbon intensity decides then.
    """
    if view.energy_j is None:
        return view.carbon_g_per_kwh
    weighed: Array = view.carbon_g_per_kwh * np.where(view.energy_j > 0, view.energy_j, 1.0)
    return weighed
