"""The exact engine against the sampled one, on random scenarios; and what it must not depend on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.control.information import Information
from carbonroute.engines import exact, sampled
from carbonroute.engines.conditioning import Conditioning
from carbonroute.engines.unsupported import unsupported
from carbonroute.errors import InputError
from carbonroute.network import PairLognormal
from carbonroute.outcome import Mixture, Outcome
from carbonroute.outcome.mixture import Groups
from carbonroute.policies import Policy, View
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.scenario import Inputs, load, resolve
from helpers.blind import blinded
from helpers.grids import grid
from helpers.hourly import expected_requests
from helpers.random_inputs import random_inputs
from helpers.scenarios import Document, inputs_of

#: Probability that a right engine fails one comparison: some 10⁵ of them fail by chance less than once in 10⁶
#: times, all together.
RARE = 1e-11
#: Standard errors of a mean that is not bounded: as rare for a normal, and room for the skewness of 20,000
#: requests of these laws.
FAR = 9.0


def workable(inputs: Inputs) -> Inputs:
    """Return a scenario without the policies that the engine cannot work out."""
    return replace(
        inputs,
        candidates=tuple(candidate for candidate in inputs.candidates if not unsupported(inputs, candidate)),
    )


def assert_probable(found: np.ndarray, expected: np.ndarray, n: int, what: str) -> None:
    """Assert that numbers of independent events are not too far from what is expected of n requests.

    Sums of independent events whose probabilities differ stray no further than those whose do not: Hoeffding,
    Annals of Mathematical Statistics 27 (1956).
    """
    from scipy.stats import binom

    share = np.clip(expected / n, 0, 1)
    tail = np.minimum(binom.cdf(found, n, share), binom.sf(found - 1, n, share))
    sure = (share < 1e-15) | (share > 1 - 1e-12)  # rounding of what never happens
    assert (tail[~sure] > RARE).all(), (what, found, expected)
    assert (np.abs(found - expected)[sure] <= 1e-6 * n).all(), (what, found, expected)


def assert_mean(found: float, mean: float, square: float, bound: float, n: int, what: str) -> None:
    """Assert that the mean of n values is not too far from what is expected, by Bernstein's inequality."""
    log = math.log(2 / RARE)
    variance = max(0.0, square - mean**2)
    reach = bound * log / (3 * n)
    assert abs(found - mean) <= reach + math.sqrt(reach**2 + 2 * variance * log / n) + 1e-9 * bound, what


def assert_agree(inputs: Inputs, mine: Outcome, drawn: Outcome) -> None:
    """Assert that sampled requests are what is expected of them, given how many came."""
    n, expected = int(drawn.requests.sum()), float(mine.requests.sum())
    assert expected == pytest.approx(inputs.arrivals.count)
    per_request, what = n / expected, f"{inputs.scenario.name}, {mine.policy}"
    assert_probable(drawn.requests, mine.requests * per_request, n, f"requests: {what}")
    assert_probable(drawn.violations, mine.violations * per_request, n, f"violations: {what}")

    carbon, highest = mine.carbon_sum_g_per_kwh.sum() / expected, inputs.carbon.g_per_kwh.max()
    assert mine.carbon_square_sum is not None
    square = mine.carbon_square_sum.sum() / expected
    assert_mean(drawn.carbon_sum_g_per_kwh.sum() / n, carbon, square, highest, n, f"carbon: {what}")

    latency_ms, found_ms = mine.latency_sum_ms.sum() / expected, drawn.latency_sum_ms.sum() / n
    assert mine.latency_square_sum_ms2 is not None
    std_ms = math.sqrt(max(0.0, mine.latency_square_sum_ms2.sum() / expected - latency_ms**2))
    assert abs(found_ms - latency_ms) <= FAR * std_ms / math.sqrt(n) + 1e-9 * latency_ms, f"latency: {what}"
    assert mine.latency.mean() == pytest.approx(latency_ms, rel=1e-9)

    # P(sup |F − F̂| ≥ λ/√n) ≤ 2e·exp(−2λ²): Bretagnolle, Lecture Notes in Mathematics 850 (1981).
    points_ms = np.linspace(0, max(drawn.latency.quantile(1.0), 1.0) * 1.001, 300)
    furthest = math.sqrt(math.log(2 * math.e / RARE) / (2 * n))
    assert np.abs(mine.latency.cdf(points_ms) - drawn.latency.cdf(points_ms)).max() <= furthest, (
        f"cdf: {what}"
    )
    p95_ms = mine.latency.quantile(0.95)
    below, up_to = drawn.latency.cdf(np.array([p95_ms * (1 - 1e-6), p95_ms * (1 + 1e-6)]))
    assert below - furthest <= 0.95 <= up_to + furthest, f"95th percentile: {what}"

    if mine.emissions is not None and drawn.emissions is not None and not inputs.site.has_tokens:
        # Grams are carbon times a factor and a constant, by workload and region.
        highest_g = (mine.emissions.total_g / np.maximum(mine.carbon_sum_g_per_kwh, 1e-300)).max() * highest
        grams, found_g = mine.emissions.total_g.sum() / expected, drawn.emissions.total_g.sum() / n
        assert_mean(found_g, grams, highest_g * grams, highest_g, n, f"grams: {what}")
    elif mine.emissions is not None and drawn.emissions is not None:
        assert drawn.emissions.total_g.sum() / n == pytest.approx(
            mine.emissions.total_g.sum() / expected, rel=0.15
        )


