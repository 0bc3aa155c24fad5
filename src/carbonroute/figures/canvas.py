"""The canvas of a figure: it measures a text once for all figures, and takes memory when it is drawn."""

from __future__ import annotations

import threading
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties

_MOST_TEXTS = 16384
#: Of the files too: what is drawn has the very size that it was measured to have.
_MEASURED_DPI = 300.0


class Canvas(FigureCanvasAgg):
    """The canvas of a figure. While texts are only measured, its page has one pixel."""

    _drawing = False
    renderer: RendererAgg

    def draw(self) -> None:
        """Draw the figure."""
        base: Any = super()  # matplotlib's methods are untyped
        self._drawing = True
        try:
            base.draw()
        finally:
            self._drawing = False

    def get_renderer(self) -> RendererAgg:
        """Return what draws the figure, or measures its texts."""
        drawn = self._drawing or self.is_saving()
        width, height = self.get_width_height(physical=True) if drawn else (1, 1)
        key = width, height, self.figure.dpi
        if key != self._lastKey:
            kind: Any = _Renderer
            self.renderer = kind(width, height, self.figure.dpi)
            self._lastKey = key
        return self.renderer


class _Texts(threading.local):
    """Width, height and descent of the texts that a thread has measured, inches."""

    def __init__(self) -> None:
        self.measured: dict[tuple[object, ...], tuple[float, float, float]] = {}
        kind: Any = RendererAgg
        self.ruler = kind(1, 1, _MEASURED_DPI)


_texts = _Texts()


def text_size_in(text: str, font: FontProperties, ismath: Any = False) -> tuple[float, float, float]:
    """Return width, height and descent of a line of text, inches; each is measured once."""
    measured = _texts.measured
    key = (text, font.copy(), ismath)
    if key not in measured:
        if len(measured) >= _MOST_TEXTS:
            measured.clear()
        width, height, descent = _texts.ruler.get_text_width_height_descent(text, font, ismath)
        measured[key] = width / _MEASURED_DPI, height / _MEASURED_DPI, descent / _MEASURED_DPI
    return measured[key]


class _Renderer(RendererAgg):
    """Measures a text once for all pages and resolutions; matplotlib remembers those of one page alone."""

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        width, height, descent = text_size_in(s, prop, ismath)
        return width * self.dpi, height * self.dpi, descent * self.dpi
