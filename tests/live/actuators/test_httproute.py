"""An HTTPRoute by JSON Patch, against an API server on loopback that answers as the real one was seen to."""

from __future__ import annotations

import copy
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from carbonroute.live.actuators.httproute import HttpRoute, OpenHttpRoute
from carbonroute.live.actuators.target import TargetContext
from carbonroute.live.http import HttpFetcher
from helpers import needs
from helpers.clocks import FakeClock
from helpers.kubernetes import ApiServer, api_server
from helpers.targets import REGIONS

BACKENDS = {"eu": "chat-eu", "us": "chat-us", "ap": "chat-ap"}
CANARY = "canary-4711"


@dataclass(frozen=True)
class Cluster:
    """An API server with what is needed to open targets on it."""

    state: ApiServer
    server: ThreadingHTTPServer
    fetch: HttpFetcher

    def opened(self, folder: Path = Path(), **settings: Any) -> OpenHttpRoute:
        api = f"http://127.0.0.1:{self.server.server_address[1]}"
        keys = {"kind": "httproute", "api": api, "namespace": "shop", "route": "chat", "backends": BACKENDS}
        target = HttpRoute.spelled(**(keys | settings))
        return target.open(TargetContext(folder, REGIONS, self.fetch, FakeClock()))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with api_server() as (state, server), HttpFetcher() as fetch:
        yield Cluster(state, server, fetch)


def test_only_weights_change(cluster: Cluster) -> None:
    before = copy.deepcopy(cluster.state.route["spec"])
    applied = cluster.opened().apply({"eu": 0.9, "us": 0.1})
    assert (applied.result, applied.read_back) == ("ok", {"eu": 0.9, "us": 0.1, "ap": 0.0})
    for backend, weight in zip(before["rules"][0]["backendRefs"], (9000, 1000, 0), strict=True):
        backend["weight"] = weight
    assert cluster.state.route["spec"] == before
    (patch,) = cluster.state.patches
    assert {step["path"].rpartition("/")[2] for step in patch if step["op"] != "test"} == {"weight"}
    assert patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "100"}
    assert [step["value"] for step in patch[1:] if step["op"] == "test"] == ["chat-eu", "chat-us", "chat-ap"]


def test_an_idle_region_gets_a_trickle(cluster: Cluster) -> None:
    cluster.opened().apply({"eu": 1.0, "us": 0.0})
    assert cluster.state.weights == {"chat-eu": 9990, "chat-us": 10, "chat-ap": 0}


def test_a_backend_without_a_weight_has_1_and_gets_one(cluster: Cluster) -> None:
    del cluster.state.backends[0]["weight"]
    target = cluster.opened()
    assert target.held() == {"eu": 0.5, "us": 0.5, "ap": 0.0}
    assert target.apply({"eu": 0.9, "us": 0.1}).result == "ok"


def test_backends_of_others_stay_and_keep_their_share(cluster: Cluster) -> None:
    cluster.state.backends.insert(1, {"name": "experiment", "port": 80, "weight": 50})
    cluster.state.backends[0]["weight"] = 950
    cluster.state.backends[2]["weight"] = 0
    applied = cluster.opened().apply({"eu": 0.5, "us": 0.5})
    assert applied.result == "ok"
    assert cluster.state.weights == {"chat-eu": 475, "experiment": 50, "chat-us": 475, "chat-ap": 0}
    cluster.state.backends[0]["weight"] = cluster.state.backends[2]["weight"] = 0
    refused = cluster.opened().apply({"eu": 0.5, "us": 0.5})
    assert refused.result == "rejected"
    assert cluster.state.weights["experiment"] == 50


def test_a_route_that_changed_meanwhile_is_read_again_once(cluster: Cluster) -> None:
    def interfere() -> None:
        cluster.state.before_patch = lambda: None
        cluster.state.backends.reverse()
        cluster.state.changed()

    cluster.state.before_patch = interfere
    assert cluster.opened().apply({"eu": 0.9, "us": 0.1}).result == "ok"
    assert cluster.state.weights == {"chat-ap": 0, "chat-us": 1000, "chat-eu": 9000}
    assert len(cluster.state.patches) == 2


@pytest.mark.parametrize("status", [409, 422])
def test_a_conflict_is_tried_again_once_and_not_twice(status: int, cluster: Cluster) -> None:
    cluster.state.refuse_patches, cluster.state.refuse_with = 1, status
    assert cluster.opened().apply({"eu": 0.9, "us": 0.1}).result == "ok"
    cluster.state.refuse_patches = 2
    applied = cluster.opened().apply({"us": 1.0})
    assert applied.result == "rejected"
    assert f"answered {status}" in applied.detail
    assert applied.read_back == {"eu": 0.9, "us": 0.1, "ap": 0.0}
    assert cluster.state.refuse_patches == 0


@pytest.mark.parametrize(("status", "result"), [(403, "rejected"), (500, "unreachable")])
def test_other_refusals_are_not_tried_again(status: int, result: str, cluster: Cluster) -> None:
    cluster.state.refuse_patches, cluster.state.refuse_with = 2, status
    assert cluster.opened().apply({"us": 1.0}).result == result
    assert cluster.state.refuse_patches == 1


