"""A `[[policies]]` entry of the scenario file: the policy, its parameters and its information."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from carbonroute.control.information import Information
from carbonroute.control.router import Control
from carbonroute.errors import Fault, described, did_you_mean, is_interrupt
from carbonroute.files.toml import key_text
from carbonroute.policies import POLICIES, PolicyLike, splits
from carbonroute.policies.base import fields_read, policy_name
from carbonroute.policies.programs import RoutingLimits
from carbonroute.policies.recording import unfit
from carbonroute.policies.view import VIEW_FIELDS
from carbonroute.registry import Found, UnknownReferenceError
from carbonroute.scenario.written.faults import fault_of, refuse, several
from carbonroute.scenario.written.limits import Limits
from carbonroute.scenario.written.names import NAME_RULE, Name, is_name
from carbonroute.spec import Spec


class PolicyEntry(Spec):
    """A policy of the run: its name, parameters and information.

    All keys but these are parameters of the policy's class.

    Attributes
    ----------
    use
        A member's name, with its one needed parameter behind a colon or as a key (``"nearest-greenest:2"``);
        ``"package.module:Class"``, or ``"file.py:Class"`` beside the scenario.
    label
        Display name, instead of the policy's own.
    information
        Instead of the scenario's.
    control
        Keys to use instead of the scenario's.
    max_utilisation
        Regions with more of their servers in use are not eligible: a parameter of the policy where it takes
        one of this name, and the router's own limit otherwise.
    """

    model_config = ConfigDict(extra="allow")

    use: Annotated[str, Field(min_length=1)]
    label: Name | None = None
    information: Information | None = None
    control: Control | None = None
    max_utilisation: float | None = Field(default=None, gt=0, le=1)
    _policy: PolicyLike = PrivateAttr()
    _file: Path | None = PrivateAttr(default=None)
    _digest: str | None = PrivateAttr(default=None)
    _router_limit: float | None = PrivateAttr(default=None)
    _held: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("control")
    @classmethod
    def _same_requests_count(cls, control: Control | None) -> Control | None:
        if control and "warmup_hours" in control.model_fields_set:
            remedy = "policies are compared over the same requests: state control.warmup_hours for all"
            refuse([Fault(".warmup_hours", "found a warm-up of one policy's own", remedy)])
        return control

    @field_serializer("control")
    def _as_given(self, control: Control | None) -> dict[str, Any] | None:
        """Return the given keys alone: the others are the scenario's."""
        return control.model_dump(exclude_unset=True) if control else None

    @model_validator(mode="after")
    def _build(self, info: ValidationInfo) -> PolicyEntry:
        folder = folder_of(info.context)
        use, parameters = _with_number(self.use, self.__pydantic_extra__ or {})
        if not (info.context or {}).get("code", True) and POLICIES.is_foreign(use):
            called = f" ({self.label})" if self.label else ""
            refusal = f"{use!r}{called} is code from outside carbonroute, and is not run"
            remedy = "name a built-in policy; if you trust it, leave --no-code out"
            refuse([Fault(".use", refusal, remedy)])
        registered = _found(use, folder)
        member = registered.member
        known = inspect.signature(member).parameters
        if self.max_utilisation is not None and "max_utilisation" in known:
            parameters = {**parameters, "max_utilisation": self.max_utilisation}
        else:
            self._router_limit = self.max_utilisation
        if unfit := _unfit_parameters(use, parameters, known):
            refuse([*unfit, *_unfit_values(member, parameters, known)])
        self._policy = _built(use, member, parameters)
        self._file, self._digest = POLICIES.source(self.use, folder), registered.digest
        return self

    @property
    def policy(self) -> PolicyLike:
        """The policy object."""
        return self._policy

    @property
    def file(self) -> Path | None:
        """The file that the policy was read from, if it is one beside the scenario."""
        return self._file

    @property
    def digest(self) -> str | None:
        """SHA-256 of that file as it was read, in hexadecimal."""
        return self._digest

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the policy: its keys, and the scenario's limit where it is held to that."""
        return {**(self.__pydantic_extra__ or {}), **self._held}

    @property
    def shown(self) -> str:
        """The display name."""
        return self.label or policy_name(self._policy)

    @property
    def router_limit(self) -> float | None:
        """The router's own `max_utilisation`; None where the policy takes the key itself."""
        return self._router_limit

    def held_to(self, limits: Limits) -> PolicyEntry:
        """Return the entry with the scenario's limit, where its policy keeps one and states none."""
        stated = "max_violation" in (self.__pydantic_extra__ or {})
        if stated or not isinstance(self._policy, RoutingLimits):
            return self
        entry = self.model_copy()
        entry._held = {"max_violation": limits.violations}
        entry._policy = self._policy.model_copy(update=entry._held)
        return entry

    def control_within(self, control: Control) -> Control:
        """Return the scenario's control with the keys that are given here."""
        given = self.control
        return control.model_copy(
            update={name: getattr(given, name) for name in given.model_fields_set} if given else None
        )


