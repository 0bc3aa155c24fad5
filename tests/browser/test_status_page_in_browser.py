"""The status page as a person on call meets it: the answer at a glance, on any width, in light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from carbonroute.live.controller import Snapshot
from carbonroute.live.http import FetchError
from carbonroute.live.running import Parts
from carbonroute.live.serving import served
from helpers.live import Bed, bed

from .measures import illegible, sticking_out
from .opening import Opened, Opener

WIDTHS = (320, 360, 768, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@dataclass
class Site:
    """A controller whose page is served."""

    world: Bed
    parts: Parts
    address: str
    take: Callable[[Snapshot, float], None]

    def tick(self) -> Snapshot:
        self.world.clock.wait(60)
        self.parts.ports.feed.poll()
        snapshot = self.parts.controller.tick()
        self.note(snapshot)
        return snapshot

    def note(self, snapshot: Snapshot) -> None:
        self.take(snapshot, self.world.clock.monotonic_s())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    world = bed(tmp_path)
    with world.running(listen="127.0.0.1:0") as parts, served(parts, world.clock) as (note, port):
        yield Site(world, parts, f"http://127.0.0.1:{port}/", note)


def shown(
    opened: Opener, site: Site, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Opened:
    seen = opened(site.address, width=width, scheme=scheme)
    seen.page.wait_for_selector("#foot:not(:empty)")  # no function: the page lets nobody evaluate text
    return seen


def test_a_glance_tells_mode_saving_and_whose_weights(site: Site, opened: Opener) -> None:
    for _ in range(3):
        site.tick()
    page = shown(opened, site).page
    assert page.locator("#state").inner_text() == "live: well"
    # 50 requests an hour of 1,110 J, two minutes, 90 instead of 0.75 · 130 + 0.25 · 90 g/kWh.
    saved_mg = 50 / 3600 * 1110 * 120 * (120 - 90) / 3.6e6 * 1e3
    assert page.locator("#saved").inner_text() == f"{saved_mg:.3g} mg"
    assert page.locator("#by").inner_text() == "the policy's"
    assert page.locator("#alarms").is_hidden()
    assert page.locator(".cell").count() == 4
    assert page.locator("#carbon tr").first.inner_text().split("\t")[:2] == ["A", "130"]


def test_alarms_and_unknown_values_stand_out(site: Site, opened: Opener) -> None:
    site.world.carbon["B"] = FetchError("status", "answered 500", 500)
    site.world.router.problem = "lies"
    object.__setattr__(site.parts.ports.feed.regions[1], "reference_g_per_kwh", None)
    site.world.clock.wait(4 * 3600)
    for _ in range(3):
        site.tick()
    page = shown(opened, site).page
    assert "alarm" in page.locator("#state").inner_text()
    assert page.locator("#alarm-list li").count() >= 2
    assert "unknown" in page.locator("#carbon tr").nth(1).inner_text()


def test_a_controller_that_ends_is_told(site: Site, opened: Opener) -> None:
    site.tick()
    page = shown(opened, site).page
    page.route("**/status", lambda route: route.abort())
    page.evaluate("refresh()")
    page.get_by_text("the controller does not answer").wait_for()


def test_the_last_day_stacks_the_regions_in_the_order_of_the_legend(site: Site, opened: Opener) -> None:
    for _ in range(2):
        snapshot = site.parts.controller.tick()
        site.note(replace(snapshot, in_force=np.broadcast_to([0.7, 0.3], (2, 2, 2))))
    page = shown(opened, site).page
    assert page.locator("#legend li").all_inner_texts() == ["A", "B"]
    bands = page.locator(".cell").first.locator("polygon")
    heights = [
        [float(point.split(",")[1]) for point in (band.get_attribute("points") or "").split()]
        for band in bands.all()
    ]
    assert [(min(each), max(each)) for each in heights] == [(15, 22.7), (22.7, 26)]  # y grows downwards


def test_names_are_text(site: Site, opened: Opener) -> None:
    snapshot = site.tick()
    hostile = "<img src=x onerror=alert(1)>"
    object.__setattr__(snapshot, "alarms", (hostile,))
    site.note(snapshot)
    seen = shown(opened, site)
    assert hostile in seen.page.locator("#alarm-list").inner_text()
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_is_legible_and_asks_nobody_else(
    width: int, scheme: Literal["light", "dark"], site: Site, opened: Opener
) -> None:
    for _ in range(2):
        site.tick()
    seen = shown(opened, site, width, scheme)
    assert seen.complaints == []
    assert all(
        address.startswith(site.address) for address in seen.requests if not address.startswith("data:")
    )
    assert sticking_out(seen.page) == []
    assert illegible(seen.page) == []
