"""Rules are parsed once, into values that a dump spells as they were written."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import ValidationError

from carbonroute.carbon.rules import GapRule, Rules, SpikeRule
from carbonroute.control.information import Information
from carbonroute.spec import Spelled


def test_values_of_rules() -> None:
    rules = Rules.spelled(gaps="previous-day:2d", spikes="remove:40.5")
    assert (rules.gaps.filling, rules.gaps.max_hours, rules.spikes.limit) == ("previous-day", 48, 40.5)
    usual = Rules()
    assert (usual.gaps.filling, usual.gaps.max_hours, usual.spikes.limit) == (None, 0, None)


def test_values_of_information() -> None:
    information = Information.spelled(
        service_time="quantile:0.95", carbon_age="120min", carbon_missing="last:2d"
    )
    assert (information.quantile, information.carbon_age_hours, information.last_hours) == (0.95, 2, 48)
    usual = Information()
    assert (usual.quantile, usual.carbon_age_hours, usual.last_hours) == (None, 0, 0)


@pytest.mark.parametrize("mode", ["python", "json"])
def test_a_dump_spells_the_same_text(mode: str) -> None:
    written = {"gaps": "interpolate:120min", "spikes": "remove:40.0"}
    rules = Rules.spelled(**written)
    dumped = rules.model_dump(mode=mode, exclude_defaults=True)
    assert dumped == written
    assert all(type(text) is str for text in dumped.values())
    assert Rules.spelled(**dumped) == rules
    assert Rules.spelled().model_dump(mode=mode, exclude_defaults=True) == {}
    told = {"service_time": "quantile:0.950", "carbon_age": "60min", "carbon_missing": "last:6h"}
    assert Information.spelled(**told).model_dump(mode=mode, exclude_defaults=True) == told


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("gaps", "interpolate"),
        ("gaps", "interpolate:0h"),
        ("gaps", "interpolate:30min"),
        ("gaps", "guess:6h"),
        ("spikes", "remove:0.5"),
        ("spikes", "remove"),
        ("gaps", 6),
    ],
)
def test_other_texts_are_refused(key: str, text: object) -> None:
    with pytest.raises(ValidationError):
        Rules.spelled(**{key: text})


def test_a_value_is_frozen_and_equals_its_text() -> None:
    rule = GapRule.parse("interpolate:6h")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.max_hours = 7  # type: ignore[misc]  # that it is refused is the subject
    assert rule == "interpolate:6h"
    assert rule == GapRule.parse("interpolate:6h")
    assert rule != GapRule.parse("interpolate:360min")
    assert (str(rule), repr(rule), hash(rule)) == (rule.text, repr(rule.text), hash(rule.text))
    assert SpikeRule("keep") == Spelled("keep")
