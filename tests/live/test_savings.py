"""Savings of a live journal: by hand, settled with other carbon, and measured by switchback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import RunFolderError
from carbonroute.live.baselines import energy_j
from carbonroute.live.running import journal_folder
from carbonroute.live.savings import IN_FORCE, Account, Interval, savings
from helpers.clocks import START
from helpers.live import Bed, bed

#: Requests per s of the four cells, and the energy of their requests, J.
PER_S = 50 / 3600 * np.outer([0.4, 0.6], [0.7, 0.3])
J = PER_S.sum(axis=0) @ [300.0, 3000.0]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")


@pytest.fixture
def world(tmp_path: Path) -> Bed:
    return bed(tmp_path)


def run(world: Bed, count: int, seconds: float = 60.0, **changes: object) -> None:
    with world.running(**changes) as parts:
        for tick in range(count):
            if tick:
                world.clock.wait(seconds)
                parts.ports.feed.poll()
            parts.controller.tick()
        since_start = parts.controller.account.intended_g
    whole = savings(journal_folder(world.setup()))
    if not whole.left_out:
        assert since_start == pytest.approx(whole.intended_g, rel=1e-12)


def test_grams_are_energy_times_carbon_of_the_weights(world: Bed) -> None:
    run(world, 11)
    saved = savings(journal_folder(world.setup()))
    energy_kwh = J * 600 / 3.6e6
    assert saved.requests == pytest.approx(PER_S.sum() * 600)
    assert saved.intended_g[IN_FORCE] == pytest.approx(energy_kwh * 90)
    assert saved.intended_g["baseline"] == pytest.approx(energy_kwh * (0.75 * 130 + 0.25 * 90))
    nearest = 600 * (PER_S @ [300.0, 3000.0]) @ [130.0, 90.0] / 3.6e6
    assert saved.intended_g["nearest"] == pytest.approx(nearest)
    assert saved.settled_g == {}


def test_a_shadow_tells_what_it_would_have_saved(world: Bed) -> None:
    run(world, 3, mode="shadow")
    saved = savings(journal_folder(world.setup()))
    assert saved.mode == "shadow"
    assert saved.intended_g[IN_FORCE] == pytest.approx(J * 120 / 3.6e6 * 90)


def test_final_carbon_settles_what_was_intended(world: Bed) -> None:
    run(world, 3, seconds=1800.0)
    text = (world.folder / "small.toml").read_text(encoding="utf-8")
    carbon = 'kind = "file"\npath = "final.csv"\nlayout = "wide"\ntime_column = "time"\nunit = "g/kWh"\n'
    text = text.replace('kind = "synthetic"\nnoise = 0.1\n', carbon)
    (world.folder / "final.toml").write_text(text, encoding="utf-8")
    rows = "time,A,B\n" + "".join(
        f"2026-03-0{day}T{hour:02}:00Z,200,{100 + hour}\n" for day in (1, 2) for hour in range(24)
    )
    (world.folder / "final.csv").write_text(rows, encoding="utf-8")
    saved = savings(journal_folder(world.setup()), world.folder / "final.toml")
    assert saved.settled_g[IN_FORCE] == pytest.approx(J * 3600 / 3.6e6 * 100)
    assert saved.settled_g["baseline"] == pytest.approx(J * 3600 / 3.6e6 * (0.75 * 200 + 0.25 * 100))


def test_restarts_and_unknown_carbon_are_left_out_and_counted(world: Bed) -> None:
    run(world, 2)
    run(world, 2)
    saved = savings(journal_folder(world.setup()))
    assert saved.left_out == {"the controller was started again": 1}
    assert saved.requests == pytest.approx(PER_S.sum() * 120)


def test_a_journal_of_a_simulation_has_no_live_savings(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no decision records"):
        savings(tmp_path)


def test_the_measured_difference_covers_the_truth() -> None:
    """In 400 journals of noisy intervals, 95 % intervals cover at least 0.95 − 4·√(0.95·0.05/400)."""
    dice, covered = np.random.default_rng(5), 0
    for _ in range(400):
        account = Account()
        for _ in range(300):
            drawn = bool(dice.random() < 0.2)
            requests = float(dice.poisson(200) + 1)
            grams = requests * (10.0 if drawn else 7.0) * dice.lognormal(-0.02, 0.2)
            account.add(Interval(START, 60.0, requests, drawn, {IN_FORCE: grams}, {}))
        found = account.difference()
        assert found is not None
        covered += abs(found.saving_pct - 30) <= found.half_width_pct
    assert covered / 400 >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400)
    assert covered < 400


def test_a_measured_marginal_energy_stands_before_the_stated_one(world: Bed) -> None:
    site = world.setup().inputs.site
    stated = energy_j(site)
    assert stated is not None
    measured = np.full((2, 2), np.nan)
    measured[0, 1] = 40.0
    both = energy_j(site, measured)
    assert both is not None
    assert both[0, 0] == stated[0, 0]
    assert site.energy is not None
    assert both[0, 1] == pytest.approx(40.0 * site.energy.pue[1] + site.energy.network_j[0])
