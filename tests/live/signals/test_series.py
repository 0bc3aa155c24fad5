"""What is kept of a zone's values: all of the last hours, and enough of yesterday."""

from __future__ import annotations

from datetime import timedelta

from carbonroute.live.signals.provider import Point
from carbonroute.live.signals.series import Checks, ZoneSeries
from carbonroute.live.signals.settings import ValueLimits
from helpers.clocks import START

MINUTE = timedelta(minutes=1)
MAX_AGE = timedelta(hours=3)


def minutely(hours: int) -> ZoneSeries:
    series = ZoneSeries(Checks(ValueLimits(), MAX_AGE, 300.0))
    for minute in range(60 * hours):
        start = START + minute * MINUTE
        series.offer([Point(start, start + MINUTE, 300 + minute / 100)], start)
    return series


def test_values_of_every_minute_are_thinned_out_and_yesterday_stays_known() -> None:
    series = minutely(30)
    now = START + 30 * 60 * MINUTE - MINUTE
    latest = series.latest(now)
    assert latest is not None
    assert latest.start == now
    recent = [start for start in series.points if start >= now - MAX_AGE]
    assert len(recent) == 181
    assert len(series.points) <= 181 + 4 * 27 + 1
    for minute in range(0, 60, 7):
        time = now - timedelta(hours=24, minutes=minute)
        before = series.around(time)
        assert before is not None
        assert timedelta(0) <= time - before.start < timedelta(minutes=15)


def test_what_is_older_than_two_days_is_forgotten() -> None:
    series = minutely(4)
    later = START + timedelta(hours=55)
    series.offer([Point(later, later + MINUTE, 310.0)], later)
    assert list(series.points) == [later]
    assert series.around(later - timedelta(hours=24)) is None


def test_a_late_value_fills_a_gap_and_does_not_become_the_latest() -> None:
    series = minutely(2)
    now = START + timedelta(hours=2)
    early = START - timedelta(hours=1)
    assert series.offer([Point(early, early + MINUTE, 290.0)], now) == ()
    assert early in series.points
    latest = series.latest(now)
    assert latest is not None
    assert latest.start == START + 119 * MINUTE


def test_an_answer_that_is_wrong_throughout_does_not_confirm_itself() -> None:
    hour = timedelta(hours=1)
    series = ZoneSeries(Checks(ValueLimits(), MAX_AGE, 300.0))
    series.offer([Point(START, START + hour, 310.0)], START)
    wrong = [Point(START + i * hour, START + (i + 1) * hour, 31.0 + i) for i in (1, 2)]
    now = START + 2 * hour
    for _ in range(3):  # also where it is sent again and again
        assert all("not confirmed yet" in reason for reason in series.offer(wrong, now))
    assert list(series.points) == [START]
    later = Point(START + 3 * hour, START + 4 * hour, 33.0)
    series.offer([*wrong, later], START + 3 * hour)
    assert len(series.points) == 4
    assert series.offer([*wrong, later], START + 3 * hour) == ()
