"""Refusal of tables of carbon intensities, or of numbers that may be such, in place of requests."""

from __future__ import annotations

import re
from typing import get_args

import polars as pl

from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview
from carbonroute.files.text import refused
from carbonroute.importing.roles import NAMES
from carbonroute.importing.settings import ImportSettings, Role

#: Names that count requests by their pattern, and anything else as well.
_ANY_NUMBER = re.compile(r"values?|volume", re.I)
#: Roles that only the files of requests have.
_OF_REQUESTS: tuple[Role, ...] = ("service", "prompt_tokens", "answer_tokens", "path", "p50", "p95")
#: Share of the first numbers that are not whole, above which they are no counts.
_MOST_FRACTIONS = 0.1


def refuse_carbon(preview: Preview, settings: ImportSettings) -> None:
    """Refuse a table or JSON whose numbers are or may be carbon intensities, unless requests are stated.

    Raises InputError with the sign that was found, and how to state either.
    """
    if settings.unit is not None or "requests" in settings.fields:
        return
    names = [name for name in preview.names if name not in preview.times]
    if any(NAMES["requests"].fullmatch(name) and not _ANY_NUMBER.fullmatch(name) for name in names):
        return
    if any(NAMES[role].fullmatch(name) for role in _OF_REQUESTS for name in names):
        return
    requests = (
        "if its numbers are requests, state their unit: --unit requests (of each row), requests/s, "
        "requests/min or requests/h"
    )
    kind = _carbon_kind(preview)
    if kind is not None:
        remedy = f"for the carbon of a scenario: carbonroute inspect '{preview.path}' suggests its lines"
        problem = f"looks like carbon intensities ({kind}), by its names or units"
        raise refused(
            preview.file_name, problem, remedy if preview.content is not None else f"{remedy}; {requests}"
        )
    fractions = [name for name in preview.numbers if _has_fractions(preview.rows[name])]
    if fractions and preview.content is None and not preview.is_log:
        listed = ", ".join(map(repr, fractions[:4]))
        remedy = f"{requests}; if they are carbon: carbonroute inspect '{preview.path}' --as carbon"
        raise refused(
            preview.file_name,
            f"numbers of {listed} are not whole, and no name or unit tells their kind",
            remedy,
        )


def _carbon_kind(preview: Preview) -> str | None:
    """Return the kind of the carbon source that recognises a file, None if none is sure."""
    from carbonroute.carbon import SOURCES, FileSource

    answers = [
        (recognition.certainty, str(get_args(source.model_fields["kind"].annotation)[0]))
        for source in SOURCES
        if issubclass(source, FileSource) and (recognition := source.recognise(preview)) is not None
    ]
    certainty, kind = max(answers, default=(Certainty.POSSIBLE, None), key=lambda answer: answer[0])
    return kind if certainty > Certainty.POSSIBLE else None


def _has_fractions(column: pl.Series) -> bool:
    numbers = column if column.dtype.is_numeric() else column_numbers(column)
    known = numbers.drop_nulls().cast(pl.Float64)
    known = known.filter(known.is_finite())
    return bool(len(known)) and int((known != known.round()).sum()) > _MOST_FRACTIONS * len(known)
