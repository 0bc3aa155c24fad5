"""Inspecting a carbon file: described as its source reads it, and the lines of a scenario that read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from carbonroute.carbon import FileSource
from carbonroute.files import toml
from carbonroute.files.preview import Preview, Recognition
from carbonroute.inspection.carbon import SeriesDescription, describe, describe_complete, pictures
from carbonroute.inspection.result import Inspection, Pictures


def inspect(source: type[FileSource], preview: Preview, recognition: Recognition) -> Inspection:
    """Inspect a carbon file as one of the sources reads it.

    Raises InputError if its rows cannot be read at all.
    """
    survey = source.survey(preview, recognition)
    in_grams = survey.unit == "g/kWh"
    series = None
    if survey.complete is not None:
        series = describe_complete(survey.complete, in_grams=in_grams, unit=survey.unit)
    if series is None:
        series = describe(
            survey.rows(), preview.file_name, in_grams=in_grams, step=survey.step, unit=survey.unit
        )
    rules = series.rules()
    if survey.step is not None:
        rules.pop("step", None)
    entries = {"path": preview.file_name, **survey.settings, **rules}
    comments = [*survey.comments, *recognition.notes]
    reading = recognition.reading() | {
        "unit of values": survey.unit or "not stated by the file: as they stand"
    }
    if survey.accounting is not None:
        reading["accounting"] = str(survey.accounting)
    return Inspection(
        name=preview.file_name,
        kind="carbon",
        reading=reading,
        quantities=series.quantities,
        table=series.table,
        findings=(*survey.findings, *series.findings),
        suggestion=_lines(entries, series, comments, is_labelled=survey.accounting is not None),
        pictures=Pictures(("traces", "day"), partial(pictures, series.hours, in_grams=in_grams)),
    )


def _lines(
    entries: Mapping[str, Any], series: SeriesDescription, comments: Sequence[str], *, is_labelled: bool
) -> str:
    """Return the lines of a scenario; `is_labelled`: the format states the accounting."""
    hours, first = series.quantities["hours"], series.hours.time_of(0)
    span = f"horizon: up to hours = {hours}, from start = {first.removesuffix('Z')}:00Z"
    accounting = (
        "accounting = { rate, scope, boundary } and source: say what the numbers count, and whom to cite"
    )
    rules = [str(rule) for rule in series.proposed]
    gaps = [] if any(rule.key == "gaps" for rule in series.proposed) else _gaps_without_rule(series)
    order = ("kind", "path", "layout", "time_column", "time_zone", "zone_column", "value_column")
    first_keys = {key: entries[key] for key in order if key in entries}
    notes = [*rules, span, *comments, *gaps, *([] if is_labelled else [accounting])]
    return toml.section("[carbon]", {**first_keys, **entries}, notes)


def _gaps_without_rule(series: SeriesDescription) -> list[str]:
    longest = int(series.table["longest_gap_hours"].to_numpy().max(initial=0))
    if not longest:
        return []
    return [f"gaps: the longest has {longest} hours, more than any rule should fill without a reason"]
