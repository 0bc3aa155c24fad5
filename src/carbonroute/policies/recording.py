"""Which fields of its view a policy reads: recorded at every ask, and learned where it declares none.

A policy may declare the fields that it reads. One that does not is `Observed`: it begins with the fields that
all requests of a cell share, and a run begins anew, with one field more, when it is seen to read another
that it can be shown. Until then that field holds an estimate or None: nobody gains by reading in secret.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from copy import deepcopy
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

from carbonroute.errors import PolicyError
from carbonroute.policies.view import COMMON_FIELDS, View

T = TypeVar("T")

#: Fields that stand in every view, whatever a policy reads: they tell nothing that not all know.
FACTS = frozenset({"rtt_ms", "slo_ms"})
#: What a policy without a declaration is shown from the beginning.
_AT_FIRST = COMMON_FIELDS - {"service_ms", "carbon_reference_g_per_kwh"}
#: The functions of `dataclasses.replace`, by release of Python.
_REPLACE = frozenset({"replace", "_replace"})


class _Unread(NamedTuple):
    """A field that `dataclasses.replace` took over from a view without looking at it."""

    view: View
    name: str


class _Field:
    """A field of a view that records; see `RecordingView`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, view: RecordingView | None, _owner: type) -> Any:
        if view is None:
            return getattr(View, self.name)
        asking = sys._getframe(1)
        if asking.f_code.co_name in _REPLACE and asking.f_globals.get("__name__") == "dataclasses":
            return _Unread(view, self.name)
        return view._take(self.name)


class RecordingView(View):
    """A view that records which of its fields are read, in whatever way.

    `dataclasses.replace` reads none of those that it takes over: the new view records for the same ask.
    Copies do so too. All fields at once are read by ``vars(view)``, ``dataclasses.asdict``, comparison,
    ``repr`` and pickle.
    """

    _take: Callable[[str], Any]

    def __init__(self, *args: Any, **values: Any) -> None:  # as `dataclasses.replace` calls it
        given = dict(zip(_NAMES, args, strict=False)) | values

        def take(name: str) -> Any:
            value = given[name] if name in given else getattr(View, name)
            return getattr(value.view, value.name) if isinstance(value, _Unread) else value

        object.__setattr__(self, "_take", take)

    @classmethod
    def of(cls, view: View, read: set[str]) -> RecordingView:
        """Return the same view; the names of fields that are read from it are added to `read`."""

        def take(name: str) -> Any:
            read.add(name)
            return getattr(view, name)

        return cls._taking(take)

    @classmethod
    def _taking(cls, take: Callable[[str], Any]) -> RecordingView:
        view = cls.__new__(cls)
        object.__setattr__(view, "_take", take)
        return view

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # of `vars(view)`
        return {name: getattr(self, name) for name in _NAMES}

    def __copy__(self) -> RecordingView:
        return self  # nobody can change it

    def __deepcopy__(self, memo: dict[int, Any]) -> RecordingView:
        return self._taking(lambda name: deepcopy(self._take(name), memo))

    def __reduce__(self) -> tuple[type[View], tuple[Any, ...]]:
        return View, tuple(getattr(self, name) for name in _NAMES)


_NAMES = tuple(field.name for field in fields(View))
for _name in _NAMES:
    setattr(RecordingView, _name, _Field(_name))
RecordingView.__name__ = View.__name__  # in messages, it is the view that its policy knows


class ReadsMoreError(PolicyError):
    """A policy without a declaration read a field that it has not been shown yet: the run begins anew.

    Parameters
    ----------
    policy
        The policy's name.
    more
        The fields.
    token
        Of the `Observed` policy, also where it was asked in another process.
    """

    def __init__(self, policy: str, more: frozenset[str], token: int) -> None:
        super().__init__(policy, f"reads {', '.join(sorted(more))} in some cases alone; name it in `reads`")
        self.args = policy, more, token
        self.more, self.token = more, token


class UndeclaredReadError(PolicyError):
    """A policy read a field that its declaration leaves out."""


