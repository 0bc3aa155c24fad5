"""Parameter sweep of the frontier: policies on a fine grid of parameters, each with its scenario entry.

The simplest come first: of policies that decide alike everywhere, the first one represents all.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.information import Information, ServiceEstimate
from carbonroute.control.knowledge import Knowledge
from carbonroute.engines.routing import Answer, Asked, Dispatcher
from carbonroute.engines.unsupported import unsupported
from carbonroute.policies import POLICIES
from carbonroute.policies.base import Declaring, PolicyLike, Trial, policy_name
from carbonroute.policies.trials import Setting
from carbonroute.runs.baselines import BASELINE
from carbonroute.scenario import Candidate, Inputs
from carbonroute.scenario.resolved.inputs import REFERENCE
from carbonroute.spec import Spec
from carbonroute.traffic import Requests
from carbonroute.units import HOURS_PER_DAY

#: Keys of a policy's information, by the field of the view that they determine.
_INFORMATION = (
    ("service_ms", {"service_time"}),
    ("carbon_g_per_kwh", {"carbon", "carbon_age", "carbon_missing"}),
)

#: So many cells are asked about at once; and so many numbers, policies × cells × regions, are answered.
_FEW_CELLS, _ANSWERS = 2**13, 2**21


@dataclass(frozen=True)
class Choice:
    """A policy to try.

    Attributes
    ----------
    entry
        Keys and values of its `[[policies]]` table, without label.
    parameter
        The key of the entry that is swept, or its only number; "" where there is none.
    candidate
        The policy with its information, for an engine.
    own
        Whether the scenario itself has this policy.
    roles
        Reference points of the frontier: ``"baseline"``, ``"static"`` or ``"bound"``.
    alike
        Labels of the scenario's own policies that decide alike, which it represents.
    """

    entry: Mapping[str, Any]
    parameter: str
    candidate: Candidate
    own: bool = False
    roles: frozenset[str] = frozenset()
    alike: tuple[str, ...] = ()


def sweep(inputs: Inputs, risks: Sequence[float] = ()) -> Iterator[Choice]:
    """Yield all policies to try in a scenario, the simplest first; `risks` (0…1) are tried besides the grid.

    The scenario's own policies come first. Unsupported ones are omitted: see `left_out`.
    """
    for own, candidate in zip(inputs.scenario.policies, inputs.candidates, strict=True):
        if not unsupported(inputs, candidate):
            entry = {"use": own.use, **own.parameters}
            information = {"information": _spelt(own.information)} if own.information else {}
            yield Choice({**entry, **information}, _parameter(entry), candidate, own=True)
    choice_of = _ChoiceFactory(inputs)
    for use, trial in _swept(choice_of, risks):
        choice = choice_of(use, trial)
        if not unsupported(inputs, choice.candidate):
            yield choice


def left_out(inputs: Inputs) -> Iterator[str]:
    """Yield why the exact engine does not support some of the scenario's own policies or the bound."""
    candidates, choice_of = inputs.candidates, _ChoiceFactory(inputs)
    if not any(candidate.oracle for candidate in candidates):
        candidates += tuple(choice_of(*each).candidate for each in _swept(choice_of) if each[1].policy.oracle)
    for candidate in candidates:
        if why := unsupported(inputs, candidate):
            yield f"Left out: {candidate.label} {why}"


def _swept(choice_of: _ChoiceFactory, risks: Sequence[float] = ()) -> list[tuple[str, Trial]]:
    """Return each policy's trials: the fewest parameters first, oracles last."""
    inputs = choice_of.inputs
    reference = inputs.carbon.reference_g_per_kwh is not None
    setting = Setting(inputs.rtt_ms, inputs.slo_ms, choice_of.service_ms, reference, risks)
    trials = [
        (use, trial)
        for use, member in POLICIES.members.items()
        if issubclass(member, Declaring)
        for trial in member.trials(setting)
    ]
    return sorted(trials, key=lambda each: (each[1].policy.oracle, _parameters(each[1].policy)))


def _parameters(policy: PolicyLike) -> int:
    return len(type(policy).model_fields) if isinstance(policy, Spec) else 0


