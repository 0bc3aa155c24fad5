"""The manifest of a finished study: settings, findings, notes and provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from carbonroute.metrics.headlines.study import finding
from carbonroute.runs.manifest import STUDY
from carbonroute.study.cell import versions
from carbonroute.study.cells import Study, dump, in_words
from carbonroute.study.journal import FAILED, Record, records
from carbonroute.study.overview import axes
from carbonroute.study.tables import StudyTables
from carbonroute.units import pct

#: Notes of cells that a manifest lists; all of them are in the cells' logs.
MAX_NOTES = 20


def manifest_of(study: Study, tables: StudyTables, folder: Path, command: str | None) -> dict[str, Any]:
    """Return the manifest of a study, without its outputs; `command` reproduces it."""
    file = study.file
    about: dict[str, list[int]] = {}
    notes: dict[str, list[int]] = {}
    errors: dict[int, str] = {}
    files: dict[str, str] = {}
    for record in _last(folder):
        errors[record.cell] = record.error
        if record.status == FAILED:
            continue
        _count(about, [json.dumps(record.about)], record.cell)
        _count(notes, record.notes, record.cell)
        files |= record.files
    return {
        "kind": STUDY,
        "carbonroute": versions()["carbonroute"],
        "name": file.name,
        "description": file.description,
        **({"command": command} if command else {}),
        "engine": file.engine,
        "replications": file.replications,
        "until": file.until,
        "max_violation_pct": pct(study.base.scenario(study.cells[0].changes).limits.violations),
        "baseline": file.baseline,
        "metrics": list(file.columns),
        "axes": tables.axes.rows(named=True),
        "cells": len(study.cells),
        "digest": hashlib.sha256(json.dumps(study.settings, sort_keys=True).encode()).hexdigest(),
        "failed": [
            {"cell": cell, "where": in_words(study.cells[cell], study.axes), "error": errors[cell]}
            for cell in sorted(errors)
            if errors[cell]
        ],
        "finding": list(finding(tables.results, tables.summary, axes(tables))),
        "about": [{**json.loads(text), "cells": len(which)} for text, which in _ordered(about)],
        "notes": [{"note": text, "cells": len(which)} for text, which in _ordered(notes)][:MAX_NOTES],
        "scenario": dump(study.base.scenario(study.cells[0].changes)),
        "versions": versions(),
        "inputs": dict(sorted(files.items())),
    }


def _last(folder: Path) -> Iterable[Record]:
    """Return the last record of each cell, without its figures."""
    last: dict[int, Record] = {}
    for record in records(folder):
        last[record.cell] = record.without_figures()
    return last.values()


def _count(cells_by_text: dict[str, list[int]], texts: Iterable[str], cell: int) -> None:
    for text in dict.fromkeys(texts):
        cells_by_text.setdefault(text, []).append(cell)


def _ordered(cells_by_text: dict[str, list[int]]) -> Iterator[tuple[str, list[int]]]:
    """Sort texts by their number of cells, independent of the order in which cells ended."""
    return iter(sorted(cells_by_text.items(), key=lambda item: (-len(item[1]), min(item[1]), item[0])))