class Observed:
    """A policy that does not declare what it reads, with the fields that it has been seen to read.

    All else is the policy's own.

    `policy`: anyone's policy.
    `observed`: the policy itself.
    `token`: tells it from other policies, also in another process.
    """

    def __init__(self, policy: Any) -> None:
        self.observed, self.token = policy, id(self)
        self._seen: frozenset[str] = frozenset()
        try:
            self._unasked = deepcopy(policy)
        except Exception:  # noqa: BLE001  anyone's class may refuse to be copied: it is asked again as it is
            self._unasked = None

    @property
    def name(self) -> str:
        """Display name."""
        return str(getattr(self.observed, "name", None) or type(self.observed).__name__)

    @property
    def reads(self) -> frozenset[str]:
        """The fields that it is shown as they are: those of all requests of a cell, and those seen."""
        return _AT_FIRST | self._seen

    def learn(self, more: Collection[str]) -> None:
        """Add fields that it was seen to read; it forgets what it was asked so far, where it can."""
        self._seen |= frozenset(more)
        if self._unasked is not None:
            self.observed = deepcopy(self._unasked)

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "observed" or attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(self.observed, attribute)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_unasked": None}  # no other process begins a run anew

    def __repr__(self) -> str:
        return repr(self.observed)


def declares(policy: object) -> bool:
    """Whether a policy declares itself what it reads."""
    return getattr(policy, "reads", COMMON_FIELDS) is not COMMON_FIELDS


def unwrapped(policy: Any) -> Any:
    """Return the policy that somebody wrote."""
    return policy.observed if isinstance(policy, Observed) else policy


def unfit(policy: object, reads: Collection[str]) -> Iterator[tuple[frozenset[str], str, str]]:
    """Yield fields that a policy cannot be shown, with the reason and the remedy."""
    joint = bool(getattr(policy, "joint", False))
    if "jitter_ms" in reads and not getattr(policy, "oracle", False):
        yield frozenset({"jitter_ms"}), "jitter_ms, which only a bound is shown", "set oracle = True"
    if "traffic_share" in reads and not joint:
        problem = "traffic_share, which only joint policies are shown"
        yield frozenset({"traffic_share"}), problem, "set joint = True"
    alone = frozenset({"jitter_ms", "turn"}.intersection(reads))
    if alone and (getattr(policy, "splits", False) or joint):
        remedy = "policies that split traffic or decide jointly are asked about cells: leave it out"
        yield alone, f"{', '.join(sorted(alone))}, which tells requests of a cell apart", remedy


def require_known(policy: Any, read: Collection[str], failure: PolicyError | None = None) -> None:
    """Refuse fields that a policy has read and that it has neither declared nor been seen to read before.

    Parameters
    ----------
    policy, read
        A policy that was asked, and the fields that it read.
    failure
        How it failed meanwhile; None where it answered.

    Raises
    ------
    ReadsMoreError
        If a policy without a declaration could be shown them.
    UndeclaredReadError
        If a policy declares that it does not read them.
    PolicyError
        With the likely reason of its failure.
    """
    if isinstance(policy, Observed):
        never = list(unfit(policy, read))
        hidden = {name for names, _, _ in never for name in names}
        if more := frozenset(read) - policy.reads - FACTS - hidden:
            raise ReadsMoreError(policy.name, more, policy.token)
        if failure and never:
            reasons = (f"reads {problem}: {remedy}" for _, problem, remedy in never)
            raise PolicyError(policy.name, "; it ".join([failure.problem, *reasons])) from failure
    elif declares(policy) and (more := frozenset(read) - frozenset(policy.reads) - FACTS):
        name = str(getattr(policy, "name", None) or type(policy).__name__)
        problem = f"{failure.problem}; it {undeclared(more)}" if failure else undeclared(more)
        raise UndeclaredReadError(name, problem) from failure


def undeclared(more: Collection[str]) -> str:
    """Return the fault of a policy that reads more than it declares, with the remedy."""
    listed = ", ".join(sorted(more))
    return f"reads {listed}, which its `reads` does not name; name it there, or leave `reads` out"


def until_known(policies: Iterable[object], attempt: Callable[[], T]) -> T:
    """Return what an attempt returns; begin anew where a policy was seen to read more than before."""
    observed = {policy.token: policy for policy in policies if isinstance(policy, Observed)}
    while True:
        try:
            return attempt()
        except ReadsMoreError as error:
            if error.token not in observed:
                raise
            observed[error.token].learn(error.more)
