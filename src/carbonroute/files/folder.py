"""A folder of ours: files that appear whole or not at all, reached without following a link.

A folder, or a file, that a user names may be a link: it is followed. Below a folder, no link is, and
nothing but plain files and folders is opened, replaced or removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from secrets import token_hex

from carbonroute.errors import RunFolderError
from carbonroute.files.limits import MAX_BYTES

#: Held while a process writes into a folder; says which.
LOCK = ".lock"
#: Those who only ask whether a lock is held have it for an instant.
_PATIENCE_S = 0.5
_CHUNK = 2**20

_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)


class InTheWayError(OSError):
    """Something stands where a file or folder of ours would; `filename` is its path."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write into an error that names the place."""
    try:
        yield
    except OSError as error:
        raise _refusal(
            path, "cannot write here", error, "make room and rights, or name another place"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to read into an error that names the place."""
    try:
        yield
    except OSError as error:
        raise _refusal(
            path, "cannot be read", error, "name the folder of a finished run, a study or a journal"
        ) from error


def _refusal(path: Path, problem: str, error: OSError, remedy: str) -> RunFolderError:
    place = error.filename if isinstance(error, InTheWayError) else path
    return RunFolderError(f"{place}: {problem} ({error.strerror or error}); {remedy}")


def stands(folder: Path, name: str) -> bool:
    """Whether there is a file at a name below a folder.

    Raises InTheWayError if something other than a file stands there, or a link or a file on the way.
    """
    parts = PurePosixPath(name).parts
    return all(
        _is_there(folder.joinpath(*parts[:count]), is_file=count == len(parts))
        for count in range(1, len(parts) + 1)
    )


def _is_there(place: Path, *, is_file: bool) -> bool:
    try:
        status = place.lstat()
    except FileNotFoundError:
        return False
    _require_kind(place, status, is_file=is_file)
    return True


def _require_kind(place: Path, status: os.stat_result, *, is_file: bool) -> None:
    if not (stat.S_ISREG if is_file else stat.S_ISDIR)(status.st_mode):
        kind = next((kind for test, kind in _KINDS if test(status.st_mode)), "a device")
        raise InTheWayError(
            errno.EEXIST, f"it is {kind}, where a {'file' if is_file else 'folder'} belongs", place
        )


@contextmanager
def _holding(folder: Path, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Hold the folder of a name open, without following a link below `folder`; give the last part with it."""
    *between, last = PurePosixPath(name).parts
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in between:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=held)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = below
        yield held, last
    finally:
        os.close(held)


def make_folder_of(folder: Path, name: str) -> None:
    """Make the folder that a name below a folder is in, unless it is there; refuse one without rights."""
    with _holding(folder, name, make=True) as (held, _):
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=held):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def open_file(folder: Path, name: str, flags: int) -> int:
    """Open a file below a folder, and return its descriptor.

    Raises
    ------
    InTheWayError
        If something else stands there; or, to be written, a file that has another name elsewhere.
    OSError
        If there is none, or it cannot be opened.
    """
    stands(folder, name)
    with _holding(folder, name) as (held, last):
        # Should something else have come since: no link is followed, no FIFO waited for.
        file = os.open(last, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666, dir_fd=held)
    try:
        status = os.fstat(file)
        _require_kind(folder / name, status, is_file=True)
        if flags & (os.O_WRONLY | os.O_RDWR) and status.st_nlink > 1:
            raise InTheWayError(errno.EMLINK, "it is a hard link", folder / name)
    except InTheWayError:
        os.close(file)
        raise
    return file


