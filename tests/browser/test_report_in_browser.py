"""The report of a run as a reader meets it: it sorts, fits, is legible in light and dark, and stays alone."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from matplotlib import image
from playwright.sync_api import Locator, Page

from carbonroute.figures import available
from carbonroute.metrics import Tables
from carbonroute.metrics.best import best_first
from carbonroute.report.figures import ASKED_ALREADY
from carbonroute.runs.store import read_manifest, read_tables
from helpers import damage

from .made import HOSTILE, RUNS
from .measures import broken_words, illegible, scrolling_sideways, sticking_out, texts
from .opening import Opener

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
NONE = "–"
#: Columns of the policies' table by the beginning of their headings: the run's own, and the first order.
COLUMNS = {
    "Mean latency": ("avg_latency_ms", "ascending"),
    "P95 latency": ("p95_latency_ms", "ascending"),
    "SLO violations": ("slo_violation_pct", "ascending"),
    "Carbon intensity": ("avg_carbon_g_per_kwh", "ascending"),
    "Carbon reduction": ("carbon_reduction_pct", "descending"),
}
OTHER_ORDER = {"ascending": "descending", "descending": "ascending"}


#: The figures of runs that have fewer by default than with `--full`: those that no other run has, or two.
FEW = {
    "queued": ("tradeoff_curve", "saving_steps", "utilisation", "wait_cdf"),
    **dict.fromkeys(("llm", "measured"), ("carbon_traces", "workload_slo_violations")),
}


@pytest.fixture(scope="module")
def few(pytestconfig: pytest.Config) -> Mapping[str, Sequence[str]]:
    """Return the names of the figures that runs have, where that is not all."""
    return {} if pytestconfig.getoption("full") else FEW


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, few: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """Return the folders of all runs."""
    folders = {}
    for name, make in RUNS.items():
        with pytest.MonkeyPatch.context() as patch:
            if name in few:
                damage.draw_few(patch, few[name])
            folders[name] = make(tmp_path_factory.mktemp(name))
    return folders


@pytest.fixture(params=["crowded", "queued", pytest.param("published", marks=pytest.mark.full)])
def run(
    request: pytest.FixtureRequest,
    runs: dict[str, Path],
    few: Mapping[str, Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return the folder of one run, with the register of its figures."""
    if request.param in few:
        damage.draw_few(monkeypatch, few[request.param])
    return runs[request.param]


def report(run: Path) -> Path:
    return run / "report.html"


def drawn(tables: Tables) -> list[str]:
    return [name for name in available(tables) if name not in ASKED_ALREADY]


def test_the_page_is_alone_silent_and_small(run: Path, opened: Opener) -> None:
    seen = opened(report(run))
    assert seen.complaints == []
    assert [address for address in seen.requests if not address.startswith("data:")] == [report(run).as_uri()]
    assert report(run).stat().st_size <= 1_500_000
    assert "report.html" in read_manifest(run)["outputs"]
    assert read_manifest(run)["scenario"]["name"] in seen.page.locator("h1").inner_text()


def test_every_figure_is_there_and_says_what_it_is(run: Path, opened: Opener) -> None:
    page = opened(report(run)).page
    names = drawn(read_tables(run))
    assert page.locator("figure svg:visible").count() == page.locator("svg:visible").count() == len(names)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    images = [node["name"]["value"] for node in tree if node["role"]["value"] in {"image", "img"}]
    assert len(images) == len(set(images)) == len(names)
    assert all(len(text.split()) > 5 for text in images)
    figures = page.evaluate(
        """[...document.querySelectorAll('figure')].map((one) => {
          const drawings = [...one.querySelectorAll('svg')].filter((svg) => svg.checkVisibility());
          const box = drawings[0].getBoundingClientRect();
          return [Math.min(box.width, box.height), one.querySelector('figcaption').innerText];
        })"""
    )
    for side_px, caption in figures:
        assert side_px > 100
        assert len(caption.split()) > 8


def without_drawings(page: Page) -> Page:
    """Take the drawings off a page: what is asked of its tables then waits for no painting."""
    page.evaluate("document.querySelectorAll('figure').forEach((one) => one.remove())")
    return page


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")


def rows(table: Locator) -> list[list[str]]:
    """Return what stands in each cell of each row, without the small figures below it."""
    found = table.evaluate(
        """table => [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => {
          const copy = cell.cloneNode(true);
          copy.querySelectorAll('small').forEach((one) => one.remove());
          return copy.textContent.trim();
        }))"""
    )
    assert isinstance(found, list)
    return found


def cells(table: Locator, place: int) -> list[str]:
    """Return what stands in a column."""
    return [row[place] for row in rows(table)]


