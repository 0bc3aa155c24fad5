"""The live file, schema 1: which policy of which scenario runs, what it reads, and what it moves."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from carbonroute.arrays import Mask
from carbonroute.control.site import Site
from carbonroute.errors import Fault, InputError, did_you_mean, shortened
from carbonroute.files.durations import Duration
from carbonroute.files.toml import parse
from carbonroute.live.actuators import AnyTarget
from carbonroute.live.names import Names
from carbonroute.live.observe import Observe
from carbonroute.live.secrets import EnvName
from carbonroute.live.signals.settings import LiveCarbon
from carbonroute.rng import MAX_SEED
from carbonroute.scenario import Candidate, Inputs, Scenario, load, resolve
from carbonroute.scenario.written.consistency import SHARE_TOLERANCE
from carbonroute.scenario.written.entry import PolicyEntry
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.load import validated
from carbonroute.scenario.written.mistaken import refuse_data, refuse_other
from carbonroute.scenario.written.names import Name
from carbonroute.scenario.written.places import Written
from carbonroute.scenario.written.sections import Members
from carbonroute.spec import SchemaVersion, Spec, Spelled

A_LIVE_FILE = "a live file"
#: Longer names of files are none.
_MOST_NAME_BYTES = 255


@dataclass(frozen=True, eq=False, repr=False)
class Mode(Spelled):
    """How far the policy moves traffic: ``"shadow"``, ``"canary:5%"`` or ``"live"``.

    `share`: of each cell's traffic that follows the policy, 0…1; the rest follows the baseline.
    """

    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mode that a text spells."""
        if text in {"shadow", "live"}:
            return cls(text, float(text == "live"))
        word, _, number = text.partition(":")
        try:
            share = float(number.removesuffix("%")) / 100
        except ValueError:
            share = math.nan
        if word != "canary" or not number.endswith("%") or not 0 < share < 1:
            expected = (
                "'shadow', 'live', or a canary with the policy's share, such as 'canary:5%', is expected"
            )
            raise ValueError(f"found {text!r}; {expected}")
        return cls(text, share)


