"""The family of figures: each draws the tables of one run, and nothing else.

A figure is one file with ``draw(table, ax=None) -> Axes``, and one line in ``FIGURES``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from carbonroute.figures import (
    bubble_tradeoff,
    carbon_heatmap,
    carbon_savings_bar,
    carbon_traces,
    herd,
    latency_cdf,
    prior_work_comparison,
    radar_policy_comparison,
    regional_carbon_latency,
    routing_distribution,
    saving_steps,
    tradeoff_curve,
    utilisation,
    wait_cdf,
    workload_slo_violations,
)
from carbonroute.figures.layout import add_footer, add_label_below, clear, figure_of, take_title
from carbonroute.figures.style import house
from carbonroute.figures.words import printable
from carbonroute.metrics import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

    from carbonroute.runs import Result

Format = Literal["png", "svg", "pdf"]


class Draw(Protocol):
    """How a member draws."""

    def __call__(self, tables: Tables, ax: Axes | None = None, /) -> Axes:
        """Draw a run's tables into the given axes, or into a figure of its own."""
        ...


class Figure(NamedTuple):
    """A member of the family.

    Attributes
    ----------
    folder
        Where its file goes.
    draw
        Draws it from a run's tables.
    wanted
        Whether these tables have anything for it to show.
    of_requests
        Whether it shows what became of requests, and so depends on where they come from.
    """

    folder: str
    draw: Draw
    wanted: Callable[[Tables], bool] = lambda _: True
    of_requests: bool = True


FIGURES: Mapping[str, Figure] = {
    "regional_carbon_latency": Figure(
        "graphs", lambda t, ax=None: regional_carbon_latency.draw(t.carbon, t.rtt, ax)
    ),
    "tradeoff_curve": Figure("graphs", lambda t, ax=None: tradeoff_curve.draw(t.policies, ax)),
    "routing_distribution": Figure("graphs", lambda t, ax=None: routing_distribution.draw(t.routing, ax)),
    "workload_slo_violations": Figure(
        "graphs", lambda t, ax=None: workload_slo_violations.draw(t.workloads, ax)
    ),
    "carbon_traces": Figure("graphs", lambda t, ax=None: carbon_traces.draw(t.carbon, ax), of_requests=False),
    "saving_steps": Figure(
        "graphs", lambda t, ax=None: saving_steps.draw(t.saving, ax), wanted=lambda t: not t.saving.is_empty()
    ),
    "utilisation": Figure(
        "graphs",
        lambda t, ax=None: utilisation.draw(t.utilisation, ax),
        wanted=lambda t: t.utilisation["utilisation"].null_count() < t.utilisation.height,
    ),
    "wait_cdf": Figure(
        "graphs",
        lambda t, ax=None: wait_cdf.draw(t.wait_cdf, t.latency_cdf, t.latency_cdf_unlimited, ax),
        wanted=lambda t: not t.wait_cdf.is_empty(),
    ),
    "herd": Figure(
        "graphs", lambda t, ax=None: herd.draw(t.herd, ax), wanted=lambda t: not t.herd.is_empty()
    ),
    "prior_work_comparison": Figure(
        "graphs", lambda t, ax=None: prior_work_comparison.draw(t.overview, t.policies, ax)
    ),
    "carbon_heatmap": Figure(
        "graphs/premium", lambda t, ax=None: carbon_heatmap.draw(t.carbon, ax), of_requests=False
    ),
    "radar_policy_comparison": Figure(
        "graphs/premium", lambda t, ax=None: radar_policy_comparison.draw(t.policies, ax)
    ),
    "latency_cdf": Figure(
        "graphs/premium", lambda t, ax=None: latency_cdf.draw(t.latency_cdf, t.workloads, ax)
    ),
    "bubble_tradeoff": Figure("graphs/premium", lambda t, ax=None: bubble_tradeoff.draw(t.policies, ax)),
    "carbon_savings_bar": Figure(
        "graphs/premium", lambda t, ax=None: carbon_savings_bar.draw(t.policies, ax)
    ),
}

# Nothing that differs between two runs of the same data: no date, no version.
METADATA: Mapping[Format, Mapping[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


SYNTHETIC_GEOGRAPHY = "Synthetic geography: where requests come from was drawn, not measured."


def page(name: str, tables: Tables) -> Page:
    """Draw one figure with all that it must say of its data.

    Parameters
    ----------
    name
        A name in ``FIGURES``.
    tables
        What the run found.
    """
    return figure_of(draw(name, tables))


def draw(name: str, run: Result | Tables, ax: Axes | None = None) -> Axes:
    """Draw one figure in the house style, to show it or to put it among others.

    Parameters
    ----------
    name
        A name in ``FIGURES``.
    run
        A finished run, or its tables.
    ax
        Where to draw, after clearing it; by default in a figure of its own, as high as it needs to be.

    Returns
    -------
    Axes
        What was drawn on: its figure can be saved, its title and labels can be changed.

    Raises
    ------
    ValueError
        If there is no figure of that name, or this run has nothing for it to show.
    """
    found = run if isinstance(run, Tables) else run.tables
    tables = Tables(**{name: printable(table) for name, table in vars(found).items()})
    if name not in FIGURES:
        raise ValueError(f"no figure {name!r}; there are {', '.join(FIGURES)}")
    member = FIGURES[name]
    if not member.wanted(tables):
        shown = ", ".join(one for one in FIGURES if FIGURES[one].wanted(tables))
        raise ValueError(f"this run has nothing for figure {name!r} to show; there are {shown}")
    with house():
        if ax is not None:
            clear(ax)
        drawn = member.draw(tables, ax)
        if member.of_requests and tables.overview["synthetic_geography"][0]:
            label = add_footer if ax is None else add_label_below
            label(figure_of(drawn), SYNTHETIC_GEOGRAPHY)
    return drawn


def captioned(drawn: Axes) -> tuple[Page, str]:
    """Take the title of what was drawn away, and give it as text: a page sets it as a caption."""
    with house():
        return figure_of(drawn), take_title(drawn)


def render(name: str, tables: Tables, fmt: Format = "png") -> bytes:
    """Draw one figure and give it as a file's content; the same tables always give the same bytes.

    Parameters
    ----------
    name
        A name in ``FIGURES``.
    tables
        What the run found.
    fmt
        ``"png"`` (300 dpi), ``"svg"`` or ``"pdf"``.

    Raises
    ------
    ValueError
        If there is no figure of that name, or the format is another.
    """
    return as_file(page(name, tables), fmt)


def as_file(figure: Page, fmt: Format) -> bytes:
    """Give a figure in the house style as a file's content.

    Raises
    ------
    ValueError
        If the format is another.
    """
    if fmt not in METADATA:
        raise ValueError(f"no format {fmt!r}; there are {', '.join(METADATA)}")
    content = io.BytesIO()
    with house():
        figure.savefig(content, format=fmt, metadata=dict(METADATA[fmt]))
    return content.getvalue()
