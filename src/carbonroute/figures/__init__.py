"""The family of figures: each draws the tables of one run, and nothing else.

A figure is one file with ``draw(table, ax=None) -> Axes``, and one line in ``FIGURES``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from carbonroute.figures import (
    bubble_tradeoff,
    carbon_heatmap,
    carbon_savings_bar,
    carbon_traces,
    latency_cdf,
    prior_work_comparison,
    radar_policy_comparison,
    regional_carbon_latency,
    routing_distribution,
    tradeoff_curve,
    workload_slo_violations,
)
from carbonroute.figures.style import house

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

    from carbonroute.metrics import Tables

Format = Literal["png", "svg", "pdf"]


class Figure(NamedTuple):
    """A member of the family: the folder that its file goes to, and how it is drawn from a run's tables."""

    folder: str
    draw: Callable[[Tables], Axes]


FIGURES: Mapping[str, Figure] = {
    "regional_carbon_latency": Figure("graphs", lambda t: regional_carbon_latency.draw(t.carbon, t.rtt)),
    "tradeoff_curve": Figure("graphs", lambda t: tradeoff_curve.draw(t.policies)),
    "routing_distribution": Figure("graphs", lambda t: routing_distribution.draw(t.routing)),
    "workload_slo_violations": Figure("graphs", lambda t: workload_slo_violations.draw(t.workloads)),
    "carbon_traces": Figure("graphs", lambda t: carbon_traces.draw(t.carbon)),
    "prior_work_comparison": Figure("graphs", lambda t: prior_work_comparison.draw(t.overview, t.policies)),
    "carbon_heatmap": Figure("graphs/premium", lambda t: carbon_heatmap.draw(t.carbon)),
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
    content = io.BytesIO()
    with house():
        figure = FIGURES[name].draw(tables).get_figure(root=True)
        cast("Any", figure).savefig(content, format=fmt, metadata=dict(METADATA[fmt]))
    return content.getvalue()
