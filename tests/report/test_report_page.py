"""The report of a run: what it says, that it is whole in itself, and that names cannot break it."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute import run
from carbonroute.cli import main
from carbonroute.errors import RunFolderError
from carbonroute.figures import FIGURES, available, draw
from carbonroute.figures import render as render_figure
from carbonroute.metrics import slo
from carbonroute.report import page_of, render, write
from carbonroute.report.figures import ASKED_ALREADY
from carbonroute.report.page import Page, TableBlock, Text
from carbonroute.report.policies import saving
from carbonroute.runs.store import RunFolder, manifest_entries, read_manifest, read_tables, write_run
from carbonroute.scenario import Scenario
from helpers import damage, queued_runs, small

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</svg></style></title>",
    "{{7*7}}{% raw %}",
    "<!-- --><b>&amp;",
)
VOID = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    inside: list[str]
    text: str = ""


@dataclass
class Reader(HTMLParser):
    """Reads a page as a browser does: elements with their attributes and their text."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), [each.tag for each in self.open])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs), [each.tag for each in self.open]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(html: str) -> list[Element]:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader.elements


def all_of(html: str, tag: str) -> list[Element]:
    return [element for element in read(html) if element.tag == tag]


def text_of(html: str) -> str:
    (body,) = all_of(html, "body")
    return " ".join(body.text.split())


def folder_of(path: Path, document: dict[str, Any], **options: Any) -> Path:
    """Run a scenario, and return its folder."""
    result = run(Scenario.model_validate(document, context={"folder": path}), **options)
    folder = RunFolder(path)
    write_run(folder, result)
    folder.finish(manifest_entries(result))
    return path


@functools.cache
def page(path: Path) -> Page:
    """Return the page of a folder, whose figures are drawn once."""
    return page_of(path)


def html_of(path: Path) -> str:
    return render(page(path))


def table(path: Path, name: str) -> TableBlock:
    blocks = [block for section in page(path).sections for block in section.blocks]
    (found,) = (block for block in blocks if isinstance(block, TableBlock) and block.id == f"table-{name}")
    return found


def ids_of_sections(path: Path) -> list[str]:
    return [section.id for section in page(path).sections]


@pytest.fixture(scope="module")
def plain(finished: Path) -> str:
    return html_of(finished)


def hostile() -> dict[str, Any]:
    """Return a scenario whose every name tries to break out."""
    first, second, third, fourth, fifth = HOSTILE
    return queued_runs.document(
        name=third,
        description=first + second,
        horizon={"hours": 1},
        traffic={"kind": "poisson", "requests_per_hour": 200},
        network={"rtt_ms": {second: {first: 10, third: 40}}},
        origins=[{"name": second, "share": 1.0}],
        regions=[{"name": first, "carbon_g_per_kwh": 400}, {"name": third, "carbon_g_per_kwh": 50}],
        workloads=[
            {
                "id": fourth,
                "name": first,
                "model": fifth,
                "share": 1.0,
                "slo_ms": 2000,
                "energy_j": 3.6,
                "energy_source": first,
                "service_ms": {"law": "gamma", "mean": 500, "std": 500},
            }
        ],
        sources={"pue": third + first},
        policies=[{"use": "latency-first", "label": first}, {"use": "carbon-first", "label": fourth}],
    )


def test_it_says_what_was_found(plain: str, finished: Path) -> None:
    said = text_of(plain)
    tables = read_tables(finished)
    assert tables.overview["finding"][0] in said
    assert [heading.text for heading in all_of(plain, "h1")] == ["small: how much carbon can routing save?"]
    for name in (*tables.policies["policy"], *tables.workloads["name"]):
        assert name in said
    assert f"{tables.policies['avg_carbon_g_per_kwh'][0]:.1f}" in said
    for digest in read_manifest(finished)["outputs"].values():
        assert digest in said


