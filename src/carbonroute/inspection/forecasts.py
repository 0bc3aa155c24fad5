"""Inspecting a table of issued forecasts: their leads and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from carbonroute.carbon.columns import distinct, unit_in
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.tables import column_text, required
from carbonroute.files.text import listed
from carbonroute.files.time_columns import lacks_offset, read_times
from carbonroute.inspection.result import Inspection
from carbonroute.units import G_PER_KWH

#: Mean absolute error, as a share of the actual mean, from which forecasts say little.
_POOR_SHARE = 0.5
#: Which of several forecasts for one time a rule keeps.
_KEPT = ("first", "last")


def inspect(
    preview: Preview, recognition: Recognition, where: Mapping[str, str] = MappingProxyType({})
) -> Inspection:
    """Inspect a table of forecasts; the result has a row per zone (and further words that tell series apart).

    `where`: takes only the rows that have these words in these columns.
    Raises InputError if the file is no table.
    """
    file_name = preview.file_name
    table = preview.table()
    required({**recognition.named(), **{f"where.{name}": name for name in where}}, table.columns, file_name)
    for name, word in where.items():
        table = table.filter(column_text(table[name], file_name) == word)
    if table.is_empty():
        raise InputError(file_name, [Fault("where", "no row has all of these words", "check the scenario")])
    names = recognition.columns
    issue = read_times(table[names["issue"]], None, file_name, preview.layout.first_line)
    others = [name for name in recognition.lists["further columns of words"] if table[name].n_unique() <= 10]
    keys = [*([names["zone"]] if "zone" in names else ()), *others]
    series = [column_text(table[key], file_name) for key in keys] or [
        pl.repeat(file_name, len(table), eager=True)
    ]
    rows = pl.DataFrame(
        {
            "zone": pl.select(
                pl.concat_str(series or [pl.repeat(file_name, len(table))], separator=" ")
            ).to_series(),
            "issue": issue,
            "lead": column_numbers(column_text(table[names["lead"]], file_name)),
            "forecast": column_numbers(column_text(table[names["value"]], file_name)),
            "actual": _actual(table, names.get("actual"), file_name),
        }
    )
    by_zone = _by_zone(rows)
    unit = unit_in([names["value"]])
    quantities = {
        "rows": len(rows),
        "series": len(by_zone),
        "first": issue.min(),
        "last": issue.max(),
        "shortest_lead_hours": rows["lead"].min(),
        "longest_lead_hours": rows["lead"].max(),
    }
    return Inspection(
        name=file_name,
        kind="carbon",
        reading=recognition.reading() | {"unit of values": unit or "not stated by the file: as they stand"},
        quantities=quantities,
        table=by_zone,
        findings=tuple(_findings(by_zone, issue)),
        suggestion=_suggestion(table, preview, names, others, _repeats(rows)),
        pictures=_pictures(rows),
    )


def _suggestion(
    table: pl.DataFrame, preview: Preview, names: Mapping[str, str], others: list[str], repeats: str | None
) -> str:
    """Return the lines that read the table; `others` are the columns that tell its series apart.

    `repeats` is what `_repeats` returns.
    """
    entries = {
        "path": preview.file_name,
        **{f"{role}_column": names.get(role) for role in ("issue", "lead", "zone", "value")},
        "where": {key: toml.ask(f"one of {', '.join(distinct(table, key))}") for key in others} or None,
        "unit": unit_in([names["value"]]) or toml.ask(f"one of {', '.join(G_PER_KWH)}"),
        "time_zone": toml.ZONE if lacks_offset(table[names["issue"]]) else None,
        "duplicates": "first" if repeats == "" else None,
        "skip_rows": preview.layout.skip_rows or None,
    }
    comments = [
        *([f'duplicates = "first" # or "last": {repeats}'] if repeats else []),
        *([f"zones: {toml.names(distinct(table, names['zone']))}"] if "zone" in names else []),
        "stands beside the [carbon] section that these are forecasts of",
    ]
    return toml.section("[carbon.forecast]", entries, comments)


def _repeats(rows: pl.DataFrame) -> str | None:
    """Return how rows that repeat an issue and lead differ; "" if they are equal, None if there are none."""
    key = ["zone", "issue", "lead"]
    repeated = rows.filter(~pl.struct(key).is_first_distinct())
    if repeated.is_empty():
        return None
    copies = rows.group_by(key).agg(
        apart=pl.col("forecast").n_unique() > 1,
        **{rule: getattr(pl.col("forecast"), rule)() for rule in _KEPT},
    )
    if not copies["apart"].any():
        return ""
    before, *after = (
        rows.select(pl.col("forecast").mean()).item(),
        *(copies.select(pl.col(rule).mean()).item() for rule in _KEPT),
    )
    means = ", ".join(f"{mean:.6g} by {rule}" for rule, mean in zip(_KEPT, after, strict=True))
    said = (
        f"{len(repeated):,} rows repeat an issue and lead, {int(copies['apart'].sum()):,} times with another"
    )
    return f"{said} forecast; mean {before:.6g} before, {means}"


def _pictures(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return each series' mean forecast by issue, and by the hour of the day that is forecast."""
    forecast = pl.col("forecast").mean()
    traces = rows.group_by("zone", pl.col("issue").alias("time"), maintain_order=True).agg(value=forecast)
    hour = (pl.col("issue") + pl.duration(hours=pl.col("lead").fill_null(0))).dt.hour().alias("hour")
    day = rows.group_by("zone", hour, maintain_order=True).agg(value=forecast)
    return {"traces": traces.drop_nulls("time"), "day": day.drop_nulls("hour").sort("zone", "hour")}


