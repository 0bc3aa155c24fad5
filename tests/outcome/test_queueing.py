"""What waited and what was rejected, of one run and of several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carbonroute.outcome import Histogram, Outcome, Queueing, Samples
from carbonroute.workloads.energy import Emissions

SHAPE = (1, 2, 2)  # origins, workloads, regions


def queueing(scale: int = 1, **changes: Any) -> Queueing:
    """Return what a run of 2 hours and 3 pools counted, all of it in proportion."""
    hourly = scale * np.array([[0.2, 0.4, np.inf], [0.6, 0.0, np.inf]])
    part = Queueing(
        rejected=np.full(SHAPE, scale),
        wait_sum_ms=np.full(SHAPE, 10.0 * scale),
        wait=Samples(((np.array([5.0 * scale]),), (np.array([15.0 * scale]),))),
        utilisation=hourly,
        servers=hourly,
        waiting=hourly,
        offered=hourly,
        hours_over_capacity=np.array([0.0, 1.0, 2.0]) * scale,
        flips_per_day=3.0 * scale,
        server_worth_g_per_h=np.array([4.0, 0.0]) * scale,
        left_out=7 * scale,
        slot_s=300.0,
    )
    return replace(part, **changes)


def outcome(queueing: Queueing | None, idle_g: np.ndarray[Any, Any] | None = None) -> Outcome:
    """Return an outcome of 10 requests in every cell."""
    requests = np.full(SHAPE, 10)
    grams = np.ones(SHAPE)
    return Outcome(
        policy="One",
        clairvoyant=False,
        requests=requests,
        violations=requests // 2,
        latency_sum_ms=grams,
        carbon_sum_g_per_kwh=grams,
        latency=Samples(((np.ones(20),), (np.ones(20),))),
        emissions=Emissions(grams, 2 * grams, 3 * grams, idle_g),
        queueing=queueing,
    )


def merged(*scales: int) -> Queueing:
    found = Queueing.merged([queueing(scale) for scale in scales])
    assert found is not None
    return found


def test_counts_and_sums_add_up() -> None:
    both = merged(1, 3)
    assert (both.rejected == 4).all()
    assert both.rejected.dtype.kind == "i"
    assert (both.wait_sum_ms == 40).all()
    assert (both.left_out, both.runs, both.slot_s) == (28, 2, 300)
    assert both.wait.mean() == pytest.approx((5 + 15 + 15 + 45) / 4)


def test_what_is_of_an_hour_a_pool_or_a_day_is_the_mean() -> None:
    both = merged(1, 3)
    for name in ("utilisation", "servers", "waiting", "offered"):
        assert getattr(both, name) == pytest.approx(getattr(queueing(2), name))
    assert both.hours_over_capacity.tolist() == [0, 2, 4]
    assert both.flips_per_day == 6
    assert both.server_worth_g_per_h is not None
    assert both.server_worth_g_per_h.tolist() == [8, 0]


def test_runs_have_equal_weight_in_whatever_order_they_are_merged() -> None:
    """Replications join a growing whole one by one."""
    step_by_step = Queueing.merged([merged(1, 3), queueing(8)])
    assert step_by_step is not None
    assert step_by_step.runs == 3
    assert step_by_step.flips_per_day == pytest.approx(3 * (1 + 3 + 8) / 3)
    assert step_by_step.utilisation == pytest.approx(queueing(4).utilisation)
    assert step_by_step.flips_per_day == pytest.approx(merged(1, 3, 8).flips_per_day)


def test_what_one_does_not_know_nobody_knows() -> None:
    assert Queueing.merged([queueing(), None]) is None
    assert Queueing.merged([]) is None
    blind = Queueing.merged([queueing(), queueing(server_worth_g_per_h=None)])
    assert blind is not None
    assert blind.server_worth_g_per_h is None


def test_waits_of_a_histogram_and_of_samples_join() -> None:
    samples = queueing().wait
    assert isinstance(samples, Samples)
    both = Queueing.merged([queueing(), queueing(wait=Histogram.of(samples))])
    assert both is not None
    assert isinstance(both.wait, Histogram)
    assert both.wait.mean() == pytest.approx(10)


def test_served_requests_are_those_that_were_not_rejected() -> None:
    assert (outcome(queueing(3)).served == 7).all()
    assert (outcome(None).served == 10).all()


def test_outcomes_merge_with_their_queues_and_idle_grams() -> None:
    idle_g = np.full(SHAPE, 0.5)
    both = Outcome.merged([outcome(queueing(1), idle_g), outcome(queueing(3), idle_g)])
    assert (both.served == 16).all()
    assert both.emissions is not None
    assert both.emissions.total_g == pytest.approx(np.full(SHAPE, 2 * (1 + 2 + 3 + 0.5)))
    alone = Outcome.merged([outcome(None), outcome(None)])
    assert alone.queueing is None
    assert alone.emissions is not None
    assert alone.emissions.idle_g is None
    assert alone.emissions.total_g == pytest.approx(np.full(SHAPE, 12))
