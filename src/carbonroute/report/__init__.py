"""The report of a run or a study: one HTML file that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from carbonroute.files.folder import write_named
from carbonroute.report.page import Page, render
from carbonroute.report.run import REPORT, page_of_run
from carbonroute.report.study import page_of_study
from carbonroute.runs.folder import RunFolder, require_unchanged
from carbonroute.runs.manifest import STUDY, read_manifest
from carbonroute.runs.store import RunManifest, tables_of
from carbonroute.study import tables_in

if TYPE_CHECKING:
    from carbonroute.figures.layout import Drawn

__all__ = ["REPORT", "Page", "page_of", "render", "write"]


def page_of(path: Path) -> Page:
    """Return the page of a finished run's or study's folder.

    Raises RunFolderError if the folder is not that of a finished run or study, or a table was changed since.
    """
    outputs = read_manifest(path)["outputs"]
    require_unchanged(path, outputs)
    return _page(path, outputs)


def _page(path: Path, outputs: Mapping[str, str], drawn: Mapping[str, Drawn] = MappingProxyType({})) -> Page:
    """Return the page of a folder whose outputs have been checked."""
    if read_manifest(path).get("kind") == STUDY:
        return page_of_study(tables_in(path, outputs))
    tables = tables_of(path, outputs)
    return page_of_run(read_manifest(path, RunManifest), tables, drawn)


def write(path: Path, output: Path | None = None, drawn: Mapping[str, Drawn] = MappingProxyType({})) -> Path:
    """Write the report of a finished run's or study's folder, and return its file: always the same bytes.

    It replaces the file `output`; by default it is ``report.html`` in the folder, which its manifest lists.
    Figures of this run that are `drawn` already, in the house style, lose their titles to the page. They may
    have been saved as PNG, but not as SVG, which moves their texts by the last bits.

    Raises RunFolderError if the folder is not that of a finished run or study, or the file cannot be written.
    """
    if output is not None:
        write_named(output, render(page_of(path)).encode())
        return output
    with RunFolder.reopen(path, "report") as folder:
        written = folder.write(REPORT, render(_page(path, folder.digests, drawn)).encode())
        folder.finish(read_manifest(path))
    return written
