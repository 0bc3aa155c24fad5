"""The page of a study: the policies over all of its cells, every combination, and what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import polars as pl

from carbonroute.figures import as_file, captioned
from carbonroute.figures.of_studies import draw, wanted
from carbonroute.figures.study_grid import GridAxis, Metric, averaged_note, grid_axes, saving, within
from carbonroute.figures.style import one_line
from carbonroute.figures.words import MassUnit, mass_unit, plain
from carbonroute.report.cells import cell, words
from carbonroute.report.page import (
    Block,
    Cell,
    Code,
    Column,
    Facts,
    Figure,
    Items,
    Page,
    Row,
    Section,
    Table,
    Text,
)
from carbonroute.report.readings import Reading
from carbonroute.report.svg import inline
from carbonroute.study import StudyTables, overview

_Values = Mapping[str, Any]
#: Rows of the summary that the page shows, and failed cells whose errors it tells.
MOST_ROWS, MOST_FAILURES = 500, 100
_READINGS: Mapping[str, Reading] = MappingProxyType(
    {
        "study_heatmap": Reading(
            "What is saved over the grid",
            "Each cell is a place of the grid, its colour what the policy saves there. Hatched cells break "
            "the limit on violations: however much they save, they are no choice.",
        ),
        "study_violations": Reading(
            "What is risked over the grid",
            "The same places, coloured by the share of requests over their latency limit.",
        ),
        "study_lines": Reading(
            "Along the longest axis",
            "A line is a policy; crosses break the limit on violations, bands are 95 % intervals over seeds.",
        ),
        "study_pareto": Reading(
            "The front of all combinations",
            "Each dot is a policy at one place of the grid: further right saves more, further down breaks "
            "fewer latency limits. Nothing that a router can run lies further right below the line.",
        ),
    }
)
_METRICS: Mapping[str, tuple[Column, int]] = MappingProxyType(
    {
        "slo_violation_pct": (Column("SLO violations", "%", best="low"), 2),
        "avg_latency_ms": (Column("Mean latency", "ms", best="low"), 1),
        "p95_latency_ms": (Column("P95 latency", "ms", best="low"), 1),
        "avg_carbon_g_per_kwh": (Column("Carbon intensity", "g CO₂e/kWh", best="low"), 1),
    }
)
_SOURCES = MappingProxyType(
    {"accounting": "What carbon values count", "carbon_source": "Carbon", "traffic_source": "Traffic"}
)


def page_of_study(tables: StudyTables) -> Page:
    """Return what the report of a study shows, of what it found as `carbonroute.study.read` gives it."""
    facts = tables.facts
    return Page(
        title=facts["name"],
        description=facts.get("description", ""),
        about=tuple(_about(tables)),
        finding=" ".join(facts["finding"]),
        verdicts=(),
        warnings=tuple(_warnings(facts)),
        sections=tuple(_sections(tables)),
        maker=f"carbonroute {facts['carbonroute']}",
    )


def _about(tables: StudyTables) -> Iterator[str]:
    """Yield the size of the study, in a few words each."""
    cells = tables.facts["cells"]
    yield f"{cells:,} {'cell' if cells == 1 else 'cells'}"
    policies = tables.summary["policy"].n_unique()
    yield f"{policies} {'policy' if policies == 1 else 'policies'}"
    for (name,), values in tables.axes.group_by("axis", maintain_order=True):
        yield f"{one_line(str(name))}: {values.height:,} {'value' if values.height == 1 else 'values'}"


def _warnings(facts: Mapping[str, Any]) -> Iterator[str]:
    if failed := len(facts["failed"]):
        yield f"{failed:,} of {facts['cells']:,} cells failed; nothing below counts them."


def _sections(tables: StudyTables) -> Iterator[Section]:
    if not tables.summary.is_empty():
        yield Section("policies", "Policies over all cells", tuple(_policies(tables)))
        yield Section("figures", "Figures", tuple(_figures(tables)))
        yield Section("cells", "Every combination", tuple(_combinations(tables)))
    facts = tables.facts
    if facts["failed"]:
        yield Section("failures", "What failed", tuple(_failures(facts["failed"])))
    if facts["notes"]:
        notes = tuple(f"{each['note']} ({_cells(each['cells'])})." for each in facts["notes"])
        yield Section("notes", "Assumptions and remarks", (Items(notes),))
    if facts["about"]:
        yield Section("data", "Data and their sources", tuple(_sources(facts["about"])))
    yield Section("reproduction", "How to reproduce this", tuple(_reproduction(facts)))


def _policies(tables: StudyTables) -> Iterator[Block]:
    """Yield each policy over all combinations."""
    metric = saving(tables.summary)
    columns = (
        Column("Policy", numeric=False),
        Column("Viable", "times", best="high"),
        Column("Best of all", "times", best="high"),
        Column("Saved, most", "%", best="high"),
        Column("Saved, median", "%", best="high"),
        Column("Saved, least", "%", best="high"),
        Column("Violations, median", "%", best="low"),
        Column("Violations, most", "%", best="low"),
    )
    rows = tuple(
        Row(
            (
                words(row["policy"]),
                Cell(f"{row['viable']:,} of {row['combinations']:,}", row["viable"]),
                Cell(f"{row['best']:,}", row["best"]),
                *(cell(row[f"saved_{which}_pct"]) for which in ("most", "median", "least")),
                *(cell(row[f"violations_{which}_pct"], 2) for which in ("median", "most")),
            ),
            row["clairvoyant"],
        )
        for row in overview.policies(tables).rows(named=True)
    )
    caption = (
        f"What each policy reaches over all combinations of the axes. {_what(metric)}; a policy is viable "
        f"within {within(tables.summary)}, and best where no other that a router can run saves more."
    )
    yield Table("table-policies", caption, columns, rows)


def _what(metric: Metric) -> str:
    """Return what is saved, against whom."""
    return f"What is saved: {metric.label.removesuffix(' (%)')}"


def _figures(tables: StudyTables) -> Iterator[Figure]:
    """Yield every figure that has something to show."""
    for name in wanted(tables):
        drawn, finding = captioned(draw(name, tables))
        heading, reading = _READINGS[name]
        svg = inline(as_file(drawn, "svg"), f"svg-{name}", f"Figure: {heading}. {reading}")
        yield Figure(f"figure-{name}", heading, svg, f"{finding}.", reading)


def _combinations(tables: StudyTables) -> Iterator[Block]:
    """Yield the summary, row by row; of a large one what is viable and saves most."""
    summary, metric = tables.summary, saving(tables.summary)
    shown = summary
    if summary.height > MOST_ROWS:
        by = ["viable", metric.column]
        shown = summary.sort(by, descending=True, nulls_last=True, maintain_order=True).head(MOST_ROWS)
        yield Text(
            f"The {MOST_ROWS:,} best of {summary.height:,} rows: what is viable first, then what saves most. "
            "All are in the study's folder."
        )
    if over := averaged_note(tables.axes):
        yield Text(f"{over[0]}. Small figures below a number are its 95 % confidence interval.")
    columns, cells = zip(*_columns(shown, metric, grid_axes(summary, tables.axes)), strict=True)
    rows = tuple(
        Row(tuple(make(row) for make in cells), row["clairvoyant"]) for row in shown.rows(named=True)
    )
    yield Table("table-cells", f"Each policy at each place of the grid. {_what(metric)}.", columns, rows)


def _columns(
    shown: pl.DataFrame, metric: Metric, axes: Sequence[GridAxis]
) -> Iterator[tuple[Column, Callable[[_Values], Cell]]]:
    """Yield the columns of the combinations, each with what makes its cell of a row of the summary."""
    yield Column("Policy", numeric=False), lambda row: words(row["policy"])
    for axis in axes:
        labels = dict(zip(axis.keys, axis.labels, strict=True))
        numeric = axis.numbers is not None
        yield Column(one_line(axis.name), numeric=numeric), partial(_place, axis.name, labels, numeric)
    saved = Column(metric.label.partition(" vs.")[0], "%", best="high"), 1
    for name, (column, digits) in {metric.column: saved, **_METRICS}.items():
        if _is_known(shown, name):
            yield column, partial(_figure, name, digits)
    if _is_known(shown, "total_kg"):
        unit = mass_unit(shown["total_kg"].drop_nulls().to_list())
        yield Column("Emissions", f"{unit.name} CO₂e", best="low"), partial(_mass, unit)
    yield Column("Verdict", numeric=False), _verdict


def _is_known(frame: pl.DataFrame, name: str) -> bool:
    return name in frame.columns and frame[name].null_count() < frame.height


def _place(name: str, labels: Mapping[Any, str], numeric: bool, row: _Values) -> Cell:
    return Cell(labels[row[name]], row[name] if numeric else labels[row[name]])


def _figure(name: str, digits: int, row: _Values) -> Cell:
    return cell(row[name], digits, {end: row[f"{name}_{end}"] for end in ("low", "high")})


def _mass(unit: MassUnit, row: _Values) -> Cell:
    kg = row["total_kg"]
    return cell(None if kg is None else kg * unit.per_kg, unit.digits)


def _verdict(row: _Values) -> Cell:
    return words("viable" if row["viable"] else f"over {plain(row['max_violation_pct'])} % violations")


def _failures(failed: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    columns = (Column("Cell"), Column("Where", numeric=False), Column("Why", numeric=False))
    rows = tuple(
        Row((Cell(f"{each['cell']:,}", each["cell"]), words(each["where"]), words(each["error"])))
        for each in failed[:MOST_FAILURES]
    )
    if len(failed) > MOST_FAILURES:
        yield Text(f"The first {MOST_FAILURES:,} of {len(failed):,}; all are in manifest.json.")
    yield Table("table-failures", "Cells without a result, and the error of each.", columns, rows)


def _sources(about: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield where data come from: once for all cells that have them in common."""
    for each in about:
        facts = {term: each[name] or "not stated" for name, term in _SOURCES.items()}
        yield Facts({**facts, "In": _cells(each["cells"])} if len(about) > 1 else facts)


def _cells(count: int) -> str:
    return f"{count:,} {'cell' if count == 1 else 'cells'}"


def _reproduction(facts: Mapping[str, Any]) -> Iterator[Block]:
    """Yield how to have the same again, and by which digests to compare."""
    yield Text("The same study file, data and versions give the same results, with any number of workers.")
    yield Code(facts.get("command") or f"carbonroute study run {facts['name']}.toml")
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    yield Facts(
        {
            "Study": facts["digest"],
            "Engine": facts["engine"] or "sampled; queued where servers are limited",
            "Versions": versions,
        }
    )
    columns = (Column("File", numeric=False), Column("SHA-256", numeric=False))
    for name, caption, files in (
        ("inputs", "Files read, with their SHA-256.", facts["inputs"]),
        ("outputs", "Results, with their SHA-256.", _results(facts)),
    ):
        if files:
            rows = tuple(Row((words(file), words(digest))) for file, digest in files.items())
            yield Table(f"table-{name}", caption, columns, rows, sortable=False)


def _results(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of what the study wrote itself: not of this page."""
    return {name: digest for name, digest in facts["outputs"].items() if name.endswith(".parquet")}
