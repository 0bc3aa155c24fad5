"""The report of a study as a reader meets it: alone, legible, sorted, and no wider than the window."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from carbonroute import study
from carbonroute.cli import main
from carbonroute.figures import available
from helpers import small

from .made import HOSTILE
from .measures import broken_words, illegible, scrolling_sideways, sticking_out
from .opening import Opener

STUDY = """
schema = 1
name = {0}
description = {1}
scenario = "small.toml"
engine = "exact"
[grid]
network.jitter_std_ms = [0, 3, 30]
sampling.seed = [1, 2]
[[variants]]
axis = {2}
label = {3}
changes = {{ "regions[A].carbon_g_per_kwh" = 300 }}
[[variants]]
axis = {2}
label = "dirty"
changes = {{ "regions[A].carbon_g_per_kwh" = 900 }}
[[variants]]
axis = {2}
label = "failing"
changes = {{ "policies[0]" = {{ use = "failing.py:Failing" }} }}
"""

FAILING = """
class Failing:
    name = "Failing"

    def cost(self, view):
        raise RuntimeError({!r})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study with names that would be more than text, and with cells that fail."""
    place = tmp_path_factory.mktemp("study")
    small.write(place).rename(place / "small.toml")
    (place / "failing.py").write_text(FAILING.format(HOSTILE[1]), encoding="utf-8")
    names = [f"'{name}'" for name in HOSTILE]
    (place / "made.toml").write_text(STUDY.format(*names), encoding="utf-8")
    assert main(["study", "run", str(place / "made.toml"), "--output", str(place / "out"), "--quiet"]) == 1
    assert main(["report", str(place / "out")]) == 0
    return place / "out"


def test_it_is_alone_and_silent_and_names_are_text(folder: Path, opened: Opener) -> None:
    file = folder / "report.html"
    seen = opened(file)
    assert seen.complaints == []
    assert [address for address in seen.requests if not address.startswith("data:")] == [file.as_uri()]
    assert HOSTILE[0] in seen.page.locator("h1").inner_text()
    assert seen.page.locator("img").count() == 0
    text = seen.page.locator("body").inner_text()
    assert all(name in text for name in HOSTILE)
    assert "RuntimeError" in text  # what failed, and why


def test_every_figure_has_a_text_alternative(folder: Path, opened: Opener) -> None:
    page = opened(folder / "report.html").page
    tables = study.read(folder)
    names = available({"summary": tables.summary, "axes": tables.axes})
    assert len(names) >= 3
    assert page.locator("figure svg:visible").count() == page.locator("svg:visible").count() == len(names)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    images = [node["name"]["value"] for node in tree if node["role"]["value"] in {"image", "img"}]
    assert len(set(images)) == len(names)
    assert all(len(text.split()) > 5 for text in images)


def test_it_fits_every_window_and_every_text_can_be_read(folder: Path, opened: Opener) -> None:
    page = opened(folder / "report.html").page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert sticking_out(page) == [], width
    page.set_viewport_size({"width": 360, "height": 800})
    assert scrolling_sideways(page) == []
    page.evaluate("document.querySelectorAll('figure').forEach((one) => one.remove())")
    for scheme, width in itertools.product(("light", "dark"), (1280, 360)):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        page.set_viewport_size({"width": width, "height": 800})
        assert illegible(page) == [], (scheme, width)


@pytest.mark.parametrize("width", [768, 1000, 1280])
def test_headings_break_no_word_but_very_long_ones(folder: Path, opened: Opener, width: int) -> None:
    page = opened(folder / "report.html", width=width).page
    assert [word for word in broken_words(page) if len(word) <= 12] == []
    table = page.locator("#policies .scroll").first
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_combinations_are_sorted_by_what_they_save(folder: Path, opened: Opener) -> None:
    page = opened(folder / "report.html").page
    table = page.locator("table[data-sortable]", has_text="network.jitter_std_ms").first
    heading = table.locator("thead th", has_text="saved").first
    heading.get_by_role("button").click()
    place = heading.evaluate("one => [...one.parentElement.children].indexOf(one)")
    shown = table.evaluate(
        "(table, place) => [...table.tBodies[0].rows].map((row) => row.cells[place].innerText)", place
    )
    values = [float(text.split()[0].replace("−", "-")) for text in shown if not text.startswith("–")]
    assert len(values) > 4
    order = heading.get_attribute("aria-sort")
    assert values == sorted(values, reverse=order == "descending")
