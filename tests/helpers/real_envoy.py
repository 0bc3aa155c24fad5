"""Envoy itself in a folder of its own, with the target that writes its endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from carbonroute.live.actuators.envoy_file import EnvoyFile, OpenEnvoyFile
from carbonroute.live.actuators.target import TargetContext
from carbonroute.live.clock import SystemClock
from carbonroute.live.http import HttpFetcher, Request
from helpers import needs
from helpers.programs import REGIONS, envoy_config, running, until


@dataclass(frozen=True)
class Envoy:
    """An Envoy with its target, and the port of its listener."""

    target: OpenEnvoyFile
    file: Path
    port: int
    admin: str


@contextmanager
def started(folder: Path, places: dict[str, str], fetch: HttpFetcher, **config: bool) -> Iterator[Envoy]:
    """Run an Envoy with a first file of weights; `config` as of `envoy_config`."""
    folder.joinpath("eds").mkdir()
    around = TargetContext(folder, REGIONS, fetch, SystemClock())
    settings = {
        "kind": "envoy-file",
        "path": "eds/chat.json",
        "endpoints": {region: [place] for region, place in places.items()},
        "timeout_s": 30.0,
    }
    first = EnvoyFile.spelled(**settings, admin="http://127.0.0.1:1").open(around)
    assert first.apply({"eu": 0.5, "us": 0.25, "ap": 0.25}).result == "unreachable"  # but Envoy can start
    folder.joinpath("envoy.json").write_text(envoy_config(str(folder / "eds/chat.json"), **config))
    command = [str(needs.path_of("envoy")), "-c", "envoy.json", "--disable-hot-restart", "--concurrency", "1"]
    place = folder / "admin.txt"
    with running(
        [*command, "--admin-address-path", str(place)], folder, lambda: place.exists() and place.read_text()
    ):
        admin = f"http://{place.read_text()}"
        target = EnvoyFile.spelled(**settings, admin=admin).open(around)
        until(lambda: target.held() is not None)
        yield Envoy(target, folder / "eds/chat.json", _listener(fetch, admin), admin)


def _listener(fetch: HttpFetcher, admin: str) -> int:
    ports: list[int] = []

    def look() -> bool:
        answer = json.loads(fetch(Request(f"{admin}/listeners", {"format": "json"})).content)
        ports.extend(
            one["local_address"]["socket_address"]["port_value"]
            for one in answer.get("listener_statuses", [])
        )
        return bool(ports)

    until(look)
    return ports[0]
