"""Fonts for names in any script: DejaVu Sans, and installed fonts that have the glyphs which it lacks."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Iterator

import polars as pl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FAMILY = "DejaVu Sans"
#: Asked first, in this order: they match in style, and the order of others depends on the machine.
_PREFERRED = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
    "Hiragino Sans", "Microsoft YaHei", "Nirmala UI", "Arial Unicode MS", "Noto Emoji",
)  # fmt: skip
#: Fonts whose glyphs stand for missing ones.
_BOXES = ("last resort", ".lastresort", "adobe blank")
_NAMED = 20


def families(characters: Iterable[str]) -> list[str]:
    """Return the font families to draw characters in: matplotlib asks them in turn for each glyph."""
    return [FAMILY, *_chosen(_lacking(frozenset(characters)))[0]]


def missing(characters: Iterable[str]) -> str:
    """Return the characters that no installed font has a glyph for, in order."""
    return "".join(sorted(_chosen(_lacking(frozenset(characters)))[1]))


def missing_note(characters: Iterable[str]) -> str | None:
    """Return a note that names the missing glyphs; None where figures show all of them."""
    lacking = missing(characters)
    if not lacking:
        return None
    named = " ".join(f"{char} (U+{ord(char):04X})" for char in lacking[:_NAMED])
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return (
        f"figures show boxes for {named}{more}: no installed font has them; install one, such as "
        "Noto Sans CJK or Noto Emoji, and draw again"
    )


def characters_of(tables: Iterable[pl.DataFrame]) -> set[str]:
    """Return the characters of all texts in tables, and of the names of their columns."""
    return {char for text in _texts(tables) if not text.isascii() for char in text}


def _texts(tables: Iterable[pl.DataFrame]) -> Iterator[str]:
    for table in tables:
        yield from table.columns
        for column in table.iter_columns():
            if column.dtype == pl.String:
                yield from column.drop_nulls().unique()


def _lacking(characters: frozenset[str]) -> frozenset[str]:
    known = _glyphs(font_manager.findfont(FAMILY))
    return frozenset(char for char in characters if ord(char) not in known and _is_drawn(char))


def _is_drawn(character: str) -> bool:
    """Whether a character has a shape of its own: no control, mark of direction or variation selector."""
    return unicodedata.category(character)[0] not in "CZ" and not 0xFE00 <= ord(character) <= 0xFE0F


@functools.cache
def _chosen(lacking: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return families that have glyphs which the first lacks, and the characters that none has."""
    left, chosen = {ord(char) for char in lacking}, []
    for family, path in _installed() if left else ():
        if left & _glyphs(path):
            left -= _glyphs(path)
            chosen.append(family)
        if not left:
            break
    return tuple(chosen), frozenset(map(chr, left))


@functools.cache
def _installed() -> tuple[tuple[str, str], ...]:
    """Return family and file of every installed upright font."""
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (font.name, font.fname), reverse=True)
    regular = {
        font.name: font.fname
        for font in fonts
        if font.style == "normal" and font.weight in (400, "normal", "regular", "book")
        if not font.name.lower().startswith(_BOXES)
    }
    order = {name: place for place, name in enumerate(_PREFERRED)}
    return tuple(sorted(regular.items(), key=lambda item: (order.get(item[0], len(order)), item)))


@functools.cache
def _glyphs(path: str) -> frozenset[int]:
    """Return the code points that a font has outlines for; bitmaps, as of coloured emoji, cannot be drawn."""
    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):  # a file that is gone, or that FreeType cannot read
        return frozenset()
