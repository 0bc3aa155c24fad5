"""``carbonroute tables``: the tables of a finished run or study for a paper or a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import polars as pl
from cyclopts import Parameter

from carbonroute.cli.results import (
    finite,
    plain_figure,
    policy_columns,
    verdict_of,
    whole_intervals,
    with_interval,
)
from carbonroute.cli.terminal import DONE, json_text, out, print_csv
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.folder import write_named
from carbonroute.metrics import Tables, as_published, simulation_results, slo
from carbonroute.metrics.masses import MassUnit, mass_unit, scaled
from carbonroute.metrics.measure import GRAMS, INTENSITY, measure_of
from carbonroute.metrics.results import CLAIRVOYANT_NOTE, marked
from carbonroute.report.text_tables import FORMATS, NumberText, TextColumn, TextTable
from carbonroute.runs.manifest import STUDY, read_manifest
from carbonroute.runs.store import read_tables
from carbonroute.study import StudyTables
from carbonroute.study import read as read_study

#: The end of names of masses, which are told in a unit that fits.
_MASS = "_kg"
#: Units, by the end of a column's name; "/" is a quotient.
_UNITS = MappingProxyType(
    {
        "_g_per_kwh": "g/kWh", "_g_per_request": "g/request", "_g_per_h": "g/h", "_per_day": "1/day",
        "_pct": "%", "_ms": "ms", _MASS: "kg", "_hours": "h", "_per_s": "1/s", "_j": "J", "_w": "W",
    }
)  # fmt: skip
#: Headings of columns that printed tables have; others are named as they are.
_HEADINGS = MappingProxyType(
    {
        "avg_latency_ms": "Latency", "p95_latency_ms": "P95", "slo_violation_pct": "Violations",
        "avg_carbon_g_per_kwh": "Carbon", "carbon_reduction_pct": "Reduction", "total_kg": "Emissions",
        "emissions_reduction_pct": "Reduction", "same_capacity_carbon_reduction_pct": "Reduction",
        "same_capacity_emissions_reduction_pct": "Reduction", "slo_ms": "SLO", "avg_wait_ms": "Wait",
        slo.WORST: "Worst workload", slo.WORST_PCT: "Its violations", slo.WORST_P95: "Its P95",
        "p95_wait_ms": "P95 wait", "rejected_pct": "Rejected", "saved_pct": "Saved", "n": "Cells",
    }
)  # fmt: skip
_DECIMALS = MappingProxyType({"slo_violation_pct": ".2f", slo.WORST_PCT: ".2f", "rejected_pct": ".2f"})
#: What the tables of pools with llm show: heading, unit and decimals of each column.
_OF_LLM = MappingProxyType(
    {
        "tokens": {
            "p50_ttft_ms": ("First token P50", "ms", ".0f"),
            "p95_ttft_ms": ("First token P95", "ms", ".0f"),
            "ttft_slo_ms": ("First token limit", "ms", ".0f"),
            "p50_tpot_ms": ("Further token P50", "ms", ".1f"),
            "p95_tpot_ms": ("Further token P95", "ms", ".1f"),
            "tpot_slo_ms": ("Further token limit", "ms", ".0f"),
            "p95_latency_ms": ("Last token P95", "ms", ".0f"),
            "slo_violation_pct": ("Late", "%", ".2f"),
            "goodput_per_s": ("Goodput", "requests/s", ".2f"),
        },
        "replicas": {
            "replicas": ("Replicas", "", ".1f"),
            "avg_running": ("In batches", "", ".1f"),
            "avg_waiting": ("Waiting", "", ".2f"),
            "kv_use_pct": ("Cache in use", "%", ".1f"),
            "peak_kv_use_pct": ("Fullest cache", "%", ".1f"),
            "preemptions": ("Preemptions", "", ".0f"),
            "answer_tokens_per_s": ("Output", "tokens/s", ".0f"),
            "j_per_answer_token": ("Energy", "J/token", ".3g"),
        },
    }
)
#: What a study's summary shows of its figures, where it has them.
_OF_STUDIES = (
    "avg_latency_ms", "p95_latency_ms", "slo_violation_pct", slo.WORST, slo.WORST_PCT, slo.WORST_P95,
    "avg_carbon_g_per_kwh", "carbon_reduction_pct", "total_kg", "emissions_reduction_pct",
)  # fmt: skip
#: Of these, what is left out where each workload has its own limit, and where none has.
_OVER_ALL, _OF_THE_WORST = ("avg_latency_ms", "p95_latency_ms"), (slo.WORST, slo.WORST_PCT, slo.WORST_P95)
_ENDS = "_low", "_high"


def tables(
    folder: Path,
    /,
    *,
    form: Annotated[
        Literal["latex", "markdown", "csv"] | None, Parameter(name="--format", show_default=False)
    ] = None,
    table: str | None = None,
    output: Path | None = None,
    json: Annotated[
        bool, Parameter(name="--json", negative=(), help="The rows as JSON instead, at full precision.")
    ] = False,
) -> int:
    """Print a table of a finished run or study, at the precision of the printed ones.

    Parameters
    ----------
    folder
        Of the run or study.
    form
        latex (with booktabs), markdown (by default) or csv.
    table
        Which: of a run policies (by default), workloads, saving, intervals, …; of a study summary (by
        default) or results.
    output
        File to write instead.
    """
    if json and form is not None:
        raise InputError("--format", [Fault("", "found --json as well", "leave one of them out")])
    results = read_study(folder) if _is_study(folder) else read_tables(folder)
    by_name = _of_study(results) if isinstance(results, StudyTables) else _of_run(results, folder)
    name = table or next(iter(by_name))
    if name not in by_name:
        unknown = Fault("", f"there is none called {name!r}", did_you_mean(name, by_name))
        raise InputError("--table", [unknown])
    if json:
        text = json_text([finite(row) for row in getattr(results, name).rows(named=True)])
    else:
        text = FORMATS[form or "markdown"](by_name[name])
    if output is None:
        print_csv(text)
    else:
        write_named(output, text.encode())
        out().print(f"Wrote {output}.", soft_wrap=True)
    return DONE


def _is_study(folder: Path) -> bool:
    return read_manifest(folder).get("kind") == STUDY


def _of_run(run: Tables, folder: Path) -> dict[str, TextTable]:
    """Return the tables of a run that hold anything, the policies first."""
    scenario = str(read_manifest(folder)["scenario"]["name"])
    others = {field.name: getattr(run, field.name) for field in fields(Tables)}
    others["intervals"] = run.intervals.rename({"n": "requests_or_replications"})
    del others["overview"], others["policies"]
    made = {"policies": _policies(run, scenario)}
    for name, table in others.items():
        if table.height and name in _OF_LLM:
            made[name] = _of_llm(table, f"{scenario}: {name}", _OF_LLM[name])
        elif table.height:
            intervals = run.intervals if name == "workloads" else None
            made[name] = _generic(table, f"{scenario}: {name.replace('_', ' ')}", intervals)
    return made


def _of_study(study: StudyTables) -> dict[str, TextTable]:
    axes, name = study.axes["axis"].unique(maintain_order=True).to_list(), study.manifest["name"]
    left_out = {*(_OVER_ALL if slo.per_workload(study.summary) else _OF_THE_WORST)}
    left_out.add((INTENSITY if measure_of(study.summary) is GRAMS else GRAMS).reduction)
    known = [column for column in (*axes, "policy", *_OF_STUDIES) if column not in left_out]
    kept = [column for column in known if column in study.summary.columns]
    shown = [column for column in kept if study.summary[column].null_count() < study.summary.height]
    ends = [f"{column}{end}" for column in shown for end in _ENDS]
    intervals = [end for end in ends if end in study.summary.columns]
    summary = study.summary.select(*shown, *intervals, "clairvoyant", "n")
    return {
        "summary": _generic(summary, f"{name}: means over seeds"),
        "results": _generic(study.results.drop("digest", "error"), f"{name}: every cell"),
    }


def _policies(run: Tables, scenario: str) -> TextTable:
    """Return the policies as they are printed."""
    columns, units, intervals = policy_columns(run), _mass_units(run.policies), whole_intervals(run)
    printed = as_published(simulation_results(run), run).rows(named=True)
    rows: list[tuple[str | NumberText, ...]] = []
    for row, policy in zip(printed, run.policies.rows(named=True), strict=True):
        numbers = [
            _figure(row.get(name), name, intervals.get((row["policy"], name)), units.get(name))
            for name in columns
        ]
        rows.append((marked(row["policy"], row["clairvoyant"]), *numbers, verdict_of(policy, run.intervals)))
    headed = (_column(name, mass=units.get(name)) for name in columns)
    named = (TextColumn("Policy", numeric=False), *headed, TextColumn("Verdict", numeric=False))
    notes = (CLAIRVOYANT_NOTE,) * bool(run.policies["clairvoyant"].any())
    if slo.per_workload(run.policies) and len(run.workloads["workload"].unique()) > 1:
        notes += ("The 95th percentile of latency is each workload's own: --table workloads.",)
    if run.intervals.height:
        notes += ("Ranges: 95 % confidence intervals.",)
    return TextTable(scenario, named, tuple(rows), notes)


def _of_llm(table: pl.DataFrame, title: str, columns: Mapping[str, tuple[str, str, str]]) -> TextTable:
    """Return a table of pools with llm: of what columns, those with a value, rounded as in a report."""
    known = {name: column for name, column in columns.items() if table[name].count()}
    whose = {"name": "Workload"} if "workload" in table.columns else {"pool": "Pool"}
    rows: tuple[tuple[str | NumberText, ...], ...] = tuple(
        (
            marked(row["policy"], row["clairvoyant"]),
            *(str(row[name]) for name in whose),
            *(_rounded(row[name], style) for name, (_, _, style) in known.items()),
        )
        for row in table.rows(named=True)
    )
    texts = (TextColumn(heading, numeric=False) for heading in ("Policy", *whose.values()))
    numbers = (TextColumn(heading, unit) for heading, unit, _ in known.values())
    notes = (CLAIRVOYANT_NOTE,) * bool(table["clairvoyant"].any())
    return TextTable(title, (*texts, *numbers), rows, notes)


def _rounded(value: float | None, style: str) -> NumberText:
    plain = "–" if value is None else format(value, style)
    return NumberText(plain, plain if value is None or "g" in style else format(value, f",{style}"))


def _generic(table: pl.DataFrame, title: str, intervals: pl.DataFrame | None = None) -> TextTable:
    """Return a table under the names of its columns; ``<name>_low`` and ``<name>_high`` are its intervals."""
    ends = {f"{name}{end}" for name in table.columns for end in _ENDS}
    names = [name for name in table.columns if name not in ends | {"clairvoyant"}]
    of_workload = {
        (row["policy"], row["workload"], row["figure"]): row
        for row in ([] if intervals is None else intervals.rows(named=True))
    }
    flagged, units = "clairvoyant" in table.columns, _mass_units(table)
    rows = tuple(
        tuple(_cells(row, names, of_workload, units, flagged=flagged)) for row in table.iter_rows(named=True)
    )
    short = [_HEADINGS.get(name) for name in names]
    columns = tuple(
        _column(
            name,
            numeric=table.schema[name].is_numeric(),
            mass=units.get(name),
            whole=short.count(heading) > 1,  # one heading says one thing
        )
        for name, heading in zip(names, short, strict=True)
    )
    notes = (CLAIRVOYANT_NOTE,) * (flagged and bool(table["clairvoyant"].any()))
    return TextTable(title, columns, rows, notes)


def _cells(
    row: Mapping[str, Any],
    names: Sequence[str],
    of_workload: Mapping[Any, Any],
    units: Mapping[str, MassUnit],
    *,
    flagged: bool,
) -> Iterator[str | NumberText]:
    for name in names:
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            text = "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            yield marked(text, flagged and name == "policy" and row["clairvoyant"])
            continue
        interval = of_workload.get((row.get("policy"), row.get("workload"), name))
        if row.get(f"{name}_low") is not None:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            interval = {"value": value, "low": low, "high": high, "method": "t over seeds"}
        yield _figure(value, name, interval, units.get(name))


def _mass_units(table: pl.DataFrame) -> dict[str, MassUnit]:
    """Return the unit that fits each column of masses."""
    names = [name for name in table.columns if name.endswith(_MASS) and table.schema[name].is_numeric()]
    return {name: mass_unit(table[name].drop_nulls().to_list()) for name in names}


def _column(
    name: str, *, numeric: bool = True, mass: MassUnit | None = None, whole: bool = False
) -> TextColumn:
    """Return a column under its heading, or under its `whole` name."""
    if set(name) & set(".["):  # an axis: the path of what it sets
        return TextColumn(name, "", numeric)
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
    end = next((end for end in _UNITS if name.endswith(end)), "")
    heading = (None if whole else _HEADINGS.get(name)) or name.removesuffix(end).replace("_", " ")
    return TextColumn(heading[:1].upper() + heading[1:], mass.name if mass else unit, numeric)


def _figure(
    value: str | float | None, name: str, interval: Mapping[str, Any] | None, mass: MassUnit | None
) -> NumberText:
    """Return a figure, rounded as in printed tables, with its interval; a mass, in kg, in another unit."""
    if mass and isinstance(value, float):
        value, interval = f"{value * mass.per_kg:.{mass.digits}f}", scaled(interval, mass.per_kg)
    if isinstance(value, int):
        return NumberText(f"{value:d}", f"{value:,d}")
    if isinstance(value, float):
        known = name in _HEADINGS
        value = f"{value:{_DECIMALS.get(name, 'z.1f')}}" if known else f"{value:.6g}"
    plain = plain_figure(value, name)
    if interval is None or interval["low"] is None:
        return NumberText(plain, plain)
    shown = with_interval(plain, interval, " ")
    decimals = len(shown.split("[")[0].split("±")[0].strip().partition(".")[2])
    ends = (f"{interval[end]:.{max(decimals, 1)}f}" for end in ("low", "high"))
    return NumberText(plain, shown, *ends)