def test_every_figure_with_something_to_show_is_there_and_says_its_finding(
    plain: str, finished: Path
) -> None:
    tables = read_tables(finished)
    others = [name for name in available(tables) if name not in {*ASKED_ALREADY, "tradeoff_curve"}]
    expected = ["tradeoff_curve", *others]  # the first stands with the table of policies
    figures = all_of(plain, "figure")
    assert [figure.attributes["id"] for figure in figures] == [f"figure-{name}" for name in expected]
    captions = [caption.text for caption in all_of(plain, "figcaption")]
    for name, caption in zip(expected, captions, strict=True):
        title = draw(name, tables).title.get_label()
        assert " ".join(str(title).split()) in caption
        assert FIGURES[name].reading in caption
    drawings = [svg for svg in all_of(plain, "svg") if svg.attributes.get("role") == "img"]
    twice = sum("redrawn" in str(figure.attributes.get("class")) for figure in figures)
    assert 0 < twice < len(expected)
    assert len(drawings) == len(expected) + twice
    assert all(svg.attributes["aria-label"] for svg in drawings)


def test_it_asks_for_nothing(plain: str) -> None:
    for element in read(plain):
        for name, value in element.attributes.items():
            if name in {"src", "href", "action", "data", "poster", "srcset", "xlink:href"}:
                assert str(value).startswith(("#", "data:image/png;base64,")), (element.tag, name, value)
    assert not re.search(r"https?:|@import|url\((?!#)", plain)
    (policy,) = (e for e in all_of(plain, "meta") if e.attributes.get("http-equiv"))
    assert str(policy.attributes["content"]).startswith("default-src 'none';")


