"""Service time from tokens: against closed forms, and what a router knows of it."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import integrate, stats

from carbonroute import rng
from carbonroute.workloads import Normal, ServiceLaw, Tokens

#: Two-sided, failure probability 1e-6.
Z = NormalDist().inv_cdf(1 - 0.5e-6)

Length = dict[str, Any]


def length(law: str, mean: float, std: float) -> Length:
    return {"law": law, "mean": mean, "std": std}


def tokens(prompt: Length | None, answer: Length, **changes: Any) -> Tokens:
    data: dict[str, Any] = {
        "law": "tokens",
        "prefill_ms_per_token": 0.5,
        "decode_ms_per_token": 20.0,
        "overhead_ms": 5.0,
        "answer_tokens": answer,
        "prompt_tokens": prompt,
        **changes,
    }
    law = TypeAdapter[Any](ServiceLaw).validate_python(data)
    assert isinstance(law, Tokens)
    return law


LOGNORMAL = tokens(length("lognormal", 1000, 1500), length("lognormal", 200, 150))


def test_the_time_is_linear_in_the_lengths() -> None:
    times_ms = LOGNORMAL.time_ms(np.array([[0.0], [1000.0]]), np.array([0.0, 1.0, 300.0]))
    assert times_ms.tolist() == [[5, 25, 6005], [505, 525, 6505]]


@pytest.mark.parametrize("z", [-5.0, 0.0, 5.0, 7.95])
def test_the_law_of_the_time_holds_to_the_far_end(z: float) -> None:
    """At a score z, the time is exceeded with probability Φ(−z), by quadrature over the prompt."""
    law = tokens(length("lognormal", 100, 50), length("gamma", 20, 20), decode_ms_per_token=5.0)
    sigma = math.sqrt(math.log1p(0.25))
    left_ms = float(law.at(np.array([z]))[0]) - 5.0

    def later(prompt_z: float) -> float:
        prompt = 100 * math.exp(sigma * prompt_z - sigma**2 / 2)
        answer = max(0.0, (left_ms - 0.5 * prompt) / 5)
        return float(stats.norm.pdf(prompt_z) * stats.expon.sf(answer, scale=20))

    # Where the sum is far out, it is by far the answer that is; pieces keep the quadrature's eyes on it.
    ends = np.linspace(-12, 12, 49)
    tail = math.fsum(
        integrate.quad(later, low, high, epsabs=0, epsrel=1e-10)[0] for low, high in pairwise(ends)
    )
    assert stats.norm.isf(tail) == pytest.approx(z, abs=1e-3)


def test_lengths_have_their_laws() -> None:
    z = np.linspace(-3, 3, 7)
    for found, mean, std in ((LOGNORMAL.prompt_at(z), 1000, 1500), (LOGNORMAL.answer_at(z), 200, 150)):
        sigma = math.sqrt(math.log1p((std / mean) ** 2))
        theory = stats.lognorm(s=sigma, scale=mean * math.exp(-(sigma**2) / 2))
        np.testing.assert_allclose(found, theory.ppf(stats.norm.cdf(z)), rtol=1e-9)


@pytest.mark.parametrize("law", ["lognormal", "gamma", "normal"])
def test_an_estimate_knows_the_prompt_and_of_the_answer_the_law(law: str) -> None:
    model = tokens(None, length(law, 200, 20))
    prompts, n = np.array([10.0, 4000.0]), 100_000
    assert model.per_request
    assert model.file is None
    assert model.read(Path()) is model
    answers = model.answer_at(rng.stream(5, f"test answers {law}").standard_normal(n))
    for prompt, mean_ms, late_ms in zip(
        prompts, model.estimate_ms(prompts), model.estimate_ms(prompts, 0.9), strict=True
    ):
        actual_ms = model.time_ms(prompt, answers)
        assert actual_ms.mean() == pytest.approx(mean_ms, abs=Z * 20 * 20 / math.sqrt(n))
        late = np.count_nonzero(actual_ms > late_ms)
        assert late == pytest.approx(0.1 * n, abs=Z * math.sqrt(0.09 * n))
    assert model.estimate_ms(prompts).tolist() == pytest.approx([4010, 6005], rel=1e-12)


def test_its_average_is_the_mean_of_what_is_drawn() -> None:
    law, n = tokens(length("gamma", 1000, 800), length("normal", 200, 40)), 200_000
    z = rng.stream(6, "test tokens").standard_normal((2, n))
    times_ms = law.time_ms(law.prompt_at(z[0]), law.answer_at(z[1]))
    assert law.average() == pytest.approx(5 + 500 + 4000, rel=1e-6)  # a floor 5 deviations below adds little
    tolerance = Z * math.hypot(0.5 * 800, 20 * 40) / math.sqrt(n)
    assert times_ms.mean() == pytest.approx(law.average(), abs=tolerance)
    for share in (0.05, 0.5, 0.95):  # the law when neither length is known, by as many draws
        within = np.count_nonzero(times_ms <= law.quantile(share))
        assert within == pytest.approx(n * share, abs=Z * math.sqrt(n * share * (1 - share)))


#: The overall law is worked out at scores this far apart, and straight in between: it errs by an eighth of
#: the square times the second derivative.
KNOTS = math.sqrt(2) * 2 * 8.25 / 1000


@pytest.mark.parametrize(
    ("prompt", "answer", "theory", "jump"),
    [
        # Lengths of the same scale in ms add up to a gamma law. An exponential's density begins with a jump,
        # which a sum over scores 0.041 apart meets with an error of that square.
        (length("gamma", 4000, 2000), length("gamma", 100, 50), stats.gamma(8, scale=500), 0),
        (length("gamma", 4000, 2000), length("gamma", 25, 25), stats.gamma(5, scale=500), 0),
        (length("gamma", 4000, 4000), length("gamma", 100, 100), stats.gamma(2, scale=2000), 1),
        # Normal times add up to a normal one, and straight lines are exact.
        (length("normal", 9000, 400), length("normal", 200, 9), stats.norm(8500, math.hypot(200, 180)), 0),
    ],
)
def test_the_overall_law_is_that_of_the_sum(prompt: Length, answer: Length, theory: Any, jump: float) -> None:
    law, z = tokens(prompt, answer), np.linspace(-5, 5, 1001)
    times_ms = np.where(z < 0, theory.ppf(stats.norm.cdf(z)), theory.isf(stats.norm.sf(z)))
    bend = np.abs(np.diff(times_ms, 2) / 0.01**2 / times_ms[1:-1]).max()
    digits = KNOTS**2 / 8 * bend + jump * 0.041**2 + 1e-9
    np.testing.assert_allclose(law.at(z) - 5, times_ms, rtol=digits)
    assert law.quantile(0.95) == pytest.approx(5 + theory.ppf(0.95), rel=digits)


@pytest.mark.parametrize("prompt", [length("lognormal", 50, 10), length("lognormal", 1e5, 2e5)])
@pytest.mark.parametrize("answer", [length("lognormal", 2, 0.001), length("gamma", 200, 150)])
def test_the_overall_law_has_the_average(prompt: Length, answer: Length) -> None:
    law, z = tokens(prompt, answer), np.linspace(-8, 8, 160_001)
    weight = np.exp(-z * z / 2)
    bend = math.log(5)  # of a lognormal with a std of 2 means, σ²; the other laws bend less
    digits = KNOTS**2 / 8 * bend
    assert (law.at(z) * weight).sum() / weight.sum() == pytest.approx(law.average(), rel=digits)


@pytest.mark.parametrize(
    ("law", "factor", "part"),
    [
        (tokens(length("gamma", 100, 0.001), length("gamma", 9, 3), prefill_ms_per_token=0), 20, "answer"),
        (tokens(length("normal", 400, 0), length("gamma", 9, 3)), 20, "answer"),
        (tokens(length("gamma", 100, 60), length("lognormal", 9, 0)), 0.5, "prompt"),
    ],
)
def test_with_one_length_fixed_it_is_the_law_of_the_other(law: Tokens, factor: float, part: str) -> None:
    z = np.linspace(-6, 6, 101)
    varying = law.answer_at(z) if part == "answer" else law.prompt_at(z)
    expected = law.average() + factor * (varying - (9 if part == "answer" else 100))
    np.testing.assert_allclose(law.at(z), expected, rtol=1e-12)


@settings(max_examples=15)
@given(
    prompt=st.tuples(st.floats(1, 1e5), st.floats(0.001, 3)),
    answer=st.tuples(st.floats(1, 1e4), st.floats(0.001, 3)),
    names=st.tuples(*[st.sampled_from(["lognormal", "gamma", "normal"])] * 2),
)
def test_the_overall_law_rises_from_the_shortest_to_the_longest_time(
    prompt: tuple[float, float], answer: tuple[float, float], names: tuple[str, str]
) -> None:
    laws = [length(name, m, cv * m) for name, (m, cv) in zip(names, (prompt, answer), strict=True)]
    law, z = tokens(laws[0], laws[1]), np.linspace(-8, 8, 33)
    times_ms = law.at(z)
    assert (np.diff(times_ms) >= 0).all()
    assert times_ms[0] >= 5
    assert np.isfinite(times_ms).all()
    # The sum exceeds that of both upper quartiles only if a part exceeds its own: 1 − 0.75² < 1/2.
    z = NormalDist().inv_cdf(0.75) * np.array([-1.0, 1.0])
    shortest, longest = law.time_ms(law.prompt_at(z), law.answer_at(z))
    assert shortest * (1 - 1e-3) <= law.quantile(0.5) <= longest * (1 + 1e-3)


def test_a_law_is_a_value() -> None:
    law = tokens(length("lognormal", 1000, 1500), length("lognormal", 200, 150))
    before = pickle.dumps(law)
    law.quantile(0.5)
    assert law == LOGNORMAL == pickle.loads(before)
    assert hash(law) == hash(LOGNORMAL)


def test_without_a_law_of_prompts_it_needs_the_prompt() -> None:
    law = tokens(None, length("gamma", 200, 150))
    assert law.estimate_ms(np.array(100.0)) == 5 + 50 + 4000
    z = np.zeros(1)
    for use in (law.average, lambda: law.quantile(0.5), lambda: law.at(z), lambda: law.prompt_at(z)):
        with pytest.raises(RuntimeError, match="no prompt_tokens: its prompts come with the traffic"):
            use()


def test_lengths_may_have_a_floor() -> None:
    answer = {**length("normal", 10, 40), "floor": 1.0}
    law = tokens(length("normal", 100, 10), answer)
    assert law.answer_at(np.array(-8.0)) == 1
    assert law.average() == pytest.approx(5 + 50 + 20 * Normal(**answer).average(), rel=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        {"decode_ms_per_token": 0.0},
        {"decode_ms_per_token": -1.0},
        {"prefill_ms_per_token": -1.0},
        {"overhead_ms": -1.0},
        {"decode_ms_per_token": math.nan},
        {"prefill_ms_per_token": "0.5"},
        {"answer_tokens": None},
        {"answer_tokens": 200},
        {"answer_tokens": {"law": "poisson", "mean": 200}},
        {"answer_tokens": length("gamma", 200, 0)},
        {"answer_tokens": length("lognormal", 0, 1)},
        {"answer_tokens": {"law": "empirical", "path": "a.csv", "column": "a", "unit": "ms"}},
        {"prompt_tokens": length("normal", 10, -1)},
        {"mean": 5},
    ],
)
def test_a_law_that_cannot_be_meant_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        tokens(length("gamma", 1000, 800), length("gamma", 200, 150), **change)


def test_a_time_beyond_belief_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected time of 2e\+10 ms; up to 1e\+09 is expected"):
        tokens(None, length("gamma", 1e9, 1e9))
