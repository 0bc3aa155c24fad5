"""The way back from a value to its probability, and what values up to one amount to, for every law."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from carbonroute import rng
from carbonroute.arrays import Array, Index
from carbonroute.workloads import By, Distribution, Empirical, Gamma, Law, Lognormal, Normal, Tokens
from carbonroute.workloads.integrals import FARTHEST, over_scores
from carbonroute.workloads.piecewise import Piecewise
from helpers.grids import examples

Length = Normal | Lognormal | Gamma


def normal(mean: float, std: float, floor: float = 0.0) -> Normal:
    return Normal(law="normal", mean=mean, std=std, floor=floor)


def lognormal(mean: float, std: float) -> Lognormal:
    return Lognormal(law="lognormal", mean=mean, std=std)


def gamma(mean: float, std: float) -> Gamma:
    return Gamma(law="gamma", mean=mean, std=std)


def tokens(prompt: Length, answer: Length, prefill_ms: float = 0.5) -> Tokens:
    return Tokens(
        law="tokens",
        prefill_ms_per_token=prefill_ms,
        decode_ms_per_token=20.0,
        overhead_ms=5.0,
        prompt_tokens=prompt,
        answer_tokens=answer,
    )


def empirical(folder: Path, times_ms: list[float]) -> Empirical:
    (folder / "times.csv").write_text("ms\n" + "".join(f"{time}\n" for time in times_ms), encoding="utf-8")
    return Empirical(law="empirical", path="times.csv", column="ms", unit="ms").read(folder)


#: Laws without a floor, and the same laws by SciPy.
THEORY = [
    (normal(500, 12), stats.norm(500, 12)),
    (lognormal(18, 9), stats.lognorm(s=math.sqrt(math.log(1.25)), scale=18 / math.sqrt(1.25))),
    (lognormal(18, 180), stats.lognorm(s=math.sqrt(math.log(101)), scale=18 / math.sqrt(101))),
    (gamma(60, 12), stats.gamma(25, scale=2.4)),
    (gamma(40, 40), stats.expon(scale=40)),
    (gamma(10, 30), stats.gamma(1 / 9, scale=90)),
]
ONE_VARIES = [
    tokens(normal(400, 0), gamma(9, 3)),
    tokens(normal(400, 90), gamma(9, 3), prefill_ms=0.0),
    tokens(lognormal(400, 300), lognormal(9, 0)),
]
BOTH_VARY = tokens(lognormal(1000, 1500), lognormal(200, 150))
SMOOTH: list[Law] = [law for law, _ in THEORY] + [*ONE_VARIES, BOTH_VARY]


@pytest.mark.parametrize("law", SMOOTH, ids=str)
def test_score_is_the_way_back_of_at(law: Law) -> None:
    z = np.linspace(-4, 7, 111)
    np.testing.assert_allclose(law.score(law.at(z)), z, atol=1e-7)
    np.testing.assert_allclose(law.at(law.score(law.at(z))), law.at(z), rtol=1e-9)


@pytest.mark.parametrize(("law", "theory"), THEORY, ids=[str(law) for law, _ in THEORY])
def test_scores_and_shares_are_those_of_the_law(law: Law, theory: Any) -> None:
    z = np.linspace(-7, 7, 57)
    values = np.where(z < 0, theory.ppf(stats.norm.cdf(z)), theory.isf(stats.norm.sf(z)))
    np.testing.assert_allclose(law.score(values), z, atol=1e-8)
    np.testing.assert_allclose(law.beyond(values), theory.sf(values), rtol=1e-9)
    low, high = values[:-3], values[3:]
    expected = np.where(
        low > theory.median(), theory.sf(low) - theory.sf(high), theory.cdf(high) - theory.cdf(low)
    )
    np.testing.assert_allclose(law.between(low, high), expected, rtol=1e-8)
    assert law.between(high, low).max() == 0


@pytest.mark.parametrize("law", [*SMOOTH, normal(18, 4, 16), normal(18, 4, 40)], ids=str)
def test_everything_lies_between_minus_and_plus_infinity(law: Law) -> None:
    ends = np.array([-np.inf, -1.0, np.inf])
    assert stats.norm.cdf(law.score(ends)).tolist() == [0, 0, 1]
    assert law.beyond(ends).tolist() == [1, 1, 0]
    first, second = law.partial(ends)
    assert first[:2].tolist() == second[:2].tolist() == [0, 0]
    assert first[2] == pytest.approx(law.average(), rel=1e-9)


def test_the_floor_has_a_score_of_its_own() -> None:
    law = normal(18, 4, 16)
    assert law.score(np.array([15.999, 16, 18])).tolist() == [-np.inf, -0.5, 0]
    assert normal(18, 4, 40).score(np.array([39.9, 40])).tolist() == [-np.inf, 5.5]


FIXED: list[Law] = [
    normal(18, 0),
    normal(18, 0, 20),
    lognormal(18, 0),
    tokens(normal(10, 0), lognormal(3, 0)),
]


@pytest.mark.parametrize("law", FIXED, ids=str)
def test_a_fixed_value_is_a_step(law: Law) -> None:
    (value,) = law.at(np.zeros(1))
    around = np.array([np.nextafter(value, 0), value, np.nextafter(value, np.inf)])
    assert law.score(around).tolist() == [-np.inf, np.inf, np.inf]
    assert law.beyond(around).tolist() == [1, 0, 0]
    assert law.steps is not None
    assert law.steps.tolist() == [value]
    np.testing.assert_allclose(law.partial(around), [[0, value, value], [0, value**2, value**2]], rtol=1e-12)


@pytest.mark.parametrize("law", [*SMOOTH, normal(18, 4, 16)], ids=str)
def test_what_has_no_end_of_values_has_no_steps(law: Law) -> None:
    assert law.steps is None


@settings(max_examples=examples(50))
@given(
    times_ms=st.lists(st.floats(0.1, 1e6), min_size=2, max_size=40),
    value=st.floats(-1, 1.1e6),
)
def test_measured_times_are_counted(
    tmp_path_factory: pytest.TempPathFactory, times_ms: list[float], value: float
) -> None:
    law = empirical(tmp_path_factory.mktemp("times"), times_ms)
    asked = np.array([value, *times_ms])
    for one, share in zip(asked, stats.norm.cdf(law.score(asked)), strict=True):
        inside = [time for time in times_ms if time <= one]
        assert share == pytest.approx(len(inside) / len(times_ms), abs=1e-12)
        first, second = law.partial(np.array(one))
        assert first == pytest.approx(sum(inside) / len(times_ms), rel=1e-12)
        assert second == pytest.approx(sum(time**2 for time in inside) / len(times_ms), rel=1e-12)
    assert law.at(law.score(np.array(times_ms))).tolist() == times_ms
    assert law.steps.tolist() == sorted(times_ms)


def partial_by_quadrature(law: Law, value: float) -> tuple[float, float]:
    """Return ∫ at(z)ᵏ·φ(z) over the scores at which at(z) ≤ value, k = 1 and 2."""
    end = float(law.score(np.array(value)))
    # Weighed by z twelve times, a lognormal's square needs scores far beyond those of probability.
    limits = [z for z in np.arange(-14, 20, 0.5) if z < end] + [min(end, 20.0)]
    floor = law.floor if isinstance(law, Normal) else None
    if floor is not None:
        assert isinstance(law, Normal)
        kink = (floor - law.mean) / law.std
        limits = sorted([*limits, kink] if kink < end else limits)

    def moment(power: int) -> float:
        def density(z: float) -> float:
            return float(law.at(np.array(z))) ** power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        return math.fsum(quad(density, a, b, epsabs=0, epsrel=1e-11)[0] for a, b in pairwise(limits))

    return moment(1), moment(2)


@pytest.mark.parametrize("law", [law for law, _ in THEORY] + [normal(18, 4, 16), normal(18, 40, 2)], ids=str)
def test_partial_moments_are_their_integrals(law: Law) -> None:
    for value in law.at(np.array([-0.4, 0.3, 2.0])):
        expected = partial_by_quadrature(law, float(value))
        np.testing.assert_allclose(law.partial(np.array(value)), expected, rtol=1e-8)


@pytest.mark.parametrize("law", [normal(18, 4, 16), lognormal(18, 9), gamma(18, 30)], ids=str)
def test_a_multiple_has_the_law_of_the_multiple(law: Distribution) -> None:
    z = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(law.scaled(7.0).at(z), 7 * law.at(z), rtol=1e-12)
    assert type(law.scaled(7.0)) is type(law)


@pytest.mark.parametrize("law", [*SMOOTH, normal(18, 4, 16), normal(500, 1e-6), gamma(1, 100)], ids=str)
def test_edges_rise_from_end_to_end_in_small_steps(law: Law) -> None:
    edges = law.edges
    assert (np.diff(edges) > 0).all()
    assert edges[[0, -1]].tolist() == law.at(np.array([-FARTHEST, FARTHEST])).tolist()
    above = edges[edges - law.least > 1e-11 * law.average()]  # below is what no other time can be as short as
    assert np.diff(np.clip(law.score(above), -8, 8)).max() <= 1 + 1e-6
    assert ((above[1:] - law.least) / (above[:-1] - law.least)).max() <= 2 + 1e-9


def test_integrals_over_scores() -> None:
    start, end = (
        np.array([-np.inf, 0.5, 1.0, 2.0, -1.0]),
        np.array([np.inf, 3.0, 1.0, -2.0, np.nextafter(-1, 0)]),
    )
    found = over_scores(start, end, np.array([[0.3], [0.7], [9.0], [9.0], [-np.inf]]), _powers)
    ordered = np.maximum(start, end)
    share = stats.norm.cdf(ordered) - stats.norm.cdf(start)
    with np.errstate(invalid="ignore"):
        first = stats.norm.pdf(start) - stats.norm.pdf(ordered)
        lower, upper = (np.nan_to_num(z * stats.norm.pdf(z)) for z in (start, ordered))
    np.testing.assert_allclose(found, [share, first, share + lower - upper], atol=1e-14)


def _powers(z: Array, row: Index) -> Array:
    assert row.shape == (len(z), 1)
    return np.stack([np.ones_like(z), z, z * z])


def test_integrals_belong_to_their_rows_however_many() -> None:
    n = 10_000
    level = np.linspace(-4, 4, n)
    found = over_scores(
        np.full(n, -np.inf),
        np.full(n, np.inf),
        level[:, np.newaxis],
        lambda z, row: np.where(z > level[row], 1.0, 0.0),
    )
    np.testing.assert_allclose(found, stats.norm.sf(level), rtol=1e-12)
    assert over_scores(np.empty(0), np.empty(0), np.empty((0, 3)), _powers).shape == (3, 0)


def test_a_function_between_edges() -> None:
    edges = np.array([0.0, 0.5, 1.0, 4.0])
    function = Piecewise(edges, lambda x: np.abs(x - 1) * np.exp(-x))
    x = np.linspace(0, 4, 999)
    np.testing.assert_allclose(function(x), np.abs(x - 1) * np.exp(-x), atol=1e-8)
    np.testing.assert_allclose(function(np.array([-5, 9])), [1, 3 * math.exp(-4)], atol=1e-8)


#: The law of the sum is straight between points so close that 1e-6 of probability is more than it can err by.
@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (lognormal(1e4, 3e4), lognormal(3, 0.01)),
        (lognormal(10, 1), lognormal(1000, 3000)),
        (normal(1000, 900, 500), normal(200, 1, 10)),
        (normal(1000, 100, 1000), normal(200, 100, 200)),
        (gamma(1000, 3000), lognormal(200, 150)),
    ],
    ids=str,
)
def test_the_law_of_the_sum_is_its_integral(prompt: Length, answer: Length) -> None:
    law = tokens(prompt, answer)
    times_ms = law.at(np.linspace(-5, 5, 301))
    # Each of many equally likely prompts leaves the answer some time: the midpoint rule errs by no more than
    # half of its step where probability rises, from 0 to 1 at most, and by far less where it is smooth.
    n = 20_001
    prompts = law.prompt_at(stats.norm.ppf((np.arange(n) + 0.5) / n))
    for time_ms, share in zip(times_ms, stats.norm.cdf(law.score(times_ms)), strict=True):
        left = (time_ms - 5 - 0.5 * prompts) / 20
        assert share == pytest.approx(stats.norm.cdf(answer.score(left)).mean(), abs=0.5 / n + 1e-6)


def test_the_law_of_the_sum_against_a_sum_that_is_known() -> None:
    law, theory = tokens(gamma(4000, 4000), gamma(100, 100)), stats.gamma(2, loc=5, scale=2000)
    times_ms = theory.ppf(np.linspace(0.001, 0.999, 999))
    np.testing.assert_allclose(law.beyond(times_ms), theory.sf(times_ms), atol=1e-6)


def test_requests_up_to_a_time_or_a_prompt() -> None:
    law, n = BOTH_VARY, 400_000
    z = rng.stream(3, "test pieces").standard_normal((2, n))
    prompt, answer = law.prompt_at(z[0]), law.answer_at(z[1])
    times_ms = law.time_ms(prompt, answer)
    what = np.stack([np.ones(n), times_ms, times_ms**2, prompt, answer])
    five_sigma_and_more = 5.5  # of ten figures: a failure probability of 4e-7
    segments: list[tuple[By, float, Array]] = [("service", 3000.0, times_ms), ("prompt", 700.0, prompt)]
    for by, value, of in segments:
        inside = what * (of <= value)
        found = law.up_to(np.array(value), by)
        error = inside.std(axis=1) / math.sqrt(n)
        assert (np.abs(found - inside.mean(axis=1)) < five_sigma_and_more * error).all()


def test_all_requests_together_have_the_moments_of_the_law() -> None:
    prompt, answer = gamma(1000, 1500), normal(200, 50, 10)
    law = tokens(prompt, answer)
    answers = answer.partial(np.array(np.inf))
    mean_ms = 5 + 0.5 * 1000 + 20 * answers[0]
    square = mean_ms**2 + 0.5**2 * 1500**2 + 20**2 * (answers[1] - answers[0] ** 2)
    expected = [1, mean_ms, square, 1000, answers[0]]
    ways: list[By] = ["service", "prompt"]
    for by in ways:
        found = law.up_to(np.array([np.inf]), by)[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert law.partial(np.array([np.inf]))[:, 0] == pytest.approx(expected[1:3])


@pytest.mark.parametrize("law", [normal(100.0, 1e-323), lognormal(100.0, 1e-323), normal(100.0, 1e-15)])
def test_a_std_lost_in_the_rounding_of_the_mean_is_none(law: Length) -> None:
    fixed = law.at(np.zeros(1))
    assert fixed == pytest.approx(100.0, rel=1e-14)
    assert law.steps is not None
    assert law.score(np.array([-math.inf, 0.0, 99.0, 101.0])).tolist() == [-math.inf] * 3 + [math.inf]
    assert law.between(np.array([99.0]), np.array([101.0])) == 1.0
    assert law.partial(np.array([101.0])).ravel() == pytest.approx([100.0, 1e4], rel=1e-14)
    assert lognormal(100.0, 1e-9).steps is None
