"""Segments of service time, prompt and jitter against an adaptive rule of integration, and steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from carbonroute.control.information import Information
from carbonroute.engines import exact
from carbonroute.network import HalfNormal, PairLognormal
from carbonroute.outcome import Mixture, Outcome
from carbonroute.policies import PolicyLike, View
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.scenario import Inputs
from carbonroute.workloads import Gamma, Lognormal, Normal, ServiceLaw, Tokens
from carbonroute.workloads.energy import Energy
from helpers.random_inputs import measured
from helpers.scenarios import inputs_of

SLO_MS, NEAR_MS, FAR_MS, STD_MS = 100.0, 5.0, 60.0, 3.0
RTT_MS = NEAR_MS, FAR_MS
SERVICE = Normal(law="normal", mean=35, std=8, floor=1)


def scenario(law: ServiceLaw = SERVICE, jitter: HalfNormal | PairLognormal | None = None) -> Inputs:
    """Return 100 requests for two regions in one hour; the far one is cleaner."""
    inputs: Inputs = inputs_of(
        {
            "schema": 1,
            "name": "pieces",
            "horizon": {"hours": 1},
            "traffic": {"kind": "fixed-rate", "requests_per_hour": 100},
            "carbon": {"kind": "synthetic", "noise": 0},
            "network": {"jitter_std_ms": STD_MS, "rtt_ms": {"o": {"near": NEAR_MS, "far": FAR_MS}}},
            "origins": [{"name": "o", "share": 1.0}],
            "regions": [
                {"name": "near", "carbon_g_per_kwh": 400},
                {"name": "far", "carbon_g_per_kwh": 40},
            ],
            "workloads": [
                {
                    "id": "w",
                    "name": "w",
                    "model": "w",
                    "share": 1.0,
                    "slo_ms": SLO_MS,
                    "service_ms": {"law": "normal", "mean": 35, "std": 8},
                }
            ],
            "policies": [{"use": "latency-first"}],
        }
    )
    return replace(inputs, laws=(law,), jitter=jitter or inputs.jitter)


def under(policy: PolicyLike, inputs: Inputs, service_time: str = "actual") -> Outcome:
    candidate = inputs.candidate("policy", policy, Information.spelled(service_time=service_time))
    (outcome,) = exact.run(replace(inputs, candidates=(candidate,)))
    assert isinstance(outcome.latency, Mixture)
    assert float(outcome.latency.groups.low.min()) in {-np.inf, 0.0}
    assert outcome.requests.sum() == pytest.approx(100, abs=1e-10)
    return outcome


def integral(of_score: Callable[[float], float], *kinks: float) -> float:
    """Return ∫ φ(z)·f(z) dz."""
    points = sorted([-9.0, *(kink for kink in kinks if abs(kink) < 9), 9.0])

    def density(z: float) -> float:
        return of_score(z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return sum(
        float(quad(density, low, high, epsabs=1e-12, epsrel=1e-11, limit=200)[0])
        for low, high in pairwise(points)
    )


def score(time_ms: float) -> float:
    return (time_ms - SERVICE.mean) / SERVICE.std


def service_ms(z: float) -> float:
    return max(SERVICE.floor, SERVICE.mean + SERVICE.std * z)


def beyond(jitter_ms: float) -> float:
    return 1.0 if jitter_ms < 0 else float(norm.sf(jitter_ms / STD_MS))


def test_a_clairvoyant_policy_is_cut_where_the_far_region_is_too_late() -> None:
    outcome = under(ConstrainedHybrid(), scenario())
    limit = SLO_MS - FAR_MS
    kinks = score(limit), score(SERVICE.floor)
    far = norm.cdf(score(limit))
    assert outcome.requests[0, 0, 1] == pytest.approx(100 * far, rel=1e-12)

    def late_ms(z: float) -> float:
        return SLO_MS - (FAR_MS if service_ms(z) <= limit else NEAR_MS) - service_ms(z)

    late = integral(lambda z: beyond(late_ms(z)), *kinks, score(SLO_MS - NEAR_MS))
    assert outcome.violations.sum() == pytest.approx(100 * late, abs=1e-8)
    mean_jitter_ms = STD_MS / math.sqrt(2 * math.pi)
    latency_ms = integral(lambda z: SLO_MS - late_ms(z), *kinks) + mean_jitter_ms
    assert outcome.latency_sum_ms.sum() == pytest.approx(100 * latency_ms, rel=1e-10)
    square = integral(
        lambda z: (SLO_MS - late_ms(z)) ** 2 + 2 * (SLO_MS - late_ms(z)) * mean_jitter_ms + STD_MS**2 / 2,
        *kinks,
    )
    assert outcome.latency_square_sum_ms2 is not None
    assert outcome.latency_square_sum_ms2.sum() == pytest.approx(100 * square, rel=1e-10)

    def within(latency_ms: float, z: float) -> float:
        return 1 - beyond(latency_ms - SLO_MS + late_ms(z))

    for time_ms in (40.0, 70.0, 99.0, 103.0):
        share = integral(partial(within, time_ms), *kinks, score(time_ms - FAR_MS), score(time_ms - NEAR_MS))
        assert outcome.latency.cdf(np.array([time_ms]))[0] == pytest.approx(share, abs=1e-9)


def test_the_bound_is_cut_where_service_and_jitter_are_too_long() -> None:
    outcome = under(ClairvoyantBound(), scenario())
    far_left, near_left = SLO_MS - FAR_MS, SLO_MS - NEAR_MS

    def within(limit_ms: float) -> float:
        return integral(lambda z: 1 - beyond(limit_ms - service_ms(z)), score(limit_ms), score(SERVICE.floor))

    late = 1 - within(near_left)
    assert outcome.requests[0, 0] == pytest.approx(
        [100 * (within(near_left) - within(far_left)), 100 * (within(far_left) + late)], abs=1e-8
    )
    assert outcome.violations[0, 0] == pytest.approx([0, 100 * late], abs=1e-10)

    def sum_ms(power: int, low_ms: float, high_ms: float) -> float:
        """Return E[(S + J)ᵏ], low < S + J ≤ high, from the survival of the sum."""

        def survival(time_ms: float) -> float:
            return 1 - within(time_ms)

        ends = low_ms**power * survival(low_ms) - high_ms**power * survival(high_ms)
        tail = quad(lambda t: power * t ** (power - 1) * survival(t), low_ms, high_ms, epsabs=1e-7)[0]
        return float(ends + tail)

    near_ms = sum_ms(1, far_left, near_left)
    share = within(near_left) - within(far_left)
    assert outcome.latency_sum_ms[0, 0, 0] == pytest.approx(100 * (near_ms + NEAR_MS * share), rel=1e-6)
    near_ms2 = sum_ms(2, far_left, near_left) + 2 * NEAR_MS * near_ms + NEAR_MS**2 * share
    assert outcome.latency_square_sum_ms2 is not None
    assert outcome.latency_square_sum_ms2[0, 0, 0] == pytest.approx(100 * near_ms2, rel=1e-6)
    quantile_ms = outcome.latency.quantile(0.9)
    assert within(quantile_ms - FAR_MS) < 0.9 < within(quantile_ms)


@pytest.mark.parametrize(
    "law",
    [
        SERVICE,
        Gamma(law="gamma", mean=35, std=20),
        Normal(law="normal", mean=35, std=0.01),
        Lognormal(law="lognormal", mean=35, std=0),
        measured(np.array([20.0, 30.0, 39.0, 40.0, 60.0])),
    ],
    ids=["normal", "gamma", "narrow", "fixed", "measured"],
)
def test_the_bound_with_a_jitter_of_each_pair(law: ServiceLaw) -> None:
    sigma = np.array([[0.8, 0.1]])
    jitter = PairLognormal(np.array([[NEAR_MS, FAR_MS]]), sigma)
    outcome = under(ClairvoyantBound(), scenario(law, jitter))

    def in_time(z: float, region: int) -> float:
        rtt_ms = RTT_MS[region]
        left_ms = SLO_MS - rtt_ms - max(0.0, rtt_ms * math.expm1(sigma[0, region] * z))
        return float(norm.cdf(law.score(np.array(left_ms))))

    edges = law.edges if law.steps is None else np.unique(law.steps)
    kinks = [
        float(jitter.score(np.array(SLO_MS - rtt_ms - edge), np.array(0), np.array(region)))
        for region, rtt_ms in enumerate(RTT_MS)
        for edge in edges
    ]
    in_far = integral(lambda z: in_time(z, 1), 0.0, *kinks)
    late = 1 - integral(lambda z: max(in_time(z, 0), in_time(z, 1)), 0.0, *kinks)
    assert outcome.requests[0, 0] == pytest.approx(
        [100 * (1 - in_far - late), 100 * (in_far + late)], abs=1e-3
    )
    assert outcome.violations.sum() == pytest.approx(100 * late, abs=1e-3)

    def near_ms(z: float, power: int) -> float:
        """Return E[latencyᵏ] of those that only the near region answers in time, given the jitter's score."""
        jitter_ms = [max(0.0, rtt_ms * math.expm1(sigma[0, r] * z)) for r, rtt_ms in enumerate(RTT_MS)]
        far, near = (np.array(SLO_MS - RTT_MS[r] - jitter_ms[r]) for r in (1, 0))
        if far >= near:
            return 0.0
        share, (once, twice) = in_time(z, 0) - in_time(z, 1), law.partial(near) - law.partial(far)
        latency_ms = NEAR_MS + jitter_ms[0]
        powers = once + latency_ms * share, twice + 2 * latency_ms * once + latency_ms**2 * share
        return float(powers[power - 1])

    first, second = (integral(partial(near_ms, power=power), 0.0, *kinks) for power in (1, 2))
    assert outcome.latency_sum_ms[0, 0, 0] == pytest.approx(100 * first, rel=1e-4, abs=1e-3)
    assert outcome.latency_square_sum_ms2 is not None
    assert outcome.latency_square_sum_ms2[0, 0, 0] == pytest.approx(100 * second, rel=1e-4, abs=1e-3)


