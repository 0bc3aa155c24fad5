"""Targets that limit their changes: they are waited for, unless it is urgent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from carbonroute.live.actuation import Actuation
from carbonroute.live.actuators.target import OpenTarget, Target, TargetContext, TargetError
from carbonroute.live.names import Names
from helpers.targets import context

EVEN = np.array([[[0.5, 0.5]]])
GREEN = np.array([[[0.0, 1.0]]])


class Slow(Target):
    """A router that takes one change in 300 s."""

    @property
    def label(self) -> str:
        return "slow"

    def open(self, context: TargetContext) -> OpenTarget:
        return _OpenSlow(context, 1.0)


class _OpenSlow(OpenTarget):
    due_s = 0.0
    parts: Mapping[str, float] = {"eu": 1.0}

    def delay_s(self) -> float:
        return max(self.due_s - self.context.clock.monotonic_s(), 0.0)

    def _write(self, parts: Mapping[str, float]) -> None:
        if parts.get("us", 0.0) == 0:
            raise TargetError("rejected", "no")
        self.due_s = self.context.clock.monotonic_s() + 300
        self.parts = parts

    def _read(self) -> dict[str, float]:
        return dict(self.parts)

    def _restore(self) -> None:
        return


class Told(Slow):
    """A router that takes any weights, with a trickle."""

    def open(self, context: TargetContext) -> OpenTarget:
        return _OpenTold(context, 1.0, trickle=0.001)


class _OpenTold(_OpenSlow):
    def _write(self, parts: Mapping[str, float]) -> None:
        self.parts = parts


def test_a_target_that_is_not_due_is_no_alarm_and_an_urgent_change_does_not_wait() -> None:
    around = context(regions=("eu", "us"))
    names = Names(["all"], ["chat"], ["eu", "us"])
    ones = np.ones((1, 1))
    with Actuation([Slow()], names, around, EVEN) as actuation:
        assert actuation.apply(EVEN, ones).verified.all()
        for _ in range(3):
            carried = actuation.apply(GREEN, ones)
            assert not carried.verified.any()
            assert carried.in_force.tolist() == EVEN.tolist()
            assert "due in" in carried.records[0]["detail"]
        assert actuation.alarms == ()
        urgent = actuation.apply(GREEN, ones, urgent=True)
        assert urgent.in_force.tolist() == GREEN.tolist()


def test_weights_that_others_changed_are_an_alarm_of_that_tick() -> None:
    names, ones, others = Names(["all"], ["chat"], ["eu", "us"]), np.ones((1, 1)), {"eu": 0.9, "us": 0.1}
    with Actuation([Told()], names, context(regions=("eu", "us")), EVEN) as actuation:
        router = actuation._open[0]
        assert isinstance(router, _OpenSlow)
        router.parts = others  # as it was before the first write, is nobody's change
        assert actuation.apply(GREEN, ones).verified.all()
        assert not actuation.alarms
        router.parts = others
        assert actuation.apply(GREEN, ones).verified.all()
        assert ["changed by others" in alarm for alarm in actuation.alarms] == [True]
        actuation.apply(EVEN, ones)
        assert actuation.alarms == ()
        router.parts = others
        actuation.apply(EVEN, ones, urgent=True)  # is not kept waiting by a question
        assert actuation.alarms == ()


def test_others_are_seen_where_a_change_is_not_due() -> None:
    names, ones = Names(["all"], ["chat"], ["eu", "us"]), np.ones((1, 1))
    with Actuation([Slow()], names, context(regions=("eu", "us")), EVEN) as actuation:
        for weights in (EVEN, GREEN):
            actuation.apply(weights, ones)
        router = actuation._open[0]
        assert isinstance(router, _OpenSlow)
        router.parts = {"eu": 0.9, "us": 0.1}
        actuation.apply(GREEN, ones)
        assert ["changed by others" in alarm for alarm in actuation.alarms] == [True]


def test_a_target_that_refuses_twice_is_an_alarm() -> None:
    names = Names(["all"], ["chat"], ["eu", "us"])
    with Actuation([Slow()], names, context(regions=("eu", "us")), EVEN) as actuation:
        for alarms in (0, 1):
            actuation.apply(1 - GREEN, np.ones((1, 1)))
            assert len(actuation.alarms) == alarms


def test_regions_that_may_not_serve_are_not_told_of(tmp_path: Path) -> None:
    around = context(tmp_path, regions=("eu", "us", "ap"))
    names = Names(["all"], ["chat"], ["eu", "us", "ap"])
    even = np.array([[[0.5, 0.5, 0.0]]])
    with Actuation([Told()], names, around, even, np.array([[[True, False, True]]])) as actuation:
        carried = actuation.apply(np.array([[[1.0, 0.0, 0.0]]]), np.ones((1, 1)))
        assert carried.verified.all()
        assert carried.records[0]["sent"] == {"eu": 0.999, "ap": 0.001}
        outside = actuation.apply(even, np.ones((1, 1)))
        assert outside.records[0]["result"] == "rejected"
        assert not outside.verified.any()


def test_regions_that_may_serve_some_cells() -> None:
    names = Names(["de", "fr"], ["chat"], ["eu", "us", "ap"])
    allowed = np.array([[[True, False, False]], [[False, True, False]]])
    assert names.served(names.cells("de", None), allowed) == ("eu",)
    assert names.served(names.cells(None, "chat"), allowed) == ("eu", "us")
    assert names.served(names.cells(None, None), None) == ("eu", "us", "ap")
