"""The law of latency against the integral that defines it, against known values, and against samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammaincc, ndtri

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.control.latency import Latency
from carbonroute.network import HalfNormal, Jitter, PairLognormal
from carbonroute.scenario import load, resolve
from carbonroute.workloads import By, Empirical, Gamma, Lognormal, Normal, ServiceLaw, Tokens
from helpers.grids import examples, grid, runs

INFINITE = math.inf
EVERYTHING = (-INFINITE, INFINITE)
#: Of `quad`: with its full output it does not warn of rounding, and its error is looked at instead.
DIGITS: dict[str, Any] = {"epsabs": 1e-25, "epsrel": 1e-12, "full_output": 1}


def normal(mean: float, std: float, floor: float = 0.0) -> Normal:
    return Normal(law="normal", mean=mean, std=std, floor=floor)


def lognormal(mean: float, std: float) -> Lognormal:
    return Lognormal(law="lognormal", mean=mean, std=std)


def gamma(mean: float, std: float) -> Gamma:
    return Gamma(law="gamma", mean=mean, std=std)


def empirical(folder: Path, times_ms: Array) -> Empirical:
    lines = "".join(f"{time_ms!r}\n" for time_ms in times_ms.tolist())
    (folder / "times.csv").write_text(f"ms\n{lines}", encoding="utf-8")
    return Empirical(law="empirical", path="times.csv", column="ms", unit="ms").read(folder)


def pair(p50_ms: float, sigma: float) -> PairLognormal:
    return PairLognormal(np.array([[p50_ms]]), np.array([[sigma]]))


def half_normal(std_ms: float) -> HalfNormal:
    return HalfNormal(std_ms=std_ms)


def latency(law: ServiceLaw, jitter: Jitter) -> Latency:
    return Latency((law,), jitter, np.zeros((1, 1)), np.array([100.0]))


def beyond(law: ServiceLaw, jitter: Jitter, time_ms: float, piece: tuple[float, float] = EVERYTHING) -> float:
    return float(latency(law, jitter).beyond(time_ms, 0, 0, 0, *piece))


def within(
    of: Latency, time_ms: Array, interval: tuple[float, float] = EVERYTHING, by: By = "service"
) -> Array:
    """Return P(low < X ≤ high and service + jitter ≤ time) of the only workload."""
    late = of.beyond(time_ms, 0, 0, 0, *interval, by=by)
    return np.maximum(of.share(0, *interval, by=by) - late, 0.0)


# --- the defining integral


@dataclass(frozen=True)
class Theory:
    """P(S > y) of a law by its textbook formula, and values between which it is smooth."""

    beyond: Callable[[float], float]
    turns: list[float]


def theory(law: ServiceLaw) -> Theory:
    if isinstance(law, Normal):
        mean, std, floor = law.mean, law.std, law.floor

        def of_normal(y: float) -> float:
            return 1.0 if y < floor else math.erfc((y - mean) / std / math.sqrt(2)) / 2

        return Theory(of_normal, [floor, *(mean + k * std for k in range(-9, 10))])
    if isinstance(law, Lognormal):
        sigma = math.sqrt(math.log(1 + (law.std / law.mean) ** 2))
        mu = math.log(law.mean) - sigma**2 / 2

        def of_lognormal(y: float) -> float:
            return 1.0 if y <= 0 else math.erfc((math.log(y) - mu) / sigma / math.sqrt(2)) / 2

        return Theory(of_lognormal, [0.0, *(math.exp(mu + sigma * k / 2) for k in range(-20, 21))])
    assert isinstance(law, Gamma)
    shape, scale = (law.mean / law.std) ** 2, law.std**2 / law.mean
    around = [law.mean * 2.0**k for k in range(-40, 7)] + [law.mean + k * law.std for k in range(-9, 20)]
    return Theory(lambda y: float(gammaincc(shape, max(y, 0.0) / scale)), [0.0, *around])


def jitter_ms(jitter: Jitter, z: float) -> float:
    """Return the jitter at a score z > 0."""
    if isinstance(jitter, HalfNormal):
        return jitter.std_ms * z
    return float(jitter.p50_ms[0, 0]) * math.expm1(float(jitter.sigma[0, 0]) * z)


def score_of_jitter(jitter: Jitter, excess_ms: float) -> float:
    if isinstance(jitter, HalfNormal):
        return excess_ms / jitter.std_ms
    return math.log1p(excess_ms / float(jitter.p50_ms[0, 0])) / float(jitter.sigma[0, 0])


def integrated(law: Theory, jitter: Jitter, time_ms: float, piece: tuple[float, float] = EVERYTHING) -> float:
    """Return ½·g(t) + ∫₀^∞ φ(z)·g(t − J(z)) dz with g(y) = P(max(low, y) < S ≤ high), by `quad` on panels."""
    low, high = piece
    tail = law.beyond(high) if high < INFINITE else 0.0

    def g(y: float) -> float:
        return max(0.0, law.beyond(max(low, y)) - tail)

    limits = {0.0, *map(float, range(1, 13))}
    for turn in (*law.turns, low, high):
        if -INFINITE < turn < time_ms:
            limits.add(min(12.0, score_of_jitter(jitter, time_ms - turn)))

    def density(z: float) -> float:
        return math.exp(-z * z / 2) * g(time_ms - jitter_ms(jitter, z))

    parts = [quad(density, a, b, **DIGITS) for a, b in pairwise(sorted(limits))]
    assert sum(part[1] for part in parts) < 1e-13
    return g(time_ms) / 2 + math.fsum(part[0] for part in parts) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(
    ("time_ms", "rtt_ms", "mean", "std", "jitter_std", "survival"),
    [
        (80, 65, 12, 3, 3, "0.2903376"),
        (100, 65, 18, 4, 3, "0.0003411297"),
        (150, 65, 60, 12, 3, "0.02497507"),
        (150, 95, 60, 12, 3, "0.6951285"),
    ],
)
def test_known_values(
    time_ms: float, rtt_ms: float, mean: float, std: float, jitter_std: float, survival: str
) -> None:
    found = beyond(normal(mean, std), half_normal(jitter_std), time_ms - rtt_ms)
    assert f"{found:.7g}" == survival


NORMALS = [normal(60, 12, 1), normal(18, 4, 15), normal(18, 4, 18), normal(18, 4, 30), normal(5, 50, 1)]
RATIOS = [1e-3, 0.1, 0.6, 1.0, 10.0, 1e3]


def asked(law: ServiceLaw, jitter: Jitter) -> Iterator[float]:
    """Return times from where all requests take longer to where few do."""
    service, jitters = (
        law.at(np.array([-3.0, -1.0, 0.01, 1.0, 3.0])),
        [jitter_ms(jitter, z) for z in (0.01, 1, 3)],
    )
    yield float(law.at(np.array(-20.0))) - 1.0
    for service_ms, extra_ms in product(service, [0.0, *jitters]):
        yield float(service_ms) + extra_ms


def segments(law: ServiceLaw) -> list[tuple[float, float]]:
    first, second = map(float, law.at(np.array([-0.4, 0.9])))
    return [EVERYTHING, (-INFINITE, first), (first, second), (second, INFINITE)]


@pytest.mark.parametrize(("law", "ratio"), grid(NORMALS, RATIOS, one_of=2), ids=str)
def test_normal_service_and_half_normal_jitter(law: Normal, ratio: float) -> None:
    jitter, reference = half_normal(ratio * law.std), theory(law)
    for time_ms, piece in product(asked(law, jitter), segments(law)):
        expected = integrated(reference, jitter, time_ms, piece)
        assert beyond(law, jitter, time_ms, piece) == pytest.approx(expected, abs=2e-13), (time_ms, piece)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("law", [normal(60, 12, 1), normal(180, 25), normal(12, 3, 1)], ids=str)
def test_small_probabilities_keep_their_digits(law: Normal, ratio: float) -> None:
    jitter, reference = half_normal(ratio * law.std), theory(law)
    spread_ms = math.hypot(law.std, jitter.std_ms)
    seen = []
    for deviations in np.linspace(3, 7.2, 8):
        time_ms = law.mean + deviations * spread_ms
        expected = integrated(reference, jitter, time_ms)
        seen.append(expected)
        assert beyond(law, jitter, time_ms) == pytest.approx(expected, rel=1e-9)
    assert max(seen) > 1e-4
    assert min(seen) < 1e-12


def test_without_jitter_it_is_the_law_of_the_service() -> None:
    jitters: list[Jitter] = [half_normal(0), pair(50, 0), pair(0, 0)]
    laws: list[ServiceLaw] = [normal(18, 4, 15), lognormal(18, 9), gamma(18, 9)]
    for law, jitter in product(laws, jitters):
        reference = theory(law)
        for time_ms, (low, high) in product([14.0, 15.0, 18.0, 31.0], segments(law)):
            tail = reference.beyond(high) if high < INFINITE else 0.0
            expected = max(0.0, reference.beyond(max(low, time_ms)) - tail)
            assert beyond(law, jitter, time_ms, (low, high)) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("law", [normal(18, 0), normal(10, 0, 18), lognormal(18, 0)], ids=str)
def test_a_fixed_service_time_moves_the_jitter(law: ServiceLaw) -> None:
    value = float(law.at(np.zeros(())))
    jitters: list[Jitter] = [half_normal(3), pair(50, 0.3)]
    for jitter, z in product(jitters, [0.0, 0.5, 2.0, 6.0]):
        time_ms = value + jitter_ms(jitter, z)
        expected = math.erfc(z / math.sqrt(2)) / 2
        assert beyond(law, jitter, time_ms) == pytest.approx(expected, rel=1e-9)
        assert beyond(law, jitter, time_ms, (value - 1, value)) == pytest.approx(expected, rel=1e-9)
        assert beyond(law, jitter, time_ms, (value, INFINITE)) == 0
    assert beyond(law, half_normal(3), np.nextafter(value, 0)) == 1


def test_a_tiny_spread_is_the_limit_of_none() -> None:
    for mean, std, jitter_std in ((18, 4, 1e-9), (18, 1e-9, 4), (18, 4, 0), (18, 0, 4)):
        found = [
            beyond(normal(mean, std), half_normal(jitter_std), time_ms)
            for time_ms in (12.0, 17.5, 18.5, 23.0)
        ]
        z = np.array([-6, -0.5, 0.5, 5]) / 4
        normal_tail = np.array([math.erfc(value / math.sqrt(2)) / 2 for value in z])
        expected = normal_tail if std == 4 else np.where(z < 0, 1, normal_tail)
        np.testing.assert_allclose(found, expected, atol=1e-9)


SMOOTH: list[ServiceLaw] = [
    normal(60, 12, 50),
    lognormal(60, 25),
    lognormal(60, 240),
    gamma(60, 15),
    gamma(60, 60),
    gamma(60, 120),
]
JITTERS: list[Jitter] = [
    half_normal(0.05),
    half_normal(3),
    half_normal(900),
    pair(5, 0.001),
    pair(50, 0.4),
    pair(80, 3),
]


@pytest.mark.parametrize(("law", "jitter"), grid(SMOOTH, JITTERS, one_of=2), ids=str)
def test_every_smooth_law_with_every_jitter(law: ServiceLaw, jitter: Jitter) -> None:
    reference = theory(law)
    for time_ms, piece in product(list(asked(law, jitter))[::2], segments(law)[::2]):
        expected = integrated(reference, jitter, time_ms, piece)
        assert beyond(law, jitter, time_ms, piece) == pytest.approx(expected, abs=1e-10), (time_ms, piece)


@pytest.mark.parametrize("jitter", JITTERS, ids=str)
@pytest.mark.parametrize(("count", "error"), [(50, 1e-13), (5_000, 1e-6)])
def test_measured_times_are_a_sum(tmp_path: Path, jitter: Jitter, count: int, error: float) -> None:
    times_ms = np.round(lognormal(60, 40).at(rng.stream(1, "test times").standard_normal(count)), 3)
    law = empirical(tmp_path, times_ms)
    for time_ms, (low, high) in product([3.0, 40.0, times_ms[0], 130.0, 700.0], [EVERYTHING, (30.0, 90.0)]):
        expected = 0.0
        for value in times_ms[(times_ms > low) & (times_ms <= high)]:
            excess_ms = time_ms - value
            z = score_of_jitter(jitter, excess_ms) if excess_ms >= 0 else -INFINITE
            expected += math.erfc(z / math.sqrt(2)) / 2 / count
        assert beyond(law, jitter, float(time_ms), (low, high)) == pytest.approx(expected, abs=error)


# --- tokens


def tokens(prompt: Normal | Lognormal | Gamma | None, answer: Normal | Lognormal | Gamma) -> Tokens:
    return Tokens(
        law="tokens",
        prefill_ms_per_token=0.5,
        decode_ms_per_token=20.0,
        overhead_ms=5.0,
        prompt_tokens=prompt,
        answer_tokens=answer,
    )


@pytest.mark.parametrize(
    ("answer", "jitter"),
    grid(
        [normal(200, 40, 150), lognormal(200, 150), gamma(200, 200), normal(200, 0)],
        [half_normal(300), half_normal(0), pair(900, 0.4)],
        one_of=2,
    ),
    ids=str,
)
def test_tokens_by_prompt(answer: Normal | Lognormal | Gamma, jitter: Jitter) -> None:
    """Between two prompts: the integral over prompts of what answer and jitter then have left."""
    law, of_answer = tokens(lognormal(1000, 1500), answer), latency(answer.scaled(20.0), jitter)
    low, high = 300.0, 2500.0
    first, last = law.prompts.score(np.array([low, high]))
    # Gauss–Legendre on 1,000 panels; a jump in one of them is missed by what the panel holds at most.
    node, weight = np.polynomial.legendre.leggauss(4)
    limits = np.linspace(first, last, 1001)
    z = (limits[:-1] + np.diff(limits) * (1 + node[:, np.newaxis]) / 2).ravel()
    share = (
        (np.diff(limits) / 2 * weight[:, np.newaxis]).ravel() * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    )
    jump = 0.0 if answer.std and not (isinstance(answer, Normal) and answer.floor > 0) else share.max() * 4
    for time_ms in (3000.0, 4100.0, 4600.0, 9000.0):
        late = of_answer.beyond(time_ms - law.before_ms(law.prompt_at(z)), 0, 0, 0)
        found = latency(law, jitter).beyond(time_ms, 0, 0, 0, low, high, by="prompt")
        assert found == pytest.approx(late @ share, abs=1e-9 + jump)


@pytest.mark.parametrize("answer", [normal(200, 40, 150), lognormal(200, 150), gamma(200, 200)], ids=str)
@pytest.mark.parametrize("jitter", [half_normal(30), half_normal(3000), pair(900, 0.4)], ids=str)
def test_violations_when_the_prompt_is_known(answer: Normal | Lognormal | Gamma, jitter: Jitter) -> None:
    law, reference = tokens(None, answer), theory(answer.scaled(20.0))
    of = Latency((law,), jitter, np.array([[70.0]]), np.array([5000.0]))
    prompts = np.array([1.0, 500.0, 3000.0, 9000.0, 9900.0])
    found = of.late_share(0, 0, 0, prompts)
    for prompt, share in zip(prompts, found, strict=True):
        left_ms = 5000 - 70 - 5 - 0.5 * prompt
        assert share == pytest.approx(integrated(reference, jitter, left_ms), abs=1e-9)


def test_violations_whatever_the_prompt_are_those_of_all_prompts() -> None:
    law, jitter = tokens(gamma(3000, 2000), lognormal(200, 150)), half_normal(30)
    of = Latency((law,), jitter, np.array([[70.0, 900.0]]), np.array([8000.0]))
    n = 20_000
    prompts = law.prompt_at(ndtri((np.arange(n) + 0.5) / n))
    known = of.late_share(0, 0, np.arange(2), prompts[:, np.newaxis])
    assert known.shape == (n, 2)
    # The midpoint rule over shares of prompts that rise from 0 to 1 at most; and the table of the sum.
    np.testing.assert_allclose(of.violation_share[0, 0], known.mean(axis=0), atol=0.5 / n + 1e-6)


def test_each_pair_of_origin_and_region_has_its_own_jitter() -> None:
    jitter = PairLognormal(np.array([[50.0, 90.0], [20.0, 0.0]]), np.array([[0.4, 0.1], [1.0, 0.0]]))
    law = tokens(lognormal(1000, 1500), lognormal(200, 150))
    plain = lognormal(60, 40)
    origin, region = np.array([0, 1, 1, 0, 0]), np.array([1, 0, 1, 0, 1])
    time_ms = np.array([100.0, 4000.0, 4000.0, 90.0, 4000.0])
    workload = np.array([1, 0, 0, 1, 0])
    of = Latency((law, plain), jitter, np.zeros((2, 2)), np.array([5000.0, 100.0]))
    ways: list[By] = ["service", "prompt"]
    for by in ways:
        rows = np.flatnonzero(workload <= (by == "service"))
        found = of.beyond(time_ms[rows], workload[rows], origin[rows], region[rows], 100.0, 3000.0, by=by)
        for row, share in zip(rows, found, strict=True):
            o, r = origin[row], region[row]
            alone = PairLognormal(jitter.p50_ms[[[o]], [[r]]], jitter.sigma[[[o]], [[r]]])
            expected = latency((law, plain)[workload[row]], alone).beyond(
                time_ms[row], 0, 0, 0, 100.0, 3000.0, by=by
            )
            assert share == pytest.approx(float(expected), abs=1e-14)
    late = of.late_share(0, origin, region, np.full(5, 700.0))
    assert late[0] == late[4]
    assert len(set(late.tolist())) == 4


# --- against samples


def samples(law: ServiceLaw, jitter: Jitter, n: int) -> tuple[Array, Array | None, Array]:
    """Return service times, prompts and latencies of n requests."""
    z = rng.stream(4, "test latencies").standard_normal((3, n))
    nowhere = np.zeros(n, dtype=np.intp)
    prompt = law.prompt_at(z[1]) if isinstance(law, Tokens) else None
    service_ms = law.at(z[0]) if prompt is None else law.time_ms(prompt, law.answer_at(z[0]))  # type: ignore[union-attr]  # with prompts, it is of tokens
    return service_ms, prompt, service_ms + jitter.at(z[2], nowhere, nowhere)


SAMPLED = [normal(60, 12, 55), lognormal(60, 60), gamma(60, 90), normal(60, 0)]
SAMPLED_TOKENS = [
    tokens(lognormal(1000, 1500), lognormal(20, 15)),
    tokens(gamma(1000, 900), normal(20, 10, 15)),
    tokens(normal(1000, 0), gamma(20, 15)),
    tokens(normal(1000, 300), lognormal(20, 0)),
]


@pytest.mark.parametrize(
    ("law", "jitter"),
    grid([*SAMPLED, *SAMPLED_TOKENS], [half_normal(30), pair(80, 0.5)], one_of=2),
    ids=str,
)
def test_samples_have_the_law(law: ServiceLaw, jitter: Jitter) -> None:
    """No share of n samples is further from the law than √(ln(2/p)/2n), but for a probability of p.

    Dvoretzky, Kiefer and Wolfowitz, with Massart's constant: for the share within any time at once.
    """
    n = 200_000
    error = math.sqrt(math.log(2 / 1e-8) / (2 * n))
    service_ms, prompt, latency_ms = samples(law, jitter, n)
    of = latency(law, jitter)
    ways: list[tuple[By, Array]] = [("service", service_ms)]
    if prompt is not None:
        ways.append(("prompt", prompt))
    for by, values in ways:
        low, high = np.quantile(values, [0.2, 0.85])
        for piece in (EVERYTHING, (low, high)):
            inside = np.sort(np.where((values > piece[0]) & (values <= piece[1]), latency_ms, INFINITE))
            times_ms = np.quantile(latency_ms, np.linspace(0, 1, 101))
            shares = np.searchsorted(inside, times_ms, side="right") / n
            found = within(of, times_ms, piece, by)
            assert np.abs(found - shares).max() < error + 1e-6


# --- what must hold of any law

ANY: list[ServiceLaw] = [*NORMALS, *SMOOTH, normal(18, 0), *SAMPLED_TOKENS]


@pytest.mark.parametrize("jitter", [half_normal(0), half_normal(25), pair(80, 0.5)], ids=str)
@pytest.mark.parametrize("law", ANY, ids=str)
def test_pieces_add_up_to_the_whole(law: ServiceLaw, jitter: Jitter) -> None:
    of = latency(law, jitter)
    limits = np.array([-INFINITE, *law.at(np.array([-1.5, -0.2, 0.0, 0.9])), INFINITE])
    low, high, time_ms = limits[:-1], limits[1:], law.at(np.array([[-2.0], [0.5], [1.0], [4.0]]))
    np.testing.assert_allclose(of.share(0, low, high).sum(), 1, rtol=1e-12)
    late = of.beyond(time_ms, 0, 0, 0, low, high)
    assert late.min() >= 0
    assert (late <= of.share(0, low, high) + 1e-12).all()
    np.testing.assert_allclose(late.sum(axis=1), of.beyond(time_ms[:, 0], 0, 0, 0), atol=1e-12)
    for parts, whole in zip(of.moments(0, 0, 0, low, high), of.moments(0, 0, 0), strict=True):
        assert parts.sum() == pytest.approx(float(whole), rel=1e-9)


@pytest.mark.parametrize("law", SAMPLED_TOKENS, ids=str)
def test_pieces_by_prompt_add_up_to_the_whole(law: Tokens) -> None:
    of = latency(law, half_normal(25))
    limits = np.array([-INFINITE, 300.0, 1000.0, 1500.0, INFINITE])
    low, high, time_ms = limits[:-1], limits[1:], law.at(np.array([[-2.0], [0.5], [1.0], [4.0]]))
    parts = of.beyond(time_ms, 0, 0, 0, low, high, by="prompt")
    np.testing.assert_allclose(parts.sum(axis=1), of.beyond(time_ms[:, 0], 0, 0, 0), atol=1e-6)
    for ask in (of.moments, lambda w, o, r, *piece, by="service": of.tokens_mean(w, *piece, by=by)):
        for by_prompt, whole in zip(ask(0, 0, 0, low, high, by="prompt"), ask(0, 0, 0), strict=True):
            assert by_prompt.sum() == pytest.approx(float(whole), rel=1e-9)


@settings(max_examples=examples(100))
@given(
    mean=st.floats(1, 500),
    std=st.floats(1e-3, 500),
    floor=st.floats(0, 600),
    jitter_std=st.floats(1e-3, 500),
    times_ms=st.lists(st.floats(-100, 3000), min_size=2, max_size=30),
    limits=st.tuples(st.floats(-10, 1000), st.floats(-10, 1000)),
)
def test_probabilities_are_probabilities(
    mean: float,
    std: float,
    floor: float,
    jitter_std: float,
    times_ms: list[float],
    limits: tuple[float, float],
) -> None:
    of = latency(normal(mean, std, floor), half_normal(jitter_std))
    ascending = np.sort([*times_ms, floor, mean])
    for low, high in (EVERYTHING, (min(limits), max(limits))):
        in_time = within(of, ascending, (low, high))
        share = float(of.share(0, low, high))
        assert (np.diff(in_time) >= -1e-15).all()
        assert 0 <= in_time.min() <= in_time.max() <= share
        # Jitter makes late: by no more than half of the requests.
        service_within = of.share(0, low, np.clip(ascending, low, high))
        assert (in_time <= service_within + 1e-15).all()
        assert (in_time >= service_within / 2 - 1e-15).all()


@pytest.mark.parametrize(
    "law", [*ANY[:3], lognormal(60, 25), tokens(gamma(1000, 900), gamma(20, 15))], ids=str
)
def test_infinite_times_and_empty_pieces(law: ServiceLaw) -> None:
    for jitter in (half_normal(3), half_normal(0), pair(50, 0.3)):
        of = latency(law, jitter)
        assert within(of, np.array([-INFINITE, INFINITE])).tolist() == [0, 1]
        assert of.beyond(np.array([-INFINITE, INFINITE]), 0, 0, 0).tolist() == [1, 0]
        assert of.beyond(50.0, 0, 0, 0, 30.0, 30.0) == of.beyond(50.0, 0, 0, 0, 40.0, 30.0) == 0
        first, second = of.moments(0, 0, 0, 40.0, 30.0)
        assert first == second == 0


# --- moments


@pytest.mark.parametrize("jitter", [half_normal(0), half_normal(25), pair(80, 0.5)], ids=str)
@pytest.mark.parametrize(
    "law", [normal(60, 12, 55), lognormal(60, 25), gamma(60, 90), normal(60, 0)], ids=str
)
def test_moments_are_integrals_of_the_law(law: ServiceLaw, jitter: Jitter) -> None:
    """E[L·1(piece)] = ∫ P(piece and L > t) dt and E[L²·1(piece)] = ∫ 2t·P(piece and L > t) dt, from 0 on."""
    of = latency(law, jitter)
    for low, high in ((40.0, 75.0), (58.0, INFINITE)):
        extra = [jitter_ms(jitter, z) for z in range(13)] if not jitter.none else [0.0]
        ends = [0.0, *law.at(np.arange(-12.0, 13.0)), low, min(high, 1e3)]
        limits = np.unique(np.add.outer(ends, extra))
        node, weight = np.polynomial.legendre.leggauss(6)
        times_ms = limits[:-1, np.newaxis] + np.diff(limits)[:, np.newaxis] * (1 + node) / 2
        late = of.beyond(times_ms, 0, 0, 0, low, high) * weight * np.diff(limits)[:, np.newaxis] / 2
        first, second = of.moments(0, 0, 0, low, high)
        assert first == pytest.approx(late.sum(), rel=1e-8)
        assert second == pytest.approx(2 * (times_ms * late).sum(), rel=1e-8)


@pytest.mark.parametrize("jitter", [half_normal(3), pair(80, 0.5), pair(50, 1e-5), pair(5, 2.5)], ids=str)
def test_moments_of_the_jitter_are_its_integrals(jitter: Jitter) -> None:
    nowhere = np.zeros((), dtype=np.intp)
    for power, found in zip((1, 2), jitter.moments(nowhere, nowhere), strict=True):

        def density(z: float, power: int = power) -> float:
            return jitter_ms(jitter, z) ** power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        expected = math.fsum(quad(density, a, a + 1, epsabs=0, epsrel=1e-12)[0] for a in range(20))
        largest = 1.0 if isinstance(jitter, HalfNormal) else float(jitter.p50_ms[0, 0]) ** power
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-15 * largest)


@pytest.mark.parametrize("jitter", [half_normal(3), pair(80, 0.5)], ids=str)
def test_scores_of_jitter_are_the_way_back(jitter: Jitter) -> None:
    nowhere = np.zeros((), dtype=np.intp)
    z = np.linspace(0, 7, 29)
    np.testing.assert_allclose(jitter.score(jitter.at(z, nowhere, nowhere), nowhere, nowhere), z, atol=1e-12)
    ends = np.array([-INFINITE, -1e-9, 0.0, INFINITE])
    assert jitter.score(ends, nowhere, nowhere).tolist() == [-INFINITE, -INFINITE, 0, INFINITE]
    assert not jitter.none


@pytest.mark.parametrize("jitter", [half_normal(0), pair(80, 0), pair(0, 0)], ids=str)
def test_no_jitter_is_always_0(jitter: Jitter) -> None:
    nowhere = np.zeros((), dtype=np.intp)
    assert jitter.score(np.array([-1e-9, 0, 5]), nowhere, nowhere).tolist() == [-INFINITE, INFINITE, INFINITE]
    assert [float(moment) for moment in jitter.moments(nowhere, nowhere)] == [0, 0]
    assert jitter.none


# --- of a scenario


def test_violations_of_the_published_scenario() -> None:
    inputs = resolve(load("published"))
    origins, workloads, regions = inputs.shape[1:]
    assert inputs.site.latency.violation_share.shape == (origins, workloads, regions)
    for w, law in enumerate(inputs.laws):
        reference = theory(law)
        for o, r in product(range(origins), range(regions)):
            left_ms = inputs.slo_ms[w] - inputs.rtt_ms[o, r]
            expected = integrated(reference, inputs.jitter, left_ms)
            assert inputs.site.latency.violation_share[o, w, r] == pytest.approx(
                expected, rel=1e-9, abs=1e-16
            )
    assert inputs.site.latency.violation_share is inputs.site.latency.violation_share


@pytest.mark.parametrize(
    "jitter",
    [
        *(half_normal(std) for std in (0.01, 3, 200)),
        PairLognormal(np.array([[10.0, 90.0, 30.0], [50.0, 5.0, 200.0]]), np.full((2, 3), 0.3)),
    ],
    ids=["0.01", "3", "200", "pairs"],
)
def test_violations_after_a_wait_are_those_of_less_time(jitter: Jitter) -> None:
    laws: tuple[ServiceLaw, ...] = tuple(lognormal(100, std) for std in (0.5, 50, 60, 3000))
    laws += tuple(gamma(100, std) for std in (1, 40, 100, 250))
    rtt_ms, slo_ms = np.array([[1.0, 30.0, 200.0], [5.0, 0.0, 120.0]]), np.linspace(400, 500, len(laws))
    of = Latency(laws, jitter, rtt_ms, slo_ms)
    tiny_ms = slo_ms[:, np.newaxis] - np.array([1e-13, 1e-12, 1e-11, 1e-9, 1e-6])  # left where the RTT is 0
    spread = np.geomspace(1e-9, 600, runs(100, 40)), np.linspace(150, 450, runs(301, 101))
    more_ms = np.concatenate([np.zeros(3), *spread])
    more_ms = np.hstack([np.broadcast_to(more_ms, (len(laws), len(more_ms))), tiny_ms])
    late = of.violation_share_after(np.broadcast_to(more_ms.T[..., np.newaxis], (*more_ms.T.shape, 3)))
    origin, region = np.indices(rtt_ms.shape)
    for w in range(len(laws)):
        left_ms = slo_ms[w] - rtt_ms - more_ms[w][:, np.newaxis, np.newaxis]
        expected = of.beyond(left_ms, w, origin, region)
        np.testing.assert_allclose(late[:, :, w], expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(late[:, :, w], expected, rtol=1e-3)  # small ones keep digits
    assert (late[:3] == of.violation_share).all()


def test_violations_are_unknown_where_prompts_come_with_the_requests() -> None:
    laws = normal(60, 12), tokens(None, gamma(200, 150)), tokens(gamma(10, 5), gamma(2, 1))
    of = Latency(laws, half_normal(3), np.array([[10.0, 20.0]]), np.array([80.0, 5000.0, 60.0]))
    shares = of.violation_share
    assert np.isnan(shares[0, 1]).all()
    assert ((shares[0, [0, 2]] > 0) & (shares[0, [0, 2]] < 1)).all()
    assert np.isnan(Latency(laws[1:2], half_normal(3), np.ones((2, 3)), np.ones(1)).violation_share).all()


def test_only_tokens_have_prompts() -> None:
    of = latency(normal(60, 12), half_normal(3))
    asks: list[Callable[[], object]] = [
        lambda: of.beyond(90.0, 0, 0, 0, by="prompt"),
        lambda: of.moments(0, 0, 0, by="prompt"),
        lambda: of.tokens_mean(0),
        lambda: of.late_share(0, 0, 0, 100.0),
    ]
    for ask in asks:
        with pytest.raises(ValueError, match="a workload of law 'normal' has no prompts"):
            ask()


def test_service_within() -> None:
    of = latency(normal(60, 12, 50), half_normal(3))
    found = of.share(0, -INFINITE, np.array([49.9, 50.0, 60.0, 84.0]))
    np.testing.assert_allclose(found, [0, 0.202328380963643, 0.5, 0.977249868051821], rtol=1e-12)
