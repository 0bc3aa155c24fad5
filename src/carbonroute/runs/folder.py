"""Run folders: replaced as a whole or not at all, and files of others are left alone.

Files are staged in a subfolder until all are complete and synced. Then the manifest is removed, unless all
files that it lists stay the same; files are moved to their places, leftovers of an earlier run are removed,
and the new manifest is written last. A run that fails before that leaves the earlier one untouched; one
that is killed in between leaves a folder without a manifest, which no command reads.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Literal

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import (
    InTheWayError,
    alone_in,
    digest,
    made,
    make_folder_of,
    move,
    read_file,
    reading,
    remove,
    remove_folder,
    stands,
    sync,
    write_new,
    writing,
)
from carbonroute.runs.manifest import (
    MANIFEST,
    REPLACING,
    SEAL,
    SETTINGS,
    STAGING,
    STUDY,
    Replacing,
    read_document,
    read_manifest,
    seal_of,
    unverified,
)

#: Names of outputs, by the command that writes them.
_WRITERS = tuple(
    (command, re.compile(pattern, re.ASCII))
    for command, pattern in (
        ("report", r"report\.html"),
        ("study run", r"results\.parquet"),
        ("frontier", r"tables/frontier\.csv|policy\.toml|graphs/pareto_front\.(png|svg|pdf)"),
        ("sensitivity", r"tables/sensitivity\.csv|graphs/sensitivity\.(png|svg|pdf)"),
        ("headroom", r"tables/headroom\.csv|graphs/headroom\.(png|svg|pdf)"),
        ("whatif", r"tables/whatif\.csv"),
        ("figures", r"graphs/(premium/)?\w+\.(png|svg|pdf)"),
        ("simulate", r"tables/\w+\.csv|data/\w+\.(csv|parquet)"),
    )
)
#: Commands that refuse a folder with a changed file: it must be removed first.
_READERS = ("report", "figures")
_MISSING, _CHANGED = "is missing", "does not match the manifest"
_WAITING = re.compile(r"\.\d+", re.ASCII)


def writer_of(name: str) -> str | None:
    """Return the command that writes an output, by its name below a folder; None if there is none.

    >>> writer_of("graphs/premium/latency_cdf.png"), writer_of(".git/config")
    ('figures', None)
    """
    return next((command for command, names in _WRITERS if names.fullmatch(name)), None)


def require_unchanged(path: Path, outputs: Mapping[str, str]) -> None:
    """Refuse a folder in which a file does not match its manifest's digests (`outputs`, by name).

    Raises RunFolderError with the first such file, and the command that writes it again.
    """
    for name, stated in outputs.items():
        with reading(path / name):
            actual = digest(path, name)
        if actual != stated:
            raise _not_as_stated(path, name, _MISSING if actual is None else _CHANGED)


def read_stated(path: Path, name: str, outputs: Mapping[str, str]) -> bytes:
    """Return the content of an output, after checking it against the digests of `outputs`."""
    data = read_file(path, name)
    if hashlib.sha256(data).hexdigest() != outputs.get(name):
        raise _not_as_stated(path, name, _CHANGED)
    return data


def _not_as_stated(path: Path, name: str, state: str) -> RunFolderError:
    command = writer_of(name) or "simulate"
    first = "remove it, and " if command in _READERS and state != _MISSING else ""
    return RunFolderError(f"{path / name}: {state}; {first}run `carbonroute {command}` again")


class RunFolder:
    """A folder that a run or study writes into, locked by this process until it is finished or closed.

    Raises RunFolderError if the folder cannot be made or written, another process is writing there, or it
    holds something of another kind.

    Parameters
    ----------
    path
        The folder; made when it is missing.
    kind
        Its content: a run, or a study.
    own
        Further files that will be written there; refused where something else stands in their place.

    Attributes
    ----------
    digests
        SHA-256 of the files of the run, by name.
    notes
        Files of an earlier run that were left alone, and why; set by `finish`.
    """

    def __init__(self, path: Path, kind: Literal["run", "study"] = "run", own: Collection[str] = ()) -> None:
        self.path = path
        self.digests: dict[str, str] = {}
        self.notes: list[str] = []
        self._waiting: dict[str, str] = {}
        self._numbers = count()
        with ExitStack() as stack:
            stack.enter_context(made(path))
            with writing(path):
                for name in (MANIFEST, SETTINGS, REPLACING, _place(0), *own):
                    stands(path, name)
            stack.enter_context(alone_in(path, "writing" if kind == "run" else "running a study"))
            self._earlier = _earlier(path, kind)
            stack.callback(self._unstage)
            self._unstage()
            self._held = stack.pop_all()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @classmethod
    def reopen(cls, path: Path, command: str) -> RunFolder:
        """Return the folder of a finished run or study, for a command to write more into it.

        Raises RunFolderError if it is not the folder of a finished run or study, or a file of it was changed;
        one that the command writes may be missing.
        """
        folder = cls(path, read_manifest(path).get("kind", "run"))
        with ExitStack() as stack:
            stack.push(folder)
            outputs = read_manifest(path)["outputs"]
            with reading(path):
                gone = {name for name in outputs if writer_of(name) == command and not stands(path, name)}
            folder.keep(outputs, but=gone)
            stack.pop_all()
        return folder

    def keep(self, outputs: Mapping[str, str], *, but: Collection[str]) -> None:
        """Keep outputs of the earlier run (digests by name) in this one, except those named in `but`.

        Raises RunFolderError if one of them was changed.
        """
        kept = {name: stated for name, stated in outputs.items() if name not in but}
        require_unchanged(self.path, kept)
        self.digests |= kept

    def write(self, name: str, data: bytes) -> Path:
        """Add one file to the run, by its name below the folder; return the path that it gets."""
        if writer_of(name) is None:
            raise ValueError(f"{name!r} is no name of an output")
        self._stage(name, data)
        self.digests[name] = hashlib.sha256(data).hexdigest()
        return self.path / name

    def _stage(self, name: str, data: bytes) -> None:
        place = _place(next(self._numbers))
        with writing(self.path / name):
            stands(self.path, name)
            make_folder_of(self.path, place)
            write_new(self.path, place, data)
        self._waiting[name] = place

    def finish(self, content: Mapping[str, Any]) -> Path:
        """Move all files to their places, remove leftovers of an earlier run, write the manifest, and unlock.

        Returns
        -------
        Path
            The manifest.
        """
        document = {**content, "outputs": dict(sorted(self.digests.items()))}
        self._stage(MANIFEST, _as_json(document | {SEAL: seal_of(json.loads(_as_json(document)))}))
        manifest = self._waiting.pop(MANIFEST)
        with writing(self.path):
            left = list(self._left_over())
            for name in (*self._waiting, *left):
                stands(self.path, name)
                make_folder_of(self.path, name)
            self._expect(left)
            for name, place in self._waiting.items():
                move(self.path, place, name)
            for name in left:
                remove(self.path, name)
            sync(self.path, [*self._waiting, *left])
            move(self.path, manifest, MANIFEST)
            sync(self.path, [MANIFEST])
            remove(self.path, REPLACING)
        self._held.close()
        return self.path / MANIFEST

    def put(self, name: str, data: bytes) -> None:
        """Write one of the folder's own files, which no manifest lists, in its place at once."""
        self._stage(name, data)
        with writing(self.path / name):
            move(self.path, self._waiting.pop(name), name)
            sync(self.path, [name])

    def _expect(self, left: Collection[str]) -> None:
        """Record the digests valid during replacement; remove the manifest if it will become invalid."""
        files = {name: {*self._earlier.get(name, ()), self.digests[name]} for name in self._waiting}
        expected = {name: sorted(stated) for name, stated in (self._earlier | files).items()}
        self.put(REPLACING, _as_json({"files": expected}))
        if left or any(len(files[name]) > 1 for name in files.keys() & self._earlier.keys()):
            remove(self.path, MANIFEST)
            sync(self.path, [MANIFEST])

    def _left_over(self) -> Iterator[str]:
        """Yield files of the earlier run to remove; note those that are left alone."""
        for name in sorted(self._earlier.keys() - self.digests.keys()):
            reason = self._kept_because(name)
            if reason:
                self.notes.append(
                    f"{self.path / name}: left alone, though an earlier run lists it ({reason})"
                )
            elif stands(self.path, name):
                yield name

    def _kept_because(self, name: str) -> str:
        """Return why a file of the earlier run is not removed; "" if it is."""
        if writer_of(name) is None:
            return "carbonroute writes no file of that name"
        try:
            actual = digest(self.path, name)
        except InTheWayError as error:
            return str(error.strerror)
        return "" if actual is None or actual in self._earlier[name] else "it was changed since"

    def _unstage(self) -> None:
        """Remove staged files, of this run or of one that was killed."""
        with writing(self.path):
            remove_folder(self.path, STAGING, _WAITING)


def _place(number: int) -> str:
    """Return the staging place of a file."""
    return f"{STAGING}/.{number}"


def _as_json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _earlier(path: Path, kind: str) -> dict[str, set[str]]:
    """Return the digests of an earlier run's files, by name; refuse a folder of another kind."""
    earlier: dict[str, set[str]] = {}
    with reading(path):
        kinds = {STUDY} if stands(path, SETTINGS) else set()
        if stands(path, MANIFEST):
            manifest = unverified(path)  # what a changed one lists is removed only if its digest is right
            kinds.add(manifest.get("kind", "run"))
            earlier = {name: {stated} for name, stated in manifest["outputs"].items()}
        if stands(path, REPLACING):
            replacing, _ = read_document(path, REPLACING, Replacing, "remove it")
            for name, stated in replacing.files.items():
                earlier.setdefault(name, set()).update(stated)
    for other in kinds - {kind}:
        raise RunFolderError(f"{path}: holds a {other}, not a {kind}; name another folder")
    return earlier
