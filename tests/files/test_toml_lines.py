"""Lines of keys in TOML: the scanner finds every path that tomllib reads, at the line it was written on."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.files.toml import key_text
from carbonroute.files.toml_lines import line_of, lines_of
from carbonroute.scenario import builtin_scenarios, builtin_text

KEYS = st.one_of(st.sampled_from(["a", "b-1", "c_d", "3"]), st.text(st.characters(codec="utf-8"), max_size=4))
STRINGS = st.one_of(
    st.sampled_from(
        [
            '"x = [1] # no"',
            "'a = \"b\"'",
            '"""\n[t]\nk = "v"\n\\"""x"""',
            "'''\n[[t]]\n# k\n''x'''",
            '""""q"""""',
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=6).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
)
SCALARS = STRINGS | st.sampled_from(["1", "-0.5", "true", "inf", "2021-01-01 00:00:00Z", "07:32:00", "1e3"])


@dataclass
class Writer:
    """A document as it grows, and the line of each path in it."""

    text: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    def note(self, path: str) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def value(self, draw: st.DrawFn, path: str, depth: int) -> None:
        kind = draw(st.sampled_from(["scalar", "array", "table"] if depth else ["scalar"]))
        if kind == "scalar":
            self.text += draw(SCALARS)
        elif kind == "array":
            self.text += "["
            for index in range(draw(st.integers(0, 3))):
                self.text += draw(st.sampled_from([" ", "\n", " # ] = x\n\t"]))
                self.note(f"{path}[{index}]")
                self.value(draw, f"{path}[{index}]", depth - 1)
                self.text += draw(st.sampled_from([",", " ,", "\n,"]))
            self.text += draw(st.sampled_from(["]", "\n]"]))
        else:
            self.text += "{ "
            for index, key in enumerate(draw(st.lists(KEYS, unique=True, max_size=3))):
                self.text += ", " * (index > 0)
                self.pair(draw, path, [key], depth - 1)
            self.text += " }"

    def pair(self, draw: st.DrawFn, table: str, keys: list[str], depth: int) -> None:
        path = table
        spelled = []
        for key in keys:
            path = joined(path, key)
            self.note(path)
            spelled.append(spelling(key))
        self.text += draw(st.sampled_from([".", " . "])).join(spelled)
        self.text += draw(st.sampled_from(["=", " = ", "\t=  "]))
        self.value(draw, path, depth)


def joined(path: str, key: str) -> str:
    return f"{path}.{key_text(key)}" if path else key_text(key)


def spelling(key: str) -> str:
    return key_text(key).replace("\x7f", "\\u007f")


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    """Draw a document of pairs, tables, and arrays of tables with tables in them."""
    document = Writer()
    names = draw(st.lists(KEYS, unique=True, min_size=1, max_size=6))
    kinds = sorted(draw(st.sampled_from(["pair", "table", "array"])) for _ in names)
    kinds.sort(key=lambda kind: kind != "pair")  # below a header, pairs are the table's
    for name, kind in zip(names, kinds, strict=True):
        document.text += draw(st.sampled_from(["", "\n", "# k = 1 [x]\n", "  "]))
        if kind == "pair":
            more = draw(st.lists(KEYS, max_size=2))
            document.pair(draw, "", [name, *more], 2)
            document.text += draw(st.sampled_from(["\n", " # [c]\n"]))
            continue
        for index in range(1 if kind == "table" else draw(st.integers(1, 3))):
            path = joined("", name)
            document.note(path)
            left, right = ("[", "]") if kind == "table" else ("[[ ", "]]")
            if kind == "array":
                path += f"[{index}]"
                document.note(path)
            document.text += f"{left}{spelling(name)}{right}\n"
            for key in draw(st.lists(KEYS.filter(lambda key: key != "inner"), unique=True, max_size=3)):
                document.pair(draw, path, [key], 2)
                document.text += "\n"
            if draw(st.booleans()):
                document.note(f"{path}.inner")
                document.text += f"[{spelling(name)} . inner]\n"
                document.pair(draw, f"{path}.inner", ["k"], 1)
                document.text += "\n"
    return document


@given(documents())
def test_every_key_of_a_drawn_document_has_the_line_it_was_written_on(document: Writer) -> None:
    tables = tomllib.loads(document.text)
    assert lines_of(document.text) == document.lines
    assert set(paths(tables)) == set(document.lines)


def paths(value: Any, path: str = "") -> list[str]:
    inner = (
        [(joined(path, key), item) for key, item in value.items()]
        if isinstance(value, dict)
        else [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        if isinstance(value, list)
        else []
    )
    return [found for place, item in inner for found in (place, *paths(item, place))]


@pytest.mark.parametrize("name", builtin_scenarios())
def test_every_key_of_a_built_in_scenario_has_a_line(name: str) -> None:
    text = builtin_text(name)
    lines = lines_of(text)
    assert set(lines) == set(paths(tomllib.loads(text)))
    written = text.split("\n")
    for path, line in lines.items():
        key = path.rpartition(".")[2].partition("[")[0]
        assert key.strip('"') in written[line - 1] or path.endswith("]"), path


def test_windows_line_ends_and_deep_nesting() -> None:
    assert lines_of("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {"a": 1, "b": 3, "b.c": 4}
    deep = "\na = 1\nb = " + "[" * 5000 + "]" * 5000
    assert lines_of(deep)["b"] == 3


def test_a_missing_key_is_at_the_table_that_lacks_it() -> None:
    lines = lines_of('[[regions]]\nname = "A"\n[[regions]]\nname = "B"\n')
    assert line_of(lines, "regions[1].name") == 4
    assert line_of(lines, "regions[1].zone") == 3
    assert line_of(lines, "regions[10].name") == 1
    assert line_of(lines, "horizon.hours") == 1
