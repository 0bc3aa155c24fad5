"""What a frontier tries: policies and their parameters, finely, each as a scenario file would spell it.

From the simplest on: of policies that decide alike everywhere, the first one stands for all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.control.information import Information
from carbonroute.engines.obstacles import obstacle
from carbonroute.engines.routing import ask, estimates_ms
from carbonroute.policies import POLICIES
from carbonroute.policies.base import policy_name
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.units import HOURS_PER_DAY

#: Service times that a router may reckon with, besides the mean: shares of requests that are no slower.
QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
#: Preferred numbers, 24 to a decade: IEC 60063, series E24. As text: 1.2e-05 shall be spelt so.
E24 = (
    *("1", "1.1", "1.2", "1.3", "1.5", "1.6", "1.8", "2", "2.2", "2.4", "2.7", "3"),
    *("3.3", "3.6", "3.9", "4.3", "4.7", "5.1", "5.6", "6.2", "6.8", "7.5", "8.2", "9.1"),
)
#: Risks that are tried: every power of ten times E24, up to the highest.
POWERS, HIGHEST_RISK = (-5, -4, -3, -2, -1), 0.5
#: Margins that are tried per estimate of service times.
MOST_MARGINS = 100

#: What a policy is told of its information, by the field of the view that it is told in.
_TOLD = (("service_ms", {"service_time"}), ("carbon_g_per_kwh", {"carbon", "carbon_age", "carbon_missing"}))


@dataclass(frozen=True)
class Choice:
    """A policy to try.

    Attributes
    ----------
    entry
        Keys and values of a `[[policies]]` table that spells it, but for its label.
    parameter
        The key of the entry that is swept, or its only number; "" where there is none.
    candidate
        What an engine is given.
    own
        Whether the scenario itself has this policy.
    roles
        What others are held against: ``"baseline"``, ``"static"`` or ``"bound"``.
    alike
        Labels of the scenario's own policies that decide alike, and for which it stands.
    """

    entry: Mapping[str, Any]
    parameter: str
    candidate: Candidate
    own: bool = False
    roles: frozenset[str] = frozenset()
    alike: tuple[str, ...] = ()


def sweep(inputs: Inputs, risks: Sequence[float] = ()) -> Iterator[Choice]:
    """Yield all that is tried in a scenario, from the simplest on.

    The scenario's own policies come first. What the exact engine cannot work out is left out: see `left_out`.

    Parameters
    ----------
    inputs
        The scenario.
    risks
        Risks per request to try besides those of the grid, 0…1.
    """
    yield from _own(inputs)
    spell = _Speller(inputs)
    yield spell({"use": "latency-first"}, role="baseline")
    yield spell({"use": "carbon-first"})
    if inputs.carbon.reference_g_per_kwh is not None:
        yield spell({"use": "static-greenest"}, role="static")
    for k in range(1, inputs.shape[3] + 1):
        yield spell({"use": "nearest-greenest", "k": k}, "k")
    for alpha in sorted((step / 100 for step in range(101)), key=lambda alpha: len(str(alpha))):
        yield spell({"use": "hybrid", "alpha": alpha}, "alpha")
    for margin_ms, information in _margins(inputs, spell.knowing):
        yield spell({"use": "constrained-hybrid", "margin_ms": margin_ms}, "margin_ms", information)
    for budget in ({}, {"budget": "per-workload"}):
        for risk in dict.fromkeys(risk for risk in (*risks, *_risks()) if risk <= HIGHEST_RISK):
            yield spell({"use": "constrained-hybrid", "max_violation": risk, **budget}, "max_violation")
    bound = spell({"use": "clairvoyant-bound"}, role="bound")
    if not obstacle(inputs, bound.candidate):
        yield bound


def left_out(inputs: Inputs) -> Iterator[str]:
    """Yield which policies the exact engine cannot work out, and why: of the scenario's own and the bound."""
    candidates = inputs.candidates
    if not any(candidate.oracle for candidate in candidates):
        candidates += (_Speller(inputs)({"use": "clairvoyant-bound"}).candidate,)
    for candidate in candidates:
        if why := obstacle(inputs, candidate):
            yield f"Left out: {candidate.label} {why}"