def test_the_last_bit_decides_for_a_bound_with_a_jitter_of_each_pair() -> None:
    """Half of the requests have no jitter: they are in time in the far region, where the rounded sum is."""
    tenths = np.arange(1, 1000) / 10
    rtt_ms, service_ms = np.meshgrid(tenths, tenths)
    rounded = (rtt_ms + service_ms <= SLO_MS) & (service_ms > SLO_MS - rtt_ms) & (rtt_ms > 10)
    assert rounded.any()
    for far_ms, fixed_ms in zip(rtt_ms[rounded][::50], service_ms[rounded][::50], strict=True):
        rtt = np.array([[NEAR_MS, far_ms]])
        jitter = PairLognormal(rtt, np.full((1, 2), 0.1))
        inputs = scenario(Normal(law="normal", mean=fixed_ms, std=0), jitter)
        outcome = under(ClairvoyantBound(), replace(inputs, rtt_ms=rtt))
        assert outcome.requests[0, 0, 1] == pytest.approx(50, abs=1e-3)


class Strict:
    """A policy with < where others have ≤."""

    name = "strict"
    reads = frozenset({"rtt_ms", "carbon_g_per_kwh", "service_ms", "slo_ms"})

    def cost(self, view: View) -> np.ndarray:
        in_time = view.rtt_ms + view.service_ms[..., np.newaxis] < view.slo_ms[..., np.newaxis]
        return np.where(in_time, view.carbon_g_per_kwh, np.inf)

    def breaks_ms(self, view: View) -> np.ndarray:
        return view.slo_ms[..., np.newaxis] - view.rtt_ms


