"""The page of a study: the policies over all of its cells, every combination, and the failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from carbonroute.figures.formatting import one_line
from carbonroute.figures.study_grid import (
    GridAxis,
    SummaryMetric,
    averaged_note,
    grid_axes,
    limit_text,
    saving,
)
from carbonroute.files.text import count_of
from carbonroute.metrics import slo
from carbonroute.report.figures import figures
from carbonroute.report.page import Block, Code, Column, Items, Page, Section, TableCell, Terms, Text
from carbonroute.report.policies import CONFIDENCE
from carbonroute.report.table_cells import (
    Field,
    Record,
    digests_table,
    emissions_field,
    number_cell,
    number_field,
    table_of,
    text_cell,
    text_field,
)
from carbonroute.study import StudyTables, overview

#: Rows of the summary that the page shows, and failed cells whose errors it tells.
MOST_ROWS, MOST_FAILURES = 500, 100
_SOURCES = MappingProxyType(
    {"accounting": "What carbon values count", "carbon_source": "Carbon", "traffic_source": "Traffic"}
)


def page_of_study(tables: StudyTables) -> Page:
    """Return the page of a study's tables, as `carbonroute.study.read` gives them."""
    manifest = tables.manifest
    return Page(
        title=_question(tables),
        description=manifest.get("description", ""),
        about=tuple(_about(tables)),
        finding=" ".join(manifest["finding"]),
        verdicts=(),
        warnings=tuple(_warnings(manifest)),
        sections=tuple(_sections(tables)),
        maker=f"carbonroute {manifest['carbonroute']}",
    )


def _question(tables: StudyTables) -> str:
    """Return the question that a study asks, as its title."""
    name, axes = tables.manifest["name"], overview.axes(tables)
    if not axes:
        return f"{name}: how much carbon can routing save?"
    varied = " and ".join(filter(None, [", ".join(map(one_line, axes[:-1])), one_line(axes[-1])]))
    return f"{name}: how does the saving depend on {varied}?"


def _about(tables: StudyTables) -> Iterator[str]:
    """Yield the size of the study, in a few words each."""
    cells = tables.manifest["cells"]
    yield count_of(cells, "cell")
    yield count_of(tables.summary["policy"].n_unique(), "policy", "policies")
    for (name,), values in tables.axes.group_by("axis", maintain_order=True):
        yield f"{one_line(str(name))}: {count_of(values.height, 'value')}"


def _warnings(manifest: Mapping[str, Any]) -> Iterator[str]:
    if failed := len(manifest["failed"]):
        yield f"{failed:,} of {manifest['cells']:,} cells failed; nothing below counts them."


def _sections(tables: StudyTables) -> Iterator[Section]:
    if not tables.summary.is_empty():
        yield Section("policies", "Policies over all cells", tuple(_policies(tables)))
        drawn = {"summary": tables.summary, "axes": tables.axes}
        yield Section("figures", "Figures", tuple(figures(drawn)))
        yield Section("cells", "Every combination", tuple(_combinations(tables)))
    manifest = tables.manifest
    if manifest["failed"]:
        yield Section("failures", "What failed", tuple(_failures(manifest["failed"])))
    if manifest["notes"]:
        notes = tuple(f"{each['note']} ({count_of(each['cells'], 'cell')})." for each in manifest["notes"])
        yield Section("notes", "Assumptions and remarks", (Items(notes),))
    if manifest["about"]:
        yield Section("data", "Data and their sources", tuple(_sources(manifest["about"])))
    yield Section("reproduction", "How to reproduce this", tuple(_reproduction(manifest)))


def _policies(tables: StudyTables) -> Iterator[Block]:
    """Yield each policy over all combinations."""
    metric = saving(tables.summary)
    of = " of the worst workload" * slo.per_workload(tables.summary)
    fields = (
        text_field("Policy", "policy"),
        Field(
            Column("Viable", "times", best="high"),
            lambda row: TableCell(f"{row['viable']:,} of {row['combinations']:,}", row["viable"]),
        ),
        number_field("Best of all", "best", 0, unit="times", best="high"),
        number_field("Saved, most", "saved_most_pct", unit="%", best="high"),
        number_field("Saved, median", "saved_median_pct", unit="%", best="high"),
        number_field("Saved, least", "saved_least_pct", unit="%", best="high"),
        number_field(f"Violations{of}, median", "violations_median_pct", 2, unit="%", best="low"),
        number_field(f"Violations{of}, most", "violations_most_pct", 2, unit="%", best="low"),
    )
    caption = (
        f"What each policy reaches over all combinations of the axes. {_what_is_saved(metric)}; a policy is "
        f"viable within {limit_text(tables.summary)}, and best where no other that a router can run saves "
        "more."
    )
    yield table_of("table-policies", caption, fields, overview.policies(tables).rows(named=True))


