"""The contract between policies and engines: the view, costs or weights, and the choice by them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.errors import PolicyError, described, is_interrupt
from carbonroute.policies.recording import RecordingView, require_known, unwrapped
from carbonroute.policies.trials import Setting
from carbonroute.policies.view import CAPACITY_FIELDS, COMMON_FIELDS, STATE_FIELDS, VIEW_FIELDS, View

__all__ = [
    "CAPACITY_FIELDS",
    "COMMON_FIELDS",
    "STATE_FIELDS",
    "VIEW_FIELDS",
    "WEIGHT_TOLERANCE",
    "Chooser",
    "Declaring",
    "LowestRtt",
    "Policy",
    "PolicyLike",
    "Regions",
    "Splitter",
    "SplittingPolicy",
    "Trial",
    "View",
    "as_shares",
    "asking",
    "blaming",
    "breaks",
    "cheapest",
    "decide",
    "fields_read",
    "known",
    "policy_name",
    "refused",
    "split",
    "split_all",
    "splits",
]

if TYPE_CHECKING:
    from typing_extensions import TypeIs

#: Share of a workload's requests that may break their SLO, where nothing else is stated.
MAX_VIOLATION = 0.05

Regions: TypeAlias = Index
T = TypeVar("T")


#: Costs from which on regions are gone through one after the other.
_MANY = 4096

#: How far a policy's weights may be from adding up to 1.
WEIGHT_TOLERANCE = 1e-9


class Chooser(Protocol):
    """A policy that sends each request to one region: anything with a name and a cost will do."""

    @property
    def name(self) -> str:
        """Display name, used in every table and figure."""
        ...

    def cost(self, view: View) -> Array:
        """Return the cost of each region, shape (…, R): lower is better, +inf = not eligible."""
        ...


class Splitter(Protocol):
    """A policy that splits traffic between regions: it has `splits = True`, a name and weights."""

    @property
    def name(self) -> str:
        """Display name, used in every table and figure."""
        ...

    def weights(self, view: View) -> Array:
        """Return the part of the requests that each region gets, shape (…, R): 0…1, 1 in all."""
        ...


PolicyLike: TypeAlias = Chooser | Splitter


class Trial(NamedTuple):
    """A policy that an analysis of trade-offs tries.

    `policy`: with its parameters.
    `service_time`: the estimate of service times that it is told, as of `Information`; None for the
    scenario's own.
    """

    policy: Policy | SplittingPolicy
    service_time: str | None = None


class Declaring:
    """The declarations of every member, as an attribute of its class or a property of the object."""

    @property
    def name(self) -> str:
        """Display name, used in every table and figure."""
        return type(self).__name__

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that the policy reads.

        An engine asks once per distinct cell unless one of them varies from request to request, and shows
        estimates where a policy does not declare that it reads actuals.
        """
        return COMMON_FIELDS

    @property
    def oracle(self) -> bool:
        """Whether it is a bound and no policy: shown the truth, whatever the scenario lets others know."""
        return False

    @property
    def in_hindsight(self) -> bool:
        """Whether it is shown each region's mean carbon over the run, which nobody knows before its end."""
        return False

    @property
    def splits(self) -> bool:
        """Whether it answers with `weights` instead of a choice."""
        return False

    @property
    def joint(self) -> bool:
        """Whether it decides for all origins and workloads of an hour together.

        Its views then have the leading axes (hours, O, W), and its answer for an hour depends on nothing
        but that hour's view.
        """
        return False

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Yield members with typical parameters: each must keep the contract (`carbonroute.check_policy`)."""
        yield cls()

    @classmethod
    def trials(cls, _setting: Setting) -> Iterable[Trial]:
        """Yield the parameters that an analysis of trade-offs tries, the simplest first; by default none."""
        return ()


class Policy(Declaring, ABC):
    """Base of the family: a member brings `cost` and inherits the choice.

    Members decide each request by itself: neither the other requests of a batch nor any global state may
    change a choice. `carbonroute.policies.checks.check_policy` checks that.
    """

    @abstractmethod
    def cost(self, view: View) -> Array:
        """Return the cost of each region, shape (…, R): lower is better, +inf = not eligible."""

    def choose(self, view: View) -> Regions:
        """Return the chosen region's index, shape (…): lowest cost, lowest RTT where none is eligible.

        The first region wins ties.
        """
        return cheapest(self, view)

    def breaks_ms(self, _view: View) -> Array | None:
        """Return the service times at which the choice may change, ms, shape (…, K); None if not known.

        A choice holds from above one of them up to the next, which it includes, whatever the view's own
        `service_ms`. They come in any order; NaN is none. Of a policy that is shown jitter they are sums of
        service time and jitter, where that is the same to all regions. Engines that integrate over service
        times go from one to the next, and search where a policy does not tell.
        """
        return None


class SplittingPolicy(Declaring, ABC):
    """Base of members that split traffic: they bring `weights`. Declarations are as for `Policy`.

    Which request goes where is up to the engine: it draws a region for each, or takes the weights as such.
    They are asked about cells, and see nothing that tells requests of a cell apart.
    """

    splits: ClassVar[bool] = True

    @abstractmethod
    def weights(self, view: View) -> Array:
        """Return the part of the requests that each region gets, shape (…, R): 0…1, 1 in all."""


class LowestRtt(Policy):
    """Choose the lowest round-trip time, as where nothing else is known."""

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms"})

    def cost(self, view: View) -> Array:
        """Return the round-trip time, ms."""
        return view.rtt_ms


def cheapest(policy: Chooser, view: View) -> Regions:
    """Return the region of lowest cost, or of lowest RTT where none is eligible; the first on ties."""
    cost = np.asarray(policy.cost(view))
    if cost.shape != view.rtt_ms.shape:
        raise ValueError(f"cost has shape {cost.shape}; one cost per region is expected, {view.rtt_ms.shape}")
    if cost.dtype.kind not in "fiu":
        raise ValueError(f"cost has type {cost.dtype}; numbers are expected")
    region, lowest = _first_lowest(cost)
    if np.isnan(lowest).any():
        raise ValueError("cost is NaN; +inf marks a region that is not eligible")
    nowhere = lowest == np.inf
    if nowhere.any():
        region[nowhere] = _first_lowest(view.rtt_ms[nowhere])[0]
    return region


def decide(policy: Chooser, view: View) -> Regions:
    """Ask a policy, whoever wrote it, and refuse an answer that breaks the contract.

    Raises PolicyError if the policy raises, or returns a wrong shape, type, NaN or a region that does not
    exist.

    Parameters
    ----------
    policy
        Any object with `name` and `cost`; its own `choose` is used where it has one, the family's otherwise.
    view
        The information of the policy; leading axes (…).

    Returns
    -------
    Index of the chosen region, shape (…).
    """
    own = unwrapped(policy)
    rule: Callable[[Chooser, View], Regions] = getattr(type(own), "choose", cheapest)
    with asking(policy, view) as seen:
        region = np.asarray(rule(own, seen))
    expected = view.rtt_ms.shape[:-1]
    if region.shape != expected or region.dtype.kind not in "iu":
        problem = f"choose returned shape {region.shape}, {region.dtype}"
        raise refused(policy, problem, f"one region index per request is expected, {expected}")
    if region.size and not (region.min() >= 0 and region.max() < view.rtt_ms.shape[-1]):
        problem = f"choose returned region {region.min()} … {region.max()}"
        raise refused(policy, problem, f"there are {view.rtt_ms.shape[-1]}, from 0")
    return region.astype(np.intp, copy=False)


def split(policy: Splitter, view: View) -> Array:
    """Ask a policy that splits traffic, whoever wrote it, and refuse an answer that breaks the contract.

    Raises PolicyError if the policy raises, or returns a wrong shape or type, or parts that are no shares.

    Returns
    -------
    The part of the requests that each region gets, shape (…, R), adding up to 1.
    """
    with asking(policy, view) as seen:
        weights = np.asarray(unwrapped(policy).weights(seen))
    return as_shares(policy, view, weights)


def split_all(policies: Sequence[Splitter], view: View) -> Iterator[Array]:
    """Yield the weights of several policies of one class about one view, each as of `split`.

    A class whose members can be asked together has `weights_of(policies, view)`, which returns the weights of
    all of them, shape (n, …, R), bit-identical to those of each.
    """
    rule: Callable[..., Array] | None = getattr(type(unwrapped(policies[0])), "weights_of", None)
    if rule is None or len(policies) == 1:
        yield from (split(policy, view) for policy in policies)
        return
    with asking(policies[0], view) as seen:
        weights = rule([unwrapped(policy) for policy in policies], seen)
    for policy, each in zip(policies, weights, strict=True):
        yield as_shares(policy, view, each)


def as_shares(policy: PolicyLike, view: View, weights: Array) -> Array:
    """Return a policy's weights, shape (…, R), adding up to 1; refuse other values.

    Raises PolicyError if they have a wrong shape or type, or are no shares.
    """
    if weights.shape != view.rtt_ms.shape or weights.dtype.kind not in "fiu":
        problem = f"weights have shape {weights.shape}, {weights.dtype}"
        raise refused(policy, problem, f"one share per region is expected, {view.rtt_ms.shape}")
    sums = weights.sum(axis=-1)
    if not ((weights >= -WEIGHT_TOLERANCE).all() and (np.abs(sums - 1) <= WEIGHT_TOLERANCE).all()):  # or NaN
        problem = f"weights from {weights.min():g} that add up to {sums.min():g} … {sums.max():g}"
        raise refused(policy, problem, "shares from 0 are expected, 1 in all")
    parts = np.maximum(weights, 0.0)
    shares: Array = parts / parts.sum(axis=-1, keepdims=True)
    return shares


def breaks(policy: Chooser, view: View) -> Array | None:
    """Ask a policy, whoever wrote it, at which service times its choice may change: see `Policy.breaks_ms`.

    Raises PolicyError if the policy raises, or returns a wrong shape or type.

    Returns
    -------
    Times in ms, shape (…, K), in any order and NaN for none; None where the policy does not tell.
    """
    rule: Callable[[View], Array | None] | None = getattr(policy, "breaks_ms", None)
    with asking(policy, view) as seen:
        answer = rule(seen) if rule else None
    if answer is None:
        return None
    breaks_ms = np.asarray(answer)
    leading = view.rtt_ms.shape[:-1]
    if breaks_ms.ndim == 0 or breaks_ms.shape[:-1] != leading or breaks_ms.dtype.kind not in "fiu":
        problem = f"breaks_ms returned shape {breaks_ms.shape}, {breaks_ms.dtype}"
        raise refused(policy, problem, f"times in ms are expected, {leading} and an axis")
    return breaks_ms


def refused(policy: PolicyLike, problem: str, expected: str) -> PolicyError:
    """Return the refusal of a policy's answer."""
    return PolicyError(policy_name(policy), f"{problem}; {expected}")


