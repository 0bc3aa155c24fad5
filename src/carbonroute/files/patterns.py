"""Patterns of file names: ``*``, ``?`` and ``[…]`` as in a shell, and marks such as ``{zone}`` for a name."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from carbonroute.errors import did_you_mean

_SIGNS = re.compile(r"[*?\[]|\{\w*\}")


def is_name(name: str, folder: Path) -> bool:
    """Whether a name is no pattern, or there is a file of this very name."""
    return not _SIGNS.search(name) or (folder / name).is_file()


def fitting(pattern: str, folder: Path) -> list[str]:
    """Return the files that fit a pattern without marks, sorted by name."""
    return sorted(name for name in glob.glob(pattern, root_dir=folder) if (folder / name).is_file())  # noqa: PTH207  Path.glob takes no absolute patterns


def shared_out(pattern: str, choices: Sequence[Mapping[str, str]], folder: Path) -> list[list[str]]:
    """Return the files of each choice of words; a file that fits several is of the longest.

    `folder`: to which the pattern is relative.
    """
    files: list[list[str]] = [[] for _ in choices]
    taken: set[str] = set()
    for index in sorted(range(len(choices)), key=lambda i: -sum(map(len, choices[i].values()))):
        files[index] = [name for name in _with(pattern, choices[index], folder) if name not in taken]
        taken.update(files[index])
    return files


def words_in(pattern: str, mark: str, folder: Path) -> list[str]:
    """Return the words in place of a mark for which there are files."""
    words = (word_in(pattern, mark, name) for name in fitting(without_marks(pattern), folder))
    return sorted({word for word in words if word is not None})


def word_in(pattern: str, mark: str, name: str) -> str | None:
    """Return the word that a name has in place of a mark, the longest that fits."""
    parts = re.split(r"(\{\w+\}|\*|\?)", pattern)
    signs = {mark: "(?P<word>[^/]+)", "*": "[^/]*", "?": "[^/]"}
    first = parts.index(mark)
    regex = "".join(
        "(?P=word)" if part == mark and place > first else signs.get(part) or _plain(part)
        for place, part in enumerate(parts)
    )
    match = re.fullmatch(regex, name)
    return match["word"] if match else None


def without_marks(pattern: str) -> str:
    """Return a pattern in which ``*`` stands for each mark."""
    return re.sub(r"\{\w+\}", "*", pattern)


def unknown_mark(pattern: str, marks: Iterable[str]) -> str | None:
    """Return the first thing in braces that is none of the marks."""
    return next((mark for mark in re.findall(r"\{\w*\}", pattern) if mark not in marks), None)


def remedy_for_nothing(pattern: str, folder: Path) -> str:
    """Return the remedy for a pattern that no file fits: the folder, and the nearest names in it."""
    parent = Path(without_marks(pattern)).parent
    for place in (*reversed(parent.parents), parent):
        if not (_SIGNS.search(str(place)) or (folder / place).is_dir()):
            above = place.parent
            near = [name for name in glob.glob(str(above / "*"), root_dir=folder) if (folder / name).is_dir()]  # noqa: PTH207  names relative to the folder, hidden ones left out
            return f"there is no folder {folder / place}: {did_you_mean(str(place), sorted(near))}"
    near = fitting(str(parent / "*"), folder)
    return f"in folder {folder / parent}: {did_you_mean(pattern, near)}"


def _with(pattern: str, words: Mapping[str, str], folder: Path) -> list[str]:
    exact = escaped = pattern
    for mark, word in words.items():
        exact, escaped = exact.replace(mark, word), escaped.replace(mark, glob.escape(word))
    return [exact] if (folder / exact).is_file() else fitting(escaped, folder)


def _plain(part: str) -> str:
    return "[^/]+" if re.fullmatch(r"\{\w+\}", part) else re.escape(part)
