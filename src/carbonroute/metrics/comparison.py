"""Outcomes of the baselines of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from carbonroute.outcome import Outcome


@dataclass(frozen=True)
class Comparison:
    """Outcomes of the baselines that a run's policies are compared with.

    Attributes
    ----------
    baseline
        The policy that reductions refer to; it need not be one of the run's outcomes.
    fresh
        Of each policy that decides on old, forecast or missing carbon, by label: the same on fresh data.
    steps
        The decomposition of the saving, by name, from no knowledge of carbon to full knowledge.
    replications
        How many runs all of these, and the policies' own outcomes, are merged from.
    unlimited
        Of a run with queues, by label: the same policies without limits on capacity.
    unlimited_baseline
        The baseline without limits, that their reductions refer to.
    same_capacity
        Of a run with queues: Latency-First on the same capacity.
    """

    baseline: Outcome
    fresh: Mapping[str, Outcome]
    steps: Mapping[str, Outcome]
    replications: int = 1
    unlimited: Mapping[str, Outcome] = field(default_factory=dict)
    unlimited_baseline: Outcome | None = None
    same_capacity: Outcome | None = None
