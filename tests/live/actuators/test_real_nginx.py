"""nginx itself, on loopback: its test, its reloads, its backups, and the budget of reloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from carbonroute.live.actuators.nginx import NginxUpstream, OpenNginx
from carbonroute.live.actuators.target import TargetContext
from carbonroute.live.clock import SystemClock
from carbonroute.live.http import HttpFetcher
from helpers import needs
from helpers.programs import REGIONS, answers, backends, free_port, listens, running, until, within

pytestmark = needs.program("nginx")


@dataclass(frozen=True)
class Running:
    """An nginx with its target, and the port of its server."""

    target: OpenNginx
    folder: Path
    port: int

    def apply(self, shares: dict[str, float]) -> str:
        """Apply at once, and wait until workers that ran with the file before have gone."""
        applied = self.target.apply(shares, urgent=True)
        assert applied.result == "ok", applied
        master = self.folder.joinpath("nginx.pid").read_text().strip()
        children = Path(f"/proc/{master}/task/{master}/children")
        until(lambda: len(children.read_text().split()) == 1)
        return applied.result


def _started(folder: Path, places: dict[str, str]) -> Iterator[Running]:
    port = free_port()
    folder.joinpath("nginx.conf").write_text(
        f"""pid {folder}/nginx.pid;
error_log {folder}/error.txt;
worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream chat {{ include {folder}/chat.conf; }}
  server {{
    listen 127.0.0.1:{port};
    location = /held {{ include {folder}/answer.conf; }}
    location / {{ proxy_pass http://chat; proxy_connect_timeout 1s; }}
  }}
}}
"""
    )
    command = [str(needs.path_of("nginx")), "-c", str(folder / "nginx.conf")]
    with HttpFetcher() as fetch:
        settings = NginxUpstream.spelled(
            kind="nginx",
            path="chat.conf",
            answer="answer.conf",
            held=f"http://127.0.0.1:{port}/held",
            endpoints={region: [place] for region, place in places.items()},
            test=[*command, "-t"],
            reload=[*command, "-s", "reload"],
            timeout_s=30.0,
        )
        folder.joinpath("chat.conf").write_text("".join(f"server {place};\n" for place in places.values()))
        folder.joinpath("answer.conf").write_text('return 200 "none";\n')
        with running([*command, "-g", "daemon off;"], folder, lambda: listens(port)):
            yield Running(settings.open(TargetContext(folder, REGIONS, fetch, SystemClock())), folder, port)


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    with backends() as addresses:
        yield addresses


@pytest.fixture(scope="module")
def nginx(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from _started(tmp_path_factory.mktemp("nginx"), places)


def test_weights_are_seen_in_real_requests(nginx: Running) -> None:
    assert nginx.target.held() is None
    nginx.apply({"eu": 0.9, "us": 0.1})
    assert nginx.target.held() == {"eu": 0.9, "us": 0.1}
    within(answers(nginx.port, 2000), {"eu": 0.9, "us": 0.1})


def test_what_nginx_refuses_is_taken_back(nginx: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    nginx.apply({"us": 1.0})
    before = nginx.folder.joinpath("chat.conf").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(
            "carbonroute.live.actuators.nginx._lines",
            lambda region, *_: [f"server 127.0.0.1:1 wait={region};"],
        )
        applied = nginx.target.apply({"eu": 1.0}, urgent=True)
    assert applied.result == "rejected"
    assert "invalid parameter" in applied.detail
    assert applied.read_back == {"us": 1.0}
    assert nginx.folder.joinpath("chat.conf").read_bytes() == before
    assert answers(nginx.port, 20) == {"us": 20}


def test_reloads_have_a_budget(nginx: Running) -> None:
    nginx.apply({"us": 1.0})
    applied = nginx.target.apply({"eu": 1.0})
    assert applied.result == "rejected"
    assert "the next change is due in" in applied.detail
    assert applied.read_back == {"us": 1.0}
    assert nginx.target.apply({"us": 1.0}).result == "ok"


def test_idle_regions_are_backups(tmp_path: Path) -> None:
    with backends(("us", "ap")) as alive:
        with backends(("eu",)) as dying:
            started = _started(tmp_path, dying | alive)
            nginx = next(started)
            nginx.apply({"eu": 1.0, "us": 0.0})
            assert nginx.target.held() == {"eu": 1.0, "us": 0.0}
            assert answers(nginx.port, 100) == {"eu": 100}
        seen = Counter[str]()
        until(lambda: (seen.update(now := answers(nginx.port, 20)), now == {"us": 20})[1])
        assert seen["ap"] == 0
        assert list(started) == []
