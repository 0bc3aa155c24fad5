"""Studies: many runs over a grid of changes, by any number of workers, and no cell of them twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path

from carbonroute.errors import Fault, InputError
from carbonroute.store import STUDY, RunFolder, reporting
from carbonroute.study import cells
from carbonroute.study.cell import versions
from carbonroute.study.conduct import Conduct, not_what_it_was
from carbonroute.study.facts import facts_of
from carbonroute.study.folder import LOGS, alone_in, claim
from carbonroute.study.journal import DONE, FAILED, Journal
from carbonroute.study.progress import Progress, Status, status
from carbonroute.study.tables import (
    RESULTS,
    StudyTables,
    axes_of,
    is_finished,
    read,
    results_of,
    summary_of,
)
from carbonroute.study.workers import Seat, cores, processes
from carbonroute.textfile import sha256

__all__ = ["Progress", "Status", "StudyTables", "read", "run", "status"]


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
) -> StudyTables:
    """Run all cells of a study that its folder does not have yet, and write its results.

    The results are the same, to the bit, for any number and kind of workers, and however often the run was
    killed and begun again.

    Parameters
    ----------
    file
        The study file.
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
        What a reader can type to run it again.
    code
        Whether code of others may be run: policies of files, modules and installed packages.

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
        found = f"found {workers}" + (" and --cluster" if cluster else "")
        remedy = "the cluster has workers of its own: leave it out" if cluster else "1 or more is expected"
        raise InputError("workers", [Fault("", found, remedy)])
    study = cells.read(Path(file), checking, code=code)
    place = Path(output)
    with alone_in(place):
        claim(place, {**study.settings, "versions": versions()})
        with Journal(place) as journal:
            _require_same_files(study, journal)
            left = _left(study, journal, retry=retry)
            if not left and is_finished(place, journal.failed):
                return read(place)
            if left:
                with reporting(place):
                    (place / LOGS).mkdir(exist_ok=True)
                with _seats(workers, cluster, len(left)) as seats:
                    Conduct(study, journal, place, progress).run(seats, left)
        return _finish(study, place, command)


def _require_same_files(study: cells.Study, journal: Journal) -> None:
    """Refuse to go on, or to call finished, what was made of files that are not what they were."""
    for name, digest in journal.files.items():
        file = study.base.folder / name.partition(":")[0]  # of a policy's file, without its class
        if file.is_file() and sha256(file) != digest:
            raise not_what_it_was(journal.path.parent, name)


def _left(study: cells.Study, journal: Journal, *, retry: bool) -> list[int]:
    """Return the cells that are still to be run."""
    ended = {DONE} if retry else {DONE, FAILED}
    return [cell.index for cell in study.cells if journal.statuses.get(cell.index) not in ended]


def _seats(workers: int | None, cluster: str | None, count: int) -> AbstractContextManager[Sequence[Seat]]:
    if cluster:
        from carbonroute.study.cluster import cluster_at

        return cluster_at(cluster)
    return processes(min(workers or cores(), count))


def _finish(study: cells.Study, place: Path, command: str | None) -> StudyTables:
    """Write the results of a study whose cells have all ended."""
    results, axes = results_of(study, place), axes_of(study.axes)
    tables = StudyTables(results, axes, summary_of(results, axes), {})
    folder = RunFolder(place, STUDY)
    parquet = BytesIO()
    results.write_parquet(parquet)
    folder.write(RESULTS, parquet.getvalue())
    folder.finish(facts_of(study, tables, place, command))
    return read(place)