def compare(number: int, requests: int) -> None:
    inputs = workable(random_inputs(number, requests))
    for mine, drawn in zip(exact.run(inputs), sampled.run(inputs), strict=True):
        assert_agree(inputs, mine, drawn)


@pytest.mark.parametrize("number", grid([0, 4, 1, 5, 2, 6, 3, 7], one_of=2))
def test_sampled_requests_are_what_is_expected(number: int) -> None:
    compare(number, 20_000)


@pytest.mark.full
@pytest.mark.parametrize("number", range(100, 300))
def test_sampled_requests_are_what_is_expected_on_many_scenarios(number: int) -> None:
    compare(number, 100_000)


def simple(**changes: Any) -> Document:
    """Return a scenario of one origin and workload and two regions, the farther of them cleaner."""
    document: Document = {
        "schema": 1,
        "name": "simple",
        "horizon": {"hours": 3},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": 1000},
        "carbon": {"kind": "synthetic", "diurnal_amplitude": 0.5},
        "network": {"jitter_std_ms": 3, "rtt_ms": {"o": {"near": 5, "far": 60}}},
        "origins": [{"name": "o", "share": 1.0}],
        "regions": [
            {"name": "near", "carbon_g_per_kwh": 400, "pue": 1.5},
            {"name": "far", "carbon_g_per_kwh": 40},
        ],
        "workloads": [
            {
                "id": "w",
                "name": "w",
                "model": "w",
                "share": 1.0,
                "slo_ms": 100,
                "service_ms": {"law": "normal", "mean": 35, "std": 8, "floor": 1},
                "energy_j": 2,
            }
        ],
        "information": {"service_time": "actual"},
        "policies": [{"use": "constrained-hybrid"}, {"use": "clairvoyant-bound"}, {"use": "random"}],
    }
    return {**document, **changes}


def averages(outcome: Outcome) -> np.ndarray:
    """Return all that is per request of an outcome, by origin × workload × region and in all."""
    assert outcome.emissions is not None
    count = outcome.requests.sum()
    sums = (
        outcome.requests,
        outcome.violations,
        outcome.latency_sum_ms,
        outcome.carbon_sum_g_per_kwh,
        outcome.emissions.total_g,
        outcome.latency_square_sum_ms2,
        outcome.carbon_square_sum,
    )
    return np.stack([part / count for part in sums if part is not None])


def test_averages_do_not_depend_on_the_rate() -> None:
    one, many = (
        exact.run(inputs_of(simple(traffic={"kind": "fixed-rate", "requests_per_hour": rate})))
        for rate in (1, 10**9)
    )
    for few_requests, many_requests in zip(one, many, strict=True):
        np.testing.assert_allclose(averages(few_requests), averages(many_requests), rtol=1e-12)
        for share in (0.5, 0.95, 1.0):
            few_ms, many_ms = (outcome.latency.quantile(share) for outcome in (few_requests, many_requests))
            assert few_ms == pytest.approx(many_ms, rel=1e-9)


