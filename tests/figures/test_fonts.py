"""Names in any script: fonts that have the glyphs are chosen, and missing ones are named once per run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.text import Text

from carbonroute import figures
from carbonroute.cli import main
from carbonroute.figures import available, fonts, layout
from carbonroute.figures.style import house_style
from helpers import small
from helpers.grids import grid

from . import factory, looking

TOKYO = "東京"


def forget() -> None:
    for cached in (fonts._chosen, fonts._installed, fonts._glyphs):
        cached.cache_clear()


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[str]:
    """Install a font that has the two characters of Tokyo, as squares, and nothing else."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", "east", "capital"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(TOKYO[0]): "east", ord(TOKYO[1]): "capital"})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Two Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "squares.ttf")
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.ttflist = []
    font_manager.fontManager.addfont(tmp_path / "squares.ttf")
    font_manager.fontManager.ttflist += before
    forget()
    yield "Two Squares"
    font_manager.fontManager.ttflist = before
    forget()


@pytest.fixture
def bare() -> Iterator[None]:
    """Have no font but DejaVu's."""
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.ttflist = [font for font in before if font.name.startswith("DejaVu")]
    forget()
    yield
    font_manager.fontManager.ttflist = before
    forget()


def test_latin_names_are_drawn_as_ever() -> None:
    assert fonts.families("Straße, Ελλάδα, Кола, שלום, ال, é\u0301 CO₂ ≤") == ["DejaVu Sans"]
    assert fonts.missing("Größe † α … \u200d\ufe0f") == ""


def test_a_font_that_has_the_glyphs_is_chosen(installed: str) -> None:
    assert fonts.families(TOKYO)[0] == "DejaVu Sans"
    assert fonts.missing(TOKYO) == ""
    tables = factory.make(regions=2, policies=2, hours=24)
    named = {
        name: table.with_columns(region=table["region"].replace({"Region-1": f"{TOKYO}-1"}))
        if "region" in getattr(table, "columns", ())
        else table
        for name, table in vars(tables).items()
    }
    ax = figures.draw("carbon_traces", named)
    assert f"{TOKYO}-1" in looking.words(ax)
    labels = looking.page_of(ax).findobj(Text)
    assert any(installed in one.get_fontfamily() for one in labels if TOKYO in one.get_text())


@pytest.mark.usefixtures("bare", "few_drawn")
def test_missing_glyphs_are_named_once_per_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = small.write(
        tmp_path,
        ("hours = 6", "hours = 2"),
        ("A = 5", '"東京" = 5'),
        ("A = 80", '"東京" = 80'),
        ('name = "A"', 'name = "東京"'),
        ('name = "Short answers"', 'name = "서울 🌍"'),
    )
    out = str(tmp_path / "out")
    for words in (
        ["simulate", str(scenario), "--output", out, "--quiet", "--report"],
        ["report", out],
        ["figures", out, "--quiet"],
    ):
        capsys.readouterr()
        assert main(words) == 0
        printed = capsys.readouterr().err
        assert printed.count("no installed font has them") == 1
        for char in "東京서울🌍":
            assert f"{char} (U+{ord(char):04X})" in printed


@pytest.mark.usefixtures("bare")
def test_many_missing_glyphs_are_counted() -> None:
    note = fonts.missing_note(map(chr, range(0x4E00, 0x4E00 + 50)))
    assert note
    assert " and 30 more" in note
    assert fonts.missing_note("ASCII") is None


@pytest.mark.parametrize(
    ("name", "names"), grid(available(factory.study()), ["longest", "any script"], one_of=4)
)
def test_no_name_leaves_the_page(name: str, names: str) -> None:
    ax = figures.draw(name, factory.make(names=names, regions=9, policies=9, workloads=2, hours=24))
    placed, page = looking.texts(ax), looking.page_of(ax)
    assert looking.outside(placed, page) == []
    assert page.get_figwidth() <= 7.2
    assert ax.get_position().width * page.get_figwidth() > 1
    if names == "longest":
        assert looking.overlaps(placed) == []


def test_names_that_are_cut_stay_different() -> None:
    ax = figures.draw("carbon_traces", factory.make(names="longest", regions=9, policies=2, hours=24))
    labels = [text for text in looking.words(ax).split() if "…" in text]
    assert len(set(labels)) >= 9
    assert any(label.endswith("-9") for label in labels)


def test_marks_stay_with_their_letters() -> None:
    ax = figures.draw("carbon_traces", factory.make(names="any script", regions=9, policies=2, hours=24))
    assert "…\u0301" not in looking.words(ax)
    assert "…\u0323" not in looking.words(ax)


def test_texts_are_measured_on_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as wide as on a page of its own, whatever was measured before."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def alone(text: str, size: float, bold: bool) -> float:
        page = Figure(figsize=(1, 1), dpi=4 * layout.PT_PER_IN)
        FigureCanvasAgg(page)
        line = page.text(0, 0, text, size=size, weight="bold" if bold else "normal")
        return float(line.get_window_extent().width / 4)

    texts = [
        (text, size, bold)
        for text in ("Wi", "µ Wide $x^2$ ,", "il.")
        for size in (7.0, 9.5)
        for bold in (0, 1)
    ]
    with house_style():
        expected = [alone(text, size, bool(bold)) for text, size, bold in texts]
        layout._measured.cache_clear()
        layout.text_width("first of the thread")
        monkeypatch.setattr(layout, "Figure", None)  # no other page can be made
        measured = [layout.text_width(text, size, bold=bool(bold)) for text, size, bold in texts]
        assert measured == pytest.approx(expected, rel=0, abs=0.1)  # advances are whole 64ths of a pixel
