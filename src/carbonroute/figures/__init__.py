"""The family of figures: each draws the tables of one run, and nothing else.

A figure is one file with ``draw(table, ax=None) -> Axes``, and one line in ``FIGURES``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
from carbonroute.figures.layout import add_footer, figure_of
from carbonroute.figures.style import house

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

    from carbonroute.metrics import Tables

Format = Literal["png", "svg", "pdf"]


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
    draw: Callable[[Tables], Axes]
    wanted: Callable[[Tables], bool] = lambda _: True
    of_requests: bool = True


FIGURES: Mapping[str, Figure] = {
    "regional_carbon_latency": Figure("graphs", lambda t: regional_carbon_latency.draw(t.carbon, t.rtt)),
    "tradeoff_curve": Figure("graphs", lambda t: tradeoff_curve.draw(t.policies)),
    "routing_distribution": Figure("graphs", lambda t: routing_distribution.draw(t.routing)),
    "workload_slo_violations": Figure("graphs", lambda t: workload_slo_violations.draw(t.workloads)),
    "carbon_traces": Figure("graphs", lambda t: carbon_traces.draw(t.carbon), of_requests=False),
    "saving_steps": Figure(
        "graphs", lambda t: saving_steps.draw(t.saving), wanted=lambda t: not t.saving.is_empty()
    ),
    "utilisation": Figure(
        "graphs",
        lambda t: utilisation.draw(t.utilisation),
        wanted=lambda t: t.utilisation["utilisation"].null_count() < t.utilisation.height,
    ),
    "wait_cdf": Figure(
        "graphs",
        lambda t: wait_cdf.draw(t.wait_cdf, t.latency_cdf, t.latency_cdf_unlimited),
        wanted=lambda t: not t.wait_cdf.is_empty(),
    ),
    "herd": Figure("graphs", lambda t: herd.draw(t.herd), wanted=lambda t: not t.herd.is_empty()),
    "prior_work_comparison": Figure("graphs", lambda t: prior_work_comparison.draw(t.overview, t.policies)),
    "carbon_heatmap": Figure("graphs/premium", lambda t: carbon_heatmap.draw(t.carbon), of_requests=False),
    "radar_policy_comparison": Figure("graphs/premium", lambda t: radar_policy_comparison.draw(t.policies)),
    "latency_cdf": Figure("graphs/premium", lambda t: latency_cdf.draw(t.latency_cdf, t.workloads)),
    "bubble_tradeoff": Figure("graphs/premium", lambda t: bubble_tradeoff.draw(t.policies)),
    "carbon_savings_bar": Figure("graphs/premium", lambda t: carbon_savings_bar.draw(t.policies)),
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
    with house():
        figure = figure_of(FIGURES[name].draw(tables))
        if FIGURES[name].of_requests and tables.overview["synthetic_geography"][0]:
            add_footer(figure, SYNTHETIC_GEOGRAPHY)
    return figure


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
    if name not in FIGURES:
        raise ValueError(f"no figure {name!r}; there are {', '.join(FIGURES)}")
    if fmt not in METADATA:
        raise ValueError(f"no format {fmt!r}; there are {', '.join(METADATA)}")
    return as_file(page(name, tables), fmt)


def as_file(figure: Page, fmt: Format) -> bytes:
    """Give a figure in the house style as a file's content."""
    content = io.BytesIO()
    with house():
        figure.savefig(content, format=fmt, metadata=dict(METADATA[fmt]))
    return content.getvalue()