@pytest.mark.parametrize(
    ("law", "share"),
    [
        (Normal(law="normal", mean=40, std=0), 1.0),
        (Normal(law="normal", mean=30, std=10, floor=40), float(norm.cdf(1))),
        (measured(np.array([39.0, 40.0, 40.0, 41.0])), 0.5),
    ],
    ids=["fixed", "floor", "measured"],
)
@pytest.mark.parametrize("jitter_std_ms", [0.0, 3.0])
def test_a_service_time_on_the_limit_goes_where_the_policy_says(
    law: ServiceLaw, share: float, jitter_std_ms: float
) -> None:
    inputs = scenario(law, HalfNormal(std_ms=jitter_std_ms))  # 40 ms are just in time in the far region
    weak, strict = (under(policy, inputs) for policy in (ConstrainedHybrid(), Strict()))
    assert weak.requests[0, 0, 1] - strict.requests[0, 0, 1] == pytest.approx(100 * share)
    late = 0.0 if jitter_std_ms == 0 else 0.5
    assert weak.violations[0, 0, 1] - strict.violations[0, 0, 1] == pytest.approx(
        100 * share * late, abs=1e-4
    )


def test_the_last_bit_of_a_sum_decides_as_it_does_for_a_single_request() -> None:
    for rtt_ms, service, slo_ms in (
        (0.1, 0.2, 0.3),
        (0.3, 0.1, 0.4),
        (59.7, 40.3, 100.0),
        (65.1, 34.9, 100.0),
    ):
        inputs = scenario(Normal(law="normal", mean=service, std=0), HalfNormal(std_ms=0))
        inputs = replace(inputs, rtt_ms=np.array([[rtt_ms, rtt_ms]]), slo_ms=np.array([slo_ms]))
        (outcome,) = exact.run(inputs)
        assert outcome.violations.sum() == (100 if rtt_ms + service > slo_ms else 0)


def with_tokens() -> tuple[Inputs, Gamma, Normal]:
    """Return a scenario of requests with tokens, and the laws of prompts and answers."""
    prompts = Gamma(law="gamma", mean=100, std=60)
    answers = Normal(law="normal", mean=20, std=5)
    law = Tokens(
        law="tokens",
        overhead_ms=2,
        prefill_ms_per_token=0.2,
        decode_ms_per_token=0.5,
        prompt_tokens=prompts,
        answer_tokens=answers,
    )
    none, one = np.zeros(1), np.ones(2)
    energy = Energy(none, np.array([[0.3, 0.7]]), one, one, none, none)
    return replace(scenario(law), energy=energy), prompts, answers


