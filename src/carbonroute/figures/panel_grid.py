"""Small multiples: panels of one kind in the place of one axes, each with a heading, scales shared."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from carbonroute.figures.layout import DOUBLE_IN, LINE_SPACING, PT_PER_IN, PlotArea, widest_in, wrap
from carbonroute.figures.style import text_pt

#: Room between two panels side by side, and around a heading, in points.
BETWEEN_PT, AROUND_PT = 12.0, 7.0
#: What axis labels may take from a figure's width, in points.
SIDES_PT = 50.0


class PanelGrid:
    """Panels on a page that is two columns wide, or on given axes; tick labels at the left and below alone.

    There is one for each heading, row by row, at most `columns` of them side by side, and `panel_in` high
    without its heading. Beside all of them `sides_pt` are kept free; by default, as many as axis labels take.
    """

    def __init__(
        self,
        ax: Axes | None,
        headings: Sequence[str],
        columns: int,
        panel_in: float,
        sides_pt: float | None = None,
    ) -> None:
        self.columns, self.panel_in = min(columns, len(headings)), panel_in
        self.rows = -(-len(headings) // self.columns)
        width_pt = widest_in() * PT_PER_IN - (SIDES_PT if sides_pt is None else sides_pt)
        wide_pt = (width_pt - (self.columns - 1) * BETWEEN_PT) / self.columns
        wrapped = [wrap(heading, wide_pt) for heading in headings]
        lines = 1 + max(heading.count("\n") for heading in wrapped)
        self.height_in = self.rows * (panel_in + (lines * text_pt() * LINE_SPACING + AROUND_PT) / PT_PER_IN)
        self.area = PlotArea(ax, DOUBLE_IN, self.height_in)
        self.area.ax.axis("off")
        self.panels: list[Axes] = []
        between = BETWEEN_PT / (self.area.size_pt[0] if sides_pt is None else width_pt)
        wide, high = (1 - (self.columns - 1) * between) / self.columns, panel_in / self.height_in
        for place, heading in enumerate(wrapped):
            row, column = divmod(place, self.columns)
            bounds = (column * (wide + between), 1 - (row + 1) * (1 / self.rows), wide, high)
            panel = self.area.ax.inset_axes(bounds)
            panel.set_title(heading, loc="left", size=text_pt(), pad=2.5, linespacing=LINE_SPACING)
            below = place + self.columns < len(headings)
            panel.tick_params(labelbottom=not below, labelleft=column == 0)
            self.panels.append(panel)

    @property
    def lowest(self) -> Sequence[Axes]:
        """The panels with nothing below them."""
        return self.panels[-self.columns :]

    @property
    def middle(self) -> Axes:
        """The panel at the left whose label stands for all rows."""
        return self.panels[(self.rows - 1) // 2 * self.columns]
