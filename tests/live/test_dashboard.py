"""The dashboard and the alert rules of examples/live: their queries on the real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carbonroute.live.http import FetchError, HttpFetcher, Request
from carbonroute.live.serving import served
from helpers import needs
from helpers.live import bed
from helpers.programs import free_port, until

EXAMPLE = needs.ROOT / "examples" / "live"
pytestmark = needs.program("prometheus")


def panels() -> dict[str, str]:
    """Return the query of each panel, by its title."""
    dashboard = json.loads((EXAMPLE / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return {panel["title"]: target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}


def rules() -> dict[str, str]:
    """Return the query of each alert, by its name."""
    text = (EXAMPLE / "alerts.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"alert: (\w+)\n +expr: (.+)\n", text))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield what asks a Prometheus that scrapes a controller after three ticks."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with pytest.MonkeyPatch.context() as patch, HttpFetcher() as fetch:
        patch.setenv("EM_TOKEN", "canary-token")
        world = bed(tmp_path_factory.mktemp("live"))
        with world.running(listen="127.0.0.1:0") as parts, served(parts, world.clock) as (note, page):
            for _ in range(3):
                note(parts.controller.tick(), world.clock.monotonic_s())
                world.clock.wait(60)
                parts.ports.feed.poll()
            with prometheus(folder, port, page):

                def ask(query: str) -> list[Any]:
                    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
                    answer = json.loads(fetch(Request(url)).content)
                    return list(answer["data"]["result"])

                def scraped() -> bool:
                    try:
                        return len(ask("count_over_time(carbonroute_ticks_total[1m]) > 1")) == 1
                    except FetchError:
                        return False

                until(scraped)
                yield ask


class prometheus:  # noqa: N801  read as a statement
    def __init__(self, folder: Path, port: int, page: int | None) -> None:
        targets = f'static_configs: [{{targets: ["127.0.0.1:{page}"]}}]'
        config = f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: c, {targets}}}]\n"
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        place = needs.path_of("prometheus")
        assert place is not None
        options = [f"--web.listen-address=127.0.0.1:{port}", "--config.file=prometheus.yml"]
        self._child = subprocess.Popen(
            [place, *options, "--storage.tsdb.path=data"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait(30)


@pytest.mark.parametrize("title", panels())
def test_a_panel_has_data(title: str, asked: Any) -> None:
    result = asked(panels()[title])
    assert result
    assert not [one for one in result if one["value"][1] == "NaN"] or title.startswith("Duration")


def test_panels_tell_what_the_controller_did(asked: Any) -> None:
    value = {title: asked(query)[0]["value"][1] for title, query in panels().items()}
    assert float(value["Saving now, share of the baseline"]) == pytest.approx(0.25)
    assert value["Alarms"] == "0"
    shares = asked(panels()["Weights in force, mean of all cells by their requests"])
    assert {one["metric"]["region"]: float(one["value"][1]) for one in shares} == pytest.approx(
        {"A": 0, "B": 1}
    )


@pytest.mark.parametrize("name", rules())
def test_an_alert_is_silent_where_all_is_well(name: str, asked: Any) -> None:
    silent = {
        "CarbonrouteSilent",
        "CarbonrouteCarbonOld",
    }  # the controller's calendar stands still in this test
    assert (asked(rules()[name]) == []) or name in silent


def test_every_alert_is_about_a_metric_that_is_there(asked: Any) -> None:
    for query in rules().values():
        for metric in set(re.findall(r"carbonroute_\w+", query)):
            assert asked(metric), metric


def test_the_rules_are_valid() -> None:
    tool = needs.path_of("promtool")
    assert tool is not None
    done = subprocess.run(
        [tool, "check", "rules", str(EXAMPLE / "alerts.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules())} rules found" in done.stdout
