"""The policy contract as code: run over every member here, and over yours by `check_policy`."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.errors import PolicyError, described, is_interrupt
from carbonroute.policies.base import (
    VIEW_FIELDS,
    WEIGHT_TOLERANCE,
    PolicyLike,
    View,
    breaks,
    decide,
    fields_read,
    policy_name,
    split,
    splits,
)
from carbonroute.policies.plan import plan

Check = Callable[[PolicyLike, View], str | None]

#: Leading axes of the random views: hours, origins, workloads. Policies that are not joint see them flat.
_CELLS = (4, 2, 3)

#: How far from a declared break a choice must have changed.
_NEAR_MS = 1e-6


def check_policy(policy: PolicyLike, *, seed: int = 0) -> None:
    """Check a policy against the contract on random views of 1 to 7 regions.

    Checked are, of policies that choose and of those that split traffic: shape for any leading axes,
    determinism, no use of global dice, a batch decided as one by one (hour by hour where a policy decides for
    an hour together), renamed regions, declared reads, and untouched input. Of those that choose also:
    eligible regions preferred and the lowest RTT where there is none, and no change of choice between the
    breaks that a policy declares. Of those that split also: nothing is sent to regions that a policy sees to
    be out, and a plan has the policy's weights. Weights may differ by `WEIGHT_TOLERANCE`.

    Parameters
    ----------
    policy
        Any object with `name` and `cost(view)`; or with `name`, `splits = True` and `weights(view)`.
    seed
        Of the random views.

    Raises
    ------
    PolicyError
        Naming the policy and every check that it failed.
    """
    problems: dict[str, None] = {}  # ordered, each once
    for view in _views(seed, joint=bool(getattr(policy, "joint", False))):
        for check in CHECKS:
            try:
                problem = check(policy, deepcopy(view))
            except PolicyError as error:
                problem = error.problem
            except BaseException as error:  # a policy may be anyone's code: report what it raised
                if is_interrupt(error):
                    raise
                problem = described(error)
            if problem:
                problems[problem] = None
    if problems:
        raise PolicyError(policy_name(policy), "; ".join(problems))


def _views(seed: int, *, joint: bool) -> Iterator[View]:
    dice = rng.stream(seed, "policy checks")
    state_dice = rng.stream(seed, "policy checks of state")
    leading = _CELLS if joint else (int(np.prod(_CELLS)),)
    for regions in (1, 2, 5, 7):
        for slo_ms in (20.0, 120.0, 1000.0):  # few, some and all regions within the SLO
            per_region = (*leading, regions)
            yield View(
                rtt_ms=dice.uniform(1, 250, per_region),
                carbon_g_per_kwh=dice.uniform(5, 800, per_region),
                service_ms=dice.uniform(1, 100, leading),
                carbon_reference_g_per_kwh=dice.uniform(5, 800, per_region),
                slo_ms=np.full(leading, slo_ms) * dice.uniform(0.9, 1.1, leading),
                energy_j=dice.uniform(0.01, 10, per_region),
                jitter_ms=dice.uniform(0, 20, per_region),
                turn=dice.permutation(np.prod(_CELLS)).reshape(leading).astype(float),
                violation_share=dice.random(per_region) ** 3,
                traffic_share=dice.dirichlet(np.ones(_CELLS[1] * _CELLS[2]), _CELLS[0]).reshape(leading),
                **_state(state_dice, leading, regions),
            )


def _state(dice: np.random.Generator, leading: tuple[int, ...], regions: int) -> dict[str, Any]:
    """Return load and capacity of a view: one pool per region, and now and then one is out."""
    per_region = (*leading, regions)
    hours = (_CELLS[0], *(1 for _ in leading[1:]), regions) if len(leading) > 1 else per_region
    available = dice.random(hours) < 0.8
    available[..., 0] |= ~available.any(axis=-1)
    servers = np.where(dice.random(regions) < 0.8, dice.integers(1, 6, regions), np.inf)
    return {
        "utilisation": dice.random(per_region),
        "wait_ms": np.maximum(dice.uniform(-50, 100, per_region), 0.0),
        "available": np.broadcast_to(available, per_region).copy(),
        "requests_per_s": dice.uniform(0, 40, leading),
        "busy_ms": dice.uniform(1, 100, per_region),
        "servers": np.broadcast_to(servers, per_region).copy(),
        "installed": np.broadcast_to(servers + dice.integers(0, 3, regions), per_region).copy(),
        "pool": np.broadcast_to(np.arange(regions), per_region).copy(),
        "idle_power_w": np.broadcast_to(dice.uniform(0, 300, regions), per_region).copy(),
    }


def _answer(policy: PolicyLike, view: View) -> NDArray[Any]:
    """Return the weights, shape (…, R), or the chosen region, shape (…)."""
    return split(policy, view) if splits(policy) else decide(policy, view)


def _raw(policy: PolicyLike, view: View) -> NDArray[Any]:
    """Return the policy's own answer: weights or costs, shape (…, R)."""
    return np.asarray(policy.weights(view) if splits(policy) else policy.cost(view))


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two answers are the same; weights may have been added up in another order."""
    return one.shape == other.shape and bool((np.abs(one - other) <= WEIGHT_TOLERANCE).all())


def _mapped(view: View, change: Callable[[NDArray[Any]], NDArray[Any]]) -> View:
    fields: dict[str, Any] = {name: change(values) for name, values in vars(view).items()}
    return View(**fields)


def _shape(policy: PolicyLike, view: View) -> str | None:
    answer = _answer(policy, view)
    if getattr(policy, "joint", False):
        return None  # its leading axes are what they are
    leading = (2, 3, len(view.slo_ms) // 6)
    folded = _mapped(view, lambda values: values.reshape(*leading, *values.shape[1:]))
    if not _alike(_answer(policy, folded).reshape(answer.shape), answer):
        return "shape: leading axes (2, 3, n) and (6 n,) give different regions"
    return None


def _determinism(policy: PolicyLike, view: View) -> str | None:
    if not np.array_equal(_raw(policy, view), _raw(policy, view)):
        return f"determinism: the same view gives different {'weights' if splits(policy) else 'costs'}"
    return None


def _dice(policy: PolicyLike, view: View) -> str | None:
    kept = _global_dice()
    try:
        np.random.seed(rng.MAX_SEED)  # noqa: NPY002  global dice, known, to see if they move
        before = pickle.dumps(_global_dice())
        _raw(policy, view)
        after = pickle.dumps(_global_dice())
    finally:
        np.random.set_state(kept[0])  # noqa: NPY002  the caller's global dice, put back
        random.setstate(kept[1])
    if before != after:
        return "dice: global random numbers were drawn; state and dice come in by the door"
    return None


def _global_dice() -> tuple[Any, Any]:
    return np.random.get_state(), random.getstate()  # noqa: NPY002  the global state is the subject


def _one_by_one(policy: PolicyLike, view: View) -> str | None:
    together = _answer(policy, view)
    if getattr(policy, "joint", False):
        hours = range(len(together))
        alone = np.concatenate([_answer(policy, _at(view, slice(hour, hour + 1))) for hour in hours])
        problem = "batch: what is answered for an hour depends on the other hours asked with it"
    else:
        alone = np.array([_answer(policy, _at(view, request)) for request in range(len(together))])
        problem = "batch: a request's region depends on the other requests decided with it"
    return None if _alike(alone, together) else problem


def _at(view: View, index: int | slice) -> View:
    """Return a view of some requests: index the first leading axis of every field."""
    return _mapped(view, lambda values: np.asarray(values[index]))


def _eligibility(policy: PolicyLike, view: View) -> str | None:
    if splits(policy):
        return None  # it says itself what goes where
    cost, region = np.asarray(policy.cost(view)), decide(policy, view)
    eligible = cost < np.inf
    chosen = np.take_along_axis(eligible, region[..., np.newaxis], axis=-1)[..., 0]
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
    turned = _mapped(view, lambda values: values[..., order] if values.ndim > view.slo_ms.ndim else values)
    answer = _answer(policy, turned)
    if not _alike(answer[..., order] if splits(policy) else order[answer], _answer(policy, view)):
        return "permutation: the order of the regions changes the choice"
    return None


def _reads(policy: PolicyLike, view: View) -> str | None:
    declared = fields_read(policy)
    unknown = set(declared) - VIEW_FIELDS
    if unknown:
        return f"reads: a view has no {', '.join(sorted(unknown))}"
    hidden: dict[str, Any] = {name: _other(getattr(view, name)) for name in VIEW_FIELDS - set(declared)}
    if not np.array_equal(_raw(policy, view), _raw(policy, replace(view, **hidden))):
        what = "weights depend" if splits(policy) else "cost depends"
        return f"reads: {what} on more of the view than the declared {', '.join(sorted(declared))}"
    return None


def _other(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of the same kind that are not the same: numbers, pools that are shared, truth turned."""
    if values.dtype == np.bool_:
        return ~values
    return np.asarray(values[::-1] * 1.5) if values.dtype.kind == "f" else values // 2


