"""The file for Envoy, against an Envoy in memory that takes over and refuses as the real one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carbonroute.live.actuators.addresses import Address
from carbonroute.live.actuators.envoy_file import EnvoyFile, OpenEnvoyFile, assignment
from carbonroute.live.actuators.target import TargetError
from carbonroute.live.http import Answer, FetchError, Request
from helpers.targets import REGIONS, context

ENDPOINTS = {"eu": ["10.0.0.1:80", "10.0.0.2:80"], "us": ["10.0.1.1:80"], "ap": ["[2001:db8::1]:80"]}
CLUSTER: dict[str, Any] = {"name": "chat", "common_lb_config": {"locality_weighted_lb_config": {}}}


class Envoy:
    """An Envoy that looks at its file whenever its admin interface is asked."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.version, self.rejected = "", 0
        self.endpoints: list[dict[str, Any]] = []
        self.cluster = CLUSTER
        self.seen = b""
        self.is_down = self.is_blind = self.lies = False
        self.dumps = "static"

    def __call__(self, request: Request) -> Answer:
        if self.is_down:
            raise FetchError("unreachable", f"{request.shown}: cannot be reached")
        self.look()
        return Answer(200, {}, json.dumps(self.answer(request)).encode())

    def answer(self, request: Request) -> dict[str, Any]:
        if request.url.endswith("/stats"):
            names = {"version_text": self.version, "update_rejected": self.rejected}
            rows = [{"name": f"cluster.chat.{name}", "value": value} for name, value in names.items()]
            return {"stats": [{}, *rows]}
        resource = str(request.params["resource"])
        if resource == f"{self.dumps}_clusters":
            return {"configs": [{"cluster": self.cluster}]}
        if resource == f"{self.dumps}_endpoint_configs":
            return {"configs": [{"endpoint_config": {"cluster_name": "chat", "endpoints": self.endpoints}}]}
        return {}

    def look(self) -> None:
        data = self.file.read_bytes() if self.file.exists() else b""
        if self.is_blind or data == self.seen:
            return
        self.seen = data
        document = json.loads(data)
        (resource,) = document["resources"]
        weights = [entry["load_balancing_weight"] for entry in resource["endpoints"]]
        if not all(weights) or resource["cluster_name"] != "chat":
            self.rejected += 1
            return
        self.version = document["version_info"]
        if not self.lies:
            self.endpoints = resource["endpoints"]