def _actual(table: pl.DataFrame, name: str | None, file_name: str) -> pl.Series:
    if name is None:
        return pl.repeat(None, len(table), dtype=pl.Float64, eager=True)
    return column_numbers(column_text(table[name], file_name))


def _by_zone(rows: pl.DataFrame) -> pl.DataFrame:
    error = pl.col("forecast") - pl.col("actual")
    again = ~pl.struct("issue", "lead").is_first_distinct()
    return (
        rows.with_columns(pl.col("forecast", "actual").fill_nan(None))
        .group_by("zone", maintain_order=True)
        .agg(
            rows=pl.len(),
            issues=pl.col("issue").n_unique(),
            first_issue=pl.col("issue").min(),
            last_issue=pl.col("issue").max(),
            longest_lead_hours=pl.col("lead").max(),
            no_value=pl.col("forecast").null_count(),
            negative=(pl.col("forecast") < 0).sum(),
            repeated=again.sum(),
            mean=pl.col("forecast").mean(),
            mean_actual=pl.col("actual").mean(),
            bias=error.mean(),
            mean_absolute_error=error.abs().mean(),
        )
        .with_columns(mean_absolute_error_pct=100 * pl.col("mean_absolute_error") / pl.col("mean_actual"))
    )


def _findings(by_zone: pl.DataFrame, issue: pl.Series) -> list[str]:
    findings = []
    if lost := issue.null_count():
        findings.append(f"{lost:,} rows without an issue time that can be read")
    for what, words in (
        ("no_value", "rows without a forecast"),
        ("negative", "negative forecasts"),
        ("repeated", "rows repeat an issue and lead: check which copy is its own, a later one looks ahead"),
    ):
        bad = by_zone.filter(pl.col(what) > 0)
        if len(bad):
            zones = [f"{zone} {count:,}" for zone, count in bad.select("zone", what).iter_rows()]
            findings.append(f"{int(bad[what].sum()):,} {words} ({listed(zones, 5)})")
    poor = by_zone.filter(pl.col("mean_absolute_error_pct") > 100 * _POOR_SHARE)
    findings += [
        f"{row['zone']}: off by {row['mean_absolute_error_pct']:.0f} % of the actual mean on average"
        for row in poor.rows(named=True)
    ]
    return findings
