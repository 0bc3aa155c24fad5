"""``[live.observe]``: what is refused, and what each preset asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from carbonroute.live.observe import Observe
from carbonroute.live.observe.prometheus import ObserveError, parsed
from carbonroute.live.observe.register import ENGINES
from carbonroute.live.observe.scope import Scope

BASE = {"prometheus": "http://127.0.0.1:9090", "engine": "vllm"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"engine": "vlllm"}, "did you mean 'vllm'?"),
        ({"energy": "dcgn"}, "did you mean 'dcgm'?"),
        ({"prometheus": "127.0.0.1:9090"}, "an address such as"),
        ({"prometheus": "http://me:secret@host"}, "without user and query"),
        ({"prometheus": "http://host:99999"}, "an address such as"),
        ({"engine": None}, "requests must be counted"),
        ({"engine": None, "queries": {"requests": "x[$range]"}}, "how old samples are"),
        ({"queries": {"requests": "rate(x[1m])"}}, "increase(x[$range])"),
        ({"origin_label": "region"}, "each needs its own"),
        ({"region_label": "the region"}, "pattern"),
        ({"max_age": "30"}, "a span such as"),
        ({"max_age": "0s"}, "a span such as"),
        ({"queries": {"request": "x"}}, "Extra inputs"),
        ({"token_env": "eyJ0.secret"}, "not the secret"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Observe.spelled(**{**BASE, **changes})
    assert problem in str(caught.value)


def test_names_are_held_against_the_scenario() -> None:
    settings = Observe.spelled(
        **BASE, region_values={"Irland": "eu"}, workload_values={"chat": "m", "search": "m"}
    )
    faults = list(settings.faults(["Europe"], ["chat", "search"], ["Ireland"]))
    assert [fault.where for fault in faults] == ["region_values.Irland", "workload_values"]
    assert "did you mean 'Ireland'?" in faults[0].remedy
    assert "one label value, 'm'" in faults[1].found
    assert not list(Observe.spelled(**BASE).faults(["Europe"], ["chat"], ["Ireland"]))


def test_zones_that_envoy_names_alike_are_refused() -> None:
    """Its metrics have underscores for all but letters and digits: one count would stand for two regions."""
    settings = Observe.spelled(**{**BASE, "engine": "envoy"})
    faults = list(settings.faults(["Europe"], ["a-b", "a.b"], ["eu-1", "eu.1", "us"]))
    assert [fault.found for fault in faults] == ["'eu-1' and 'eu.1' have one label value, 'eu_1'"]
    mapped = Observe.spelled(**{**BASE, "engine": "envoy"}, region_values={"eu.1": "eu2"})
    assert not list(mapped.faults(["Europe"], ["a"], ["eu-1", "eu.1", "us"]))
    assert not list(Observe.spelled(**BASE).faults(["Europe"], ["a"], ["eu-1", "eu.1"]))


@pytest.mark.parametrize("engine", ENGINES)
def test_presets_select_and_group_by_the_labels(engine: str) -> None:
    settings = Observe.spelled(
        **{**BASE, "engine": engine},
        region_label="place",
        matchers={"job": 'a"b', "pool": "🌍"},
        region_values={"eu": "eu-west.1"},
    )
    queries = settings.asked(settings.scope(90.5, ["Europe"], ["eu", "us"]))
    assert {"requests", "sampled_at"} <= queries.keys()
    for query in queries.values():
        assert 'job="a\\"b",pool="🌍"' in query  # "\\ud83c\\udf0d" is refused by Prometheus
        assert "place" in query
    assert "[91s]" in queries["requests"]


def test_envoys_zones_stand_in_the_metrics_names() -> None:
    """Measured: characters other than letters and digits of a zone become underscores."""
    settings = Observe.spelled(
        **{**BASE, "engine": "envoy"},
        origin_values={"Europe": "edge-eu"},
        region_values={"eu": "eu-west.1"},
        workload_label="envoy_cluster_name",
    )
    query = settings.asked(settings.scope(0, ["Europe"], ["eu"]))["requests"]
    assert 'sum by (envoy_cluster_name) (increase({__name__="envoy_cluster_zone_edge_eu_eu_west_1_' in query
    assert '"region", "eu-west.1", "", "")' in query
    assert '"carbonroute_origin", "edge-eu", "", "")' in query


def answer(kind: str, result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def test_answers_of_every_kind_are_read() -> None:
    (vector,) = parsed(answer("vector", [{"metric": {"region": "eu"}, "value": [10.5, "3"]}])).samples
    assert (dict(vector.labels), vector.value, vector.at_s) == ({"region": "eu"}, 3.0, 10.5)
    matrix = parsed(answer("matrix", [{"metric": {}, "values": [[1, "3"], [2, "4"]]}])).samples
    assert [(one.value, one.at_s) for one in matrix] == [(4.0, 2.0)]
    assert [one.value for one in parsed(answer("scalar", [1, "7"])).samples] == [7.0]
    assert parsed(answer("vector", [])).samples == ()
    nan = parsed(answer("vector", [{"metric": {}, "value": [1, text]} for text in ("NaN", "+Inf", "-Inf")]))
    assert (nan.samples, nan.left_out) == ((), 3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<html>502</html>", "no JSON"),
        (b"", "no JSON"),
        (b"[]", "none of Prometheus"),
        (b'{"status":"success"}', "none of Prometheus"),
        (b'{"status":"success","data":{"resultType":"string","result":[1,"a"]}}', "none of Prometheus"),
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "bad_data: parse error"),
        (answer("vector", [{"metric": {}, "value": [1, 3]}]), "as text are expected"),
        (answer("vector", [{"metric": {}, "value": [1]}]), "none of Prometheus"),
        (answer("vector", [{"metric": {}, "value": [1, "three"]}]), "'three'"),
        (answer("vector", [{"metric": {"region": 1}, "value": [1, "3"]}]), "none of Prometheus"),
        (answer("vector", [{"metric": {}, "value": [1, "3"]}])[:-9], "no JSON"),
    ],
)
def test_an_answer_that_is_none_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ObserveError, match=problem):
        parsed(content)


def test_a_range_is_a_second_at_least() -> None:
    settings = Observe.spelled(**BASE, range="200ms")
    assert settings.scope(0.0, [], []).range == "1s"
    assert Scope(90, "region").range == "90s"
