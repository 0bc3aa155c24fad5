"""Names and docstrings in the words of the field: a class name stands for one thing in the whole package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import carbonroute

SOURCE = Path(carbonroute.__file__).parent
#: Words that stood for a term of the field.
DIALECT = {
    *("luck", "piece", "pieces", "rival", "rivals", "surroundings", "conduct", "obstacle", "obstacles"),
    *("tally", "tallies", "looks", "wanted", "mine", "theirs"),
}


def trees(source: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(source.rglob("*.py")):
        yield str(path.relative_to(source)), ast.parse(path.read_text(encoding="utf-8"))


def shared_names(source: Path) -> dict[str, list[str]]:
    """Return the class names that stand in several modules, and where."""
    places: dict[str, list[str]] = {}
    for module, tree in trees(source):
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def in_dialect(source: Path) -> set[str]:
    """Return the names that have a word of the dialect, by module."""
    return {
        f"{module}: {name}"
        for module, tree in trees(source)
        for name in names(tree)
        if DIALECT & set(name.lower().split("_"))
    }


def test_a_class_name_stands_for_one_thing() -> None:
    assert shared_names(SOURCE) == {}


def test_names_are_in_the_words_of_the_field() -> None:
    assert in_dialect(SOURCE) == set()


@pytest.mark.parametrize("line", ["class Tally: ...", "return_rivals = 1", "wanted = 1", "x.piece_bytes"])
def test_a_name_of_the_dialect_is_seen(line: str, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(f"{line}\nclass Reading: ...\n")
    (tmp_path / "other.py").write_text("class Reading: ...\n")
    assert len(in_dialect(tmp_path)) == 1
    assert shared_names(tmp_path) == {"Reading": ["one.py", "other.py"]}


def test_docstrings_say_the_noun_instead_of_what() -> None:
    words = [
        word.lower()
        for _, tree in trees(SOURCE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for word in re.findall(r"[A-Za-z']+", ast.get_docstring(node) or "")
    ]
    assert len(words) > 10_000
    assert words.count("what") * 1000 <= 3 * len(words)