def distinct(inputs: Inputs, tried: Iterable[Choice]) -> tuple[tuple[Choice, ...], tuple[Asked | None, ...]]:
    """Return the choices without those that decide like an earlier, simpler one wherever requests come from.

    The earlier one takes over roles and labels of the later. With each comes what it answered about all
    cells, where it was asked about all of them at once, else None.
    """
    tried = tuple(tried)
    hour, origin, workload = np.nonzero(inputs.arrivals.expected())
    cells, day = Requests(hour, origin, workload), np.count_nonzero(hour < HOURS_PER_DAY)
    keys: dict[int, bytes] = {}
    asked: dict[int, Asked] = {}
    dispatchers = {}
    for place, choice in enumerate(tried):
        candidate = choice.candidate
        if candidate.by_request(inputs.site):  # requests of a cell differ: its definition
            keys[place] = f"{candidate.policy!r} {candidate.information!r}".encode()
        else:
            dispatchers[place] = Dispatcher.of(candidate, inputs)
    if len(cells) <= _FEW_CELLS:  # asking about a day takes as long
        for place, answer in _answers(dispatchers, cells):
            keys[place], asked[place] = _digest(answer), Asked(cells, answer)
    else:
        glance = Requests(hour[:day], origin[:day], workload[:day])
        keys |= {place: _digest(answer) for place, answer in _answers(dispatchers, glance)}
        times = Counter(keys.values())  # most differ within a day: only the others are asked about all hours
        repeated = {place: each for place, each in dispatchers.items() if times[keys[place]] > 1}
        keys |= {place: _digest(answer) for place, answer in _answers(repeated, cells)}
    kept: dict[bytes, tuple[Choice, Asked | None]] = {}
    for place, choice in enumerate(tried):
        key = keys[place]
        if key not in kept:
            kept[key] = choice, asked.get(place)
            continue
        first, before = kept[key]
        alike = (*first.alike, choice.candidate.label) if choice.own else first.alike
        kept[key] = replace(first, roles=first.roles | choice.roles, alike=alike), before
    choices, answers = zip(*kept.values(), strict=True) if kept else ((), ())
    return tuple(choices), tuple(answers)


def _answers(dispatchers: Mapping[int, Dispatcher], cells: Requests) -> Iterator[tuple[int, Answer]]:
    """Yield the answers of policies about whole cells, by their places: those shown the same, together."""
    shown = defaultdict(list)
    for place, dispatcher in dispatchers.items():
        shown[dispatcher.shown].append(place)
    for places in shown.values():
        one = dispatchers[places[0]]
        at_once = max(1, _ANSWERS // max(1, len(cells) * one.site.shape[2]))
        for first in range(0, len(places), at_once):
            some = places[first : first + at_once]
            several = [dispatchers[place] for place in some]
            yield from zip(some, several[0].ask_with(several[1:], cells), strict=True)


def _digest(answer: Answer) -> bytes:
    """Return a digest of a policy's decisions."""
    if answer.ndim == 2 and (answer.max(axis=1) == 1).all():  # weights that split nothing
        answer = answer.argmax(axis=1)
    return hashlib.sha256(answer.tobytes()).digest()


class _ChoiceFactory:
    """Makes choices, each with its scenario entry."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.information = inputs.of_a_router
        self.knowledge: Knowledge | None = None
        self.taken = {entry.shown for entry in inputs.scenario.policies}

    def __call__(self, use: str, trial: Trial) -> Choice:
        policy, estimate = trial
        label = policy_name(policy) + (f", {estimate.replace(':', ' ')}" if estimate else "")
        if label in self.taken:
            label += " (swept)"
        candidate = self.inputs.candidate(label, policy, self.information, knowledge=self.knowledge)
        if candidate.reads("carbon_g_per_kwh") and not candidate.oracle:
            self.knowledge = candidate.knowledge
        if estimate:  # with the same knowledge of carbon: a copy for each would take gigabytes
            candidate = replace(candidate, information=self._informed(estimate))
        entry = {"use": use, **(policy.model_dump(exclude_unset=True) if isinstance(policy, Spec) else {})}
        usual = self.inputs.scenario.information
        relevant = {name for field, names in _INFORMATION if candidate.reads(field) for name in names}
        differs = any(getattr(candidate.information, name) != getattr(usual, name) for name in relevant)
        if differs and not candidate.oracle:
            entry["information"] = _spelt(candidate.information)
        return Choice(entry, _parameter(entry), candidate, roles=_roles(candidate))

    def service_ms(self, estimate: str) -> Array:
        """Return an estimate of the service times of each workload, ms, shape (W,)."""
        candidate = self.inputs.candidate("", BASELINE, self._informed(estimate))
        return Dispatcher.of(candidate, self.inputs).estimates_ms()

    def _informed(self, estimate: str) -> Information:
        return self.information.model_copy(update={"service_time": ServiceEstimate.parse(estimate)})


def _roles(candidate: Candidate) -> frozenset[str]:
    """Return the roles of a swept policy: long-run means alone make a static baseline."""
    roles = {
        "baseline": candidate.policy == BASELINE,
        "static": candidate.reads(REFERENCE) and not candidate.reads("carbon_g_per_kwh"),
        "bound": candidate.oracle,
    }
    return frozenset(role for role, plays in roles.items() if plays)


def _parameter(entry: Mapping[str, Any]) -> str:
    """Return the key of the only number of an entry; "" where it has none, or several."""
    numbers = [key for key, value in entry.items() if isinstance(value, int | float)]
    return numbers[0] if len(numbers) == 1 else ""


def _spelt(information: Information) -> dict[str, Any]:
    return {"service_time": str(information.service_time), **information.model_dump(exclude_defaults=True)}
