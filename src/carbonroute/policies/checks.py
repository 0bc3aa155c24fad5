"""The policy contract as code: run over every member here, and over yours by `check_policy`."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute import rng
from carbonroute.errors import Fault, PolicyError, described, is_interrupt
from carbonroute.policies.base import (
    WEIGHT_TOLERANCE,
    PolicyLike,
    blaming,
    breaks,
    decide,
    fields_read,
    policy_name,
    split,
    splits,
)
from carbonroute.policies.plan import plan
from carbonroute.policies.random_views import random_views
from carbonroute.policies.recording import (
    FACTS,
    RecordingView,
    UndeclaredReadError,
    declares,
    undeclared,
    unfit,
)
from carbonroute.policies.view import VIEW_FIELDS, View

Check = Callable[[PolicyLike, View], str | None]

#: How far from a declared break a choice must have changed.
_NEAR_MS = 1e-6

#: What to do about each kind of fault.
_REMEDIES = MappingProxyType(
    {
        "shape": "work along the last axis alone, as by values[..., 0] and axis=-1, whatever the axes before",
        "determinism": "answer by the view alone: keep nothing between two calls, and draw nothing",
        "dice": "draw nothing: view.turn, the number of a request, can stand for dice",
        "batch": "work along the last axis alone: no min, max or mean over all requests",
        "eligibility": "leave choose out: the region of the lowest cost is chosen",
        "permutation": "go by the values of regions, not by their places",
        "reads": "name every field that it reads in `reads`, or leave `reads` out",
        "availability": "give no part to regions where view.available is False, unless all are out",
        "plan": "let weights(view) return plan(view).weights",
        "input": "write into copies: values.copy(), np.sort(values)",
        "breaks": "state every service time at which the choice changes, or leave breaks_ms out",
    }
)
_ANSWERS = MappingProxyType(
    {
        "cost": "return a number for each region, in the shape of view.rtt_ms: +inf is not eligible",
        "weights": "return shares from 0, in the shape of view.rtt_ms, that add up to 1 over the regions",
    }
)
_RAISED = "mend the line that raises"


@dataclass(frozen=True)
class PolicyReport:
    """The contract, checked for one policy.

    Attributes
    ----------
    policy
        Its name.
    reads
        The fields that it was seen to read; a run records its own, and may come into other branches.
    declared
        The fields that it declares to read; None where it declares nothing, which is as good.
    clairvoyant
        Whether it decides on more than a router can know: always if it is a bound; otherwise where
        ``information.service_time = "actual"``, because it reads `service_ms` of single requests.
    deterministic
        Whether the same view gets the same answer, and no global random number is drawn; None where a view
        got no answer that can be used.
    breaks
        Whether it states the service times at which its choice changes, for exact results without a search.
    faults
        Each breach of the contract, with its remedy.
    """

    policy: str
    reads: tuple[str, ...]
    declared: tuple[str, ...] | None
    clairvoyant: bool
    deterministic: bool | None
    breaks: bool
    faults: tuple[Fault, ...]

    @property
    def kept(self) -> bool:
        """Whether the policy keeps the contract."""
        return not self.faults


def check_policy(policy: PolicyLike, *, seed: int = 0, strict: bool = True) -> PolicyReport:
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
    strict
        Whether to raise where the contract is broken; otherwise the report alone has the faults.

    Returns
    -------
    What the policy reads, and all faults.

    Raises
    ------
    PolicyError
        Naming the policy and every check that it failed, if `strict`.

    Examples
    --------
    >>> from carbonroute.policies.carbon_first import CarbonFirst
    >>> report = check_policy(CarbonFirst())
    >>> report.reads, report.clairvoyant, report.kept
    (('carbon_g_per_kwh',), False, True)
    """
    problems: dict[tuple[str, int | None], tuple[str, Fault]] = {}  # the first of each kind and line
    read: set[str] = set()
    states_breaks = False
    for view in random_views(seed, policy):
        states_breaks |= _record(policy, view, read)
        for check in CHECKS:
            if found := _fault(check, policy, view):
                problems.setdefault((found[1].id, found[1].line), found)
    if problems:  # it may have failed for want of a field
        for _, problem, remedy in unfit(policy, read):
            fault = Fault("reads", f"reads {problem}", remedy, "policy-unfit")
            problems.setdefault((problem, None), (f"reads: {problem}", fault))
    if problems and strict:
        raise PolicyError(policy_name(policy), "; ".join(problem for problem, _ in problems.values()))
    on_requests = not (splits(policy) or getattr(policy, "joint", False))
    kinds = {kind for kind, _ in problems}
    answered = not kinds & {"policy-raised", "policy-answer"}
    return PolicyReport(
        policy=policy_name(policy),
        reads=tuple(sorted(read)),
        declared=tuple(sorted(fields_read(policy))) if declares(policy) else None,
        clairvoyant=bool(getattr(policy, "oracle", False)) or ("service_ms" in read and on_requests),
        deterministic=not kinds & {"policy-determinism", "policy-dice"} if answered else None,
        breaks=states_breaks,
        faults=tuple(fault for _, fault in problems.values()),
    )


