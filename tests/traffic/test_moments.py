"""When requests come within their hour: what queues go by."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonroute import rng
from carbonroute.traffic import Arrivals, Requests
from carbonroute.traffic.fixed_rate import FixedRate
from carbonroute.traffic.renewal import Poisson
from carbonroute.traffic.replay import Replay
from carbonroute.units import S_PER_HOUR
from traffic.wanted import START, demand


def moments(arrivals: Arrivals) -> tuple[np.ndarray, np.ndarray]:
    """Return the hour and the moment of every request."""
    blocks = list(enumerate(arrivals.blocks()))
    hours = [block.hour for _, block in blocks]
    return np.concatenate(hours), np.concatenate([arrivals.times(*block) for block in blocks])


def fixed(rate: int, hours: int, seed: int = 1) -> Arrivals:
    return FixedRate(kind="fixed-rate", requests_per_hour=rate).arrivals(demand(hours=hours, seed=seed))


@pytest.mark.parametrize(("rate", "hours"), [(1, 24), (7, 24), (50_000, 5), (65_536, 3), (100_001, 2)])
def test_a_fixed_rate_is_spread_evenly_over_its_hour(rate: int, hours: int) -> None:
    hour, time_s = moments(fixed(rate, hours))
    assert len(hour) == rate * hours
    assert (np.diff(time_s) >= 0).all()  # over the ends of blocks too
    np.testing.assert_array_equal(time_s // S_PER_HOUR, hour)
    slots = (time_s / S_PER_HOUR - hour) * rate
    place = slots - np.tile(np.arange(rate), hours)
    assert place.min() > -1e-6
    assert place.max() < 1 + 1e-6


def test_places_in_their_slots_are_uniform() -> None:
    """Share below each tenth, by a binomial standard error; 5 of them have a chance of 6e-7 each."""
    hour, time_s = moments(fixed(40_000, 5))
    place = (time_s / S_PER_HOUR - hour) * 40_000 % 1
    for share in np.linspace(0.1, 0.9, 9):
        error = np.sqrt(share * (1 - share) / len(place))
        assert abs((place < share).mean() - share) < 5 * error


def test_moments_are_the_same_for_any_horizon_and_differ_by_seed() -> None:
    short, long = moments(fixed(50_000, 2))[1], moments(fixed(50_000, 5))[1]
    np.testing.assert_array_equal(long[: len(short)], short)
    assert (moments(fixed(50_000, 2, seed=2))[1] != short).mean() > 0.99


def test_blocks_have_dice_of_their_own() -> None:
    _, time_s = moments(fixed(rng.BLOCK, 2))  # a block per hour
    first, second = time_s.reshape(2, -1)
    assert (np.abs(second - S_PER_HOUR - first) > 1e-6).mean() > 0.99


def test_no_request_leaves_its_hour_by_rounding() -> None:
    """After a million hours, two requests of a million million per hour are at the same moment."""
    rate, hours = 10**12, 10**6
    index = (hours - 1) * rate // rng.BLOCK  # begins in the hour before the last
    traffic = FixedRate(kind="fixed-rate", requests_per_hour=rate)
    hour = traffic.hour(index * rng.BLOCK, (index + 1) * rng.BLOCK)
    time_s = fixed(rate, hours).times(index, Requests(hour, hour, hour))
    assert set(hour.tolist()) == {hours - 2, hours - 1}
    np.testing.assert_array_equal(time_s // S_PER_HOUR, hour)
    assert (np.diff(time_s) >= 0).all()


def test_random_traffic_comes_when_it_says() -> None:
    arrivals = pickle.loads(
        pickle.dumps(Poisson(kind="poisson", requests_per_hour=9000).arrivals(demand(hours=9)))
    )
    for index, block in enumerate(arrivals.blocks()):
        np.testing.assert_array_equal(arrivals.times(index, block), block.time_s)
    assert index > 0
    again = pickle.loads(pickle.dumps(fixed(7, 3)))
    np.testing.assert_array_equal(moments(again)[1], moments(fixed(7, 3))[1])


def test_a_late_row_of_a_log_comes_at_its_own_time(tmp_path: Path) -> None:
    seconds = [10, 40, 20, 30, 50]
    rows = "".join(f"{(START + timedelta(seconds=s)).isoformat()}\n" for s in seconds)
    (tmp_path / "log.csv").write_text(f"time\n{rows}", encoding="utf-8")
    log = {"path": "log.csv", "time_column": "time"}
    arrivals = Replay.model_validate({"kind": "replay", "logs": [log]}).arrivals(demand(folder=tmp_path))
    (block,) = arrivals.blocks()
    assert arrivals.times(0, block).tolist() == sorted(seconds)


def test_traffic_that_knows_hours_alone_must_say_more() -> None:
    none = np.zeros(0, dtype=np.intp)
    arrivals = Arrivals(0, lambda: iter(()), lambda: np.zeros((1, 1, 1)))
    with pytest.raises(RuntimeError, match=r"must state Arrivals\.times"):
        arrivals.times(0, Requests(none, none, none))