def known(values: T | None, quantity: str) -> T:
    """Return a field of the view that a policy cannot do without; refuse None."""
    if values is None:
        raise ValueError(f"{quantity} is not known here")
    return values


@contextmanager
def asking(policy: PolicyLike, view: View) -> Iterator[RecordingView]:
    """Give a policy's view to ask it with, and see what it reads.

    Raises ReadsMoreError if it declares nothing, and reads a field that it was not seen to read before;
    PolicyError if it reads more than it declares; and in the place of anything that it raises: see `blaming`.
    """
    read: set[str] = set()
    try:
        with blaming(policy):
            yield RecordingView.of(view, read)
    except PolicyError as error:
        require_known(policy, read, error)  # it may have failed for want of that field
        raise
    require_known(policy, read)


@contextmanager
def blaming(policy: PolicyLike) -> Iterator[None]:
    """Turn whatever a policy raises into an error that names the policy and the line of its code.

    A policy may be anyone's code and raise anything, `GeneratorExit` and `SystemExit` included.

    Raises
    ------
    PolicyError
        In the place of anything but `KeyboardInterrupt` itself, which is Ctrl-C.
    """
    try:
        yield
    except BaseException as error:
        if is_interrupt(error):
            raise
        file = getattr(sys.modules.get(type(unwrapped(policy)).__module__), "__file__", None)
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
        place = f" ({Path(file).name}, line {lines[-1]})" if file and lines else ""
        failure = PolicyError(policy_name(policy), f"{described(error)}{place}")
        failure.line = lines[-1] if lines else None
        raise failure from error


