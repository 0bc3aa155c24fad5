"""Figures: each draws the tables of a run, a study, an analysis or a data file, and nothing else.

A figure is one file with a function ``draw`` under `carbonroute.figures.figure.figure`, and one line in
``FIGURES``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from carbonroute.figures.formatting import printable
from carbonroute.figures.layout import Drawn, add_footer, add_label_below, clear, figure_of, take_title
from carbonroute.figures.style import Style, drawn_for, house_style

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

    from carbonroute.figures.figure import Figure
    from carbonroute.metrics import Tables
    from carbonroute.runs import Result

    Data: TypeAlias = Result | Tables | Mapping[str, pl.DataFrame]

Format = Literal["png", "svg", "pdf"]

#: Every figure by the name of its module, which is also that of its files; in the order of a report.
FIGURES: Mapping[str, Figure[...]] = MappingProxyType(
    {
        name: import_module(f"{__name__}.{name}").draw
        for name in (
            "regional_carbon_latency",
            "tradeoff_curve",
            "routing_distribution",
            "workload_slo_violations",
            "carbon_traces",
            "saving_steps",
            "utilisation",
            "wait_cdf",
            "first_tokens",
            "herd",
            "prior_work_comparison",
            "carbon_heatmap",
            "radar_policy_comparison",
            "latency_cdf",
            "bubble_tradeoff",
            "carbon_savings_bar",
            # of studies
            "study_heatmap",
            "study_violations",
            "study_lines",
            "study_pareto",
            # of analyses
            "pareto_front",
            "headroom",
            "sensitivity",
            # of data files
            "inspection_carbon",
            "inspection_traffic",
            "inspection_rates",
            "inspection_rtt",
        )
    }
)

#: Nothing that differs between two files of the same data: no date, no version.
METADATA: Mapping[Format, Mapping[str, Any]] = MappingProxyType(
    {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
)

#: A PNG that is a hundredth larger takes a third less time than by default.
_OPTIONS: Mapping[Format, Mapping[str, Any]] = MappingProxyType(
    {"png": {"pil_kwargs": {"compress_level": 3}}}
)

SYNTHETIC_GEOGRAPHY = "Synthetic geography: where requests come from was drawn, not measured."


def available(data: Data) -> list[str]:
    """Return the names of the figures for which a run, its tables, or any tables by name have data."""
    tables = _by_name(data)
    return [name for name, figure in FIGURES.items() if figure.is_in(tables)]


def draw(name: str, data: Data, ax: Axes | None = None, *, style: Style | None = None) -> Axes:
    """Draw one figure in the house style, to show it or to put it among others.

    Raises ValueError if there is no figure of that name, or the data has nothing for it to show.

    Parameters
    ----------
    name
        A name in ``FIGURES``.
    data
        A finished run, its tables, or any tables by name.
    ax
        Where to draw, after clearing it; by default in a figure of its own, as high as it needs to be.
    style
        ``"paper"`` draws for one column of a paper: at most 3.5 in wide, in 8 pt, and without a title;
        ``"phone"`` likewise, with its title; by default as within `carbonroute.figures.style.drawn_for`,
        elsewhere ``"house"``.
    """
    tables = _by_name(data)
    figure = FIGURES.get(name)
    if figure is None or not figure.is_in(tables):
        fault = "no figure" if figure is None else "there is no data for figure"
        raise ValueError(f"{fault} {name!r}; there are {', '.join(available(data)) or 'none'}")
    with drawn_for(style), house_style():
        if ax is not None:
            clear(ax)
        drawn = figure(*(printable(tables[table]) for table in figure.tables), ax)
        if figure.of_requests and "overview" in tables and tables["overview"]["synthetic_geography"][0]:
            label = add_footer if ax is None else add_label_below
            label(figure_of(drawn), SYNTHETIC_GEOGRAPHY)
    return drawn


def _by_name(data: Data) -> Mapping[str, pl.DataFrame]:
    return data if isinstance(data, Mapping) else vars(getattr(data, "tables", data))


def captioned(drawn: Axes | Drawn) -> tuple[Page, str]:
    """Take the title out of a drawn figure, and return both: a page sets it as a caption."""
    with house_style():
        drawn = drawn if isinstance(drawn, Drawn) else Drawn.measured(drawn)
        return figure_of(drawn.ax), take_title(drawn)


def render(name: str, data: Data, fmt: Format = "png", *, style: Style | None = None) -> bytes:
    """Draw one figure as `draw` does, and return the content of its file: the same bytes for the same tables.

    ``"png"`` has 300 dpi.
    """
    return as_file(figure_of(draw(name, data, style=style)), fmt)


def as_file(page: Page, fmt: Format, *, tagged: bool = False) -> bytes:
    """Return the content of a file of a figure in the house style; ValueError if the format is another.

    Where it is `tagged`, an SVG names what is drawn, as `SeriesStyle.tag` does.
    """
    if fmt not in METADATA:
        raise ValueError(f"no format {fmt!r}; there are {', '.join(METADATA)}")
    content = io.BytesIO()
    names = _names_of(page) if fmt == "svg" and not tagged else {}
    for artist in names:
        artist.set_gid(None)
    with house_style():
        page.savefig(content, format=fmt, metadata=dict(METADATA[fmt]), **_OPTIONS.get(fmt, {}))
    for artist, name in names.items():
        artist.set_gid(name)
    return content.getvalue()


def _names_of(page: Page) -> dict[Artist, str]:
    """Return what each artist that is named on a page shows."""
    named = page.findobj(lambda artist: artist.get_gid() is not None)
    return {artist: str(artist.get_gid()) for artist in named}