def _found(use: str, folder: Path) -> Found:
    """Return the class that a name stands for, if it is a policy's."""
    try:
        registered = POLICIES.find(use, folder)
    except UnknownReferenceError as failure:
        raise several([Fault(".use", failure.found, failure.remedy, "unknown-name")]) from failure
    # before it is made: code that is no policy is not run
    if not any(callable(getattr(registered.member, method, None)) for method in ("cost", "weights")):
        remedy = "a policy returns a cost per region, or weights"
        fault = Fault(".use", f"{use!r} has no method cost(view)", remedy)
        raise several([fault])
    return registered


def _built(use: str, member: type, parameters: Mapping[str, Any]) -> PolicyLike:
    """Return a policy made with its parameters; raise all faults in one validation error."""
    try:
        policy: PolicyLike = member(**parameters)
        name = policy_name(policy)
        unfit = _unfit_declarations(use, policy)
    except ValidationError as error:
        raise several(_of_parameter(details) for details in error.errors()) from error
    except BaseException as error:  # a policy may be anyone's code: name it, whatever it raised
        if is_interrupt(error):
            raise
        fault = Fault("", f"{use!r} cannot be made ({described(error)})", "mend it or its keys", "policy")
        raise several([fault]) from error
    refuse(unfit)
    if not is_name(name):
        raise several([Fault(".use", f"{use!r} has a name that cannot be shown, {name!r}", NAME_RULE)])
    return policy


def _with_number(use: str, parameters: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a member's name and its parameters, of which its name may hold one: ``"nearest-greenest:2"``."""
    name, separator, number = use.partition(":")
    if not separator or name not in POLICIES.members:
        return use, parameters
    known = inspect.signature(POLICIES.members[name]).parameters
    needed = [key for key, parameter in known.items() if parameter.default is parameter.empty]
    try:
        value = float(number) if "." in number else int(number)
    except ValueError:
        value = None
    if len(needed) != 1 or value is None or needed[0] in parameters:
        remedy = f"'{name}:<{needed[0]}>' with a number" if needed else f"{name!r} needs no number"
        raise several([Fault(".use", f"found {use!r}", f"{remedy} is expected" if needed else remedy)])
    return name, {**parameters, needed[0]: value}


def _unfit_declarations(use: str, policy: PolicyLike) -> list[Fault]:
    """Return the faults in a policy's declarations."""
    method = "weights" if splits(policy) else "cost"
    if not callable(getattr(policy, method, None)):
        remedy = "splits = True is for policies that return weights(view), and only for them"
        return [Fault(".use", f"{use!r} has no method {method}(view)", remedy)]
    reads = fields_read(policy)
    if isinstance(reads, str) or not isinstance(reads, Collection):
        return [
            Fault(".use", f"{use!r} has reads = {reads!r}", "a set of names of the view's fields is expected")
        ]
    faults = [
        Fault(
            ".use", f"{use!r} reads {name!r}, which no view has", did_you_mean(str(name), sorted(VIEW_FIELDS))
        )
        for name in reads
        if name not in VIEW_FIELDS
    ]
    refusals = (
        Fault(".use", f"{use!r} reads {problem}", remedy) for _, problem, remedy in unfit(policy, reads)
    )
    return [*faults, *refusals]


def _unfit_parameters(
    use: str, given: Mapping[str, Any], known: Mapping[str, inspect.Parameter]
) -> list[Fault]:
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    unknown = [
        Fault(f".{key_text(key)}", f"{use!r} has no such parameter", did_you_mean(key, known), "unknown-key")
        for key in given
        if key not in known and not open_ended
    ]
    missing = [
        Fault(f".{name}", "missing", f"{use!r} needs it", "missing-key")
        for name, p in known.items()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in given
    ]
    return unknown + missing


def _unfit_values(
    member: type, given: Mapping[str, Any], known: Mapping[str, inspect.Parameter]
) -> list[Fault]:
    """Return the faults in the values of known parameters, where others are unknown or missing."""
    if not issubclass(member, BaseModel):
        return []
    try:
        member(**{key: value for key, value in given.items() if key in known})
    except ValidationError as error:
        faults = [each for each in error.errors() if each["loc"] and each["type"] != "missing"]
        return [_of_parameter(each) for each in faults]
    return []


def _of_parameter(details: Mapping[str, Any]) -> Fault:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in details["loc"])
    return fault_of(path, details)


def folder_of(context: Any) -> Path:
    """Return the folder that a scenario's paths are relative to, from the validation context."""
    folder: Path = context["folder"] if context else Path()
    return folder