def _fault(check: Check, policy: PolicyLike, view: View) -> tuple[str, Fault] | None:
    """Return the problem that a check finds, in words and as a fault; None where it finds none."""
    method = "weights" if splits(policy) else "cost"
    try:
        problem = check(policy, deepcopy(view))
    except UndeclaredReadError as error:
        return (error.problem, _raised(method, error)) if error.__cause__ else None  # `_reads` tells
    except PolicyError as error:
        return error.problem, _raised(method, error)
    except BaseException as error:  # a policy may be anyone's code: report what it raised
        if is_interrupt(error):
            raise
        return described(error), Fault(method, described(error), _RAISED, "policy-raised")
    if problem is None:
        return None
    kind, _, found = problem.partition(": ")
    return problem, Fault(method, found, _REMEDIES[kind], f"policy-{kind}")


def _raised(method: str, error: PolicyError) -> Fault:
    """Return the fault of a policy that raised, or whose answer was refused."""
    cause = error.__cause__
    if cause is None or (isinstance(cause, ValueError) and str(cause).startswith("cost ")):
        return Fault(method, error.problem, _ANSWERS[method], "policy-answer")
    return Fault(method, error.problem, _RAISED, "policy-raised", error.line)


def _record(policy: PolicyLike, view: View, read: set[str]) -> bool:
    """Add the fields that a policy reads to `read`; return whether it states breaks."""
    seen, own = RecordingView.of(deepcopy(view), read), vars(type(policy))
    rules = [getattr(policy, "weights" if splits(policy) else "cost", None), getattr(policy, "plan", None)]
    rules += [getattr(policy, name, None) for name in ("choose",) if name in own]
    breaks_ms = None
    for rule in (*filter(None, rules), getattr(policy, "breaks_ms", None)):
        try:
            breaks_ms = rule(seen) if rule else None
        except BaseException as error:  # the checks report what it raised
            if is_interrupt(error):
                raise
    return breaks_ms is not None and hasattr(policy, "breaks_ms")


def _answer(policy: PolicyLike, view: View) -> NDArray[Any]:
    """Return the weights, shape (…, R), or the chosen region, shape (…)."""
    return split(policy, view) if splits(policy) else decide(policy, view)


def _raw(policy: PolicyLike, view: View) -> NDArray[Any]:
    """Return the policy's own answer: weights or costs, shape (…, R)."""
    with blaming(policy):
        return np.asarray(policy.weights(view) if splits(policy) else policy.cost(view))


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two answers are the same; weights may have been added up in another order."""
    return one.shape == other.shape and bool((np.abs(one - other) <= WEIGHT_TOLERANCE).all())


def _mapped(view: View, change: Callable[[NDArray[Any]], NDArray[Any]]) -> View:
    fields: dict[str, Any] = {
        name: None if values is None else change(values) for name, values in vars(view).items()
    }
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
    cost, region = _raw(policy, view), decide(policy, view)
    eligible = cost < np.inf
    chosen = np.take_along_axis(eligible, region[..., np.newaxis], axis=-1)[..., 0]
    if not chosen[eligible.any(axis=-1)].all():
        return "eligibility: a region with cost +inf was chosen although another was eligible"
    nowhere = ~eligible.any(axis=-1)
    if not np.array_equal(region[nowhere], view.rtt_ms[nowhere].argmin(axis=-1)):
        return "eligibility: where no region is eligible, the one with the lowest RTT must be chosen"
    return None


def _permutation(policy: PolicyLike, view: View) -> str | None:
    if "turn" in _read(policy, view):
        return None  # what goes by turns goes by the order of the regions
    order = np.arange(view.rtt_ms.shape[-1])[::-1]
    turned = _mapped(view, lambda values: values[..., order] if values.ndim > view.slo_ms.ndim else values)
    answer = _answer(policy, turned)
    if not _alike(answer[..., order] if splits(policy) else order[answer], _answer(policy, view)):
        return "permutation: the order of the regions changes the choice"
    return None


def _read(policy: PolicyLike, view: View) -> set[str]:
    """Return the fields that a policy reads of a view."""
    read: set[str] = set()
    _record(policy, view, read)
    return read


def _reads(policy: PolicyLike, view: View) -> str | None:
    if not declares(policy):
        return None  # what it reads is recorded
    declared = fields_read(policy)
    unknown = set(declared) - VIEW_FIELDS
    if unknown:
        return f"reads: a view has no {', '.join(sorted(unknown))}"
    known = {name: values for name, values in vars(view).items() if values is not None}
    hidden: dict[str, Any] = {name: _other(values) for name, values in known.items() if name not in declared}
    if not np.array_equal(_raw(policy, view), _raw(policy, replace(view, **hidden))):
        what = "weights depend" if splits(policy) else "cost depends"
        return f"reads: {what} on more of the view than the declared {', '.join(sorted(declared))}"
    more = _read(policy, view) - set(declared) - FACTS
    return f"reads: {undeclared(more)}" if more else None


def _other(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of the same kind that are not the same: numbers, pools that are shared, truth turned."""
    if values.dtype == np.bool_:
        return ~values
    return np.asarray(values[::-1] * 1.5) if values.dtype.kind == "f" else values // 2


def _availability(policy: PolicyLike, view: View) -> str | None:
    if not splits(policy) or view.available is None or "available" not in _read(policy, view):
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
    if view.jitter_ms is not None:  # what breaks are in then: service times alone
        view = replace(view, jitter_ms=np.zeros_like(view.rtt_ms))
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
