"""Texts are measured once, and as matplotlib measures them; a page takes memory when it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from carbonroute.figures.canvas import Canvas
from carbonroute.figures.layout import _is_within, text_width
from carbonroute.figures.style import house_style

TEXTS = (
    "Constrained-Hybrid saves 12.3 % of the carbon of Latency-First, and 0.4 % of requests are late",
    "AVATAR To. r.r.r.r P.P.P", "| | | | |", "fi ffi fl", "Zürich – São Paulo ≤ 5 ms",
    "a\u0301e\u0301", "東京 1", "", "x",
)  # fmt: skip


@pytest.mark.parametrize("dpi", [100.0, 300.0])
def test_texts_have_the_size_that_matplotlib_gives_them(dpi: float) -> None:
    with house_style():
        canvas = Canvas(Figure(dpi=dpi))
        own = RendererAgg(1, 1, dpi)
        for text in filter(None, TEXTS):
            for font in (FontProperties(size=7), FontProperties(size=8, weight="bold")):
                for _ in range(2):  # as measured, and as remembered
                    measured = canvas.get_renderer().get_text_width_height_descent(text, font, ismath=False)
                    matplotlib = own.get_text_width_height_descent(text, font, ismath=False)
                    rounded = 0.0 if dpi == 300.0 else len(text) / 64  # advances are whole 64ths of a pixel
                    assert measured == pytest.approx(matplotlib, rel=0, abs=rounded + 1 / 64)


def test_a_text_is_measured_once_for_all_pages_and_resolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    whole: Any = RendererAgg.get_text_width_height_descent

    def counted(*args: object) -> Any:
        measured.append(str(args[1]))
        return whole(*args)

    monkeypatch.setattr(RendererAgg, "get_text_width_height_descent", counted)
    with house_style():
        for width, dpi in ((2.0, 100), (3.0, 100), (3.0, 300)):
            figure = Figure(figsize=(width, 1), dpi=dpi)
            Canvas(figure)
            figure.text(0, 0, "a text of this test alone").get_window_extent()
    assert measured == ["a text of this test alone"]


def test_a_page_takes_memory_when_it_is_drawn() -> None:
    figure = Figure(figsize=(2, 1), dpi=100)
    canvas = Canvas(figure)
    figure.text(0.5, 0.5, "x").get_window_extent()
    assert canvas.get_renderer().width == 1
    canvas.draw()
    drawn: Any = canvas
    assert np.asarray(drawn.buffer_rgba()).shape == (100, 200, 4)


@pytest.mark.parametrize("bold", [False, True])
def test_a_line_is_as_wide_as_matplotlib_draws_it_however_its_words_are_measured(bold: bool) -> None:
    with house_style():
        for text in TEXTS:
            line = Figure(dpi=300).text(0, 0, text, size=8.0, weight="bold" if bold else "normal")
            width_pt = line.get_window_extent(RendererAgg(1, 1, 300)).width * 72 / 300
            assert text_width(text, 8.0, bold=bold) == pytest.approx(width_pt, rel=0, abs=0.01)


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_lines_fit_where_their_measured_width_does(text: str, bold: bool) -> None:
    with house_style():
        width_pt = text_width(text, 8.0, bold=bold)
        for share in (*np.linspace(0.5, 1.5, 101), 1 - 1e-9, 1 + 1e-9):
            fits = width_pt <= share * width_pt
            assert _is_within(share * width_pt, text, 8.0, bold=bold) == fits
