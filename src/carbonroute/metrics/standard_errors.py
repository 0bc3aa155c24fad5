"""Standard errors of figures of sampled requests, from the exact engine's moments.

Requests are taken as independent draws from all that come in the run. Where every hour has a fixed number of
them, figures differ less than that: the standard errors are on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from carbonroute.arrays import Array
from carbonroute.metrics.averages import number
from carbonroute.metrics.comparison import Comparison
from carbonroute.outcome import Counts, Outcome, Sums
from carbonroute.scenario import Scenario
from carbonroute.units import G_PER_KG, J_PER_KWH, pct
from carbonroute.workloads import ServiceLaw, Tokens
from carbonroute.workloads.energy import Energy

#: Identifies a figure: policy, workload (None: all), figure.
Key = tuple[str, str | None, str]

#: Standard-normal scores over which squares of token counts are averaged.
_SCORES = np.linspace(-8, 8, 4001)


class Mean(NamedTuple):
    """Mean and variance of a quantity per request."""

    mean: float
    variance: float

    def error(self, n: float) -> float:
        """Return the standard error of the mean of n requests."""
        return math.sqrt(self.variance / n) if n else math.inf

    def error_of_sum(self, n: float, *, fixed_number: bool) -> float:
        """Return the standard error of the sum over n requests, or over a Poisson number of mean n."""
        # Formula sum-error.
        return math.sqrt(n * (self.variance + (0.0 if fixed_number else 1.0) * self.mean**2))


#: Mean and variance of a request's grams under a policy, by part.
Grams: TypeAlias = Callable[[Outcome], Mapping[str, Mean]]


def standard_errors(
    scenario: Scenario,
    grams: Grams | None,
    exact: Sequence[Outcome],
    comparison: Comparison,
    sampled: Sequence[Outcome],
) -> dict[Key, float]:
    """Return the standard error of each figure of sampled outcomes.

    `exact` and `comparison` are outcomes of the exact engine, with sums of squares; `grams` gives the moments
    of a request's emissions, see `gram_moments`. Of `sampled`, only the numbers of requests are used.
    """
    errors: dict[Key, float] = {}
    for outcome, counted in zip(exact, sampled, strict=True):
        n = number(counted.requests)
        of_all = [*_errors(scenario, outcome, comparison, n)]
        if grams:
            of_all += _errors_of_grams(scenario, grams, outcome, comparison, n)
        errors |= {(outcome.policy, None, figure): error for figure, error in of_all}
        for index, workload in enumerate(scenario.workloads):
            n = number(counted.requests[:, index])
            late, latency = _late(outcome, index), _latency(outcome, index)
            errors[outcome.policy, workload.id, "slo_violation_pct"] = pct(late.error(n))
            errors[outcome.policy, workload.id, "avg_latency_ms"] = latency.error(n)
    # Bursts widen the spread of counts by the coefficient of variation of the gaps.
    cv = max(1.0, float(getattr(scenario.traffic, "cv", 1.0)))
    return {key: cv * error for key, error in errors.items()}


def _errors(
    scenario: Scenario, outcome: Outcome, comparison: Comparison, n: float
) -> Iterator[tuple[str, float]]:
    carbon, reference = _carbon(outcome), _carbon(comparison.baseline)
    yield "avg_latency_ms", _latency(outcome).error(n)
    yield "slo_violation_pct", pct(_late(outcome).error(n))
    yield "avg_carbon_g_per_kwh", carbon.error(n)
    yield "carbon_reduction_pct", pct(_of_ratio(carbon, reference, n))
    by_region = outcome.requests.sum(axis=(0, 1))
    for region, share in zip(scenario.regions, by_region / by_region.sum(), strict=True):
        yield f"share_{region.name}", Mean(share, share * (1 - share)).error(n)
    fresh = comparison.fresh.get(outcome.policy)
    if fresh:
        yield "fresh_carbon_g_per_kwh", _carbon(fresh).error(n)
        yield "extra_vs_fresh_pct", pct(_of_ratio(carbon, _carbon(fresh), n))


def _errors_of_grams(
    scenario: Scenario, grams: Grams, outcome: Outcome, comparison: Comparison, n: float
) -> Iterator[tuple[str, float]]:
    parts = grams(outcome)
    total, reference = parts["emissions"], grams(comparison.baseline)["emissions"]
    fixed_number = not scenario.traffic.is_random
    for part, moments in parts.items():
        yield f"{part}_g_per_request", moments.error(n)
    yield "emissions_reduction_pct", pct(_of_ratio(total, reference, n))
    yield "total_kg", total.error_of_sum(n, fixed_number=fixed_number) / G_PER_KG
    fresh = comparison.fresh.get(outcome.policy)
    if fresh:
        fresh_total = grams(fresh)["emissions"]
        yield "fresh_total_kg", fresh_total.error_of_sum(n, fixed_number=fixed_number) / G_PER_KG
        yield "extra_vs_fresh_pct", pct(_of_ratio(total, fresh_total, n))


def _of_ratio(upper: Mean, lower: Mean, n: float) -> float:
    """Return the standard error of a ratio of means, as if they had nothing in common: less, if they do."""
    if not lower.mean:
        return math.inf
    # Formula ratio-error.
    ratio = upper.mean / lower.mean
    return math.hypot(upper.error(n), ratio * lower.error(n)) / lower.mean


def _moments(sums: Counts | Sums, squares: Counts | Sums | None, requests: Counts) -> Mean:
    n = requests.sum()
    if squares is None or not n:
        return Mean(math.nan, math.nan)
    mean = float(sums.sum() / n)
    return Mean(mean, max(0.0, float(squares.sum() / n) - mean**2))


def _latency(outcome: Outcome, workload: int | None = None) -> Mean:
    of = slice(None) if workload is None else slice(workload, workload + 1)
    squares = outcome.latency_square_sum_ms2
    return _moments(
        outcome.latency_sum_ms[:, of],
        None if squares is None else squares[:, of],
        outcome.served[:, of],
    )


def _late(outcome: Outcome, workload: int | None = None) -> Mean:
    of = slice(None) if workload is None else slice(workload, workload + 1)
    return _moments(outcome.violations[:, of], outcome.violations[:, of], outcome.requests[:, of])


def _carbon(outcome: Outcome) -> Mean:
    return _moments(outcome.carbon_sum_g_per_kwh, outcome.carbon_square_sum, outcome.served)


def gram_moments(energy: Energy, laws: Sequence[ServiceLaw], outcome: Outcome) -> dict[str, Mean]:
    """Return mean and variance of a request's emissions, in all and in its parts, g and g².

    Of a workload in a region, a request emits carbon · (a + b · T) + e: T is the energy of its tokens.
    """
    per_j = energy.hardware_factor * energy.pue / J_PER_KWH
    operational, network = np.outer(energy.request_j, per_j), energy.network_j[:, np.newaxis] / J_PER_KWH
    embodied_g, nothing = energy.embodied_g[:, np.newaxis], np.zeros((1, 1))
    tokens_j, tokens_j2 = _tokens(laws, energy)[..., np.newaxis]

    def moments(a: Array, b: Array, e: Array) -> Mean:
        first, square = a + b * tokens_j, a**2 + 2 * a * b * tokens_j + b**2 * tokens_j2
        carbon, squares = outcome.carbon_sum_g_per_kwh, outcome.carbon_square_sum
        if squares is None:
            return Mean(math.nan, math.nan)
        sums, served = first * carbon + e * outcome.served, outcome.served
        return _moments(sums, square * squares + 2 * e * first * carbon + e**2 * served, served)

    return {
        "emissions": moments(operational + network, per_j, embodied_g),
        "operational": moments(operational, per_j, nothing),
        "network": moments(network, nothing, nothing),
        "embodied": moments(nothing, nothing, embodied_g),
    }


def _tokens(laws: Sequence[ServiceLaw], energy: Energy) -> Array:
    """Return mean and mean square of the energy of a request's tokens, J and J², shape (2, W)."""
    weight = np.exp(-(_SCORES**2) / 2)
    weight /= weight.sum()
    moments = np.zeros((2, len(laws)))
    for workload, (law, (prompt_j, answer_j)) in enumerate(zip(laws, energy.token_j, strict=True)):
        if isinstance(law, Tokens):
            prompt, answer = prompt_j * law.prompt_at(_SCORES), answer_j * law.answer_at(_SCORES)
            means = prompt @ weight, answer @ weight
            moments[:, workload] = sum(means), (prompt**2 + answer**2) @ weight + 2 * means[0] * means[1]
    return moments