def read_file(folder: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a file below a folder.

    Raises RunFolderError if there is no such file, it cannot be read, or it has more than `limit` bytes.
    """
    with reading(folder / name), os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise RunFolderError(f"{folder / name}: has more than {limit:,} bytes; name another folder")
    return data


def digest(folder: Path, name: str) -> str | None:
    """Return the SHA-256 of a file below a folder, in hexadecimal; None if there is none."""
    if not stands(folder, name):
        return None
    with os.fdopen(open_file(folder, name, os.O_RDONLY), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_new(folder: Path, name: str, data: bytes) -> None:
    """Write a new file below a folder and bring it to the disk; nothing of it stays if that fails."""
    file = open_file(folder, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            write_all(file, data)
            os.fsync(file)
        finally:
            os.close(file)
    except BaseException:  # Ctrl-C, too, leaves nothing half-written
        remove(folder, name)
        raise


def write_all(file: int, data: bytes) -> None:
    """Write all of it: a full disk takes a part before it refuses."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def write_whole(folder: Path, name: str, data: bytes) -> None:
    """Write a file below a folder so that its name never holds less than all of it, whatever happens."""
    stands(folder, name)
    make_folder_of(folder, name)
    partial = str(PurePosixPath(name).with_name(f".{PurePosixPath(name).name}.{token_hex(4)}.partial"))
    write_new(folder, partial, data)
    try:
        move(folder, partial, name)
    except BaseException:
        remove(folder, partial)
        raise
    sync(folder, [name])


def move(folder: Path, old: str, new: str) -> None:
    """Give a file below a folder another name there; a file of that name is replaced."""
    with _holding(folder, old) as (source, old_name), _holding(folder, new) as (target, new_name):
        os.replace(old_name, new_name, src_dir_fd=source, dst_dir_fd=target)


def remove(folder: Path, name: str) -> None:
    """Remove a file below a folder, if it is there."""
    with suppress(FileNotFoundError), _holding(folder, name) as (held, last):
        os.unlink(last, dir_fd=held)


def remove_folder(folder: Path, name: str, files: re.Pattern[str]) -> None:
    """Remove files of such names from a folder below another, and that folder unless it holds more."""
    with suppress(FileNotFoundError), _holding(folder, f"{name}/-") as (held, _):
        for entry in filter(files.fullmatch, os.listdir(held)):  # noqa: PTH208  by descriptors
            if stat.S_ISREG(os.stat(entry, dir_fd=held, follow_symlinks=False).st_mode):
                os.unlink(entry, dir_fd=held)
        if not os.listdir(held):  # noqa: PTH208  pathlib takes no descriptors
            with _holding(folder, name) as (above, last):
                os.rmdir(last, dir_fd=above)


def sync(folder: Path, names: Iterable[str]) -> None:
    """Bring to the disk that names below a folder have come or gone."""
    for parent in sorted({str(PurePosixPath(name).parent) for name in names}):
        with suppress(FileNotFoundError), _holding(folder, f"{parent}/-") as (held, _):
            os.fsync(held)


def write_named(path: Path, data: bytes) -> None:
    """Write a file that a user names, whole or not at all; a link there is followed, a file replaced.

    Raises RunFolderError if it cannot be written, or something other than a file stands there.
    """
    with writing(path):
        place = Path(os.path.realpath(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place.parent, place.name, data)


def create_named(path: Path, data: bytes) -> None:
    """Write a new file that a user names; refuse to replace one.

    Raises RunFolderError if there is such a file, or it cannot be written.
    """
    if os.path.lexists(path):
        raise RunFolderError(f"{path}: is there already; name another file, or remove it first")
    write_named(path, data)


@contextmanager
def made(path: Path) -> Iterator[None]:
    """Have a folder, made with all above it; those that are made here and stay empty are removed again.

    Raises RunFolderError if it cannot be made.
    """
    missing = [place for place in (path, *path.parents) if not place.exists()]
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for place in missing:
            with writing(place):
                if place.is_dir() and not any(place.iterdir()):
                    place.rmdir()


@contextmanager
def alone_in(folder: Path, doing: str) -> Iterator[None]:
    """Hold a folder for this process. The lock is the operating system's: it goes with whoever holds it.

    `doing`: the work of the process that holds it, for the error's message.
    Raises RunFolderError if another process holds it, or it cannot be written.
    """
    with writing(folder):
        lock = _locked(folder, doing)
    try:
        with writing(folder / LOCK):
            os.ftruncate(lock, 0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            write_all(lock, f"process {os.getpid()} on {socket.gethostname()} (since {since})".encode())
        yield
    finally:
        remove(folder, LOCK)
        os.close(lock)


def _locked(folder: Path, doing: str) -> int:
    """Return the lock of a folder, taken."""
    last_try_at = time.monotonic() + _PATIENCE_S
    while True:
        lock = open_file(folder, LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(folder, lock):
                return lock
        except BlockingIOError as error:
            if time.monotonic() > last_try_at:
                holder = os.pread(lock, 1000, 0).decode(errors="replace") or "another process"
                os.close(lock)
                raise RunFolderError(
                    f"{folder}: {holder} is {doing} here; wait for it, or name another folder"
                ) from error
            time.sleep(_PATIENCE_S / 10)
        except OSError:
            os.close(lock)
            raise
        os.close(lock)


def _is_at(folder: Path, lock: int) -> bool:
    """Whether a lock is still the folder's: who held it before removes it."""
    try:
        return os.path.samestat((folder / LOCK).lstat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def is_held(folder: Path) -> bool:
    """Whether a process is writing into a folder.

    Raises RunFolderError if that cannot be told.
    """
    with reading(folder / LOCK):
        try:
            lock = open_file(folder, LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False
