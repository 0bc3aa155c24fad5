"""The files of logs: by name, by pattern, and with the origin or workload of all requests in the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files import patterns
from carbonroute.traffic.log import MARKS, Log, meaning_of
from carbonroute.traffic.requests import Demand


@dataclass(frozen=True)
class LogFile:
    """One file of requests.

    `index`: of the log in the scenario that means this file.
    `log`: that log, with the file's own name, and the origin and workload of that name.
    """

    index: int
    log: Log

    @property
    def place(self) -> str:
        """The key of the log in the scenario."""
        return f"traffic.logs[{self.index}]"


def located(logs: Sequence[Log], demand: Demand) -> list[LogFile]:
    """Return the files of a scenario's logs, in the order of the logs and by name.

    Raises InputError if no file fits a pattern, a file is of two logs, or its name says an origin or a
    workload that there is not.
    """
    faults: list[Fault] = []
    files: list[LogFile] = []
    log_of: dict[str, int] = {}
    for index, log in enumerate(logs):
        place = f"traffic.logs[{index}].path"
        found, wrong = _files(log, demand)
        faults += [Fault(place, problem, remedy) for problem, remedy in wrong]
        for each in found:
            if each.path in log_of:
                problem = f"{each.path!r} is a file of traffic.logs[{log_of[each.path]}] too"
                faults.append(Fault(place, problem, "files must differ", "repeated-name"))
            log_of.setdefault(each.path, index)
            files.append(LogFile(index, each))
    if faults:
        raise InputError("scenario", faults)
    return files


def _files(log: Log, demand: Demand) -> tuple[list[Log], list[tuple[str, str]]]:
    """Return the log of each file that a log means, and problems with their remedies."""
    path, folder = log.path, demand.folder
    if patterns.is_name(path, folder):
        return [log], []
    if braces := patterns.unknown_mark(path, MARKS.values()):
        known = " and ".join(MARKS.values())
        return [], [
            (f"found {braces} in {path!r}", f"{known} alone are known: write * for what else differs")
        ]
    names = patterns.fitting(patterns.without_marks(path), folder)
    if not names:
        return [], [(f"no file fits {path!r}", patterns.remedy_for_nothing(path, folder))]
    meanings = {
        "origin": meaning_of(demand.origins, log.origins),
        "workload": meaning_of(demand.workloads, log.workloads),
    }
    marks = {name: mark for name, mark in MARKS.items() if mark in path}
    words = [[word for word in meanings[name] if any(word in each for each in names)] for name in marks]
    choices = list(product(*words))
    of_choices = patterns.shared_out(
        path, [dict(zip(marks.values(), choice, strict=True)) for choice in choices], folder
    )
    found = {
        name: log.model_copy(
            update={
                "path": name,
                **{key: meanings[key][word] for key, word in zip(marks, choice, strict=True)},
            }
        )
        for choice, named in zip(choices, of_choices, strict=True)
        for name in named
    }
    wrong = [_unknown(log, name, meanings) for name in names if name not in found]
    return [found[name] for name in sorted(found)], wrong


def _unknown(log: Log, name: str, meanings: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Return the problem of a file whose name says no origin, or no workload, with its remedy."""
    for key, mark in MARKS.items():
        word = patterns.word_in(log.path, mark, name) if mark in log.path else None
        if word is not None and word not in meanings[key]:
            remedy = f"{did_you_mean(word, meanings[key])}; or say whose it is in {key}s"
            return f"{name!r} names {word!r}, which is no {key}", remedy
    return f"{name!r} fits {log.path!r} with no name of the scenario", "rename it, or move it elsewhere"
