"""The folder of a study: one run at a time, of one study, whose result appears whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carbonroute.errors import RunFolderError
from carbonroute.store import MANIFEST, SETTINGS, STUDY, read_manifest, reporting, write_whole

LOGS = "logs"
#: The setting that is the digest of all cells' scenarios.
CELLS = "digest_of_cells"
_LOCK = ".lock"
_PATIENCE_S = 0.5
#: What may change of a study between two runs in one folder: words about it.
_WORDS = ("name", "description")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a study's folder for this process; made if it is missing.

    Raises
    ------
    RunFolderError
        If another process holds it, or it cannot be written.
    """
    with reporting(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _lock(lock)
        except BlockingIOError as error:
            holder = os.pread(lock, 1000, 0).decode(errors="replace") or "another process"
            raise RunFolderError(
                f"{folder}: {holder} is running a study here; wait for it, or name another folder"
            ) from error
        with reporting(folder / _LOCK):
            os.ftruncate(lock, 0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()} (since {since})".encode(), 0)
        yield
    finally:
        os.close(lock)


def _lock(lock: int) -> None:
    """Take a lock, or raise `BlockingIOError`; those who only look hold it for an instant."""
    last_try_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > last_try_at:
                raise
            time.sleep(_PATIENCE_S / 10)
        else:
            return


def is_held(folder: Path) -> bool:
    """Whether a process is running a study in a folder."""
    path = folder / _LOCK
    if not path.exists():
        return False
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make a folder that of a study, or see that it is.

    Raises
    ------
    RunFolderError
        If it is the folder of something else; with what changed, if it is of a study that was another.
    """
    if (folder / MANIFEST).exists() and read_manifest(folder).get("kind") != STUDY:
        raise RunFolderError(f"{folder}: holds a run, not a study; name another folder")
    if not (folder / SETTINGS).exists():
        with reporting(folder / SETTINGS):
            write_whole(folder / SETTINGS, _as_json(settings))
        return
    earlier = read_settings(folder)
    now = json.loads(_as_json(settings))
    changes = list(differences(_without_words(earlier), _without_words(now)))
    if len(changes) > 1:  # what changed their scenarios is said already
        changes = [change for change in changes if not change.startswith(f"{CELLS}: ")]
    if changes:
        raise RunFolderError(
            "\n".join(
                [
                    f"{folder}: holds another study; name another folder, or remove this one. What changed:",
                    *(f"  {change}" for change in changes[:20]),
                    *([f"  and {len(changes) - 20} more"] if len(changes) > 20 else []),
                ]
            )
        )


def read_settings(folder: Path) -> dict[str, Any]:
    """Return what a folder's study is.

    Raises
    ------
    RunFolderError
        If there is none.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{folder}: there is no {SETTINGS}; name the folder of a study") from error
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{folder / SETTINGS}: cannot be read ({error})") from error
    return dict(settings)


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield what differs between two trees of tables and lists, a line each.

    >>> list(differences({"engine": "exact", "seeds": [1, 2]}, {"engine": "sampled", "seeds": [1, 2, 3]}))
    ['engine: was "exact", is "sampled"', 'seeds[2]: was not there, is 3']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from differences(
                old.get(key, _NOTHING), new.get(key, _NOTHING), f"{where}.{key}".lstrip(".")
            )
    elif isinstance(old, list) and isinstance(new, list):
        for place in range(max(len(old), len(new))):
            was, now = (tree[place] if place < len(tree) else _NOTHING for tree in (old, new))
            yield from differences(was, now, f"{where}[{place}]")
    elif old != new:
        yield f"{where}: was {_shown(old)}, is {_shown(new)}"


_NOTHING = object()


def _shown(value: object) -> str:
    if value is _NOTHING:
        return "not there"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _as_json(settings: Mapping[str, Any]) -> bytes:
    return (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode()


def _without_words(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _WORDS}
