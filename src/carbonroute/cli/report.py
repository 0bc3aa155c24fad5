"""``carbonroute report``: a finished run or study as one HTML page."""

from __future__ import annotations

from json import dumps
from pathlib import Path

from carbonroute.cli.drawing import note_missing_glyphs
from carbonroute.cli.options import NoCode
from carbonroute.cli.terminal import out, results_alone, say
from carbonroute.report import write
from carbonroute.runs.manifest import STUDY, read_manifest

#: What holds the names that figures show, in a manifest's scenario.
_NAMED = ("name", "regions", "origins", "workloads", "policies")


def report(folder: Path, /, *, output: Path | None = None, no_code: NoCode = False) -> int:  # noqa: ARG001  a report runs no policy
    """Write the report of a finished run or study, one HTML file that needs no network, and print its path.

    Parameters
    ----------
    folder
        Of the run or study.
    output
        File to write; by default report.html in that folder, listed in its manifest.
    """
    with results_alone():
        path = write(folder, output)
        manifest = read_manifest(folder)
    if manifest.get("kind") == STUDY:
        from carbonroute.study import damage_of

        if damage := damage_of(folder):
            say(f"note: the results are those of the manifest, but {damage}")
    scenario = manifest.get("scenario")
    named = [scenario.get(key) for key in _NAMED] if isinstance(scenario, dict) else []
    note_missing_glyphs(dumps([*named, manifest.get("axes")], ensure_ascii=False))
    out().print(str(path), soft_wrap=True)
    return 0
