"""Objectives of a policy: bounds on its figures, which a pipeline can gate on."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator

from carbonroute.files.toml import as_found
from carbonroute.scenario.written.names import Name
from carbonroute.spec import Spec

_OPERATORS = MappingProxyType({"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge})
_PATTERN = re.compile(r"\s*([<>]=?)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Bound:
    """A bound on a figure: at most or at least a limit.

    Attributes
    ----------
    text
        As the file has it, such as ``"<= 1"``.
    comparison
        Comparison of a figure with the limit.
    limit
        In the figure's own unit.
    """

    text: str
    comparison: Callable[[float, float], bool]
    limit: float

    @classmethod
    def read(cls, text: str) -> Bound:
        """Return the bound that a text states.

        Raises ValueError if it is not one of < <= > >= and a number.
        """
        match = _PATTERN.fullmatch(text)
        if match is None or not math.isfinite(limit := float(match[2])):
            raise ValueError(
                f"{as_found(text)}; one of < <= > >= and a number in the figure's own unit is expected, "
                "such as '<= 1'"
            )
        return cls(text, _OPERATORS[match[1]], limit)

    @property
    def upper(self) -> bool:
        """Whether figures must stay below it."""
        return self.comparison in {operator.lt, operator.le}

    def met_by(self, value: float) -> bool:
        """Whether a figure is on the right side."""
        return self.comparison(value, self.limit)

    def margin(self, value: float) -> float:
        """Return by how much a figure is on the right side, or, where negative, on the wrong one."""
        return self.limit - value if self.upper else value - self.limit


def _checked(text: str) -> str:
    return Bound.read(text).text


BoundText = Annotated[str, AfterValidator(_checked)]


class Objectives(Spec):
    """Bounds for a policy. Every key but `policy` is a figure of the policy table.

    Attributes
    ----------
    policy
        Label of the policy that must keep the bounds.
    avg_latency_ms, p95_latency_ms, slo_violation_pct, avg_carbon_g_per_kwh, carbon_reduction_pct
        Bound on this figure, such as ``"<= 1"``.
    emissions_g_per_request, operational_g_per_request, network_g_per_request, embodied_g_per_request
        Bound on this figure in grams, for which energies must be stated.
    total_kg, emissions_reduction_pct
        Bound on this figure, for which energies must be stated.
    fresh_carbon_g_per_kwh, extra_vs_fresh_pct
        Bound on this figure, which compares with carbon values without age and errors.
    fresh_total_kg
        The same in kilograms, for which energies must be stated.
    rejected_pct, avg_wait_ms, p95_wait_ms, hours_over_capacity, flips_per_day, survives_pct
        Bound on this figure of queues, for which pools of servers must be stated.
    idle_g_per_request
        Bound on this figure, for which both pools of servers and energies must be stated.
    same_capacity_carbon_reduction_pct, same_capacity_emissions_reduction_pct
        Bound on the reduction against Latency-First on the same capacity, for which pools must be stated.
    worst_violations_pct
        Bound on the violations of the workload that has most of them.
    worst_p95_latency_ms
        Bound on the 95th percentile of latency of that workload.
    """

    policy: Name
    avg_latency_ms: BoundText | None = None
    p95_latency_ms: BoundText | None = None
    slo_violation_pct: BoundText | None = None
    avg_carbon_g_per_kwh: BoundText | None = None
    carbon_reduction_pct: BoundText | None = None
    emissions_g_per_request: BoundText | None = None
    operational_g_per_request: BoundText | None = None
    network_g_per_request: BoundText | None = None
    embodied_g_per_request: BoundText | None = None
    total_kg: BoundText | None = None
    emissions_reduction_pct: BoundText | None = None
    fresh_carbon_g_per_kwh: BoundText | None = None
    fresh_total_kg: BoundText | None = None
    extra_vs_fresh_pct: BoundText | None = None
    rejected_pct: BoundText | None = None
    avg_wait_ms: BoundText | None = None
    p95_wait_ms: BoundText | None = None
    hours_over_capacity: BoundText | None = None
    flips_per_day: BoundText | None = None
    idle_g_per_request: BoundText | None = None
    survives_pct: BoundText | None = None
    same_capacity_carbon_reduction_pct: BoundText | None = None
    same_capacity_emissions_reduction_pct: BoundText | None = None
    worst_violations_pct: BoundText | None = None
    worst_p95_latency_ms: BoundText | None = None

    @property
    def bounds(self) -> dict[str, Bound]:
        """The bounds that are stated, by figure, in the order of the table."""
        return {name: Bound.read(text) for name in FIGURES if (text := getattr(self, name)) is not None}


#: The policy table's figures, in its order, those that need energies, and those that need servers.
FIGURES = tuple(name for name in Objectives.model_fields if name != "policy")
IN_GRAMS = frozenset(
    name for name in FIGURES if "emissions" in name or name.endswith(("g_per_request", "_kg"))
)
IN_QUEUES = frozenset(FIGURES[FIGURES.index("rejected_pct") : FIGURES.index("worst_violations_pct")])
