"""HTML of a run for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from types import MappingProxyType
from typing import Any

from carbonroute.errors import visible
from carbonroute.metrics import Tables, as_published, simulation_results
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked

#: Columns of the table, the last two where the scenario states energies.
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
_SYNTHETIC = "Synthetic geography: where requests come from was drawn, not measured."


def as_html(tables: Tables) -> str:
    """Return a run's finding and a table of its policies, as HTML."""
    results = as_published(simulation_results(tables), tables)
    headings = {name: heading for name, heading in _HEADINGS.items() if name in results.columns}
    rows = [
        [marked(row["policy"], row["clairvoyant"]), *(_plain(row[name]) for name in headings)]
        for row in results.rows(named=True)
    ]
    overview = tables.overview.row(0, named=True)
    lines = [overview["finding"]]
    lines += [CLAIRVOYANT_NOTE] * results["clairvoyant"].any()
    lines += [_SYNTHETIC] * overview["synthetic_geography"]
    table = [_row("th", ["Policy", *headings.values()]), *(_row("td", row) for row in rows)]
    finding, *below = (f"<p>{escape(line)}</p>" for line in lines)
    return visible("\n".join([finding, "<table>", *table, "</table>", *below]))


def _row(kind: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _plain(value: Any) -> str:
    """Return a figure as text; the published study's columns are text already."""
    if value is None or isinstance(value, str):
        return value or "–"
    return f"{value:.4g}"
