"""The deferral budget: the share of the last day that was not greener than now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.live.actuators.gauge import Gauge
from carbonroute.live.deferral import Deferral
from carbonroute.live.running import assembled
from helpers.live import bed

ALL_TO_B = np.array([[[0.0, 1.0]]])


def test_the_greenest_moment_of_the_day_has_the_whole_budget() -> None:
    deferral = Deferral(3600.0)
    day = [300.0, 200.0, 100.0, 400.0]
    budgets = [deferral.budget(ALL_TO_B, np.array([np.nan, carbon])).item() for carbon in day]
    assert budgets == [1.0, 1.0, 1.0, 0.25]
    for _ in range(21):
        deferral.budget(ALL_TO_B, np.array([np.nan, 1000.0]))
    # Of the 24 hours that are kept, the one of 100 alone was greener; those of 300 and 200 are gone.
    assert deferral.budget(ALL_TO_B, np.array([np.nan, 250.0])).item() == pytest.approx(23 / 24)


def test_a_day_of_short_intervals_is_kept_evenly() -> None:
    deferral = Deferral(10.0)
    for tick in range(2 * 8640):
        carbon = 100.0 if tick % 8640 < 2160 else 200.0
        budget = deferral.budget(ALL_TO_B, np.array([np.nan, carbon])).item()
        assert budget == pytest.approx(1.0 if carbon == 100 else 0.75, abs=0.001) or tick < 8640
    assert deferral.budget(ALL_TO_B, np.array([np.nan, 250.0])).item() == pytest.approx(1 / 1440)


def test_unknown_carbon_runs_nothing() -> None:
    deferral = Deferral(3600.0)
    deferral.budget(ALL_TO_B, np.array([1.0, 100.0]))
    assert deferral.budget(ALL_TO_B, np.array([1.0, np.nan])).item() == 0
    assert deferral.budget(ALL_TO_B, np.array([1.0, 100.0])).item() == 1


def test_a_controller_tells_its_gauges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    world = bed(tmp_path)
    setup = world.setup()
    object.__setattr__(
        setup, "settings", setup.settings.model_copy(update={"actuators": (Gauge(kind="gauge"),)})
    )
    with assembled(setup, world.clock, world.fetch) as parts:
        parts.ports.feed.poll()
        parts.controller.tick()
        registry = parts.gauges.registry
    assert registry.get_sample_value("carbonroute_deferral_budget", {"origin": "", "workload": ""}) == 1.0