class StaticBaseline(Spec):
    """Fixed weights, the same for all origins and workloads.

    Attributes
    ----------
    weights
        Share of each region; regions that are not named get none.
    """

    kind: Literal["static"]
    weights: Annotated[dict[Name, Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]

    @field_validator("weights")
    @classmethod
    def _sum_to_one(cls, weights: dict[str, float]) -> dict[str, float]:
        total = math.fsum(weights.values())
        if abs(total - 1) > SHARE_TOLERANCE:
            raise ValueError(f"the weights sum to {total:.12g}; they must sum to 1")
        return weights


class NearestBaseline(Spec):
    """The region with the lowest round trip."""

    kind: Literal["nearest"]


class EvenBaseline(Spec):
    """The same share in every region."""

    kind: Literal["even"]


Baseline = Annotated[StaticBaseline | NearestBaseline | EvenBaseline, Field(discriminator="kind")]


class Live(Spec):
    """How the policy runs.

    Attributes
    ----------
    mode
        ``"shadow"``: decide and record, move nothing; ``"canary:5%"``: so much of the traffic follows the
        policy; ``"live"``: all of it.
    journal
        Folder of the decision records.
    kill_file
        While there is such a file, all traffic follows the baseline.
    baseline
        The weights without carbonroute.
    switchback
        Share of the intervals, drawn by `seed`, in which all traffic follows the baseline: the saving is
        measured against these.
    seed
        Of that draw.
    dwell
        How long a cell's weights stay after they have changed, unless a region fails.
    energies
        Energy of a request that the policy decides by: the ``"scenario"``'s, or the marginal one as
        ``"measured"``. That counts for a workload once it is known in all regions, and within a factor of 10
        of the scenario's; until then, the scenario's. Each record has the one that was used.
    slow_policy
        Share of the interval, `control.interval_s`, that a decision of the policy may take before it is an
        alarm. After a whole interval it is not waited for: the weights are held until it comes.
    on_stop
        At the end, the traffic goes back to the ``"baseline"``, or the weights are held: ``"hold"``.
    listen
        Address and port of the status page; empty: none.
    token_env
        Environment variable with the bearer token that the page asks for; needed beyond loopback.
    carbon
        Where carbon intensities come from.
    observe
        Where measurements come from; without it, the scenario's expected traffic stands for them.
    actuators
        What carries the weights to the traffic.
    """

    mode: Mode = Mode("shadow")
    journal: Annotated[str, Field(min_length=1)] = "journal"
    kill_file: Annotated[str, Field(min_length=1)] = "KILL"
    baseline: Baseline = NearestBaseline(kind="nearest")
    switchback: float = Field(default=0.0, ge=0, le=0.5)
    seed: int = Field(default=42, ge=0, le=MAX_SEED)
    dwell: Duration = Duration("0min")
    energies: Literal["scenario", "measured"] = "scenario"
    slow_policy: float = Field(default=0.25, gt=0, le=1)
    on_stop: Literal["baseline", "hold"] = "baseline"
    listen: str = "127.0.0.1:9909"
    token_env: EnvName | None = Field(default=None, validate_default=True)
    carbon: LiveCarbon
    observe: Observe | None = None
    actuators: Members[AnyTarget] = Field(default=(), validate_default=True)

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        if listen:
            address_of(listen)
        return listen

    @field_validator("kill_file")
    @classmethod
    def _can_come_and_go(cls, kill_file: str, info: ValidationInfo) -> str:
        name, journal = PurePosixPath(kill_file).name, info.data.get("journal")
        if name in {"", ".."} or len(name.encode()) > _MOST_NAME_BYTES or "\0" in kill_file:
            raise ValueError(
                f"found {shortened(kill_file)!r}; the name of a file is expected, such as 'KILL'"
            )
        if journal is not None and PurePosixPath(kill_file) == PurePosixPath(journal):
            raise ValueError(f"found {kill_file!r}, which is the journal; another name is expected")
        return kill_file

    # Checks of two keys stand at the later one: they are made whatever is wrong with others.
    @field_validator("token_env")
    @classmethod
    def _is_safe(cls, token_env: EnvName | None, info: ValidationInfo) -> EnvName | None:
        listen = info.data.get("listen")
        if listen and token_env is None and not is_loopback(listen):
            remedy = "listen on 127.0.0.1, or state token_env: who reads the page needs that token"
            refuse((), [Fault("live.listen", f"found {listen!r}, which others can reach", remedy)])
        return token_env

    @field_validator("actuators")
    @classmethod
    def _is_carried(cls, actuators: tuple[AnyTarget, ...], info: ValidationInfo) -> tuple[AnyTarget, ...]:
        mode = info.data.get("mode")
        if mode is not None and mode.share > 0 and not actuators:
            remedy = 'state [[live.actuators]], or mode = "shadow"'
            refuse((), [Fault("live.mode", f"found {str(mode)!r}, and nothing carries weights", remedy)])
        return actuators


class LiveConfig(Spec):
    """A live file.

    Attributes
    ----------
    schema_version
        1; ``schema`` in the file.
    scenario
        The scenario file, relative to the live file: regions, origins, workloads, `[control]`.
    policy
        Label of one of its policies.
    live
        How it runs.
    """

    schema_version: SchemaVersion = Field(alias="schema")
    scenario: Name
    policy: Name
    live: Live


@dataclass(frozen=True)
class LiveSetup:
    """A live file with its scenario, checked against each other.

    `settings`: its table ``[live]``.
    """

    path: Path
    settings: Live
    inputs: Inputs
    entry: PolicyEntry
    candidate: Candidate

    @property
    def folder(self) -> Path:
        """Folder that its paths are relative to."""
        return self.path.parent

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self.inputs.scenario

    @property
    def names(self) -> Names:
        """Names of the origins, workloads and regions."""
        return names_of(self.scenario)


def load_live(path: Path, changes: Mapping[str, object] | None = None, *, code: bool = True) -> LiveSetup:
    """Read a live file, its scenario and the scenario's data.

    `changes`: keys of its table ``[live]`` to set otherwise, such as ``{"mode": "shadow"}``.
    `code`: whether code of others may be run: see `carbonroute.load`.
    Raises InputError with all faults.
    """
    refuse_data(path, A_LIVE_FILE)
    written = Written(path)
    try:
        tables = parse(path)
    except InputError as error:
        raise written.located(error) from error
    refuse_other(path, tables, A_LIVE_FILE)
    if changes and isinstance(tables.get("live"), dict):
        tables = {**tables, "live": {**tables["live"], **changes}}
    errors = []
    file = inputs = None
    try:
        file = validated(LiveConfig, tables, str(path), path.parent, code=code, written=written)
    except InputError as error:
        errors.append(error)
    named = tables.get("scenario")
    if isinstance(named, str):
        try:
            inputs = resolve(load(path.parent / named, code=code))
        except InputError as error:
            errors.append(written.located(_of_the_key(error, str(path.parent / named), str(path))))
    if inputs is not None:
        parts = _ScenarioParts.read(tables, {"folder": path.parent, "code": code, "written": written})
        against = tuple(_against_the_scenario(parts, inputs))
        if file is not None and not against:
            place = [candidate.label for candidate in inputs.candidates].index(file.policy)
            policy = inputs.scenario.policies[place], inputs.candidates[place]
            return LiveSetup(path, file.live, inputs, *policy)
        if against:
            errors.append(written.located(InputError(str(path), against), str(path)))
    raise errors[0] if len(errors) == 1 else InputError.together(str(path), errors)


def _of_the_key(error: InputError, scenario: str, file: str) -> InputError:
    """Return a scenario's error; that its file as a whole is none is a fault of the live file's key."""
    faults = [
        replace(fault, where="scenario", found=f"{scenario}: {fault.found}", file=file)
        if error.file_of(fault) == scenario and fault.id in {"unreadable-file", "wrong-file"}
        else fault
        for fault in error.faults
    ]
    return error if faults == list(error.faults) else InputError(error.source, faults)


@dataclass(frozen=True)
class _ScenarioParts:
    """The parts of a live file that its scenario tells about; None, or left out, where faulty."""

    policy: str | None
    mode: Mode | None
    baseline: Baseline | None
    observe: Observe | None
    actuators: Mapping[int, AnyTarget]
    #: How many actuators are stated.
    stated: int

    @classmethod
    def read(cls, tables: Mapping[str, Any], context: Mapping[str, object]) -> Self:
        """Return the parts of tables that are valid by themselves."""

        def valid(annotation: Any, value: object) -> Any:
            try:
                return TypeAdapter(annotation).validate_python(value, context=dict(context))
            except ValidationError:
                return None

        live = tables.get("live")
        live = live if isinstance(live, dict) else {}
        stated = live.get("actuators", [])
        targets = [valid(AnyTarget, one) for one in stated] if isinstance(stated, list) else []
        return cls(
            policy=valid(Name, tables.get("policy")),
            mode=valid(Mode, live.get("mode", "shadow")),
            baseline=valid(Baseline, live.get("baseline")),
            observe=valid(Observe, live.get("observe")),
            actuators={place: one for place, one in enumerate(targets) if one is not None},
            stated=len(targets),
        )


def names_of(scenario: Scenario) -> Names:
    """Return the names of a scenario's origins, workloads and regions."""
    return Names(
        tuple(origin.name for origin in scenario.origins),
        tuple(workload.id for workload in scenario.workloads),
        tuple(region.name for region in scenario.regions),
    )


def _against_the_scenario(parts: _ScenarioParts, inputs: Inputs) -> Iterator[Fault]:
    """Yield the faults of a live file that its scenario tells."""
    names = names_of(inputs.scenario)
    if parts.policy is not None:
        yield from _of_the_policy(parts.policy, inputs.candidates, inputs.site)
    if isinstance(parts.baseline, StaticBaseline):
        yield from _unknown(parts.baseline.weights, names.regions, "live.baseline.weights.")
    if parts.observe is not None:
        yield from _below("live.observe", parts.observe.faults(names.origins, names.workloads, names.regions))
    for index, target in parts.actuators.items():
        place = f"live.actuators[{index}]"
        for key, known in (("origin", names.origins), ("workload", names.workloads)):
            stated = getattr(target, key)
            if stated is not None:
                yield from _unknown([stated], known, f"{place}.{key}", keyed=False)
        cells = names.cells(target.origin, target.workload)
        yield from _below(place, target.faults(names.regions, names.served(cells, inputs.allowed)))
        yield from _mixed(target, names, inputs.allowed, place)
    yield from _twice(parts.actuators)
    is_whole = 0 < parts.stated == len(parts.actuators)
    if is_whole and parts.mode is not None and parts.mode.share > 0:
        yield from _uncovered(tuple(parts.actuators.values()), names)


def _of_the_policy(label: str, candidates: Iterable[Candidate], site: Site) -> Iterator[Fault]:
    """Yield the fault of a policy that the scenario does not have, or that cannot run live."""
    by_label = {candidate.label: candidate for candidate in candidates}
    candidate = by_label.get(label)
    if candidate is None:
        found = f"the scenario has no policy {label!r}"
        yield Fault("policy", found, did_you_mean(label, by_label), "unknown-name")
    elif candidate.clairvoyant or candidate.by_request(site):
        kind = "is clairvoyant" if candidate.clairvoyant else "decides on single requests"
        remedy = "name a policy that decides for whole cells by what a router can know"
        yield Fault("policy", f"{label!r} {kind}, and cannot run live", remedy)


def _below(place: str, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield faults of a table with the table's place before their own."""
    for fault in faults:
        where = f"{place}.{fault.where.lstrip('.')}" if fault.where else place
        yield replace(fault, where=where)


def _unknown(
    names: Iterable[str], known: Sequence[str], place: str, *, keyed: bool = True
) -> Iterator[Fault]:
    for name in names:
        if name not in known:
            where = f"{place}{name}" if keyed else place
            yield Fault(where, f"the scenario has no {name!r}", did_you_mean(name, known), "unknown-name")


def _mixed(target: AnyTarget, names: Names, allowed: Mask | None, place: str) -> Iterator[Fault]:
    """Yield the fault of an actuator whose cells may be served in different regions."""
    if allowed is None:
        return
    of_cells = allowed[names.cells(target.origin, target.workload)]
    if (of_cells != of_cells[:1]).any():
        found = "gives one set of weights to cells whose allowed_regions differ"
        yield Fault(place, found, "state origin or workload, and an actuator for each", "no-allowed-region")


def _twice(targets: Mapping[int, AnyTarget]) -> Iterator[Fault]:
    """Yield a fault for each actuator that overwrites what an earlier one writes."""
    first: dict[str, int] = {}
    for index, target in targets.items():
        if target.place and first.setdefault(target.place, index) != index:
            found = f"writes to the same place as live.actuators[{first[target.place]}] ({target.label})"
            yield Fault(
                f"live.actuators[{index}]", found, "state one actuator for each place", "repeated-name"
            )


def _uncovered(targets: Sequence[AnyTarget], names: Names) -> Iterator[Fault]:
    """Yield a fault for each cell that no actuator carries the weights of."""
    carried = np.zeros(names.shape[:2], dtype=bool)
    for target in targets:
        carried |= names.cells(target.origin, target.workload)
    for origin, workload in np.argwhere(~carried):
        cell = f"origin {names.origins[origin]!r}, workload {names.workloads[workload]!r}"
        remedy = 'add an actuator of these, or one without origin and workload, or mode = "shadow"'
        yield Fault("live.actuators", f"nothing carries the weights of {cell}", remedy)


def address_of(listen: str) -> tuple[str, int]:
    """Return host and port of an address such as ``"127.0.0.1:9909"`` or ``"[::1]:9909"``.

    Raises ValueError if it is none.
    """
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"found {listen!r}; an address and a port, such as '127.0.0.1:9909', are expected")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(listen: str) -> bool:
    """Whether an address is reached from this machine alone."""
    host = address_of(listen)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
