"""Recognition of an imported file: its format, or a refusal with all that is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from carbonroute.errors import Fault, InputError, did_you_mean, shortened
from carbonroute.files.number_times import refuse_numbers_as_times
from carbonroute.files.preview import TIME
from carbonroute.files.text import refuse_packed, refused
from carbonroute.importing import FORMATS, NAMES
from carbonroute.importing.carbon_tables import refuse_carbon
from carbonroute.importing.format import File, Format
from carbonroute.importing.nginx import COMBINED
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.table import RequestTable, names_requests
from carbonroute.importing.trace import Trace


def is_importable(path: Path) -> bool:
    """Whether a file's content says that it is a log, an answer or a table of requests, and nothing else."""
    file = File(path, str(path))
    try:
        form = recognised(file, ImportSettings())
    except InputError:
        return False
    return not isinstance(form, Trace) and (
        not isinstance(form, RequestTable) or names_requests(file.table())
    )


def recognised(file: File, settings: ImportSettings) -> Format:
    """Return the format of a file: the stated one, or the first that recognises it.

    Raises InputError if there is none: with all that were tried.
    """
    refuse_packed(file.head, file.name)
    if settings.format is not None:
        if settings.format not in NAMES:
            raise refused("--format", f"found {settings.format!r}", did_you_mean(settings.format, NAMES))
        return FORMATS[NAMES.index(settings.format)]
    if not file.head.strip():
        raise refused(
            file.name, "the file is empty", "a log, a table or an answer of an interface is expected"
        )
    form = next((known for known in FORMATS if known.recognises(file, settings)), None)
    if (form is None or isinstance(form, RequestTable | Trace)) and file.preview is not None:
        refuse_carbon(file.preview, settings)
    if form is None:
        table = file.preview if file.content != "json" else None
        content = (
            f"columns {table.listed}"
            if table and not table.is_json
            else f"it begins with {file.first_line!r}"
        )
        remedy = (
            "of a table, state its columns: --format table --field time=COLUMN; of a log, its server's own "
            f"format (nginx, Apache or Envoy), such as --log-format '{COMBINED}'"
        )
        _refuse_nearly(file)
        faults = [Fault("", f"is of no known format: {content}", remedy)]
        if file.content == "text" and file.preview is None:
            faults += _as_table(file)
        faults += [Fault(f"tried {each.name}", f"looked for {each.features}") for each in FORMATS]
        raise InputError(file.name, faults)
    return form


def _refuse_nearly(file: File) -> None:
    """Refuse a file that lacks one thing to be read, with that."""
    nested = sorted(
        {key for line in file.lines[:20] for key in _objects(line)} if file.content == "json lines" else ()
    )
    if nested:
        problem = f"its lines hold objects ({', '.join(nested[:4])}), whose fields are not read"
        flat = " + ".join([".", *(f".{key}" for key in nested[:4])])
        remedy = f"make the lines flat: jq -c '{flat}' '{file.name}' > flat.jsonl"
        raise refused(file.name, problem, remedy)
    table = file.preview
    if table is None or table.content is not None or table.times:
        return
    refuse_numbers_as_times(table)
    for name in table.words:
        text = table.head[name].drop_nulls().head(1).to_list()
        if TIME.search(name) and text and re.search(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}", text[0]):
            problem = f"column {name!r}: found {shortened(text[0], 40)!r}"
            raise refused(file.name, problem, "an ISO 8601 time is expected, such as 2026-11-01T00:00Z")


def _objects(line: str) -> Iterator[str]:
    """Yield the keys of a JSON line whose values are objects."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # torn: refused with its line when it is read
        return
    if isinstance(content, dict):
        yield from (key for key, value in content.items() if isinstance(value, dict) and key.isidentifier())


def _as_table(file: File) -> Sequence[Fault]:
    """Return the faults of a file as a table."""
    try:
        file.table()
    except InputError as error:
        return error.faults
    return ()
