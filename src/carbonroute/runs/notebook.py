"""What a notebook shows of a run."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from types import MappingProxyType
from typing import Any

from carbonroute.errors import visible
from carbonroute.metrics import Tables, as_published, simulation_results

#: Columns that are shown, the last two where the scenario states energies.
_HEADINGS = MappingProxyType(
    {
        "avg_latency_ms": "Latency, ms",
        "p95_latency_ms": "P95, ms",
        "slo_violation_pct": "Violations, %",
        "avg_carbon_g_per_kwh": "Carbon, g/kWh",
        "carbon_reduction_pct": "Reduction, %",
        "total_kg": "Emissions, kg",
        "emissions_reduction_pct": "Reduction of emissions, %",
    }
)
_CLAIRVOYANT = "† clairvoyant: decides on what no router can know."
_SYNTHETIC = "Synthetic geography: where requests come from was drawn, not measured."


def as_html(tables: Tables) -> str:
    """Return what a run found, in a sentence and a table of its policies, as HTML."""
    results = as_published(simulation_results(tables), tables)
    shown = {name: heading for name, heading in _HEADINGS.items() if name in results.columns}
    rows = [
        [row["policy"] + " †" * row["clairvoyant"], *(_plain(row[name]) for name in shown)]
        for row in results.rows(named=True)
    ]
    overview = tables.overview.row(0, named=True)
    said = [overview["finding"]]
    said += [_CLAIRVOYANT] * results["clairvoyant"].any()
    said += [_SYNTHETIC] * overview["synthetic_geography"]
    lines = [_row("th", ["Policy", *shown.values()]), *(_row("td", row) for row in rows)]
    finding, *below = (f"<p>{escape(line)}</p>" for line in said)
    return visible("\n".join([finding, "<table>", *lines, "</table>", *below]))


def _row(kind: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _plain(value: Any) -> str:
    """Return a figure as text; the published study's columns are text already."""
    if value is None or isinstance(value, str):
        return value or "–"
    return f"{value:.4g}"