def distinct(inputs: Inputs, tried: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return the choices without those that decide like an earlier one wherever requests come from.

    The earlier one takes over roles and labels of the later.

    Parameters
    ----------
    inputs
        The scenario.
    tried
        From the simplest on.
    """
    tried = tuple(tried)
    hour, origin, workload = np.nonzero(inputs.arrivals.expected())
    day = np.count_nonzero(hour < HOURS_PER_DAY)
    glance = Requests(hour[:day], origin[:day], workload[:day])
    keys = [_decisions(choice.candidate, inputs, glance) for choice in tried]
    if day < len(hour):  # most differ within a day: only the others are asked about all hours
        cells, times = Requests(hour, origin, workload), Counter(keys)
        keys = [
            _decisions(choice.candidate, inputs, cells) if times[key] > 1 else key
            for choice, key in zip(tried, keys, strict=True)
        ]
    found: dict[bytes, Choice] = {}
    for choice, key in zip(tried, keys, strict=True):
        first = found.get(key)
        if first is None:
            found[key] = choice
            continue
        alike = (*first.alike, choice.candidate.label) if choice.own else first.alike
        found[key] = replace(first, roles=first.roles | choice.roles, alike=alike)
    return tuple(found.values())


def _decisions(candidate: Candidate, inputs: Inputs, cells: Requests) -> bytes:
    """Return what tells a policy's decisions apart: they themselves, unless requests of a cell differ."""
    if inputs.by_request(candidate):
        return f"{candidate.policy!r} {candidate.information!r}".encode()
    answer = ask(candidate, inputs, cells)
    if answer.ndim == 2 and (answer.max(axis=1) == 1).all():  # weights that split nothing
        answer = answer.argmax(axis=1)
    return hashlib.sha256(answer.tobytes()).digest()


class _Speller:
    """Makes choices of what a scenario file would say."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.information = inputs.of_a_router
        #: The same knowledge of carbon for all: a copy for each would take gigabytes.
        self.knowing = inputs.candidate("", POLICIES.members["carbon-first"](), self.information)
        self.taken = {entry.shown for entry in inputs.scenario.policies}

    def __call__(
        self,
        entry: dict[str, Any],
        parameter: str = "",
        information: Information | None = None,
        role: str = "",
    ) -> Choice:
        information = information or self.information
        parameters = {key: value for key, value in entry.items() if key != "use"}
        policy = POLICIES.members[entry["use"]](**parameters)
        candidate = replace(
            self.knowing,
            label=self._label(policy, parameter, information),
            policy=policy,
            information=information,
        )
        if candidate.oracle or not candidate.reads("carbon_g_per_kwh"):
            candidate = self.inputs.candidate(candidate.label, policy, information)
        usual = self.inputs.scenario.information
        told = {name for field, names in _TOLD if candidate.reads(field) for name in names}
        if not candidate.oracle and any(getattr(information, name) != getattr(usual, name) for name in told):
            entry = {**entry, "information": _spelt(information)}
        return Choice(entry, parameter, candidate, roles=frozenset({role} - {""}))

    def _label(self, policy: Any, parameter: str, information: Information) -> str:
        label = policy_name(policy)
        if parameter == "margin_ms":
            label += f", {information.service_time.replace(':', ' ')}"
        return f"{label} (swept)" if label in self.taken else label


def _own(inputs: Inputs) -> Iterator[Choice]:
    for spelt, candidate in zip(inputs.scenario.policies, inputs.candidates, strict=True):
        if obstacle(inputs, candidate):
            continue
        parameters = spelt.model_extra or {}
        numbers = [key for key, value in parameters.items() if isinstance(value, int | float)]
        told = {"information": _spelt(spelt.information)} if spelt.information else {}
        parameter = numbers[0] if len(numbers) == 1 else ""
        yield Choice({"use": spelt.use, **parameters, **told}, parameter, candidate, own=True)


def _spelt(information: Information) -> dict[str, Any]:
    return {"service_time": information.service_time, **information.model_dump(exclude_defaults=True)}


def _margins(inputs: Inputs, knowing: Candidate) -> Iterator[tuple[float, Information]]:
    """Yield margins and estimates of service times that make another set of regions eligible."""
    seen = set()
    for estimate in ("mean", *(f"quantile:{share:g}" for share in QUANTILES)):
        told = knowing.information.model_copy(update={"service_time": estimate})
        needed_ms = inputs.rtt_ms[:, :, np.newaxis] + estimates_ms(replace(knowing, information=told), inputs)
        for margin_ms in _between(inputs.slo_ms - needed_ms):
            eligible = (needed_ms <= inputs.slo_ms - margin_ms).tobytes()
            if eligible not in seen:
                seen.add(eligible)
                yield margin_ms, told


def _between(slack_ms: NDArray[np.float64]) -> list[float]:
    """Return 0 and a margin between any two neighbours of what is left of the limits, as round as can be."""
    edges = np.unique(np.append(slack_ms[slack_ms > 0], 0.0))
    pairs = list(pairwise(edges))
    kept = np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_MARGINS)).astype(int))
    return [0.0, *(_roundest(*pairs[place]) for place in kept)]


def _roundest(low: float, high: float) -> float:
    """Return the roundest number between two, and of several the one nearest to their middle.

    >>> _roundest(3.2, 17.9), _roundest(0.004, 0.007), _roundest(81.2, 97)
    (10.0, 0.005, 90.0)
    """
    middle = float(low + high) / 2
    rounded = (round(middle, digits) for digits in range(-1, 12))
    return next((number for number in rounded if low < number < high), middle)


def _risks() -> Iterator[float]:
    return (float(f"{number}e{power}") for number in E24 for power in POWERS)