def test_a_router_sees_prompts_and_not_answers() -> None:
    inputs, prompts, answers = with_tokens()
    outcome = under(ConstrainedHybrid(), inputs, "mean")
    longest = (SLO_MS - FAR_MS - 2 - 0.5 * answers.average()) / 0.2
    limit = float(prompts.score(np.array(longest)))
    assert outcome.requests[0, 0, 1] == pytest.approx(100 * norm.cdf(limit), rel=1e-9)

    def served_ms(z: float) -> float:
        prompt = float(prompts.at(np.array(z)))
        return 2 + 0.2 * prompt + 0.5 * answers.average() + (FAR_MS if prompt <= longest else NEAR_MS)

    mean_ms = integral(served_ms, limit) + STD_MS / math.sqrt(2 * math.pi)
    assert outcome.latency_sum_ms.sum() == pytest.approx(100 * mean_ms, rel=1e-8)
    # Those that go far have shorter prompts than others, and answers like all.
    tokens_j = 0.3 * prompts.partial(np.array(longest))[0] + 0.7 * answers.average() * norm.cdf(limit)
    assert outcome.emissions is not None
    grams = 100 * tokens_j / 3.6e6 * inputs.carbon.g_per_kwh[0, 1]
    assert outcome.emissions.operational_g[0, 0, 1] == pytest.approx(grams, rel=1e-8)
    seer = under(ConstrainedHybrid(), inputs)
    assert seer.emissions is not None
    every_j = 0.3 * prompts.average() + 0.7 * answers.average()
    by_carbon = (seer.emissions.operational_g[0, 0] / inputs.carbon.g_per_kwh[0]).sum() * 3.6e6
    assert by_carbon == pytest.approx(100 * every_j, rel=1e-5)
    fast_j = seer.emissions.operational_g[0, 0, 1] / seer.carbon_sum_g_per_kwh[0, 0, 1] * 3.6e6
    assert fast_j < 0.95 * every_j


class Frugal:
    """A policy that sends what takes more than so much energy to the far region."""

    name = "frugal"
    reads = frozenset({"rtt_ms", "energy_j"})

    def cost(self, view: View) -> np.ndarray:
        assert view.energy_j is not None
        far = view.energy_j[..., 0] > 50
        return np.stack([np.where(far, 1.0, 0.0), np.where(far, 0.0, 1.0)], axis=-1)


def test_a_router_reckons_energy_and_risk_by_the_prompt() -> None:
    inputs, prompts, answers = with_tokens()
    frugal = under(Frugal(), inputs, "mean")
    longest = (50 - 0.7 * answers.average()) / 0.3
    shares = 1 - norm.cdf(prompts.score(np.array(longest)))
    assert frugal.requests[0, 0, 1] == pytest.approx(100 * shares, rel=1e-9)

    careful = under(ConstrainedHybrid(max_violation=0.2), inputs, "mean")

    def risk(prompt: float) -> float:
        return integral(
            lambda z: beyond(SLO_MS - FAR_MS - 2 - 0.2 * prompt - 0.5 * float(answers.at(np.array(z)))),
            (SLO_MS - FAR_MS - 2 - 0.2 * prompt - 0.5 * answers.mean) / (0.5 * answers.std),
        )

    longest = float(brentq(lambda prompt: risk(prompt) - 0.2, 50, 250, xtol=1e-6))
    shares = norm.cdf(prompts.score(np.array(longest)))
    assert careful.requests[0, 0, 1] == pytest.approx(100 * shares, rel=1e-5)


def test_a_search_finds_a_narrow_piece_between_two_changes() -> None:
    class Third:
        name = "third"
        reads = frozenset({"rtt_ms", "service_ms"})

        def cost(self, view: View) -> np.ndarray:
            wanted = np.where(view.service_ms <= 35, 0, np.where(view.service_ms <= 35.001, 2, 1))
            return np.where(np.arange(3) == wanted[..., np.newaxis], 0.0, 1.0)

    inputs = scenario()
    carbon = np.ones((1, 3))
    inputs = replace(
        inputs,
        rtt_ms=np.array([[5.0, 60.0, 70.0]]),
        carbon=replace(inputs.carbon, g_per_kwh=carbon, measured_g_per_kwh=carbon),
    )
    outcome = under(Third(), inputs)
    share = norm.cdf(score(35.001)) - norm.cdf(score(35))
    assert outcome.requests[0, 0, 2] == pytest.approx(100 * share, rel=1e-6)
    assert outcome.requests[0, 0, 0] == pytest.approx(50, rel=1e-9)