def numbers(shown: list[str]) -> list[float | None]:
    """Return a column's numbers, None where there is none."""
    return [
        None if text == NONE else float(text.replace(",", "").replace("−", "-").split(" ")[0])
        for text in shown
    ]


def assert_sorted(values: list[float | None], order: str) -> None:
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=order == "descending")
    assert values == [*known, *[None] * (len(values) - len(known))]


def test_every_heading_of_numbers_sorts_both_ways(run: Path, opened: Opener) -> None:
    page = without_drawings(opened(report(run)).page)
    sorted_columns = 0
    for table in page.locator("table[data-sortable]").all():
        if not table.is_visible():
            continue
        before = sorted(rows(table))
        headings = table.locator("thead th")
        for place, heading in enumerate(headings.all()):
            if "number" not in (heading.get_attribute("class") or ""):
                continue
            orders = []
            for _ in range(2):
                heading.get_by_role("button").click()
                orders.append(heading.get_attribute("aria-sort") or "")
                assert_sorted(numbers(cells(table, place)), orders[-1])
                assert table.locator("th[aria-sort]").count() == 1
            assert sorted(orders) == ["ascending", "descending"]
            sorted_columns += 1
        assert sorted(rows(table)) == before
    assert sorted_columns >= len(COLUMNS)


def policies_of(page: Page) -> Locator:
    return page.locator("#policies table").first


def test_policies_are_sorted_by_what_the_run_found(run: Path, opened: Opener) -> None:
    found = best_first(read_tables(run)).policies
    table = policies_of(without_drawings(opened(report(run)).page))
    names = found["policy"].to_list()
    assert [name.removesuffix("†") for name in cells(table, 0)] == names  # the best first
    for heading in table.locator("thead th").all():
        title = heading.inner_text().strip().split("\n")[0]
        if title not in COLUMNS:
            continue
        figure, first = COLUMNS[title]
        full = dict(zip(names, found[figure].to_list(), strict=True))
        for order in (first, OTHER_ORDER[first], first):
            heading.get_by_role("button").click()
            assert heading.get_attribute("aria-sort") == order
            assert_sorted([full[name.removesuffix("†")] for name in cells(table, 0)], order)


def test_names_are_sorted_by_the_alphabet(runs: dict[str, Path], opened: Opener) -> None:
    table = policies_of(without_drawings(opened(report(runs["published"])).page))
    heading = table.locator("thead th").first
    heading.get_by_role("button").click()
    hybrids = [f"Hybrid (α=0.{digit})" for digit in (2, 3, 5, 7)]
    expected = ["Carbon-First", "Constrained Hybrid†", *hybrids, "Latency-First"]
    assert cells(table, 0) == expected
    heading.get_by_role("button").click()
    assert cells(table, 0) == expected[::-1]


@pytest.mark.parametrize("width", [1280, 360])
def test_what_can_be_clicked_is_reached_and_used_by_keyboard(
    width: int, runs: dict[str, Path], opened: Opener
) -> None:
    page = without_drawings(opened(report(runs["published"]), width=width).page)
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.get_attribute("href") == "#content"
    box = skip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert "Skip" in " ".join(text["text"] for text in texts(page) if text["contrast"] >= 4.5)
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("id") == "content"

    table = policies_of(page)
    wanted = [button.inner_text() for button in table.get_by_role("button").all()]
    assert len(wanted) == table.locator("thead th").count() > 5
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.evaluate("one => !!one.closest('#policies thead')"):
            reached.append(focused.inner_text())
            outline = focused.evaluate("one => getComputedStyle(one).outlineStyle")
            assert outline != "none"
            if reached[-1].startswith("SLO violations"):
                place = len(reached) - 1
                for key, order in (("Enter", "ascending"), ("Space", "descending")):
                    page.keyboard.press(key)
                    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == order
                    assert_sorted(numbers(cells(table, place)), order)
                assert focused.evaluate("one => one === document.activeElement")
        elif reached:
            break
    assert reached == wanted


def test_nothing_sticks_out_of_any_window(run: Path, opened: Opener) -> None:
    page = opened(report(run)).page
    unfold(page)
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert sticking_out(page) == [], width
        if width <= 360:
            assert scrolling_sideways(page) == [], width


def test_tables_of_tokens_fit_and_name_each_column_once(runs: dict[str, Path], opened: Opener) -> None:
    page = opened(report(runs["llm"])).page
    unfold(page)
    for table in ("table-tokens", "table-replicas"):
        box = page.locator(f"#{table}").locator("..")
        assert box.evaluate("one => one.scrollWidth <= one.clientWidth"), table
        labels = (
            page.locator(f"#{table} tbody tr")
            .first.locator("td")
            .evaluate_all("cells => cells.map(cell => cell.dataset.label)")
        )
        assert len(labels) == len(set(labels)) > 5, table
    page.set_viewport_size({"width": 360, "height": 800})
    assert sticking_out(page) == scrolling_sideways(page) == []