def _what_is_saved(metric: SummaryMetric) -> str:
    return f"What is saved: {metric.label.removesuffix(' (%)')}"


def _combinations(tables: StudyTables) -> Iterator[Block]:
    """Yield the summary, row by row; of a large one the viable rows that save most."""
    summary, metric = tables.summary, saving(tables.summary)
    rows = summary
    if summary.height > MOST_ROWS:
        by = ["viable", metric.column]
        rows = summary.sort(by, descending=True, nulls_last=True, maintain_order=True).head(MOST_ROWS)
        yield Text(
            f"The {MOST_ROWS:,} best of {summary.height:,} rows: what is viable first, then what saves most. "
            "All are in the study's folder."
        )
    if over := averaged_note(tables.axes):
        yield Text(f"{over[0]}. {CONFIDENCE}")
    caption = f"Each policy at each place of the grid. {_what_is_saved(metric)}."
    records = rows.rows(named=True)
    yield table_of("table-cells", caption, list(_fields(tables, records, metric)), records)


def _fields(tables: StudyTables, records: Sequence[Record], metric: SummaryMetric) -> Iterator[Field]:
    """Yield the columns of the combinations: the place, the metrics that are known, and the verdict."""
    yield text_field("Policy", "policy")
    for axis in grid_axes(tables.summary, tables.axes):
        yield Field(Column(one_line(axis.name), numeric=axis.numbers is not None), partial(_place, axis))
    by_workload = slo.per_workload(tables.summary)
    metrics = {
        metric.column: (Column(metric.label.partition(" vs.")[0], "%", best="high"), 1),
        **(_OF_THE_WORST if by_workload else _OF_ALL),
        "avg_carbon_g_per_kwh": (Column("Carbon intensity", "g CO₂e/kWh", best="low"), 1),
    }
    for name, (column, digits) in metrics.items():
        if _values(records, name):
            yield Field(column, partial(_metric, name, digits))
    if _values(records, "total_kg"):
        yield emissions_field(records)
    yield Field(Column("Verdict", numeric=False), lambda record: text_cell(slo.verdict(record)))


#: Violations and latency, of all requests, or of the worst workload where each has its own limit.
_OF_ALL = MappingProxyType(
    {
        "slo_violation_pct": (Column("SLO violations", "%", best="low"), 2),
        "avg_latency_ms": (Column("Mean latency", "ms", best="low"), 1),
        "p95_latency_ms": (Column("P95 latency", "ms", best="low"), 1),
    }
)
_OF_THE_WORST = MappingProxyType(
    {
        slo.WORST_PCT: (Column("SLO violations of the worst workload", "%", best="low"), 2),
        slo.WORST_P95: (Column("Its P95 latency", "ms", best="low"), 1),
    }
)


def _values(records: Sequence[Record], name: str) -> list[float]:
    return [record[name] for record in records if record.get(name) is not None]


def _place(axis: GridAxis, record: Record) -> TableCell:
    value = record[axis.name]
    label = axis.labels[axis.keys.index(value)]
    return TableCell(label, label if axis.numbers is None else value)


def _metric(name: str, digits: int, record: Record) -> TableCell:
    interval = {end: record[f"{name}_{end}"] for end in ("low", "high")}
    return number_cell(record[name], digits, interval)


def _failures(failed: Sequence[Record]) -> Iterator[Block]:
    fields = (number_field("Cell", "cell", 0), text_field("Where", "where"), text_field("Why", "error"))
    if len(failed) > MOST_FAILURES:
        yield Text(f"The first {MOST_FAILURES:,} of {len(failed):,}; all are in manifest.json.")
    caption = "Cells without a result, and the error of each."
    yield table_of("table-failures", caption, fields, failed[:MOST_FAILURES])


def _sources(about: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield where data come from: once for all cells that have them in common."""
    for each in about:
        sources = {term: each[name] or "not stated" for name, term in _SOURCES.items()}
        yield Terms({**sources, "In": count_of(each["cells"], "cell")} if len(about) > 1 else sources)


def _reproduction(manifest: Mapping[str, Any]) -> Iterator[Block]:
    """Yield how to have the same again, and by which digests to compare."""
    yield Text("The same study file, data and versions give the same results, with any number of workers.")
    yield Code(manifest.get("command") or f"carbonroute study run {manifest['name']}.toml")
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    engine = manifest["engine"] or "sampled; queued where servers are limited"
    yield Terms({"Study": manifest["digest"], "Engine": engine, "Versions": versions})
    if manifest["inputs"]:
        yield digests_table("inputs", "Files read", manifest["inputs"])
    results = {name: digest for name, digest in manifest["outputs"].items() if name.endswith(".parquet")}
    if results:
        yield digests_table("outputs", "Results", results)
