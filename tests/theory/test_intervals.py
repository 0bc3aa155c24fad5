"""Intervals against the probabilities that define them, and how often they hold the truth.

Coverage is worked out by summing all outcomes, and met by 1,000 seeded runs, or fewer without ``--full``,
within what chance allows at a failure probability of 1e-6; both must lie between 93 % and 97 %, of fewer runs
with what chance adds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from scipy import integrate, stats

from carbonroute.arrays import Array, Integers
from carbonroute.engines import sampled
from carbonroute.intervals import (
    CONFIDENCE,
    clopper_pearson,
    mean_interval,
    paired_share_interval,
    rule_of_three,
    t_half_width,
)
from carbonroute.metrics import intervals
from carbonroute.runs.replications import with_seed
from carbonroute.scenario import Scenario, load, resolve
from helpers import small
from helpers.grids import runs as runs_of

RUNS = runs_of(1000, 300)
#: Two-sided, failure probability 1e-6.
Z = NormalDist().inv_cdf(1 - 0.5e-6)


def assert_covers(found: float, theory: float = CONFIDENCE) -> None:
    """Assert that a share of `RUNS` intervals holds the truth as often as theory says, and 93 to 97 % do."""
    assert abs(found - theory) <= Z * math.sqrt(theory * (1 - theory) / RUNS)
    assert abs(found - CONFIDENCE) <= 0.02 * math.sqrt(1000 / RUNS)


@pytest.mark.parametrize(("k", "n"), [(1, 7), (3, 10), (17, 400), (399, 400), (2, 33_600)])
def test_at_the_ends_as_many_or_as_few_events_come_by_chance_of_a_fortieth(k: int, n: int) -> None:
    low, high = clopper_pearson(k, n)
    assert math.fsum(stats.binom.pmf(range(k), n, low)) == pytest.approx(0.975, abs=1e-9)
    assert math.fsum(stats.binom.pmf(range(k + 1), n, high)) == pytest.approx(0.025, abs=1e-9)


def test_intervals_of_none_and_of_all_are_open_to_one_side() -> None:
    low, high = clopper_pearson([0, 5, 0], [5, 5, 0])
    assert low.tolist() == pytest.approx([0, 0.025 ** (1 / 5), 0])
    assert high.tolist() == pytest.approx([1 - 0.025 ** (1 / 5), 1, 1])
    wide, narrow = clopper_pearson(3, 10, 0.99), clopper_pearson(3, 10, 0.5)
    assert wide[0] < narrow[0] < 0.3 < narrow[1] < wide[1]


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 <= k <= n"):
        clopper_pearson(k, n)


def share_interval(k: Integers, n: int) -> tuple[Array, Array]:
    """Return what is printed of k events in n trials: of none or all, the rule of three."""
    low, high = clopper_pearson(k, n)
    margin = rule_of_three(n)
    low, high = np.where(k == n, 1 - margin, low), np.where(k == 0, margin, high)
    return low, high


def covered(ends: tuple[Array, Array], p: float) -> float:
    """Return the probability that a share is held by its interval, of which ends[k] are those of k events."""
    low, high = ends
    k = np.flatnonzero((low <= p) & (p <= high))
    return math.fsum(stats.binom.pmf(k, len(low) - 1, p))


@pytest.mark.parametrize(("n", "p"), [(400, 0.3), (1000, 0.1), (2000, 0.01), (33_600, 0.0101), (500, 0.9)])
def test_clopper_pearson_covers_as_it_says(n: int, p: float) -> None:
    low, high = clopper_pearson(np.arange(n + 1), n)
    theory = covered((low, high), p)
    assert CONFIDENCE <= theory <= 0.97
    k = np.random.default_rng(1).binomial(n, p, RUNS)
    assert_covers(((low[k] <= p) & (p <= high[k])).mean(), theory)


def test_clopper_pearson_never_covers_less_and_what_is_printed_hardly() -> None:
    shares, k = np.geomspace(1e-5, 0.5, 500), np.arange(3001)
    exact, printed = clopper_pearson(k, 3000), share_interval(k, 3000)
    assert min(covered(exact, p) for p in shares) >= CONFIDENCE
    # Just above 3/n, none come in 5 % of runs, and too many in up to 2.5 %.
    assert 0.93 <= min(covered(printed, p) for p in shares) < CONFIDENCE


@pytest.mark.parametrize("n", [1, 10, 33_600])
def test_below_the_rule_of_three_none_come_by_chance_of_a_twentieth(n: int) -> None:
    assert (1 - rule_of_three(n)) ** n <= 0.05
    if n > 30:  # and it is no more careful than it must be
        assert (1 - 0.99 * rule_of_three(n)) ** n > 0.05


def test_t_half_widths_are_those_of_student_s_law() -> None:
    values = np.random.default_rng(2).normal(5, 3, 8)
    low, high = stats.t.interval(0.9, 7, values.mean(), stats.sem(values))
    assert t_half_width(values.std(ddof=1), 8, 0.9) == pytest.approx((high - low) / 2)
    assert np.isnan(t_half_width([0.0, 1.0], [1, 0])).all()
    total, squares = values.sum(), (values**2).sum()
    assert mean_interval(total, squares, 8) == pytest.approx(
        stats.t.interval(0.95, 7, values.mean(), stats.sem(values))
    )
    assert np.isnan(mean_interval(3.0, 9.0, 1)).all()


def test_the_difference_of_two_shares_covers_as_it_says() -> None:
    """By all outcomes of n trials of which some have the event under one policy alone."""
    n = 200
    more, fewer = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = more + fewer <= n
    ends = np.array(
        [paired_share_interval(b, c, n) for b, c in zip(more[possible], fewer[possible], strict=True)]
    )
    for first, second, most in [(0.05, 0.02, 0.97), (0.3, 0.2, 0.97), (0.1, 0.1, 0.97), (0.005, 0.0, 1.0)]:
        counts = np.column_stack([more[possible], fewer[possible], n - more[possible] - fewer[possible]])
        chance = stats.multinomial.pmf(counts, n, [first, second, 1 - first - second])
        inside = (ends[:, 0] <= first - second) & (first - second <= ends[:, 1])
        assert 0.93 <= math.fsum(chance[inside]) <= most
    assert paired_share_interval(0, 1, 1)[0] == -1


EACH = 5
SLO_MS, SERVICE, JITTER_MS = 30, NormalDist(20, 4), 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Array:
    """Return mean latency, ms, and number of violations of 50 requests each, shape (2, RUNS, EACH)."""
    scenario = tiny(tmp_path_factory.mktemp("tiny"), 50, "latency-first")
    found = []
    for seed in range(RUNS * EACH):
        (outcome,) = sampled.run(resolve(with_seed(scenario, seed)))
        found.append((outcome.latency_sum_ms.sum() / outcome.requests.sum(), outcome.violations.sum()))
    return np.array(found).T.reshape(2, RUNS, EACH)


def tiny(folder: Path, requests: int, *policies: str) -> Scenario:
    """Return an hour of requests of one kind, without carbon noise: nothing but luck tells runs apart."""
    text = small.SCENARIO
    second = text[text.index('[[workloads]]\nid = "long"') : text.index("[[policies]]")]
    entries = text[text.index("[[policies]]") :]
    changes = [
        ("hours = 6", "hours = 1"),
        ("requests_per_hour = 50", f"requests_per_hour = {requests}"),
        ("noise = 0.1", "noise = 0"),
        (second, ""),
        ("share = 0.7", "share = 1.0"),
        ("slo_ms = 100", f"slo_ms = {SLO_MS}"),
        (entries, "".join(f'[[policies]]\nuse = "{policy}"\n' for policy in policies)),
    ]
    return load(small.write(folder, *changes))


def mean_latency_ms(rtt_ms: float) -> float:
    """Return the mean of rtt + service + jitter, which is max(0, N(0, σ²))."""
    return rtt_ms + SERVICE.mean + JITTER_MS / math.sqrt(2 * math.pi)


def violation_share(rtt_ms: float) -> float:
    """Return P(rtt + service + jitter > SLO), by quadrature; the jitter is 0 in half of all cases."""
    jitter = NormalDist(0, JITTER_MS)
    tail, _ = integrate.quad(lambda j: jitter.pdf(j) * (1 - SERVICE.cdf(SLO_MS - rtt_ms - j)), 0, np.inf)
    return float(tail) + (1 - SERVICE.cdf(SLO_MS - rtt_ms)) / 2


def test_intervals_over_replications_cover_as_they_say(runs: Array) -> None:
    truth = 0.4 * mean_latency_ms(5) + 0.6 * mean_latency_ms(10)
    values = runs[0]
    half_width = t_half_width(values.std(axis=1, ddof=1), EACH)
    assert_covers((abs(values.mean(axis=1) - truth) <= half_width).mean())


def test_intervals_of_one_run_s_violations_cover_as_they_say(runs: Array) -> None:
    p = 0.4 * violation_share(5) + 0.6 * violation_share(10)
    k = runs[1, :, 0].astype(int)
    low, high = clopper_pearson(np.arange(51), 50)
    assert_covers(((low[k] <= p) & (p <= high[k])).mean(), covered((low, high), p))


def test_intervals_of_one_run_s_differences_cover_as_they_say(tmp_path: Path) -> None:
    """Of random routing minus latency-first: half of each origin's requests go to the other region."""
    scenario = tiny(tmp_path, 200, "latency-first", "random")
    truth = {
        "avg_latency_ms_difference": 0.4 * 60 / 2 + 0.6 * 70 / 2,
        "slo_violation_pct_difference": 100 * (1 - 0.4 * violation_share(5) - 0.6 * violation_share(10)) / 2,
        "avg_carbon_g_per_kwh_difference": (0.4 * -350 + 0.6 * 350) / 2,
    }
    found = dict.fromkeys(truth, 0)
    for seed in range(RUNS):
        inputs = replace(resolve(with_seed(scenario, seed)), baseline=0)
        differences = intervals.within_a_run(
            [one.id for one in scenario.workloads], sampled.run(inputs)
        ).filter(policy="Random")
        for row in differences.rows(named=True):
            if row["figure"] in truth:
                found[row["figure"]] += row["low"] <= truth[row["figure"]] <= row["high"]
    for count in found.values():
        assert_covers(count / RUNS)
