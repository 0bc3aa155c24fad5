"""The files for nginx, with commands in place of nginx's own: budget of reloads, backups, settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from carbonroute.live.actuators.nginx import NginxUpstream, OpenNginx
from carbonroute.live.http import Answer, FetchError, Request
from helpers.clocks import FakeClock
from helpers.targets import NOON, REGIONS, context

ENDPOINTS = {"eu": ["10.0.0.1:80", "10.0.0.2:80"], "us": ["10.0.1.1:80"], "ap": ["[2001:db8::1]:80"]}
#: Takes the file over, as a reload does; the location then answers with it.
RELOAD = "import shutil; shutil.copy('answer.conf', 'runs.conf')"
KEYS = {"kind": "nginx", "path": "chat.conf", "answer": "answer.conf", "held": "http://nginx/held"}


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def opened(folder: Path, test: str = "", reload: str = RELOAD, **settings: Any) -> OpenNginx:
    def held(request: Request) -> Answer:
        if not (folder / "runs.conf").exists():
            raise FetchError("unreachable", "none")
        return Answer(
            200, {}, (folder / "runs.conf").read_text().partition('"')[2].partition("\\n")[0].encode()
        )

    keys = KEYS | {"endpoints": ENDPOINTS, "test": python(test), "reload": python(reload)}
    return NginxUpstream.spelled(**(keys | settings)).open(context(folder, held))


def clock_of(target: OpenNginx) -> FakeClock:
    clock = target.context.clock
    assert isinstance(clock, FakeClock)
    return clock


def test_idle_regions_are_backups_and_weights_at_least_1(tmp_path: Path) -> None:
    target = opened(tmp_path)
    applied = target.apply({"eu": 0.75, "us": 0.25, "ap": 0.0})
    assert (applied.result, applied.read_back) == ("ok", {"eu": 0.75, "us": 0.25, "ap": 0.0})
    assert (tmp_path / "chat.conf").read_text().splitlines() == [
        "server 10.0.0.1:80 weight=3750;",
        "server 10.0.0.2:80 weight=3750;",
        "server 10.0.1.1:80 weight=2500;",
        "server [2001:db8::1]:80 backup;",
    ]
    target.apply({"us": 1.0}, urgent=True)
    assert (tmp_path / "chat.conf").read_text() == "server 10.0.1.1:80 weight=10000;\n"


def test_a_reload_waits_for_its_time_and_an_urgent_one_does_not(tmp_path: Path) -> None:
    target = opened(tmp_path)
    assert target.delay_s() == 0
    target.apply({"eu": 1.0})
    assert target.delay_s() == pytest.approx(300, abs=1)
    assert target.apply({"us": 1.0}).result == "rejected"
    assert target.apply({"eu": 1.0}).result == "ok"
    clock_of(target).wait(299)
    assert target.apply({"us": 1.0}).result == "rejected"
    clock_of(target).wait(2)
    assert target.apply({"us": 1.0}).result == "ok"
    assert target.apply({"ap": 1.0}, urgent=True).result == "ok"


@pytest.mark.parametrize(("age_s", "left_s"), [(0, 300), (100, 200), (400, 0), (-3600, 300)])
def test_a_restart_does_not_renew_the_budget(age_s: float, left_s: float, tmp_path: Path) -> None:
    opened(tmp_path).apply({"eu": 1.0})
    written = NOON.timestamp() - age_s
    os.utime(tmp_path / "chat.conf", (written, written))
    assert opened(tmp_path).delay_s() == pytest.approx(left_s)


def test_a_test_that_fails_and_a_reload_that_does_nothing_bring_the_files_back(tmp_path: Path) -> None:
    opened(tmp_path).apply({"eu": 1.0})
    before = (tmp_path / "chat.conf").read_bytes(), (tmp_path / "answer.conf").read_bytes()
    fails = "import sys; sys.exit('nginx: [warn] a\\nnginx: [emerg] no such thing')"
    refused = opened(tmp_path, test=fails).apply({"us": 1.0}, urgent=True)
    assert refused.result == "rejected"
    assert refused.detail.endswith("[emerg] no such thing")
    lazy = opened(tmp_path, reload="").apply({"us": 1.0}, urgent=True)
    assert lazy.result == "unverified"
    assert "still runs" in lazy.detail
    assert lazy.read_back == refused.read_back == {"eu": 1.0}
    assert ((tmp_path / "chat.conf").read_bytes(), (tmp_path / "answer.conf").read_bytes()) == before


def test_no_reload_where_nothing_changes(tmp_path: Path) -> None:
    opened(tmp_path).apply({"eu": 1.0})
    again = opened(tmp_path, test="raise SystemExit(1)")
    assert again.apply({"eu": 1.0}, urgent=True).result == "ok"


def test_faults_and_the_warning() -> None:
    keys = KEYS | {"answer": "chat.conf", "held": "x", "reload_every": "4min", "endpoints": {"eu": []}}
    settings = NginxUpstream.spelled(**keys)
    told = [fault.where for fault in settings.faults(REGIONS)]
    assert told == ["endpoints", "endpoints", "endpoints.eu", "held", "reload_every", "answer"]
    (warning,) = settings.warnings()
    assert "22 of 3,000" in warning
    assert "POST" in warning


def test_workers_of_the_file_before_are_waited_for(tmp_path: Path) -> None:
    target = opened(tmp_path)
    target.apply({"eu": 1.0})
    new = target.context.fetch
    old = (tmp_path / "runs.conf").read_text().partition('"')[2].partition("\\n")[0].encode()
    turns = iter([True, False, True, False, False])

    def fetch(request: Request) -> Answer:
        return Answer(200, {}, old) if next(turns, False) else new(request)

    object.__setattr__(target.context, "fetch", fetch)
    applied = target.apply({"us": 1.0}, urgent=True)
    assert (applied.result, applied.read_back) == ("ok", {"us": 1.0})
    assert 320 <= applied.ms <= 400
