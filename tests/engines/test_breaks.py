"""A choice by service time is settled to the last double."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from carbonroute import rng
from carbonroute.control.information import Information
from carbonroute.control.views import Traits
from carbonroute.engines import choices as plans_module
from carbonroute.engines.breaks import settled
from carbonroute.engines.choices import Plans, plan, value_of
from carbonroute.engines.draws import SCHEMES, stream_blocks
from carbonroute.engines.routing import Dispatcher
from carbonroute.policies import Policy, View
from carbonroute.policies.base import SplittingPolicy
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.traffic import Requests
from helpers.grids import examples
from helpers.scenarios import Document, documents, inputs_of

#: Service times above which a policy goes to region 1, 2, …
Steps = list[float]
Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]


def chooser(steps: list[Steps]) -> Choose:
    """Return a policy that goes to the next region above each step of a cell."""

    def choose(cell: np.ndarray, service_ms: np.ndarray) -> np.ndarray:
        assert (service_ms >= 0).all()
        assert np.isfinite(service_ms).all()
        return np.array([sum(s > step for step in steps[c]) for c, s in zip(cell, service_ms, strict=True)])

    return choose


def around(times_ms: np.ndarray) -> np.ndarray:
    """Return each time, its neighbours among the doubles, and others."""
    return np.concatenate(
        [times_ms, np.nextafter(times_ms, 0), np.nextafter(times_ms, np.inf), times_ms / 3, times_ms * 2 + 1]
    )


def by_breaks(breaks: np.ndarray, regions: np.ndarray, cell: int, times_ms: np.ndarray) -> np.ndarray:
    passed = (breaks[cell] < times_ms[:, np.newaxis]).sum(axis=1)
    return np.asarray(regions[cell, passed])


@settings(max_examples=examples(200))
@given(
    st.lists(st.lists(st.floats(1e-3, 1e6), max_size=5), min_size=1, max_size=4),
    st.sampled_from([0.0, 1e-16, -1e-15, 1e-12, 0.3]),
    st.randoms(use_true_random=False),
)
def test_changes_are_found_wherever_they_are(steps: list[Steps], error: float, dice: object) -> None:
    """However roughly they are stated, as long as the choice does not come back to an earlier one."""
    most = max(map(len, steps))
    stated = np.full((len(steps), most + 1), np.nan)
    for cell, of_cell in enumerate(steps):
        stated[cell, : len(of_cell)] = np.array(of_cell[::-1]) * (1 + error)
    choose = chooser(steps)
    breaks, regions = settled(choose, stated, np.full(len(steps), 100.0))
    for cell, of_cell in enumerate(steps):
        times_ms = around(np.array([0.5, 7.0, *of_cell]))
        expected = choose(np.full(len(times_ms), cell), times_ms)
        np.testing.assert_array_equal(by_breaks(breaks, regions, cell, times_ms), expected)


def test_what_is_stated_well_takes_few_questions() -> None:
    asked: list[int] = []
    choose = chooser([[20.0, 50.0, 95.0]] * 10)

    def counting(cell: np.ndarray, service_ms: np.ndarray) -> np.ndarray:
        asked.append(len(cell))
        return choose(cell, service_ms)

    stated = np.tile([20.0 + 1e-14, 50.0 - 1e-14, 95.0], (10, 1))
    breaks, _ = settled(counting, stated, np.full(10, 100.0))
    assert breaks.tolist() == [[20.0, 50.0, 95.0]] * 10
    assert len(asked) <= 3
    assert asked[0] == 10 * (3 * 3 + 1)


def test_no_breaks_make_one_piece() -> None:
    for stated in (np.empty((3, 0)), np.full((3, 2), np.nan), np.array([[-5.0, np.inf]] * 3)):
        breaks, regions = settled(chooser([[]] * 3), stated, np.full(3, 100.0))
        assert breaks.shape == (3, 0)
        assert regions.tolist() == [[0]] * 3


def streamed(document: Document) -> Inputs:
    for entry in document["policies"]:
        entry["information"] = {"service_time": "actual"}
    document["sampling"] = {"scheme": "streams", "seed": document["sampling"]["seed"]}
    return inputs_of(document)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.filter_too_much])
@given(documents())
def test_a_plan_is_what_requests_are_told_one_by_one(document: Document) -> None:
    """Of every policy that is shown service times, at the very breaks and around them."""
    inputs = streamed(document)
    hours, origins, workloads, _ = inputs.shape
    hour, origin, workload = np.indices((min(hours, 3), origins, workloads)).reshape(3, -1)
    planned = 0
    for candidate in inputs.candidates:
        found = plan(Dispatcher.of(candidate, inputs), Requests(hour, origin, workload), {}, 10**9)
        if found is None or not found.breaks.size or candidate.on_cells:
            continue
        planned += 1
        for cell, breaks in enumerate(found.breaks):
            times_ms = around(breaks[np.isfinite(breaks)])
            if len(times_ms):
                of = Requests(*(np.full(len(times_ms), column[cell]) for column in (hour, origin, workload)))
                told = Dispatcher.of(candidate, inputs).ask(of, Traits(times_ms))
                np.testing.assert_array_equal(by_breaks(found.breaks, found.regions, cell, times_ms), told)
    assume(planned)


class Quarters(SplittingPolicy):
    """A quarter of the requests to each of the first four of five regions."""

    def weights(self, view: View) -> np.ndarray:
        return np.broadcast_to([0.25, 0.25, 0.25, 0.25, 0.0], view.rtt_ms.shape)


def test_dice_on_a_limit_fall_to_the_next_region() -> None:
    inputs = resolve(load("published"))
    zero = np.zeros(1, dtype=np.intp)
    cell = Requests(zero, zero, zero)
    candidate = inputs.candidate("it", Quarters(), Information())
    found = plan(Dispatcher.of(candidate, inputs), cell, {}, 1)
    assert found is not None
    dice = np.array([0.0, 0.25, 0.5, 0.75, np.nextafter(1, 0)])
    assert by_breaks(found.breaks, found.regions, 0, dice).tolist() == [0, 1, 2, 3, 3]
    assert by_breaks(found.breaks, found.regions, 0, np.nextafter(dice[1:4], 0)).tolist() == [0, 1, 2]


@settings(max_examples=examples(40))
@given(documents(), st.sampled_from([64, 30, 16, 7]))
def test_plans_last_from_block_to_block(document: Document, block: int) -> None:
    """Cells come and go; whatever of their plans is kept, requests go where they are told."""
    inputs = streamed(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "BLOCK", block)
        plans = Plans([Dispatcher.of(each, inputs) for each in inputs.candidates], inputs.shape[0])
        ((_, blocks),) = SCHEMES["streams"](inputs)
        for one in blocks:
            rows = plans.rows(one)
            row = np.repeat(rows, one.cells.counts)
            for candidate, found in zip(inputs.candidates, plans.plans, strict=True):
                if found is None:
                    continue
                dispatcher = Dispatcher.of(candidate, inputs)
                cells, region = dispatcher.route(one)
                value = value_of(dispatcher, one)[:, np.newaxis]
                passed = (found.breaks[row] < value).sum(axis=1)
                np.testing.assert_array_equal(found.regions[row, passed], np.repeat(region, cells.counts))


def test_what_was_not_planned_for_is_asked_about_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cells are too many questions for ten requests; two, one of them the same, are not for thirty."""
    monkeypatch.setattr(plans_module, "_AHEAD", 0)
    inputs = resolve(load("published", {"policies": [{"use": "constrained-hybrid"}]}))
    plans = Plans([Dispatcher.of(each, inputs) for each in inputs.candidates], inputs.shape[0])
    hours = np.array([0, 1, 2, 3, 3, 3, 3, 3, 3, 3]), np.array([3, 4] * 15)
    pending = [(i, partial(Requests, hour, 0 * hour, 0 * hour)) for i, hour in enumerate(hours)]
    first, second = stream_blocks(inputs.scenario, inputs.site, pending, compiled=False)
    assert plans.rows(first).tolist() == [0, 1, 2, 3]
    assert plans.plans == [None]
    assert plans.rows(second).tolist() == [0, 1]
    (found,) = plans.plans
    assert found is not None
    np.testing.assert_array_equal(found.breaks[:, 0], found.breaks[0, 0])
    assert len(found.breaks) == 2


class Taught(Policy):
    """Goes by service times, and by turns."""

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"rtt_ms", "service_ms", "turn"})

    def cost(self, view: View) -> np.ndarray:
        assert view.turn is not None
        return view.rtt_ms * (view.turn % 2 - 0.5)[..., np.newaxis]

    def breaks_ms(self, view: View) -> np.ndarray:
        return np.empty((*view.slo_ms.shape, 0))


def test_who_goes_by_turns_is_asked_about_every_request() -> None:
    inputs = resolve(load("published"))
    zero = np.zeros(1, dtype=np.intp)
    candidate = inputs.candidate("it", Taught(), Information.spelled(service_time="actual"))
    assert plan(Dispatcher.of(candidate, inputs), Requests(zero, zero, zero), {}, 10**9) is None