def test_poisson_requests_are_expected_as_fixed_ones_are() -> None:
    fixed = exact.run(inputs_of(simple()))
    poisson = exact.run(inputs_of(simple(traffic={"kind": "poisson", "requests_per_hour": 1000})))
    for one, other in zip(fixed, poisson, strict=True):
        np.testing.assert_allclose(averages(one), averages(other), rtol=1e-12)


def turned(inputs: Inputs) -> Inputs:
    """Return a scenario with its regions in reverse order."""
    order, carbon, energy, jitter = slice(None, None, -1), inputs.carbon, inputs.energy, inputs.jitter
    assert energy is not None
    assert carbon.reference_g_per_kwh is not None
    if isinstance(jitter, PairLognormal):
        jitter = PairLognormal(jitter.p50_ms[:, order], jitter.sigma[:, order])
    changed = replace(
        inputs,
        rtt_ms=inputs.rtt_ms[:, order],
        carbon=replace(
            carbon,
            g_per_kwh=carbon.g_per_kwh[:, order],
            measured_g_per_kwh=carbon.measured_g_per_kwh[:, order],
            reference_g_per_kwh=carbon.reference_g_per_kwh[order],
        ),
        energy=replace(energy, hardware_factor=energy.hardware_factor[order], pue=energy.pue[order]),
        jitter=jitter,
    )
    candidates = (changed.candidate(c.label, c.policy, c.information) for c in inputs.candidates)
    return replace(changed, candidates=tuple(candidates))


@pytest.mark.parametrize("number", [2, 3, 5, 6])
def test_the_order_of_regions_does_not_matter(number: int) -> None:
    inputs = workable(random_inputs(number, 100))
    assert inputs.energy is not None
    apart = inputs.rtt_ms + 1e-3 * np.arange(inputs.shape[3])  # without ties, which the first region wins
    inputs = replace(inputs, rtt_ms=apart, energy=replace(inputs.energy, request_j=np.ones(inputs.shape[2])))
    for one, other in zip(exact.run(inputs), exact.run(turned(inputs)), strict=True):
        np.testing.assert_allclose(
            averages(one), averages(other)[..., ::-1], rtol=1e-6, atol=1e-9, err_msg=one.policy
        )


def test_hours_that_are_alike_count_as_one() -> None:
    alike = {"kind": "synthetic", "diurnal_amplitude": 0, "noise": 0}
    one, many = (exact.run(inputs_of(simple(carbon=alike, horizon={"hours": hours}))) for hours in (1, 1000))
    for hour, hours in zip(one, many, strict=True):
        np.testing.assert_allclose(averages(hour), averages(hours), rtol=1e-12)
        assert isinstance(hour.latency, Mixture)
        assert isinstance(hours.latency, Mixture)
        assert len(hours.latency.groups) == len(hour.latency.groups)


def test_counted_requests_take_the_place_of_expected_ones() -> None:
    inputs = inputs_of(simple())
    counts = np.array([10, 0, 5]).reshape(3, 1, 1)
    carbon = inputs.carbon.g_per_kwh
    for outcome in exact.run(inputs, requests=counts):
        assert outcome.requests.sum() == pytest.approx(15)
    (split,) = (outcome for outcome in exact.run(inputs, requests=counts) if outcome.policy == "Random")
    np.testing.assert_allclose(split.requests, [[[7.5, 7.5]]])
    carbon_sum = split.carbon_sum_g_per_kwh[0, 0]
    np.testing.assert_allclose(carbon_sum, 5 * carbon[0] + 2.5 * carbon[2], rtol=1e-12)
    (random,) = (candidate for candidate in inputs.candidates if candidate.label == "Random")
    by_hour = expected_requests(inputs, random, counts)
    np.testing.assert_allclose(by_hour[:, 0], np.array([[5, 5], [0, 0], [2.5, 2.5]]))