def test_every_text_can_be_read(run: Path, opened: Opener) -> None:
    page = without_drawings(opened(report(run)).page)
    unfold(page)
    page.locator("#policies thead button").first.click()
    for scheme, width in itertools.product(SCHEMES, (1280, 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        assert illegible(page) == [], (scheme, width)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 150) == (scheme == "dark")


def drawings(page: Page) -> list[Any]:
    """Return how bright each pixel of each drawing is on the screen, 0…1, without correction."""
    whole = image.imread(io.BytesIO(page.screenshot(full_page=True, type="png")), format="png")[..., :3]
    boxes = page.evaluate(
        """[...document.querySelectorAll('figure svg')].filter((svg) => svg.checkVisibility()).map((svg) => {
          const box = svg.getBoundingClientRect();
          return [box.top + scrollY, box.bottom + scrollY, box.left, box.right].map(Math.round);
        })"""
    )
    bright = whole @ np.array([0.2126, 0.7152, 0.0722])
    return [bright[top:bottom, left:right] for top, bottom, left, right in boxes]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_figures_have_ink_and_the_page_s_ground(
    scheme: Scheme, runs: dict[str, Path], opened: Opener
) -> None:
    found = drawings(opened(report(runs["published"]), scheme=scheme).page)
    assert len(found) == len(drawn(read_tables(runs["published"])))
    for bright in found:
        edges = np.concatenate([bright[1], bright[-2], bright[:, 1], bright[:, -2]])
        ground, ink = np.median(edges), np.quantile(bright, 0.995 if scheme == "dark" else 0.005)
        assert (ground < 0.2) if scheme == "dark" else (ground > 0.95)
        assert abs(ink - ground) > 0.5


def test_it_prints_on_pages_in_light(run: Path, opened: Opener) -> None:
    seen = opened(report(run), scheme="dark", media="print", width=720)
    assert illegible(seen.page) == []
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert seen.page.locator("nav").is_hidden()
    assert seen.page.locator("figure svg").first.evaluate("one => getComputedStyle(one).filter") == "none"
    printed = seen.page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 2 <= pages <= 40


def test_it_is_read_without_a_script(runs: dict[str, Path], opened: Opener) -> None:
    run = runs["published"]
    page = opened(report(run), script=False).page
    names = best_first(read_tables(run)).policies["policy"].to_list()
    assert [name.removesuffix("†") for name in cells(policies_of(page), 0)] == names
    assert page.get_by_role("button").count() == 0
    assert page.locator("figure svg").first.is_visible()


def elements(page: Page) -> set[str]:
    found = page.evaluate("[...new Set([...document.querySelectorAll('*')].map((one) => one.tagName))]")
    return set(found)


def test_names_are_text_whatever_they_hold(runs: dict[str, Path], opened: Opener) -> None:
    seen, plain = opened(report(runs["crowded"])), opened(report(runs["published"]))
    page = seen.page
    unfold(page)
    for table in page.locator("table[data-sortable]").all():
        table.get_by_role("button").first.click()
    assert seen.complaints == []
    assert HOSTILE[0] in page.title()
    assert elements(page) <= elements(plain.page) | {"UL", "LI", "P", "SMALL"}
    assert page.locator("script").count() == 1
    assert page.locator("[onerror], [onload], img, iframe, object, embed").count() == 0
    shown = " ".join(page.locator("body").inner_text().split())
    for name in HOSTILE:
        assert name in shown
    table = policies_of(page)
    labels = read_tables(runs["crowded"]).policies["policy"].to_list()
    assert sorted(name.removesuffix("†") for name in cells(table, 0)) == sorted(labels)


def test_clairvoyant_policies_are_marked_to_see_and_to_hear(runs: dict[str, Path], opened: Opener) -> None:
    run = runs["published"]
    page = opened(report(run)).page
    marked = read_tables(run).policies.filter(pl.col("clairvoyant"))["policy"].to_list()
    rows = [name for name in cells(policies_of(page), 0) if name.endswith("†")]
    assert [name.removesuffix("†") for name in rows] == marked
    assert page.get_by_text("† clairvoyant: decides on what no router can know.").first.is_visible()


def test_the_text_of_every_figure_can_be_read(run: Path, opened: Opener) -> None:
    page = opened(report(run)).page
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        sizes = letters(page)
        assert len(sizes) == len(drawn(read_tables(run)))
        assert {name: px for name, px in sizes.items() if px < 8} == {}, width


def test_a_wide_figure_of_a_phone_has_the_words_of_the_wide_one(
    runs: dict[str, Path], opened: Opener
) -> None:
    page = opened(report(runs["published"]), width=360).page
    redrawn = page.locator("figure.redrawn")
    assert redrawn.count() > 0
    for figure in redrawn.all():
        wide, narrow = figure.locator("svg").all()
        assert (wide.is_visible(), narrow.is_visible()) == (False, True)
        assert wide.get_attribute("aria-label") == narrow.get_attribute("aria-label")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert not redrawn.first.locator("svg").last.is_visible()


def test_headings_break_at_words_and_arrows_stand_beside_them(run: Path, opened: Opener) -> None:
    page = opened(report(run)).page
    for width in (768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert broken_words(page) == [], width
    arrows = page.evaluate(
        """[...document.querySelectorAll('thead .heading')].map((one) => {
          const style = getComputedStyle(one, '::after');
          return [style.content, style.position, style.display];
        })"""
    )
    assert arrows
    for content, position, display in arrows:
        assert content in {"none"} or content.startswith('"\u00a0↕"')
        assert (position, display) == ("static", "inline")
    assert any(content != "none" for content, _, _ in arrows)


def test_long_tables_fold_on_a_phone_alone(runs: dict[str, Path], opened: Opener) -> None:
    path = report(runs["published"])
    wide, narrow = opened(path).page, opened(path, width=360).page
    silent = opened(path, width=360, script=False).page
    table = "#table-workloads"
    assert wide.locator(table).is_visible()
    assert not narrow.locator(table).is_visible()
    assert silent.locator(table).is_visible()
    narrow.locator("details.long summary").first.click()
    assert narrow.locator(table).is_visible()


def test_the_first_page_of_paper_is_a_summary(run: Path, opened: Opener) -> None:
    page = opened(report(run), media="print", width=688).page  # A4 between margins
    figure = page.locator("#policies > figure")
    assert figure.evaluate("one => getComputedStyle(one).breakBefore") == "page"
    above = [page.locator(part).bounding_box() for part in ("#finding", "#table-policies")]
    box = figure.bounding_box()
    assert box is not None
    assert all(part is not None and part["y"] + part["height"] <= box["y"] for part in above)
    if run.parent.name.startswith("published"):
        assert box["y"] < 265 / 25.4 * 96  # mm of A4 between margins


@pytest.mark.parametrize("name", RUNS)
def test_everything_fits_on_paper(name: str, runs: dict[str, Path], opened: Opener) -> None:
    page = opened(report(runs[name]), media="print", width=688).page  # A4 between margins
    unfold(page)
    assert sticking_out(page) == []


def test_names_of_regions_and_counts_stay_whole(runs: dict[str, Path], opened: Opener) -> None:
    page = opened(report(runs["queued"])).page
    broken = page.evaluate(
        """[...document.querySelectorAll('td:not(.number) > span')]
          .filter((one) => /^[a-z0-9-]{1,16}$/.test(one.textContent) && one.getClientRects().length > 1)
          .map((one) => one.textContent)"""
    )
    assert broken == []
    assert "Pool" not in page.locator("#table-pools thead").inner_text()  # each is its region's only one


def test_a_policy_without_its_tick_is_hidden_also_without_a_script(
    runs: dict[str, Path], opened: Opener
) -> None:
    page = opened(report(runs["published"]), script=False).page
    names = read_tables(runs["published"]).policies["policy"].to_list()
    for place, name in enumerate(names):
        marks = page.locator(f"figure svg .policy-{place}")
        tips = {text.split(":")[0].removesuffix("†") for text in marks.locator("title").all_text_contents()}
        assert tips == {name}
    box = page.get_by_label(names[1], exact=True)
    box.uncheck()
    assert page.locator("figure svg .policy-1:visible").count() == 0
    assert page.locator("figure svg .policy-2:visible").count() > 0
    box.check()
    assert page.locator("figure svg .policy-1:visible").count() > 0


def letters(page: Page) -> dict[str, float]:
    """Return the size of the smallest letters of each drawing that is shown, in CSS pixels."""
    found = page.evaluate(
        """Object.fromEntries([...document.querySelectorAll('figure svg')]
          .filter((svg) => svg.checkVisibility())
          .map((svg) => {
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            const sizes = [...svg.querySelectorAll('g[transform*="scale("]')]
              .filter((one) => one.querySelector('use'))
              .map((one) => +one.getAttribute('transform').match(/scale\\(([\\d.]+)/)[1] * 100);
            return [svg.closest('figure').id, Math.min(...sizes) * scale];
          }))"""
    )
    assert isinstance(found, dict)
    return found
