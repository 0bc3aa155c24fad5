"""A write counts once it was read back; whatever else happens, what is held stays as it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from carbonroute.live.actuators import TARGETS, AnyTarget, OpenTarget, TargetError
from carbonroute.live.http import FetchError
from carbonroute.live.secrets import SecretError
from helpers.clocks import FakeClock
from helpers.targets import context


class Shelf(OpenTarget):
    """A router in memory, with faults as told."""

    def __init__(self) -> None:
        super().__init__(context(), timeout_s=1.0)
        self.holds: dict[str, float] = {"eu": 1.0}
        self.before = self.holds
        self.write_fault: Exception | None = None
        self.read_fault: Exception | None = None
        self.slow = 0
        self.lies = False

    def _write(self, parts: Mapping[str, float]) -> None:
        self.before = self.holds
        if not self.lies:
            self.holds = dict(parts)
        if self.write_fault:
            raise self.write_fault

    def _read(self) -> dict[str, float]:
        if self.read_fault:
            raise self.read_fault
        self.slow -= 1
        return self.before if self.slow >= 0 else self.holds

    def _restore(self) -> None:
        self.holds = self.before


def test_what_was_read_back_is_what_counts() -> None:
    shelf = Shelf()
    applied = shelf.apply({"eu": 0.9, "us": 0.1})
    assert applied.result == "ok"
    assert applied.sent == applied.read_back == shelf.held() == {"eu": 0.9, "us": 0.1}


def test_it_waits_until_the_router_holds_it() -> None:
    shelf = Shelf()
    shelf.slow = 7
    applied = shelf.apply({"us": 1.0})
    assert applied.result == "ok"
    assert applied.ms == pytest.approx(70)


def test_a_router_that_says_yes_and_does_nothing_is_unverified() -> None:
    shelf = Shelf()
    shelf.lies = True
    applied = shelf.apply({"us": 1.0})
    assert applied.result == "unverified"
    assert applied.read_back == {"eu": 1.0}
    assert 1000 <= applied.ms <= 1100


def test_a_router_that_never_shows_it_gets_its_own_back() -> None:
    shelf = Shelf()
    shelf.slow = 10**6
    assert shelf.apply({"us": 1.0}).result == "unverified"
    assert shelf.holds == {"eu": 1.0}


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (TargetError("rejected", "no"), "rejected"),
        (FetchError("status", "answered 422", 422), "rejected"),
        (FetchError("status", "answered 503", 503), "unreachable"),
        (FetchError("timeout", "no answer"), "unreachable"),
        (SecretError("not set"), "unreachable"),
        (OSError(28, "No space left on device"), "unreachable"),
        (ConnectionRefusedError(111, "refused"), "unreachable"),
    ],
)
def test_faults_of_the_outer_world_are_results(fault: Exception, result: str) -> None:
    shelf = Shelf()
    shelf.write_fault = fault
    applied = shelf.apply({"us": 1.0})
    assert applied.result == result
    assert applied.detail
    assert shelf.holds == applied.read_back == {"eu": 1.0}
    shelf.write_fault, shelf.read_fault = None, fault
    assert shelf.apply({"us": 1.0}).result == result
    assert shelf.holds == {"eu": 1.0}
    assert shelf.held() is None


@pytest.mark.parametrize(
    "shares",
    [
        {},
        {"eu": 0.0, "us": 0.0},
        {"eu": math.nan, "us": 1.0},
        {"eu": math.inf},
        {"eu": -0.5, "us": 1.5},
        {"eu": 0.5, "us": 0.4},
        {"eu": 1.0, "mars": 0.0},
    ],
)
def test_shares_that_make_no_sense_are_not_written(shares: dict[str, float]) -> None:
    shelf = Shelf()
    shelf.write_fault = AssertionError("written")
    applied = shelf.apply(shares)
    assert (applied.result, applied.sent, applied.read_back) == ("rejected", {}, {"eu": 1.0})
    assert applied.detail


def test_all_weights_zero_is_not_held() -> None:
    shelf = Shelf()
    shelf.holds = {"eu": 0.0}
    assert shelf.held() is None


@pytest.mark.parametrize("part", [1e308, math.inf, math.nan, -1.0])
def test_weights_that_cannot_be_shares_are_not_held(part: float) -> None:
    shelf = Shelf()
    shelf.lies, shelf.holds = True, {"eu": 1e308, "us": part}
    applied = shelf.apply({"us": 1.0})
    assert (applied.result, applied.read_back) == ("unverified", None)
    assert shelf.held() is None


def test_a_number_of_an_answer_beyond_floats_is_unverified() -> None:
    shelf = Shelf()
    shelf.read_fault = OverflowError("int too large to convert to float")
    assert shelf.apply({"us": 1.0}).result == "unverified"
    assert shelf.held() is None


def test_a_clock_that_was_told_to_end_does_not_stop_the_last_write(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    pauses = list[float]()
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(FakeClock, "wait", lambda _, seconds: True)
    shelf.slow = 3
    assert shelf.apply({"us": 1.0}).result == "ok"
    assert len(pauses) == 3
    shelf.slow = 10**6
    assert shelf.apply({"eu": 1.0}).result == "unverified"


def test_every_kind_is_in_the_union() -> None:
    kinds = [get_args(member.model_fields["kind"].annotation)[0] for member in TARGETS]
    assert len(set(kinds)) == len(kinds)
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(AnyTarget).validate_python({"kind": "smoke-signal"})
    for kind in kinds:
        assert f"'{kind}'" in str(caught.value)