def splits(policy: PolicyLike) -> TypeIs[Splitter]:
    """Whether a policy answers with weights instead of a choice."""
    return bool(getattr(policy, "splits", False))


def fields_read(policy: PolicyLike) -> Collection[str]:
    """Return the view's fields that a policy declares to read; `COMMON_FIELDS` where it declares none."""
    reads: Collection[str] = getattr(policy, "reads", COMMON_FIELDS)
    return reads


def policy_name(policy: PolicyLike) -> str:
    """Return the display name of any policy: its `name`, or that of its class."""
    return str(getattr(policy, "name", None) or type(policy).__name__)


def _first_lowest(values: Array) -> tuple[Regions, Array]:
    """Return the index of the first lowest value on the last axis, and that value, or NaN where one is NaN.

    A pass per region over whole columns is several times faster than `argmin` over many short rows.
    """
    if values.size < _MANY:
        return np.asarray(values.argmin(axis=-1)), np.asarray(values.min(axis=-1))
    lowest = values[..., 0].copy()
    region = np.zeros(lowest.shape, dtype=np.int16)
    for candidate in range(1, values.shape[-1]):
        value = values[..., candidate]
        # Any lower one comes later; a masked copy would branch at every value.
        np.maximum(region, np.multiply(value < lowest, candidate, dtype=np.int16), out=region)
        np.minimum(lowest, value, out=lowest)
    return region.astype(np.intp), lowest
