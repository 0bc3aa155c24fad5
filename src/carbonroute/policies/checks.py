"""The policy contract as code: run over every member here, and over yours by `check_policy`."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from carbonroute import rng
from carbonroute.errors import PolicyError
from carbonroute.policies.base import COMMON_FIELDS, VIEW_FIELDS, Array, PolicyLike, View, decide, policy_name

Check = Callable[[PolicyLike, View], str | None]


def check_policy(policy: PolicyLike, *, seed: int = 0) -> None:
    """Check a policy against the contract on random views of 1 to 7 regions.

    Checked are: shape for any leading axes, determinism, no use of global dice, a batch decided as one by
    one, eligible regions preferred and the lowest RTT where there is none, renamed regions, declared reads,
    and untouched input.

    Parameters
    ----------
    policy
        Any object with `name` and `cost(view)`.
    seed
        Of the random views.

    Raises
    ------
    PolicyError
        Naming the policy and every check that it failed.
    """
    problems: dict[str, None] = {}  # ordered, each once
    for view in _views(seed):
        for check in CHECKS:
            try:
                problem = check(policy, deepcopy(view))
            except PolicyError as error:
                problem = error.problem
            except Exception as error:  # noqa: BLE001  a policy may be anyone's code: report what it raised
                problem = f"{type(error).__name__}: {error}"
            if problem:
                problems[problem] = None
    if problems:
        raise PolicyError(policy_name(policy), "; ".join(problems))


def _views(seed: int, requests: int = 24) -> Iterator[View]:
    dice = rng.stream(seed, "policy checks")
    for regions in (1, 2, 5, 7):
        for slo_ms in (20.0, 120.0, 1000.0):  # few, some and all regions within the SLO
            yield View(
                rtt_ms=dice.uniform(1, 250, (requests, regions)),
                carbon_g_per_kwh=dice.uniform(5, 800, (requests, regions)),
                service_ms=dice.uniform(1, 100, requests),
                carbon_reference_g_per_kwh=dice.uniform(5, 800, (requests, regions)),
                slo_ms=np.full(requests, slo_ms) * dice.uniform(0.9, 1.1, requests),
                energy_j=dice.uniform(0.01, 10, (requests, regions)),
                jitter_ms=dice.uniform(0, 20, (requests, regions)),
                turn=dice.permutation(requests).astype(float),
                violation_share=dice.random((requests, regions)),
                traffic_share=dice.random(requests),
            )


def _at(view: View, index: object) -> View:
    """Return a view of some requests: index the leading axes of every field."""
    return View(**{name: np.asarray(values[index]) for name, values in vars(view).items()})


def _shape(policy: PolicyLike, view: View) -> str | None:
    leading = (2, 3, len(view.slo_ms) // 6)
    folded = View(
        **{name: values.reshape(*leading, *values.shape[1:]) for name, values in vars(view).items()}
    )
    if not np.array_equal(decide(policy, folded).ravel(), decide(policy, view)):
        return "shape: leading axes (2, 3, n) and (6 n,) give different regions"
    return None


def _determinism(policy: PolicyLike, view: View) -> str | None:
    if not np.array_equal(policy.cost(view), policy.cost(view)):
        return "determinism: the same view gives different costs"
    return None


def _dice(policy: PolicyLike, view: View) -> str | None:
    kept = _global_dice()
    try:
        np.random.seed(rng.MAX_SEED)  # noqa: NPY002  a state that no policy left behind
        before = pickle.dumps(_global_dice())
        policy.cost(view)
        after = pickle.dumps(_global_dice())
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002  as it was
        random.setstate(kept[1])
    if before != after:
        return "dice: global random numbers were drawn; state and dice come in by the door"
    return None


def _global_dice() -> tuple[Any, Any]:
    return np.random.get_state(), random.getstate()  # noqa: NPY002  the global state is the subject


def _one_by_one(policy: PolicyLike, view: View) -> str | None:
    alone = np.array([decide(policy, _at(view, request)) for request in range(len(view.slo_ms))])
    if not np.array_equal(alone, decide(policy, view)):
        return "batch: a request's region depends on the other requests decided with it"
    return None


def _eligibility(policy: PolicyLike, view: View) -> str | None:
    cost, region = np.asarray(policy.cost(view)), decide(policy, view)
    eligible = cost < np.inf
    chosen = np.take_along_axis(eligible, region[:, np.newaxis], axis=-1)[:, 0]
    if not chosen[eligible.any(axis=-1)].all():
        return "eligibility: a region with cost +inf was chosen although another was eligible"
    nowhere = ~eligible.any(axis=-1)
    if not np.array_equal(region[nowhere], view.rtt_ms[nowhere].argmin(axis=-1)):
        return "eligibility: where no region is eligible, the one with the lowest RTT must be chosen"
    return None


def _permutation(policy: PolicyLike, view: View) -> str | None:
    if {"turn"} & set(getattr(policy, "reads", ())):
        return None  # what goes by turns goes by the order of the regions
    order = np.arange(view.rtt_ms.shape[-1])[::-1]
    by_region = {name: values for name, values in vars(view).items() if values.ndim > view.slo_ms.ndim}
    turned = replace(view, **{name: values[..., order] for name, values in by_region.items()})
    if not np.array_equal(order[decide(policy, turned)], decide(policy, view)):
        return "permutation: the order of the regions changes the choice"
    return None


def _reads(policy: PolicyLike, view: View) -> str | None:
    declared = getattr(policy, "reads", COMMON_FIELDS)
    unknown = set(declared) - VIEW_FIELDS
    if unknown:
        return f"reads: a view has no {', '.join(sorted(unknown))}"
    hidden: dict[str, Array] = {name: getattr(view, name)[::-1] * 1.5 for name in VIEW_FIELDS - set(declared)}
    if not np.array_equal(policy.cost(view), policy.cost(replace(view, **hidden))):
        return f"reads: cost depends on more of the view than the declared {', '.join(sorted(declared))}"
    return None


def _input(policy: PolicyLike, view: View) -> str | None:
    before = deepcopy(view)
    decide(policy, view)
    if any(not np.array_equal(getattr(before, name), getattr(view, name)) for name in VIEW_FIELDS):
        return "input: the view was changed"
    return None


CHECKS: tuple[Check, ...] = (
    _shape,
    _determinism,
    _dice,
    _one_by_one,
    _eligibility,
    _permutation,
    _reads,
    _input,
)
