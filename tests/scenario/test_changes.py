"""Values set by path: where they land, what stays as it was, and paths that lead nowhere."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.errors import InputError
from carbonroute.scenario import load
from carbonroute.scenario.written.changes import changed, parts

TREE: dict[str, Any] = {
    "horizon": {"hours": 24},
    "regions": [{"name": "A", "pue": 1.1}, {"name": "B.1"}, {"name": "0"}],
    "policies": [{"use": "hybrid", "label": "H"}, {"use": "hybrid"}, {"use": "carbon-first"}],
    "seeds": [1, 2],
    "twins": [{"name": "T"}, {"name": "T"}],
}


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("horizon.hours", lambda tree: tree["horizon"]["hours"]),
        ("network.rtt_ms.West", lambda tree: tree["network"]["rtt_ms"]["West"]),
        ('network.rtt_ms."EU.1"', lambda tree: tree["network"]["rtt_ms"]["EU.1"]),
        ("regions[A].pue", lambda tree: tree["regions"][0]["pue"]),
        ("regions[B.1].pue", lambda tree: tree["regions"][1]["pue"]),
        ("regions[1].pue", lambda tree: tree["regions"][1]["pue"]),
        ("regions[0].pue", lambda tree: tree["regions"][2]["pue"]),  # a name goes before a number
        ("policies[H].alpha", lambda tree: tree["policies"][0]["alpha"]),
        ("policies[carbon-first]", lambda tree: tree["policies"][2]),
        ("seeds[1]", lambda tree: tree["seeds"][1]),
    ],
)
def test_a_value_lands_at_its_path_and_nothing_else_changes(path: str, where: Any) -> None:
    before = copy.deepcopy(TREE)
    result = changed(TREE, {path: "set"}, "tree")
    assert where(result) == "set"
    assert before == TREE  # shared, and yet untouched
    assert json.dumps(result).count('"set"') == 1


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("horizon.hours.more", "horizon.hours: found 24; a table is expected"),
        ("horizon[0]", "horizon: found {'hours': 24}; an array of tables is expected"),
        ("regions[C].pue", r"regions: has no member 'C'; Known: A, B.1, 0"),
        ("regions[7].pue", "regions: has no member '7'"),
        ("regions[-1].pue", "regions: has no member '-1'"),
        ("twins[T].pue", "twins: 2 members are called 'T'; give the number of one: 0, 1"),
        ("regions.A", "regions: found"),
        ("", "is not the path of a value"),
        (".", "is not the path of a value"),
        ("a..b", "is not the path of a value"),
        ("a.", "is not the path of a value"),
        ("[0].a", "is not the path of a value"),
        ("a[", "is not the path of a value"),
        ("a[]", "is not the path of a value"),
        ('a."b', "is not the path of a value"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, found: str) -> None:
    with pytest.raises(InputError) as caught:
        changed(TREE, {path: 1}, "tree")
    assert found in str(caught.value)


@given(st.lists(st.text(st.characters(blacklist_characters='"'), min_size=1), min_size=1, max_size=4))
def test_quoted_keys_are_taken_as_they_are(keys: list[str]) -> None:
    assert parts(".".join(f'"{key}"' for key in keys)) == keys


def test_a_scenario_is_loaded_with_members_changed_by_name() -> None:
    scenario = load("published", {"regions[EU-North].carbon_g_per_kwh": 50, "policies[2].alpha": 0.25})
    regions = {region.name: region.carbon_g_per_kwh for region in scenario.regions}
    assert regions["EU-North"] == 50
    assert regions["US-East"] == load("published").regions[0].carbon_g_per_kwh
    assert scenario.policies[2].shown == "Hybrid (α=0.25)"