def _availability(policy: PolicyLike, view: View) -> str | None:
    if not splits(policy) or "available" not in getattr(policy, "reads", ()) or view.available is None:
        return None  # routers see to it
    out = ~view.available & view.available.any(axis=-1, keepdims=True)
    if (split(policy, view)[out] > 0).any():
        return "availability: requests are sent to a region that is not available although another is"
    return None


def _plan(policy: PolicyLike, view: View) -> str | None:
    if not splits(policy) or not hasattr(policy, "plan"):
        return None
    if not _alike(plan(policy, view).weights, split(policy, view)):
        return "plan: its weights are not those that the policy gives when asked for them"
    return None


def _input(policy: PolicyLike, view: View) -> str | None:
    before = deepcopy(view)
    _answer(policy, view)
    if any(not np.array_equal(getattr(before, name), getattr(view, name)) for name in VIEW_FIELDS):
        return "input: the view was changed"
    return None


def _breaks(policy: PolicyLike, view: View) -> str | None:
    if splits(policy):
        return None
    view = replace(view, jitter_ms=np.zeros_like(view.rtt_ms))  # what breaks are in then: service times alone
    breaks_ms = breaks(policy, view)
    if breaks_ms is None:
        return None
    anywhere_ms = rng.stream(0, "service times").uniform(0, 1200, (50, *view.slo_ms.shape))
    near_ms = np.nan_to_num(np.moveaxis(breaks_ms, -1, 0))
    times_ms = np.concatenate([near_ms - _NEAR_MS, near_ms + _NEAR_MS, anywhere_ms])
    times_ms = np.sort(np.maximum(times_ms, 0.0), axis=0)
    region = [decide(policy, replace(view, service_ms=service_ms)) for service_ms in times_ms]
    passed = [(breaks_ms < service_ms[..., np.newaxis]).sum(axis=-1) for service_ms in times_ms]
    if ((np.diff(region, axis=0) != 0) & (np.diff(passed, axis=0) == 0)).any():
        return "breaks: the choice changes between the declared service times"
    return None


CHECKS: tuple[Check, ...] = (
    _shape,
    _determinism,
    _dice,
    _one_by_one,
    _eligibility,
    _permutation,
    _reads,
    _availability,
    _plan,
    _input,
    _breaks,
)
