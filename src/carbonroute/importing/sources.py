"""The files of an import: names, patterns such as ``logs/access.*.log``, and folders, as a list of files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from carbonroute.files.text import refused

#: Endings of files that stand beside data in a folder and hold none.
_NO_DATA = re.compile(r"\.(toml|md|rst|ya?ml|conf|cfg|ini|py|sh|sha256|html|pdf|png|svg|jpg|ipynb)", re.I)
_MAGIC = re.compile(r"[*?\[]")


def files_of(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the files that names, patterns and folders mean, sorted, and notes on those left out.

    Of a folder these are its own files, but for hidden ones and documents; ``folder/**/*.log`` also means
    those of its folders.

    Raises InputError if a pattern or folder has no file, or a file is named twice.
    """
    files: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if path.is_dir():
            data, others = _of_folder(path)
            if others:
                listed = ", ".join(other.name for other in others[:8])
                notes.append(
                    f"not read, for their endings: {listed}{' …' if len(others) > 8 else ''}, of {path}"
                )
            files += data
        elif not path.exists() and _MAGIC.search(str(path)):
            files += _of_pattern(path)
        else:
            files.append(path)
    files.sort()
    for earlier, later in pairwise(files):
        if earlier == later:
            raise refused(str(later), "is named twice", "name it once")
    return files, notes


def _of_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    plain = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    data = [path for path in plain if not _NO_DATA.fullmatch(path.suffix)]
    if not data:
        remedy = f"name a pattern, in quotes, for files in folders below it: '{folder}/**/*.log'"
        raise refused(str(folder), "the folder has no data files of its own", remedy)
    return data, [path for path in plain if path not in data]


def _of_pattern(path: Path) -> Iterator[Path]:
    plain = next(place for place, part in enumerate(path.parts) if _MAGIC.search(part))
    folder, pattern = Path(*path.parts[:plain]), str(Path(*path.parts[plain:]))
    files = [file for file in folder.glob(pattern) if file.is_file()]
    if not files:
        raise refused(str(path), "no file is named so", "check the folder and the pattern: ls")
    yield from files
