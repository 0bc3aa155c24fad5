"""From readings to the state: by the formulas, and the same one by one, together, plain or compiled."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from carbonroute.control.estimator import Estimator, Reading, recursion
from carbonroute.control.views import estimates_ms
from carbonroute.engines.queued.routers import _recursion
from carbonroute.scenario import Inputs
from helpers.queued_runs import inputs_of
from helpers.ticks import known


def estimator(inputs: Inputs) -> Estimator:
    information = inputs.candidates[0].information
    return Estimator(inputs.site, estimates_ms(inputs.site, information), np.array([[5.0]]), with_risk=True)


def readings(inputs: Inputs, moments: int) -> Reading:
    """Return random readings of two pools of two servers each, a minute apart; the first comes at once."""
    dice, shape = np.random.default_rng(1), (moments, 2)
    return replace(
        Reading.none(inputs.site, moments),
        passed_s=np.append(0.0, np.full(moments - 1, 60.0)),
        busy_s=dice.uniform(0, 120, shape),
        waiting_s=dice.uniform(0, 300, shape),
        server_s=np.full(shape, 120.0),
        sent_s=dice.uniform(1, 120, shape),
        requests=dice.integers(0, 400, (moments, 1)).astype(float),
        busy=dice.integers(0, 3, shape).astype(float),
        waiting=dice.integers(0, 9, shape).astype(float),
    )


def test_the_state_is_that_of_the_formulas() -> None:
    inputs = inputs_of(pools=[{"servers": 2}])
    own, reading = estimator(inputs), readings(inputs, 3)
    state, averages = own.update(reading, own.start)
    per_s, keeps = 5.0, math.exp(-60 / 600)
    for came in reading.requests[1:, 0]:
        per_s = keeps * per_s + (1 - keeps) * came / 60
    assert state.requests_per_s[2, 0, 0] == pytest.approx(per_s)
    assert state.requests_per_s[0, 0, 0] == 5
    np.testing.assert_allclose(state.utilisation[:, 0], reading.busy_s / 120)
    waits = np.where(reading.busy == 2, (reading.waiting + 1) * 500 / 2, 0.0)
    np.testing.assert_allclose(state.wait_ms[:, 0], waits)
    in_line, load = averages.in_line[2], averages.load[2]
    usual_ms = in_line * 500 / load  # Little's law
    risk = inputs.site.latency.violation_share_after(usual_ms[np.newaxis])
    np.testing.assert_allclose(known(state.violation_share)[2], risk)


def test_moments_together_are_the_same_as_one_by_one() -> None:
    inputs = inputs_of(pools=[{"servers": 2}])
    own, reading = estimator(inputs), readings(inputs, 40)
    together, averages = own.update(reading, own.start)
    before = own.start
    for moment in range(40):
        some = slice(moment, moment + 1)
        state, before = own.update(reading[some], before)
        for name, values in vars(state).items():
            if values is None:  # where no pool batches continuously
                assert getattr(together, name) is None
                continue
            assert values.tobytes() == getattr(together, name)[some].tobytes(), name
        assert before.per_s.tobytes() == averages.per_s[some].tobytes()


def test_the_compiled_recursion_gives_the_same_bits() -> None:
    dice = np.random.default_rng(2)
    columns = dice.random((1, 7)), dice.random((500, 7)), dice.random((500, 7)) ** 9
    assert recursion(*columns).tobytes() == _recursion(*columns).tobytes()
