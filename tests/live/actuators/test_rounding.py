"""Whole numbers from shares: exact sums, no share moved by a whole step, nothing from nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.live.actuators.rounding import divided, largest_remainder

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda values: math.fsum(values) > 1e-9)


@given(SHARES, st.sampled_from([100, 256, 10_000, 1_000_000]))
def test_sums_are_exact_and_each_is_within_one_step(values: list[float], total: int) -> None:
    shares = {f"r{place}": value for place, value in enumerate(values)}
    parts = largest_remainder(shares, total)
    assert sum(parts.values()) == total
    whole = math.fsum(values)
    for name, share in shares.items():
        assert abs(parts[name] - share / whole * total) < 1 + 1e-6
        assert share > 0 or parts[name] == 0


def test_ties_go_to_the_first() -> None:
    assert largest_remainder({"a": 1, "b": 1, "c": 1}, 100) == {"a": 34, "b": 33, "c": 33}


def test_a_hundred_shares_of_a_hundredth_are_one_each() -> None:
    assert set(largest_remainder({str(n): 0.01 for n in range(100)}, 100).values()) == {1}


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -0.1, "b": 1.1}, {"a": math.nan}, {"a": math.inf}])
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        largest_remainder(shares, 100)


@given(SHARES, st.sampled_from([256, 10_000]), st.floats(0.0001, 0.01))
def test_no_region_is_below_its_trickle(values: list[float], total: int, trickle: float) -> None:
    parts = divided({f"r{place}": value for place, value in enumerate(values)}, total, trickle)
    assert sum(parts.values()) == total
    assert min(parts.values()) >= max(round(trickle * total), 1) - 1
    assert min(parts.values()) >= 1


def test_a_trickle_is_at_least_one_step() -> None:
    assert divided({"eu": 1.0, "us": 0.0}, 256, 0.0001) == {"eu": 255, "us": 1}
    assert divided({"eu": 1.0, "us": 0.0}, 256) == {"eu": 256, "us": 0}


def test_trickles_that_take_all_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves nothing"):
        divided({"eu": 1.0, "us": 0.0, "ap": 0.0}, 2, 0.01)