def opened(folder: Path, **settings: Any) -> tuple[OpenEnvoyFile, Envoy]:
    keys = {"kind": "envoy-file", "path": "chat.json", "admin": "http://envoy:9901", "endpoints": ENDPOINTS}
    envoy = Envoy(folder / "chat.json")
    target = EnvoyFile.spelled(**(keys | settings)).open(context(folder, envoy))
    assert target.apply({"eu": 0.5, "us": 0.5}).result == "ok"
    return target, envoy


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=3).filter(lambda values: sum(values) > 1e-9),
    trickle=st.sampled_from([0.0, 0.001, 0.01]),
)
def test_no_file_is_empty_or_has_a_weight_of_0_or_an_address_twice(
    values: list[float], trickle: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target, envoy = opened(tmp_path_factory.mktemp("eds"), trickle=trickle)
    shares = {region: value / sum(values) for region, value in zip(REGIONS, values, strict=False)}
    assert target.apply(shares).result == "ok"
    (resource,) = json.loads(envoy.file.read_text())["resources"]
    serving = [entry for entry in resource["endpoints"] if entry["priority"] == 0]
    standby = [entry for entry in resource["endpoints"] if entry["priority"] == 1]
    assert sum(entry["load_balancing_weight"] for entry in serving) == 10_000
    assert all(
        entry["load_balancing_weight"] >= 1 and entry["lb_endpoints"] for entry in [*serving, *standby]
    )
    assert not standby or trickle == 0
    assert {entry["locality"]["zone"] for entry in [*serving, *standby]} == shares.keys()
    places = [json.dumps(place) for entry in [*serving, *standby] for place in entry["lb_endpoints"]]
    assert len(places) == len(set(places)) == sum(len(ENDPOINTS[region]) for region in shares)


@pytest.mark.parametrize("parts", [{}, {"eu": 0, "us": 0}, {"mars": 1}])
def test_the_writer_refuses_empty_files(parts: dict[str, float]) -> None:
    with pytest.raises(TargetError):
        assignment(
            "chat", {"eu": [Address.parse("10.0.0.1:80")], "us": [Address.parse("10.0.0.2:80")]}, parts
        )


def test_the_writer_refuses_an_address_twice() -> None:
    place = Address.parse("10.0.0.1:80")
    with pytest.raises(TargetError, match="repeated"):
        assignment("chat", {"eu": [place], "us": [place]}, {"eu": 1, "us": 1})


def test_what_is_refused_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, envoy = opened(tmp_path)
    before = envoy.file.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(
            "carbonroute.live.actuators.envoy_file._locality",
            lambda region, part, places: {"load_balancing_weight": 0},
        )
        applied = target.apply({"eu": 1.0})
    assert applied.result == "rejected"
    assert applied.read_back == target.held() == {"eu": 0.5, "us": 0.5}
    assert envoy.file.read_bytes() == before


def test_a_first_file_that_is_refused_goes(tmp_path: Path) -> None:
    target, envoy = opened(tmp_path)
    envoy.file.unlink()
    envoy.is_blind = True
    assert target.apply({"eu": 1.0}).result == "unverified"
    assert not envoy.file.exists()


@pytest.mark.parametrize("fault", ["is_blind", "lies"])
def test_an_envoy_that_does_not_hold_it_is_unverified(fault: str, tmp_path: Path) -> None:
    target, envoy = opened(tmp_path)
    before = envoy.file.read_bytes()
    setattr(envoy, fault, True)
    applied = target.apply({"us": 1.0})
    assert applied.result == "unverified"
    assert applied.read_back == {"eu": 0.5, "us": 0.5}
    assert envoy.file.read_bytes() == before


def test_weights_that_are_the_same_do_not_hide_endpoints_that_were_not_taken_over(tmp_path: Path) -> None:
    _, envoy = opened(tmp_path)
    envoy.is_blind = True
    moved = EnvoyFile.spelled(
        kind="envoy-file",
        path="chat.json",
        admin="http://envoy:9901",
        endpoints={**ENDPOINTS, "eu": ["10.0.0.9:80"]},
    ).open(context(tmp_path, envoy))
    assert moved.held() == {"eu": 0.5, "us": 0.5}
    applied = moved.apply({"eu": 0.5, "us": 0.5})
    assert applied.result == "unverified"
    assert "has not taken chat.json over" in applied.detail


def test_an_envoy_that_is_down_is_not_written_to_unless_it_has_no_file_yet(tmp_path: Path) -> None:
    target, envoy = opened(tmp_path)
    before = envoy.file.read_bytes()
    envoy.is_down = True
    applied = target.apply({"us": 1.0})
    assert (applied.result, applied.read_back, target.held()) == ("unreachable", None, None)
    assert envoy.file.read_bytes() == before
    envoy.file.unlink()
    assert target.apply({"us": 1.0}).result == "unreachable"
    envoy.is_down = False
    assert target.held() == {"us": 1.0}


def test_a_restart_reads_back_what_envoy_holds_also_of_a_discovered_cluster(tmp_path: Path) -> None:
    _, envoy = opened(tmp_path)
    keys = {"kind": "envoy-file", "path": "chat.json", "admin": "http://envoy:9901", "endpoints": ENDPOINTS}
    again = EnvoyFile.spelled(**keys).open(context(tmp_path, envoy))
    assert again.held() == {"eu": 0.5, "us": 0.5}
    envoy.dumps = "dynamic"
    assert again.held() == {"eu": 0.5, "us": 0.5}
    envoy.dumps = "none"
    assert again.held() is None


@pytest.mark.parametrize(
    ("cluster", "remedy"),
    [
        ({"name": "chat"}, "locality_weighted_lb_config"),
        (CLUSTER | {"health_checks": [{}]}, "ignore_health_on_host_removal"),
    ],
)
def test_a_cluster_that_would_not_obey_is_refused(
    cluster: dict[str, Any], remedy: str, tmp_path: Path
) -> None:
    envoy = Envoy(tmp_path / "chat.json")
    envoy.cluster = cluster
    keys = {"kind": "envoy-file", "path": "chat.json", "admin": "http://envoy:9901", "endpoints": ENDPOINTS}
    applied = EnvoyFile.spelled(**keys).open(context(tmp_path, envoy)).apply({"eu": 1.0})
    assert applied.result == "rejected"
    assert remedy in applied.detail
    assert not envoy.file.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"stats": []}',
        b'{"configs": [1]}',
        b"\xff",
        b'{"configs": [{"cluster": 1, "endpoint_config": [1]}]}',
    ],
)
def test_an_admin_that_answers_something_else_is_unreachable(content: bytes, tmp_path: Path) -> None:
    keys = {"kind": "envoy-file", "path": "chat.json", "admin": "http://envoy:9901", "endpoints": ENDPOINTS}
    target = EnvoyFile.spelled(**keys).open(context(tmp_path, lambda _: Answer(200, {}, content)))
    assert target.held() is None
    assert target.apply({"eu": 1.0}).result == "unreachable"


def test_faults_are_told_all_at_once() -> None:
    target = EnvoyFile.spelled(
        kind="envoy-file",
        path="chat.json",
        admin="http://user:canary@envoy:9901",
        endpoints={"eu": ["10.0.0.1:80"], "su": ["10.0.0.1:080"], "ap": []},
    )
    told = [str(fault) for fault in target.faults(REGIONS)]
    assert told == [
        "endpoints.su: no such region in the scenario; Known: eu, us, ap",
        "endpoints: region 'us' is missing; state what serves each region",
        "endpoints.su: '10.0.0.1:80' is repeated; 'eu' has it already; state each once",
        "endpoints.ap: is empty; state at least one",
        "admin: holds a user or a password; name an environment variable instead",
    ]
    assert not any("missing" in str(fault) for fault in target.faults(REGIONS, served=["eu"]))


@pytest.mark.parametrize("admin", ["envoy:9901", "ftp://envoy", "http://", "http://[::1", "http://e/?x=1"])
def test_an_admin_that_is_no_address_is_a_fault(admin: str) -> None:
    target = EnvoyFile.spelled(kind="envoy-file", path="chat.json", admin=admin, endpoints=ENDPOINTS)
    assert [fault.where for fault in target.faults(REGIONS)] == ["admin"]


@pytest.mark.parametrize(
    "place",
    [
        "localhost:80",
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "::1:80",
        "[10.0.0.1]:80",
        "10.0.0.1:\uff18",
    ],
)
def test_addresses_are_numbers(place: str) -> None:
    with pytest.raises(ValidationError, match="an IP address with a port is expected"):
        EnvoyFile.spelled(
            kind="envoy-file", path="chat.json", admin="http://envoy:9901", endpoints={"eu": [place]}
        )
