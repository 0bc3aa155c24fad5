"""The canvas of a figure: it measures a text once for all figures, and takes memory when it is drawn."""

from __future__ import annotations

import threading
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties

_MOST_TEXTS = 16384


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
    """Width, height and descent of the texts that a thread has measured, pixels."""

    def __init__(self) -> None:
        self.measured: dict[tuple[object, ...], tuple[float, float, float]] = {}


_texts = _Texts()


class _Renderer(RendererAgg):
    """Measures no text twice; matplotlib remembers those of one page alone."""

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        measured = _texts.measured
        key = (s, prop.copy(), ismath, self.dpi, mpl.rcParams["text.hinting"])
        if key not in measured:
            if len(measured) >= _MOST_TEXTS:
                measured.clear()
            base: Any = super()
            measured[key] = base.get_text_width_height_descent(s, prop, ismath)
        return measured[key]
