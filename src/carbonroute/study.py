"""Runs: a scenario and an engine in, outcomes and tables out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from carbonroute.engines import ENGINES
from carbonroute.metrics import Tables, tabulate
from carbonroute.outcome import Outcome
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.scenario import Candidate, Inputs, Scenario, load, resolve

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
    compared = len(inputs.candidates)
    with_baseline = _with_baseline(inputs)
    outcomes = ENGINES[engine](with_baseline, progress)
    baseline = next(
        outcome
        for candidate, outcome in zip(with_baseline.candidates, outcomes, strict=True)
        if isinstance(candidate.policy, LatencyFirst)
    )
    outcomes = outcomes[:compared]
    return Result(inputs, engine, outcomes, tabulate(inputs, outcomes, baseline, max_violation))


def _with_baseline(inputs: Inputs) -> Inputs:
    """Return inputs in which Latency-First runs: behind the others, where the scenario leaves it out."""
    if any(isinstance(candidate.policy, LatencyFirst) for candidate in inputs.candidates):
        return inputs
    policy = LatencyFirst()
    extra = Candidate(policy.name, policy, inputs.scenario.information)
    return replace(inputs, candidates=(*inputs.candidates, extra))
