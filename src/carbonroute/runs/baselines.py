"""Baselines of a run: policies that run beside the scenario's own, for comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from carbonroute.control.knowledge import truth
from carbonroute.engines import queued
from carbonroute.engines.unsupported import unsupported
from carbonroute.metrics import Comparison
from carbonroute.outcome import Outcome
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.static_greenest import StaticGreenest
from carbonroute.scenario import Candidate, Inputs

#: The policy that reductions refer to.
BASELINE = LatencyFirst()


def with_baselines(
    inputs: Inputs, engine: str, *, baseline_alone: bool = False
) -> tuple[Inputs, Callable[[Sequence[Outcome]], Comparison]]:
    """Return the run's policies followed by its baselines.

    Parameters
    ----------
    baseline_alone
        Whether to add Latency-First alone.

    Returns
    -------
    The inputs of the engine, and a function from its outcomes to the comparison.
    """
    candidates = list(inputs.candidates)

    def place(added: Candidate) -> int:
        same = (
            i
            for i, candidate in enumerate(candidates)
            if _decides_alike(candidate, added)
            and (engine != "queued" or _controlled_alike(candidate, added))
        )
        if (index := next(same, None)) is None:
            index = len(candidates)
            candidates.append(added)
        return index

    def refused(added: Candidate) -> bool:
        if engine == "queued":
            return any(queued.faults(added, inputs.site, ""))
        return engine == "exact" and bool(unsupported(inputs, added))

    latency_first = inputs.candidate(BASELINE.name, BASELINE, inputs.scenario.information)
    baseline = place(latency_first)
    sampling = inputs.scenario.sampling
    same_requests = engine == "exact" or sampling.scheme == "streams" or sampling.restart == "per-policy"
    steps, fresh = {}, {}
    compared = same_requests and not baseline_alone
    if compared and inputs.energy:
        steps = {
            name: place(step)
            for name, step in (("latency-first", latency_first), *_steps(inputs))
            if not (step.oracle and inputs.capacity.replicas)  # it does not see the batches that it fills
            and not refused(step)  # an added policy must not fail the run
        }
    # With queues, a run on fresh data would be a simulation of its own.
    if compared and engine != "queued":
        fresh = {
            candidate.label: place(replace(candidate, knowledge=truth(inputs.carbon)))
            for candidate in inputs.candidates
            if candidate.reads("carbon_g_per_kwh")
            and not candidate.in_hindsight  # it would no longer be a fixed choice
            and not np.array_equal(candidate.knowledge.shown_g_per_kwh, inputs.carbon.g_per_kwh)
        }

    def compare(outcomes: Sequence[Outcome]) -> Comparison:
        return Comparison(
            baseline=outcomes[baseline],
            fresh={label: outcomes[index] for label, index in fresh.items()},
            steps={name: outcomes[index] for name, index in steps.items()},
        )

    return replace(inputs, candidates=tuple(candidates), baseline=baseline), compare


def _steps(inputs: Inputs) -> Iterator[tuple[str, Candidate]]:
    """Yield the policies whose savings are compared, from long-run means of carbon to all knowledge."""
    information = inputs.of_a_router
    if inputs.carbon.reference_g_per_kwh is not None:
        yield "static-greenest", inputs.candidate("Static-Greenest", StaticGreenest(), information)
    fixed = StaticGreenest(hindsight=True)
    yield "static-greenest in hindsight", inputs.candidate(fixed.name, fixed, information)
    hourly = ConstrainedHybrid()
    yield "hourly routing", inputs.candidate(hourly.name, hourly, information)
    bound = ClairvoyantBound()
    yield "clairvoyant bound", inputs.candidate(bound.name, bound, information)


def _controlled_alike(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates have the same control and utilisation limit."""
    return (one.control, one.max_utilisation) == (other.control, other.max_utilisation)


def _decides_alike(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates take the same decisions, whatever their labels."""
    if type(one.policy) is not type(other.policy) or one.policy != other.policy:
        return False
    same_estimate = one.information.service_time == other.information.service_time
    same_carbon = one.knowledge is other.knowledge or np.array_equal(
        one.knowledge.shown_g_per_kwh, other.knowledge.shown_g_per_kwh
    )
    return (same_estimate or not one.reads("service_ms")) and (
        same_carbon or not one.reads("carbon_g_per_kwh")
    )
