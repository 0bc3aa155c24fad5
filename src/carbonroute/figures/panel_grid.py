"""Small multiples: panels of one kind in the place of one axes, each with a heading, scales shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from carbonroute.figures.layout import LINE_SPACING, PT_PER_IN, wrap
from carbonroute.figures.style import TEXT_PT

#: Room between two panels side by side, and around a heading, in points.
BETWEEN_PT, AROUND_PT = 12.0, 7.0
#: What axis labels may take from a figure's width, in points.
SIDES_PT = 50.0


class PanelGrid(NamedTuple):
    """A layout of panels.

    Attributes
    ----------
    headings
        One per panel, broken into lines.
    columns
        Panels side by side.
    panel_in
        Height of one, without its heading, in inches.
    """

    headings: tuple[str, ...]
    columns: int
    panel_in: float

    @classmethod
    def of(cls, headings: Sequence[str], columns: int, panel_in: float, width_in: float) -> PanelGrid:
        """Return the layout of panels on a page of some width, in inches."""
        columns = min(columns, len(headings))
        wide_pt = (width_in * PT_PER_IN - SIDES_PT - (columns - 1) * BETWEEN_PT) / columns
        return cls(tuple(wrap(heading, wide_pt) for heading in headings), columns, panel_in)

    @property
    def rows(self) -> int:
        """Panels one below the other."""
        return -(-len(self.headings) // self.columns)

    @property
    def height_in(self) -> float:
        """Height of all of them, in inches."""
        lines = 1 + max(heading.count("\n") for heading in self.headings)
        return self.rows * (self.panel_in + (lines * TEXT_PT * LINE_SPACING + AROUND_PT) / PT_PER_IN)

    def lowest(self, panels: Sequence[Axes]) -> Sequence[Axes]:
        """Return the panels with nothing below them."""
        return panels[-self.columns :]

    def middle(self, panels: Sequence[Axes]) -> Axes:
        """Return the panel at the left whose label stands for all rows."""
        return panels[(self.rows - 1) // 2 * self.columns]

    def panels(self, ax: Axes, width_pt: float) -> list[Axes]:
        """Replace axes, so many points wide, by the panels; tick labels stand at the left and below alone."""
        ax.axis("off")
        between, row, high = BETWEEN_PT / width_pt, 1 / self.rows, self.panel_in / self.height_in
        wide = (1 - (self.columns - 1) * between) / self.columns
        panels = []
        for place, heading in enumerate(self.headings):
            line, column = divmod(place, self.columns)
            panel = ax.inset_axes((column * (wide + between), 1 - (line + 1) * row, wide, high))
            panel.set_title(heading, loc="left", size=TEXT_PT, pad=2.5, linespacing=LINE_SPACING)
            below = place + self.columns < len(self.headings)
            panel.tick_params(labelbottom=not below, labelleft=column == 0)
            panels.append(panel)
        return panels