@pytest.mark.parametrize("number", [1, 4, 6])
def test_hours_add_up_and_may_be_worked_out_in_parts(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = workable(random_inputs(number, 1000))
    at_once = exact.run(inputs)
    monkeypatch.setattr(exact, "_AT_ONCE", 1)
    expected = inputs.arrivals.expected().sum(axis=(1, 2))
    for one, other, candidate in zip(at_once, exact.run(inputs), inputs.candidates, strict=True):
        np.testing.assert_allclose(averages(one), averages(other), rtol=1e-9, atol=1e-15)
        by_hour = expected_requests(inputs, candidate)
        np.testing.assert_allclose(by_hour.sum(axis=0), one.requests.sum(axis=0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(by_hour.sum(axis=(1, 2)), expected, rtol=1e-9)


def test_policies_that_decide_alike_have_the_same_figures_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = simple(
        horizon={"hours": 100},
        policies=[
            {"use": "carbon-first"},
            {"use": "constrained-hybrid", "label": "seer"},
            {"use": "constrained-hybrid", "label": "honest", "information": {"service_time": "mean"}},
            {"use": "clairvoyant-bound"},
        ],
    )
    document["workloads"][0]["slo_ms"] = 1000
    monkeypatch.setattr(exact, "_AT_ONCE", 56)  # other parts for those who see more
    one, *others = exact.run(inputs_of(document))
    assert one.requests[0, 0, 1] == pytest.approx(100_000)
    for other in others:
        np.testing.assert_array_equal(averages(one), averages(other))
        assert one.latency.quantile(0.95) == other.latency.quantile(0.95)


def test_no_requests_are_no_trouble() -> None:
    for outcome in exact.run(inputs_of(simple()), requests=np.zeros((3, 1, 1))):
        assert not outcome.requests.any()
        assert math.isnan(outcome.latency.quantile(0.95))
        assert math.isnan(outcome.latency.mean())


def test_progress_is_told_in_hours_and_policies() -> None:
    told: list[tuple[int, int]] = []
    exact.run(inputs_of(simple()), lambda *done: told.append(done))
    assert told[-1] == (9, 9)
    assert told == sorted(told)


def test_blind_hours_are_routed_by_latency() -> None:
    inputs = inputs_of(simple())
    hybrid = inputs.candidates[0]
    unknown, known = (
        expected_requests(inputs, candidate) for candidate in (blinded(hybrid, [False, True, False]), hybrid)
    )
    np.testing.assert_allclose(unknown[1], [[1000, 0]])
    np.testing.assert_allclose(unknown[0], known[0])
    assert known[1, 0, 1] > 500


def refusal(inputs: Inputs) -> str:
    with pytest.raises(InputError) as caught:
        exact.run(inputs)
    return str(caught.value)


class Unsaid(Policy):
    """An oracle that does not tell where its choice changes."""

    reads = frozenset({"rtt_ms", "service_ms", "slo_ms", "jitter_ms"})
    oracle = True

    def cost(self, view: View) -> np.ndarray:
        return view.rtt_ms


class Torn(Policy):
    """A policy that goes by service time and energy."""

    reads = frozenset({"rtt_ms", "service_ms", "energy_j"})

    def cost(self, view: View) -> np.ndarray:
        return view.rtt_ms


TOKENS = {
    "law": "tokens",
    "prefill_ms_per_token": 0.1,
    "decode_ms_per_token": 1,
    "prompt_tokens": {"law": "gamma", "mean": 100, "std": 50},
    "answer_tokens": {"law": "gamma", "mean": 20, "std": 20},
}


def with_tokens(**changes: Any) -> Document:
    document = simple(**changes)
    del document["workloads"][0]["energy_j"]
    document["workloads"][0] |= {
        "service_ms": TOKENS,
        "energy_j_per_answer_token": 0.01,
        "payload_mb": 1,
    }
    document["network"]["energy_j_per_gb"] = 1000
    return document


def test_all_that_cannot_be_worked_out_is_refused_at_once() -> None:
    inputs = inputs_of(with_tokens(policies=[{"use": "round-robin"}, {"use": "latency-first"}]))
    # In one hour the near region is cleaner, but less efficient: it depends on the tokens.
    carbon = np.array([[400.0, 40.0], [40.0, 50.0], [400.0, 40.0]])
    inputs = replace(inputs, carbon=replace(inputs.carbon, g_per_kwh=carbon, measured_g_per_kwh=carbon))
    more = (Unsaid(), Torn(), ClairvoyantBound())
    candidates = tuple(inputs.candidate(p.name, p, Information.spelled(service_time="actual")) for p in more)
    arrivals = replace(inputs.arrivals, own="requests of log.csv bring their own service times")
    whole = replace(inputs, candidates=inputs.candidates + candidates, arrivals=arrivals)
    remedy = "leave it out, or take --engine sampled"
    found = {
        "traffic": "requests of log.csv bring their own service times",
        "policies[0]": "Round-Robin goes by the order of requests, which expected values do not have",
        "policies[2]": "Unsaid is shown jitter, and does not state where its choice changes (breaks_ms)",
        "policies[3]": "Torn goes by a request's own service time and by its prompt: only one of them can be "
        "integrated over",
        "policies[4]": "Clairvoyant bound goes by the energy of a request's own tokens, and they change "
        "which region takes the least grams",
    }
    told = {place: f"  {place}: {what}; {remedy}" for place, what in found.items()}
    told["traffic"] = (
        f"  traffic: {found['traffic']}; only the sampled engine knows them: take --engine sampled"
    )
    assert refusal(whole).splitlines() == ["simple: 5 faults", *told.values()]


def test_requests_with_prompts_of_their_own_are_refused_as_such() -> None:
    inputs = inputs_of(with_tokens())
    law = inputs.laws[0].model_copy(update={"prompt_tokens": None})
    arrivals = replace(inputs.arrivals, own="requests of log.csv bring their own prompt tokens")
    message = refusal(replace(inputs, laws=(law,), arrivals=arrivals))
    assert message.startswith("simple: traffic: requests of log.csv bring their own prompt tokens; only the")


@pytest.mark.parametrize("field", ["energy_j", "violation_share"])
def test_what_a_policy_reads_stands_in_the_way_only_where_it_depends_on_tokens(field: str) -> None:
    class Torn(Policy):
        reads = frozenset({"rtt_ms", "service_ms", field})

        def cost(self, view: View) -> np.ndarray:
            return view.rtt_ms

    for document, refused in ((with_tokens(), True), (simple(), False)):
        inputs = inputs_of(document)
        candidate = inputs.candidate("torn", Torn(), Information.spelled(service_time="actual"))
        assert bool(unsupported(inputs, candidate)) is refused
        assert not unsupported(inputs, inputs.candidate("torn", Torn(), Information()))


def test_an_oracle_whose_order_tokens_do_not_change_is_worked_out() -> None:
    inputs = inputs_of(with_tokens(policies=[{"use": "clairvoyant-bound"}]))
    (outcome,) = exact.run(inputs)
    assert outcome.requests.sum() == pytest.approx(3000)


class Silent(Policy):
    """Constrained Hybrid that does not tell where its choice changes."""

    reads = frozenset({"rtt_ms", "carbon_g_per_kwh", "service_ms", "slo_ms"})

    def cost(self, view: View) -> np.ndarray:
        in_time = view.rtt_ms + view.service_ms[..., np.newaxis] <= view.slo_ms[..., np.newaxis]
        return np.where(in_time, view.carbon_g_per_kwh, np.inf)


@pytest.mark.parametrize("number", [1, 3, 4, 8])
def test_a_search_finds_what_a_policy_would_have_told(number: int) -> None:
    inputs = random_inputs(number, 100)
    told = inputs.candidate("told", ConstrainedHybrid(), Information.spelled(service_time="actual"))
    silent = inputs.candidate("silent", Silent(), Information.spelled(service_time="actual"))
    inputs = replace(inputs, candidates=(told, silent))
    one, other = exact.run(inputs)
    np.testing.assert_allclose(averages(one), averages(other), rtol=1e-9, atol=1e-12)
    (note,) = exact.notes(inputs)
    assert note.startswith("silent does not tell where its choice changes (breaks_ms): it was searched for")


def test_whole_cells_are_worked_out_once_for_all_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on origin, workload and region alone is the same under every policy."""
    asked: list[int] = []
    late = Conditioning.late

    def counted(self: Conditioning, groups: Groups) -> Array:
        asked.append(len(groups))
        return late(self, groups)

    monkeypatch.setattr(Conditioning, "late", counted)
    inputs = resolve(load("published", {"horizon.hours": 3}))
    routers = tuple(each for each in inputs.candidates if not each.sees_requests)
    outcomes = exact.run(replace(inputs, candidates=routers + routers))
    monkeypatch.undo()
    alone = [exact.run(replace(inputs, candidates=(each,)))[0] for each in routers]
    assert len(routers) > 2
    assert sum(asked) <= math.prod(inputs.site.shape)
    for outcome, again, own in zip(outcomes, outcomes[len(routers) :], alone, strict=False):
        assert (outcome.violations == again.violations).all()
        np.testing.assert_allclose(outcome.violations, own.violations, rtol=1e-12)
