"""Parameter studies: runs over a grid of scenario changes, in parallel, with resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from io import BytesIO
from pathlib import Path

from carbonroute.errors import Fault, InputError
from carbonroute.files.folder import make_folder_of, writing
from carbonroute.files.text import sha256
from carbonroute.processes import cores
from carbonroute.runs.folder import RunFolder
from carbonroute.runs.manifest import STUDY
from carbonroute.study import cells
from carbonroute.study.cell import versions
from carbonroute.study.execution import Execution, file_changed
from carbonroute.study.finished import is_finished, misfits_of, read, tables_in
from carbonroute.study.folder import LOGS, claim
from carbonroute.study.journal import DONE, FAILED, NAME, Journal
from carbonroute.study.manifest import manifest_of
from carbonroute.study.progress import Progress, Status, damage_of, status
from carbonroute.study.tables import (
    RESULTS,
    StudyTables,
    axes_of,
    results_of,
    summary_of,
)
from carbonroute.study.workers import Seat, processes

__all__ = ["Progress", "Status", "StudyTables", "check", "damage_of", "read", "run", "status", "tables_in"]


def run(  # noqa: PLR0913  one argument per option of the command
    file: str | Path,
    output: str | Path,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    retry: bool = False,
    checking: Callable[[int, int], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    command: str | None = None,
    code: bool = True,
    note: Callable[[str], None] | None = None,
) -> StudyTables:
    """Run all cells of a study that are missing in its folder, and write its results.

    The results are bit-identical for any number and kind of workers, and any number of interruptions.

    Parameters
    ----------
    output
        The study's folder; made if it is missing.
    workers
        Processes on this machine; by default one per core that this process may use.
    cluster
        Address of a Dask scheduler, whose workers work instead of processes here.
    retry
        Run cells again that failed in an earlier run.
    checking
        Called with the number of cells checked before the first is run, and of all.
    progress
        Called whenever a cell has ended.
    command
        The command line that reproduces it.
    code
        Whether code of others may be run: policies of files, modules and installed packages.
    note
        Called with each file of an earlier run that was left alone.

    Raises
    ------
    InputError
        If the study file, a cell or an option cannot be used.
    RunFolderError
        If the folder cannot be written, is another's, or another process is running a study there.
    WorkerError
        If the workers are not fit for it.
    """
    if workers is not None and (workers < 1 or cluster):
        problem = f"found {workers}" + (" and --cluster" if cluster else "")
        remedy = "the cluster has workers of its own: leave it out" if cluster else "1 or more is expected"
        raise InputError("workers", [Fault("", problem, remedy)])
    study = cells.read(Path(file), checking, code=code)
    place = Path(output)
    with RunFolder(place, STUDY, own=(NAME, f"{LOGS}/-", RESULTS)) as results:
        claim(results, {**study.settings, "versions": versions()})
        with Journal(place, partial(misfits_of, study)) as journal:
            _require_same_files(study, journal)
            left = _left(study, journal, retry=retry)
            if not left and is_finished(place, journal.failed):
                return read(place)
            if left:
                with writing(place):
                    make_folder_of(place, f"{LOGS}/-")
                with _seats(workers, cluster, len(left)) as seats:
                    Execution(study, journal, place, progress).run(seats, left)
        _finish(study, results, command)
        if note:
            for text in results.notes:
                note(text)
        return read(place)


def check(file: str | Path, *, code: bool = True) -> cells.Study:
    """Return a study, checked with its base scenario, all of its cells and the data of each value of an axis.

    Raises InputError with all faults, each with its file and line.
    """
    return cells.read(Path(file), code=code, data=True)


def _require_same_files(study: cells.Study, journal: Journal) -> None:
    """Refuse to resume a study whose data files have changed."""
    for name, digest in journal.files.items():
        file = study.base.folder / name.partition(":")[0]  # of a policy's file, without its class
        if file.is_file() and sha256(file) != digest:
            raise file_changed(journal.path.parent, name)


def _left(study: cells.Study, journal: Journal, *, retry: bool) -> list[int]:
    """Return the cells that are still to be run."""
    ended = {DONE} if retry else {DONE, FAILED}
    return [cell.index for cell in study.cells if journal.statuses.get(cell.index) not in ended]


def _seats(workers: int | None, cluster: str | None, count: int) -> AbstractContextManager[Sequence[Seat]]:
    if cluster:
        from carbonroute.study.cluster import cluster_at

        return cluster_at(cluster)
    return processes(min(workers or cores(), count))


def _finish(study: cells.Study, folder: RunFolder, command: str | None) -> None:
    """Write the results of a study whose cells have all ended."""
    results, axes = results_of(study, folder.path), axes_of(study.axes)
    tables = StudyTables(results, axes, summary_of(results, axes), {})
    parquet = BytesIO()
    results.write_parquet(parquet)
    folder.write(RESULTS, parquet.getvalue())
    folder.finish(manifest_of(study, tables, folder.path, command))
