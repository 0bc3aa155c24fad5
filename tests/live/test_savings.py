"""Savings of a live journal: by hand, settled with other carbon, and measured by switchback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import InputError, RunFolderError
from carbonroute.live.baselines import decided_by_j, energy_j
from carbonroute.live.running import journal_folder
from carbonroute.live.savings import POLICY, Interval, SavingsAccount, savings
from carbonroute.scenario import load, resolve
from helpers import llm
from helpers.clocks import START
from helpers.live import ENERGIES, Bed, bed
from helpers.small import write

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
    (whole,) = savings(journal_folder(world.setup()))
    if not whole.left_out:
        assert since_start == pytest.approx(whole.intended_g, rel=1e-12)


def test_grams_are_energy_times_carbon_of_the_weights(world: Bed) -> None:
    run(world, 11)
    (saved,) = savings(journal_folder(world.setup()))
    energy_kwh = J * 600 / 3.6e6
    assert saved.requests == pytest.approx(PER_S.sum() * 600)
    assert saved.intended_g[POLICY] == pytest.approx(energy_kwh * 90)
    assert saved.intended_g["baseline"] == pytest.approx(energy_kwh * (0.75 * 130 + 0.25 * 90))
    nearest = 600 * (PER_S @ [300.0, 3000.0]) @ [130.0, 90.0] / 3.6e6
    assert saved.intended_g["nearest"] == pytest.approx(nearest)
    assert saved.settled_g == {}


def test_a_shadow_tells_what_it_would_have_saved(world: Bed) -> None:
    run(world, 3, mode="shadow")
    (saved,) = savings(journal_folder(world.setup()))
    assert saved.mode == "shadow"
    assert saved.intended_g[POLICY] == pytest.approx(J * 120 / 3.6e6 * 90)


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
    (saved,) = savings(journal_folder(world.setup()), world.folder / "final.toml")
    assert saved.settled_g[POLICY] == pytest.approx(J * 3600 / 3.6e6 * 100)
    assert saved.settled_g["baseline"] == pytest.approx(J * 3600 / 3.6e6 * (0.75 * 200 + 0.25 * 100))


def test_restarts_and_unknown_carbon_are_left_out_and_counted(world: Bed) -> None:
    run(world, 2)
    run(world, 2)
    (saved,) = savings(journal_folder(world.setup()))
    assert saved.left_out == {"the controller was started again": 1}
    assert saved.requests == pytest.approx(PER_S.sum() * 120)


def test_an_interval_in_which_others_changed_the_weights_is_left_out(world: Bed) -> None:
    """Whose weights were in force in it is not known."""
    with world.running() as parts:
        for tick in range(4):
            parts.controller.tick()
            if tick == 1:
                world.router.held = {"A": 5000.0, "B": 5000.0}
            world.clock.wait(60)
            parts.ports.feed.poll()
        since_start = parts.controller.account.intended_g
    (saved,) = savings(journal_folder(world.setup()))
    assert saved.left_out == {"others changed the weights": 1}
    assert saved.requests == pytest.approx(PER_S.sum() * 120)
    assert since_start == pytest.approx(saved.intended_g, rel=1e-12)


def test_a_journal_of_a_simulation_has_no_live_savings(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no decision records"):
        savings(tmp_path)


def test_the_measured_difference_covers_the_truth() -> None:
    """In 400 journals of noisy intervals, 95 % intervals cover at least 0.95 − 4·√(0.95·0.05/400)."""
    dice, covered = np.random.default_rng(5), 0
    for _ in range(400):
        account = SavingsAccount()
        for _ in range(300):
            drawn = bool(dice.random() < 0.2)
            requests = float(dice.poisson(200) + 1)
            grams = requests * (10.0 if drawn else 7.0) * dice.lognormal(-0.02, 0.2)
            account.add(
                Interval(START, 60.0, requests, "baseline" if drawn else "policy", {POLICY: grams}, {})
            )
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


def test_where_power_is_stated_a_request_takes_what_its_time_of_a_server_draws(tmp_path: Path) -> None:
    """The workloads' own energies, 300 and 3,000 J, are for engines without servers."""
    powered = "idle_power_w = 100\nbusy_power_w = 300\n"
    pools = "[[workloads]]\n", f"[[pools]]\nservers = 4\n{powered}[[workloads]]\n"
    path = write(tmp_path, *ENERGIES, pools, ('name = "B"\n', 'name = "B"\npue = 1.5\n'))
    found = energy_j(resolve(load(path)).site)
    assert found is not None
    np.testing.assert_allclose(found, 200 * np.outer([0.020, 0.120], [1.0, 1.5]), rtol=1e-3)


def test_replicas_take_the_energy_that_policies_see(tmp_path: Path) -> None:
    site = llm.inputs(tmp_path).site
    replicas = site.capacity.replicas[0]
    more_w = replicas.busy_w - replicas.idle_w
    found = energy_j(site)
    assert found is not None
    assert found.min() > 0
    assert found[0, 0] == pytest.approx(more_w * replicas.busy_ms[0] / 1e3 * 1.2, rel=1e-12)
    measured_j, odd = decided_by_j(site, found / np.array([1.2, 1.0]) * 1.1)
    assert odd == ()  # a tenth more is no other unit
    np.testing.assert_allclose(measured_j, 1.1 * found)


def test_modes_are_told_apart_and_a_shadow_measures_no_difference(world: Bed) -> None:
    run_modes = ("shadow", "live")
    for mode in run_modes:
        with world.running(mode=mode, switchback=0.5) as parts:
            for _ in range(30):
                parts.controller.tick()
                world.clock.wait(60)
                parts.ports.feed.poll()
    shadow, live = savings(journal_folder(world.setup()))
    assert (shadow.mode, live.mode) == run_modes
    assert shadow.measured is None
    assert live.measured is not None
    assert live.measured.saving_pct == pytest.approx(25)
    assert shadow.expected
    assert sum(live.left_out.values()) == 0


def test_intervals_of_an_outage_or_a_failed_write_measure_nothing(world: Bed) -> None:
    with world.running(switchback=0.5) as parts:
        for tick in range(40):
            world.router.problem = "down" if tick % 2 else ""
            parts.controller.tick()
            world.clock.wait(60)
            parts.ports.feed.poll()
    (saved,) = savings(journal_folder(world.setup()))
    assert saved.measured is not None
    assert sum(saved.measured.intervals) == 20
    assert saved.measured.saving_pct == pytest.approx(25)


def test_made_up_carbon_settles_nothing(world: Bed) -> None:
    run(world, 2)
    with pytest.raises(InputError, match="has no final values"):
        savings(journal_folder(world.setup()), world.folder / "small.toml")


def test_another_scenario_in_the_same_journal_is_left_out(world: Bed) -> None:
    run(world, 2)
    text = (world.folder / "small.toml").read_text(encoding="utf-8")
    (world.folder / "small.toml").write_text(text.replace('"short"', '"brief"'), encoding="utf-8")
    run(world, 2)
    (saved,) = savings(journal_folder(world.setup()))
    assert saved.left_out == {"the scenario changed": 1}
