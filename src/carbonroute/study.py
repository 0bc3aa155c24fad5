"""Runs: a scenario and an engine in, outcomes and tables out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from carbonroute.engines import ENGINES
from carbonroute.metrics import Comparison, Tables, tabulate
from carbonroute.outcome import Outcome
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.static_greenest import StaticGreenest
from carbonroute.scenario import Candidate, Inputs, Scenario, load, resolve
from carbonroute.scenario.knowledge import truth

#: Share of SLO violations up to which a policy counts as viable.
MAX_VIOLATION = 0.05


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes
    ----------
    inputs
        What went into the engine; `inputs.scenario` is the scenario.
    engine
        Name of the engine.
    outcomes
        One per policy, in the scenario's order.
    tables
        What figures, files and reports are made of.
    """

    inputs: Inputs
    engine: str
    outcomes: tuple[Outcome, ...]
    tables: Tables


def run(
    source: Scenario | str | Path,
    changes: Mapping[str, object] | None = None,
    *,
    engine: str = "sampled",
    max_violation: float = MAX_VIOLATION,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario under each of its policies.

    Parameters
    ----------
    source
        A scenario, a built-in scenario's name, or a TOML file.
    changes
        Values to set before the run, by dotted path; not with a scenario that is loaded already.
    engine
        One of `carbonroute.engines.ENGINES`.
    max_violation
        Share of SLO violations up to which a policy counts as viable, 0…1.
    progress
        Called with the number of requests × policies done, and of all.

    Raises
    ------
    InputError, PolicyError
        If the scenario, its data or a policy cannot be used.

    Examples
    --------
    >>> result = run("published", {"horizon.hours": 24})
    >>> result.tables.policies["policy"][0]
    'Latency-First'
    """
    inputs = resolve(source if isinstance(source, Scenario) else load(source, changes))
    candidates, compare = _with_rivals(inputs)
    outcomes = ENGINES[engine](replace(inputs, candidates=candidates), progress)
    compared = outcomes[: len(inputs.candidates)]
    return Result(inputs, engine, compared, tabulate(inputs, compared, compare(outcomes), max_violation))


def _with_rivals(
    inputs: Inputs,
) -> tuple[tuple[Candidate, ...], Callable[[Sequence[Outcome]], Comparison]]:
    """Return the run's policies and, behind them and unseen, what they are held against.

    Returns
    -------
    The candidates to run, and what makes the comparison of their outcomes.
    """
    candidates = list(inputs.candidates)

    def place(rival: Candidate) -> int:
        same = (i for i, candidate in enumerate(candidates) if _decides_alike(candidate, rival))
        if (index := next(same, None)) is None:
            index = len(candidates)
            candidates.append(rival)
        return index

    baseline = place(_latency_first(inputs))
    steps, fresh = {}, {}
    sampling = inputs.scenario.sampling
    if sampling.scheme == "streams" or sampling.restart == "per-policy":  # else all meet other requests
        steps = {name: place(rival) for name, rival in _steps(inputs)} if inputs.energy else {}
        fresh = {
            candidate.label: place(replace(candidate, knowledge=truth(inputs.carbon)))
            for candidate in inputs.candidates
            if candidate.reads("carbon_g_per_kwh")
            and not np.array_equal(candidate.knowledge.g_per_kwh, inputs.carbon.g_per_kwh)
        }

    def compare(outcomes: Sequence[Outcome]) -> Comparison:
        return Comparison(
            baseline=outcomes[baseline],
            fresh={label: outcomes[index] for label, index in fresh.items()},
            steps={name: outcomes[index] for name, index in steps.items()},
        )

    return tuple(candidates), compare


def _latency_first(inputs: Inputs) -> Candidate:
    policy = LatencyFirst()
    return inputs.candidate(policy.name, policy, inputs.scenario.information)


def _steps(inputs: Inputs) -> Iterator[tuple[str, Candidate]]:
    """Yield what a saving is made of: from no knowledge of carbon to all."""
    information = inputs.scenario.information
    changes = {}
    if information.clairvoyant:
        changes["service_time"] = "mean"
    if information.carbon_missing == "refuse":  # nobody asked for this policy: it ends no run
        changes["carbon_missing"] = "latency-only"
    if inputs.forecast is None:
        changes["carbon"] = "current"
    information = information.model_copy(update=changes)
    yield "latency-first", _latency_first(inputs)
    if inputs.carbon.reference_g_per_kwh is not None:
        yield "static-greenest", inputs.candidate("Static-Greenest", StaticGreenest(), information)
    hourly = ConstrainedHybrid()
    yield "hourly routing", inputs.candidate(hourly.name, hourly, information)
    bound = ClairvoyantBound()
    yield "clairvoyant bound", inputs.candidate(bound.name, bound, information)


def _decides_alike(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates take the same decisions, whatever they are called."""
    if type(one.policy) is not type(other.policy) or one.policy != other.policy:
        return False
    same_estimate = one.information.service_time == other.information.service_time
    same_carbon = one.knowledge is other.knowledge or np.array_equal(
        one.knowledge.g_per_kwh, other.knowledge.g_per_kwh
    )
    return (same_estimate or not one.reads("service_ms")) and (
        same_carbon or not one.reads("carbon_g_per_kwh")
    )