def test_the_token_comes_by_name_or_file_and_is_never_told(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.state.token = CANARY
    tmp_path.joinpath("token").write_text(f"{CANARY}\n")
    monkeypatch.setenv("KUBE_TOKEN", CANARY)
    assert cluster.opened(tmp_path, token_file="token").apply({"us": 1.0}).result == "ok"
    assert cluster.opened(token_env="KUBE_TOKEN").apply({"eu": 1.0}).result == "ok"
    cluster.state.token = "another"
    applied = cluster.opened(token_env="KUBE_TOKEN").apply({"us": 1.0})
    assert (applied.result, applied.read_back) == ("rejected", None)
    assert "answered 401" in applied.detail
    assert CANARY not in repr(applied)
    monkeypatch.delenv("KUBE_TOKEN")
    assert "KUBE_TOKEN is not set" in cluster.opened(token_env="KUBE_TOKEN").apply({"us": 1.0}).detail
    gone = cluster.opened(tmp_path, token_file="none").apply({"us": 1.0})
    assert gone.result == "unreachable"


def test_a_gateway_that_takes_nothing_over_gets_nothing(cluster: Cluster) -> None:
    cluster.state.has_gateway = False
    before = cluster.state.weights
    applied = cluster.opened().apply({"us": 1.0})
    assert applied.result == "unverified"
    assert "a gateway has not taken the weights over" in applied.detail
    assert cluster.state.weights == before
    cluster.state.route["status"] = {}
    assert "no gateway has taken" in cluster.opened().apply({"us": 1.0}).detail
    assert cluster.opened(gateway_must_accept=False).apply({"us": 1.0}).result == "ok"


@pytest.mark.parametrize("condition", ["Accepted", "ResolvedRefs"])
def test_a_route_that_the_gateway_refuses_is_taken_back(condition: str, cluster: Cluster) -> None:
    cluster.state.gateway_says[condition] = "False"
    before = cluster.state.weights
    applied = cluster.opened().apply({"us": 1.0})
    assert applied.result == "rejected"
    assert f"{condition} is not True (Because)" in applied.detail
    assert cluster.state.weights == before


def test_what_somebody_else_wrote_since_is_not_taken_back(cluster: Cluster) -> None:
    cluster.state.gateway_says["Accepted"] = "False"
    target = cluster.opened()
    target.pause_s = 0.5
    real = cluster.fetch

    def fetch(request: Any) -> Any:
        answer = real(request)
        if request.method == "PATCH":
            cluster.state.backends[0]["weight"] = 7
            cluster.state.changed()
        return answer

    object.__setattr__(target.context, "fetch", fetch)
    assert target.apply({"us": 1.0}).result == "rejected"
    assert cluster.state.weights["chat-eu"] == 7
    assert len(cluster.state.patches) == 1


def test_routes_that_do_not_fit(cluster: Cluster) -> None:
    assert "has 1 rules" in cluster.opened(rule=3).apply({"us": 1.0}).detail
    unknown = cluster.opened(backends=BACKENDS | {"ap": "chat-pa"}).apply({"us": 1.0})
    assert (unknown.result, unknown.read_back) == ("rejected", None)
    assert "no backend 'chat-pa'" in unknown.detail
    assert "'ap' has no backend" in cluster.opened(backends={"eu": "chat-eu"}).apply({"ap": 1.0}).detail
    assert cluster.opened(route="none").apply({"us": 1.0}).result == "rejected"
    cluster.state.backends.append(dict(cluster.state.backends[0]))
    assert "a backend twice" in cluster.opened().apply({"us": 1.0}).detail
    cluster.state.route = {"kind": "Status"}
    assert cluster.opened().apply({"us": 1.0}).result == "unreachable"
    assert not cluster.state.patches


def test_a_server_that_is_not_there_is_unreachable(cluster: Cluster) -> None:
    target = cluster.opened(api="http://127.0.0.1:1")
    assert (target.apply({"us": 1.0}).result, target.held()) == ("unreachable", None)


@needs.program("openssl")
def test_the_api_server_is_recognised_by_its_certificate(cluster: Cluster, tmp_path: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=api"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    around = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    around.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    cluster.server.socket = around.wrap_socket(cluster.server.socket, server_side=True)
    api = f"https://127.0.0.1:{cluster.server.server_address[1]}"
    assert cluster.opened(tmp_path, api=api, ca_file="ca.pem").apply({"us": 1.0}).result == "ok"
    assert cluster.opened(tmp_path, api=api).apply({"eu": 1.0}).result == "unreachable"
    missing = cluster.opened(tmp_path, api=api, ca_file="none.pem").apply({"eu": 1.0})
    assert "no certificates can be read" in missing.detail


def test_faults_are_told_all_at_once() -> None:
    target = HttpRoute.spelled(
        kind="httproute",
        api="http://kube",
        namespace="Shop",
        route="a/../b",
        backends={"eu": "chat", "su": "chat", "ap": "x?y"},
        token_env="KUBE_TOKEN",
        token_file="token",
    )
    told = [fault.where for fault in target.faults(REGIONS)]
    assert told == [
        "backends.su",
        "backends",
        "backends.su",
        "namespace",
        "route",
        "backends.ap",
        "token_file",
        "api",
    ]
