"""What traffic expects is what its blocks count, within what dice allow.

A check of random traffic fails by chance with a probability of at most 1e-6.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from carbonroute import rng
from carbonroute.traffic import Arrivals
from carbonroute.traffic.diurnal import Diurnal
from carbonroute.traffic.fixed_rate import FixedRate
from carbonroute.traffic.ratefile import RateFile
from carbonroute.traffic.renewal import GammaRenewal, Poisson
from carbonroute.traffic.replay import Replay
from traffic.wanted import START, demand, together

ALPHA = 1e-6
SINE = Diurnal(amplitude=0.6, peak_hour=15.0)
UNEVEN = Diurnal(hourly=(0, 0, 1, 2, 3, 4, 6, 8, 9, 9, 8, 7, 9, 9, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0.5))


def counted(arrivals: Arrivals, shape: tuple[int, ...]) -> np.ndarray:
    found = together(arrivals)
    counts = np.zeros(shape)
    np.add.at(counts, (found["hour"], found["origin"], found["workload"]), 1)
    return counts


def chi_square_fits(counts: np.ndarray, expected: np.ndarray) -> bool:
    """Independent Poisson counts of known means, each large enough for the chi-square law."""
    there = expected > 0
    assert expected[there].min() > 20
    if counts[~there].any():
        return False
    statistic = ((counts - expected)[there] ** 2 / expected[there]).sum()
    low, high = stats.chi2.ppf([ALPHA / 2, 1 - ALPHA / 2], there.sum())
    return bool(low <= statistic <= high)


def rate_file(folder: Path, **keys: Any) -> RateFile:
    """Windows of 90 minutes, which no hour is a whole number of; an origin each, one silent for a while."""
    windows = np.arange(32)
    rates = {
        "w": 4000 + 3000 * np.sin(windows),
        "m": 2500 + 100 * windows,
        "e": np.where((windows > 5) & (windows < 9), 0, 9000),
    }
    pl.DataFrame(rates).write_csv(folder / "rates.csv")
    columns = {"West": "w", "Mid": "m", "East": "e"}
    return RateFile.spelled(
        kind="rate-file", path="rates.csv", unit="requests/h", window="90min", columns=columns, **keys
    )


def test_a_fixed_rate_is_shared_out() -> None:
    wanted = demand(hours=3)
    expected = FixedRate(kind="fixed-rate", requests_per_hour=1000).arrivals(wanted).expected()
    assert expected.shape == (3, 3, 2)
    np.testing.assert_allclose(expected.sum(axis=(1, 2)), 1000, rtol=1e-15)
    np.testing.assert_allclose(expected[2, 2], [1000 * 0.3 * 0.7, 1000 * 0.3 * 0.3], rtol=1e-15)


@pytest.mark.parametrize("diurnal", [None, SINE, UNEVEN])
def test_poisson_counts_scatter_around_what_is_expected(diurnal: Diurnal | None) -> None:
    wanted = demand(hours=48)
    arrivals = Poisson(kind="poisson", requests_per_hour=20_000, diurnal=diurnal).arrivals(wanted)
    expected = arrivals.expected()
    counts = counted(arrivals, expected.shape)
    assert expected.sum() == pytest.approx(arrivals.count, rel=1e-12)
    assert chi_square_fits(counts, expected)
    if diurnal:
        assert not chi_square_fits(np.roll(counts, 1, axis=0), expected)
    assert not chi_square_fits(counts[:, ::-1], expected)
    assert not chi_square_fits(counts[..., ::-1], expected)


def test_even_gaps_scatter_less() -> None:
    """The count of a renewal process in a long span has a standard deviation of cv·√n, and ends are rough."""
    wanted = demand(hours=24)
    arrivals = GammaRenewal(kind="gamma-renewal", requests_per_hour=50_000, cv=0.05).arrivals(wanted)
    per_hour = np.bincount(together(arrivals)["hour"], minlength=24)
    z = stats.norm.isf(ALPHA / 24 / 2)
    assert np.abs(per_hour - arrivals.expected().sum(axis=(1, 2))).max() < 2 + z * 0.05 * np.sqrt(50_000)


def test_rate_files_are_integrated_over_each_hour(tmp_path: Path) -> None:
    wanted = demand(hours=48, folder=tmp_path)
    arrivals = rate_file(tmp_path).arrivals(wanted)
    expected = arrivals.expected()
    silent = expected[:, 2].sum(axis=1)
    np.testing.assert_allclose(silent[8:14], [9000, 0, 0, 0, 0, 4500], atol=1e-6)
    assert expected.sum() == pytest.approx(arrivals.count, rel=1e-12)
    assert chi_square_fits(counted(arrivals, expected.shape), expected)


def write_log(folder: Path, name: str, columns: dict[str, Any], rows: int = 500) -> None:
    dice = np.random.default_rng(3)
    minutes = np.sort(dice.integers(-60, 26 * 60, rows))  # some lie outside the horizon
    time = [START.timestamp() + 60 * int(minute) for minute in minutes]
    pl.DataFrame({"time": time, **columns}).write_csv(folder / name)


def test_logged_requests_are_counted_and_the_unknown_shared_out(tmp_path: Path) -> None:
    dice = np.random.default_rng(4)
    origin = dice.choice(["West", "Mid", "East"], 500)
    workload = dice.choice(["chat", "code"], 500)
    write_log(tmp_path, "whole.csv", {"o": origin, "w": workload})
    write_log(tmp_path, "bare.csv", {})
    common = {"time_column": "time", "time_unit": "s"}
    whole = {"path": "whole.csv", "origin_column": "o", "workload_column": "w", **common}
    bare = {"path": "bare.csv", **common}
    wanted = demand(folder=tmp_path)
    shape = 24, 3, 2

    arrivals = Replay.model_validate({"kind": "replay", "logs": [whole]}).arrivals(wanted)
    np.testing.assert_array_equal(arrivals.expected(), counted(arrivals, shape))
    assert arrivals.own == ""

    both = Replay.model_validate({"kind": "replay", "logs": [whole, bare]}).arrivals(wanted)
    alone = Replay.model_validate({"kind": "replay", "logs": [bare]}).arrivals(wanted)
    shared = np.bincount(together(alone)["hour"], minlength=24)[:, np.newaxis, np.newaxis] * np.outer(
        wanted.origin_share, wanted.workload_share
    )
    np.testing.assert_allclose(both.expected(), arrivals.expected() + shared, rtol=1e-12)
    assert both.expected().sum() == pytest.approx(both.count)


def test_what_requests_bring_of_their_own_is_said(tmp_path: Path) -> None:
    write_log(tmp_path, "a.csv", {"s": np.full(500, 0.2), "p": np.full(500, 7)})
    write_log(tmp_path, "b.csv", {"s": np.full(500, 0.2)})
    keys = {"time_column": "time", "time_unit": "s", "service_column": "s", "service_unit": "s"}
    logs = [{"path": "a.csv", "prompt_tokens_column": "p", **keys}, {"path": "b.csv", **keys}]
    arrivals = Replay.model_validate({"kind": "replay", "logs": logs}).arrivals(demand(folder=tmp_path))
    assert arrivals.own == (
        "requests of a.csv bring their own service times and prompt tokens; "
        "requests of b.csv bring their own service times"
    )
    assert Poisson(kind="poisson", requests_per_hour=9).arrivals(demand()).own == ""


@pytest.mark.parametrize("kind", ["fixed-rate", "poisson", "gamma-renewal", "rate-file", "replay"])
def test_blocks_may_be_skipped(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rng, "BLOCK", 64)
    wanted = demand(folder=tmp_path)
    if kind == "fixed-rate":
        arrivals = FixedRate(kind="fixed-rate", requests_per_hour=30).arrivals(wanted)
    elif kind == "poisson":
        arrivals = Poisson(kind="poisson", requests_per_hour=30, diurnal=SINE).arrivals(wanted)
    elif kind == "gamma-renewal":
        arrivals = GammaRenewal(kind="gamma-renewal", requests_per_hour=30, cv=2).arrivals(wanted)
    elif kind == "rate-file":
        arrivals = rate_file(tmp_path, scale=0.002).arrivals(wanted)
    else:
        write_log(tmp_path, "bare.csv", {})
        log = {"path": "bare.csv", "time_column": "time", "time_unit": "s"}
        arrivals = Replay.model_validate({"kind": "replay", "logs": [log]}).arrivals(wanted)
    blocks = list(arrivals.blocks())
    assert len(blocks) > 4
    third = [draw() for draw in islice(arrivals.pending(), 2, None, 3)]
    for skipped, drawn in zip(third, blocks[2::3], strict=True):
        for name in ("hour", "origin", "workload"):
            np.testing.assert_array_equal(getattr(skipped, name), getattr(drawn, name))
