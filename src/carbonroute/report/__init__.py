"""What a run or study found, on one page that opens anywhere: no network, nothing beside the file itself."""

from __future__ import annotations

from pathlib import Path

from carbonroute.report.page import Page, render
from carbonroute.report.run import REPORT, page_of_run
from carbonroute.report.study import page_of_study
from carbonroute.store import STUDY, RunFolder, read_manifest, read_tables, reporting, write_whole
from carbonroute.study import read

__all__ = ["REPORT", "Page", "page_of", "render", "write"]


def page_of(path: Path) -> Page:
    """Return what the report of a finished run's or study's folder shows.

    Raises
    ------
    RunFolderError
        If the folder is not that of a finished run or study, or a table was changed since.
    """
    facts = read_manifest(path)
    if facts.get("kind") == STUDY:
        return page_of_study(read(path), path)
    return page_of_run(facts, read_tables(path), path)


def write(path: Path, output: Path | None = None) -> Path:
    """Write the report of a finished run or study; the same one always gives the same bytes.

    Parameters
    ----------
    path
        Its folder.
    output
        File to write, replaced where there is one; by default ``report.html`` in the folder, which its
        manifest then lists.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RunFolderError
        If the folder is not that of a finished run or study, or the file cannot be written.
    """
    content = render(page_of(path)).encode()
    if output is not None:
        with reporting(output):
            write_whole(output, content)
        return output
    folder = RunFolder.reopen(path)
    written = folder.write(REPORT, content)
    folder.finish(read_manifest(path))
    return written