def test_the_policy_allows_the_page_s_own_script_alone(plain: str) -> None:
    (script,) = all_of(plain, "script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in plain


@pytest.mark.parametrize("make", [hostile, None])
def test_names_are_unique_and_every_reference_leads_somewhere(make: Any, plain: str, tmp_path: Path) -> None:
    html = html_of(folder_of(tmp_path, make())) if make else plain
    elements = read(html)
    ids = Counter(element.attributes["id"] for element in elements if "id" in element.attributes)
    assert {name: n for name, n in ids.items() if n > 1} == {}
    for element in elements:
        for name, value in element.attributes.items():
            wanted = re.findall(r"url\(#([^)]+)\)", value or "")
            if name == "href" and str(value).startswith("#"):
                wanted.append(str(value)[1:])
            if name == "aria-labelledby":
                wanted.append(str(value))
            assert set(wanted) <= ids.keys()


def test_names_that_try_to_break_out_appear_as_text(tmp_path: Path) -> None:
    html = html_of(folder_of(tmp_path, hostile()))
    elements = read(html)
    assert sum(element.tag == "script" for element in elements) == 1
    assert not any(element.tag in {"b", "img"} for element in elements)
    assert not any(name.startswith("on") for element in elements for name in element.attributes)
    assert "<!-- " not in html
    said = text_of(html)
    for name in HOSTILE:
        assert " ".join(name.split()) in said
    assert "49" not in all_of(html, "title")[0].text


@pytest.mark.usefixtures("few_drawn")
def test_the_same_run_gives_the_same_bytes_however_it_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = str(small.write(tmp_path))
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third.html"
    options = ["--no-figures", "--quiet", "--sim-hours", "3"]
    assert main(["simulate", scenario, "--output", str(first), "--report", *options]) == 0
    assert main(["simulate", scenario, "--output", str(second), *options]) == 0
    assert main(["report", str(second)]) == 0
    assert capsys.readouterr().out == f"{second / 'report.html'}\n"
    assert main(["report", str(second), "--output", str(third)]) == 0
    assert main(["report", str(second)]) == 0
    content = (first / "report.html").read_bytes()
    assert content == (second / "report.html").read_bytes() == third.read_bytes()
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()
    assert "report.html" in read_manifest(first)["outputs"]


@pytest.mark.usefixtures("undrawn")
def test_the_manifest_and_the_page_give_the_command(tmp_path: Path) -> None:
    scenario, outputs = str(small.write(tmp_path)), tmp_path / "outputs"
    options = ["--sim-hours", "3", "--seed", "9", "--engine", "both", "--max-violation", "2%"]
    for_show = ["--no-figures", "--quiet", "--workers", "1", "--output", str(outputs), "--report"]
    assert main(["simulate", scenario, *options, *for_show]) == 0
    command = read_manifest(outputs)["command"]
    assert command == (
        f"carbonroute simulate {scenario} --sim-hours 3 --seed 9 --engine both --max-violation 0.02"
    )
    html = (outputs / "report.html").read_text(encoding="utf-8")
    assert command in [code.text for code in all_of(html, "code")]
    assert "agreement" in ids_of_sections(outputs)


@pytest.mark.usefixtures("undrawn")
def test_a_run_from_python_says_how_to_run_its_scenario_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder_of(tmp_path, hostile())
    code = all_of(html_of(path), "code")[0].text
    monkeypatch.chdir(path)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert namespace["result"].tables.policies.equals(read_tables(path).policies)


@pytest.mark.usefixtures("undrawn")
def test_queued_runs_show_capacity_and_say_why_there_are_no_intervals(tmp_path: Path) -> None:
    path = folder_of(tmp_path, queued_runs.document(**queued_runs.HERD, horizon={"hours": 1}))
    assert ids_of_sections(path)[:5] == ["policies", "figures", "saving", "risk", "capacity"]
    pools = read_tables(path).pools
    assert len(table(path, "pools").rows) == pools.height > 0
    said = text_of(html_of(path))
    assert "a request that waits makes others wait" in said
    assert "confidence interval" not in said


@pytest.mark.usefixtures("undrawn")
def test_exact_runs_say_why_there_are_no_intervals(tmp_path: Path) -> None:
    path = folder_of(tmp_path, queued_runs.document(horizon={"hours": 1}), engine="exact")
    assert "computed without random numbers" in text_of(html_of(path))
    assert [column.heading for column in table(path, "risk").columns][-1] == "SLO violations"


@pytest.mark.usefixtures("undrawn")
def test_replications_give_every_figure_an_interval(tmp_path: Path) -> None:
    path = folder_of(tmp_path, queued_runs.document(horizon={"hours": 1}), replications=3)
    columns = table(path, "policies").columns
    latency = next(place for place, column in enumerate(columns) if column.heading == "Mean latency")
    assert all(" to " in row.cells[latency].detail for row in table(path, "policies").rows)
    assert "3 replications" in text_of(html_of(path))


def test_without_energies_there_are_no_grams_and_no_steps(finished: Path) -> None:
    sections = ids_of_sections(finished)
    assert "saving" not in sections
    assert "capacity" not in sections
    assert "Emissions" not in {column.heading for column in table(finished, "policies").columns}
    assert not {"table-energies", "table-regions"} & {e.attributes.get("id") for e in read(html_of(finished))}


@pytest.mark.usefixtures("undrawn")
def test_with_energies_factors_stand_with_their_sources(tmp_path: Path) -> None:
    path = folder_of(tmp_path, hostile())
    assert table(path, "energies").rows[0].cells[-1].text == HOSTILE[0]
    assert "Emissions" in {column.heading for column in table(path, "policies").columns}
    steps = read_tables(path).saving
    assert [row.cells[0].text for row in table(path, "saving").rows] == steps["step"].to_list()


def test_numbers_of_cells_keep_their_unit_on_their_line(finished: Path) -> None:
    assert '">Constrained Hybrid (<span class="tied">5 ms</span> margin)</th>' in html_of(finished)


@pytest.mark.usefixtures("undrawn")
def test_steps_over_the_limit_are_said_to_be(tmp_path: Path) -> None:
    tables = read_tables(folder_of(tmp_path, hostile()))
    late = sorted({*tables.saving[slo.limited(tables.policies)]})
    for limit_pct, over in ((100.0, 0), (late[0] - 1.0, tables.saving.height - 1)):
        judged = tables.policies.with_columns(max_violation_pct=pl.lit(limit_pct))
        (section,) = saving(replace(tables, policies=judged))
        words = section.blocks[0]
        assert isinstance(words, Text)
        assert words.text.count(" over the limit on violations") == over


@pytest.mark.usefixtures("undrawn")
def test_objectives_are_met_or_missed(tmp_path: Path) -> None:
    bounds = {"policy": "Latency-First", "avg_latency_ms": "< 1", "slo_violation_pct": "<= 100"}
    path = folder_of(tmp_path, queued_runs.document(horizon={"hours": 1}, objectives=bounds))
    verdicts = {verdict.met: verdict.text for verdict in page(path).verdicts}
    assert "missed: avg_latency_ms < 1" in verdicts[False]
    assert "met: slo_violation_pct <= 100" in verdicts[True]
    html = html_of(path)
    assert [e.attributes["class"] for e in all_of(html, "li") if "class" in e.attributes] == ["missed", "met"]


def test_clairvoyant_policies_are_marked_and_explained(plain: str, finished: Path) -> None:
    seers = read_tables(finished).policies.filter("clairvoyant")["policy"].to_list()
    marked = {row.cells[0].text for row in table(finished, "policies").rows if row.clairvoyant}
    assert marked == set(seers)
    assert plain.count('<tr role="row" class="clairvoyant">') >= len(seers)
    assert bool(seers) == ("† clairvoyant: decides on what no router can know." in text_of(plain))


@pytest.mark.usefixtures("undrawn")
def test_what_has_no_value_has_nothing_to_be_sorted_by(tmp_path: Path) -> None:
    document = queued_runs.document(horizon={"hours": 1})
    clean = [{**region, "carbon_g_per_kwh": 0} for region in document["regions"]]  # no share of 0 is saved
    path = folder_of(tmp_path, {**document, "regions": clean})
    cells = [e for e in all_of(html_of(path), "td") if "number" in str(e.attributes.get("class"))]
    empty = [cell for cell in cells if cell.text == "–"]
    assert empty
    assert not any("data-value" in cell.attributes for cell in empty)
    for cell in cells:
        if cell.text != "–":
            float(str(cell.attributes["data-value"]))


def test_tables_are_tables_to_those_who_hear_them(plain: str) -> None:
    elements = read(plain)
    roles = {"table": "table", "tr": "row", "td": "cell", "thead": "rowgroup", "tbody": "rowgroup"}
    for element in elements:
        if element.tag in roles:
            assert element.attributes["role"] == roles[element.tag]
        if element.tag == "th":
            role = {"row": "rowheader", "col": "columnheader"}[str(element.attributes["scope"])]
            assert element.attributes["role"] == role
        if element.tag == "td":
            assert element.attributes["data-label"]
    tags = Counter(element.tag for element in elements)
    assert tags["caption"] == tags["table"]
    assert (tags["h1"], tags["main"], tags["header"], tags["nav"], tags["footer"]) == (1, 1, 1, 1, 1)
    assert all_of(plain, "html")[0].attributes == {"lang": "en"}
    levels = [int(e.tag[1]) for e in elements if e.tag in {"h1", "h2", "h3"}]
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("drawn", [False, pytest.param(True, marks=pytest.mark.full)])
def test_many_policies_and_regions_with_long_names(
    drawn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not drawn:
        damage.draw_nothing(monkeypatch)
    regions = [f"{'A region with a rather long name' * 3} {place}" for place in range(12)]
    path = folder_of(
        tmp_path,
        queued_runs.document(
            horizon={"hours": 2},
            traffic={"kind": "poisson", "requests_per_hour": 500},
            network={"rtt_ms": {"here": {name: 10 + place for place, name in enumerate(regions)}}},
            regions=[{"name": name, "carbon_g_per_kwh": 40 + place} for place, name in enumerate(regions)],
            policies=[
                {"use": "hybrid", "alpha": place / 15, "label": f"{'Hybrid-of-many-words' * 4}-{place}"}
                for place in range(15)
            ],
        ),
    )
    html = html_of(path)
    assert len(table(path, "policies").rows) == 15
    assert len(html) < 3_000_000
    assert all(name in text_of(html) for name in regions)


@pytest.mark.usefixtures("undrawn")
def test_drawn_origins_are_said_first(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    folder = RunFolder.reopen(tmp_path / "run", "report")
    overview = read_tables(finished).overview.with_columns(synthetic_geography=pl.lit(value=True))
    overview.write_parquet(tmp_path / "overview.parquet")
    folder.write("data/overview.parquet", (tmp_path / "overview.parquet").read_bytes())
    folder.finish(read_manifest(tmp_path / "run"))
    warned = [
        e.text for e in all_of(html_of(tmp_path / "run"), "p") if e.attributes.get("class") == "warning"
    ]
    assert warned == ["Synthetic geography: where requests come from was drawn, not measured."]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"kind": "study"}, "does not state 'name'"), ({"factors": None}, "does not state 'factors'")],
)
def test_a_folder_that_is_no_run_s_is_refused(
    change: dict[str, Any], said: str, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")

    def edit(manifest: dict[str, Any]) -> None:
        manifest |= change
        for name in [name for name, value in manifest.items() if value is None]:
            del manifest[name]

    damage.sealed(tmp_path / "run", edit)
    with pytest.raises(RunFolderError, match=said):
        page_of(tmp_path / "run")


@pytest.mark.usefixtures("undrawn")
def test_a_place_that_cannot_be_written_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.html").mkdir()
    assert main(["report", str(finished), "--output", str(tmp_path / "folder.html")]) == 2
    assert "cannot write here" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "there is no manifest.json" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_an_earlier_page_is_replaced(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("earlier", encoding="utf-8")
    assert write(finished, file) == file
    assert file.read_text(encoding="utf-8") == render(page_of(finished))


def test_letters_stand_on_the_page_once(plain: str) -> None:
    ids = [element.attributes.get("id") or "" for element in read(plain)]
    letters = [name for name in ids if name.startswith("letter-")]
    assert len(letters) == len(set(letters)) > 20
    assert len(all_of(plain, "svg")) > 5


def test_hovering_tells_values(plain: str, finished: Path) -> None:
    tips = [title.text for title in all_of(plain, "title")]
    for name, share in read_tables(finished).policies.select("policy", "slo_violation_pct").iter_rows():
        assert any(tip.startswith(name) and f"{share:.3g} % violations" in tip for tip in tips), name


def test_files_of_figures_have_no_tags(finished: Path) -> None:
    for name in ("tradeoff_curve", "latency_cdf", "workload_slo_violations"):
        assert b"policy-0" not in render_figure(name, read_tables(finished), "svg")


@pytest.mark.usefixtures("undrawn")
def test_without_intervals_no_column_is_empty(tmp_path: Path) -> None:
    outputs = tmp_path / "exact"
    options = ["--engine", "exact", "--no-figures", "--quiet", "--sim-hours", "3", "--output", str(outputs)]
    assert main(["simulate", str(small.write(tmp_path)), *options]) == 0
    for name in ("risk", "workloads"):
        block = table(outputs, name)
        headings = [column.heading for column in block.columns]
        assert "SLO violations" in headings
        assert not {"From (95 %)", "To (95 %)", "Method"} & set(headings)
        for place in range(len(headings)):
            assert any(row.cells[place].text != "–" for row in block.rows)
