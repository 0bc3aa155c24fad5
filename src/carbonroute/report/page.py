"""The content of a page, in parts, and its rendering as HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, ClassVar, Literal

from carbonroute.errors import visible

if TYPE_CHECKING:
    from markupsafe import Markup

_LONG_WORD = 12
_WITH_UNIT = re.compile(r"(?<![^\s(±])(?:± )?\d[\d.,]* (?:%|ms\b|[kmµ]?g\b|t\b)")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    heading, unit
        Its text.
    numeric
        Whether it holds numbers.
    best
        Which end is the good one, or None: the first click on its heading sorts that end to the top.
    """

    heading: str
    unit: str = ""
    numeric: bool = True
    best: Literal["low", "high"] | None = None

    @property
    def has_long_word(self) -> bool:
        """Whether a word of it is too long for a column: that one may be broken anywhere."""
        return any(len(word) > _LONG_WORD for word in f"{self.heading} {self.unit}".split())


@dataclass(frozen=True)
class TableCell:
    """A cell of a table.

    Attributes
    ----------
    text, detail
        Its text, and smaller text below that.
    value
        The value that it is sorted by; None sorts last.
    """

    text: str
    value: float | str | None = None
    detail: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row of a table; its first cell is its heading."""

    cells: tuple[TableCell, ...]
    clairvoyant: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table, in the order that it is first shown in.

    Attributes
    ----------
    id
        Of the element; unique on the page.
    caption
        Its subject.
    columns, rows
        As many cells in a row as there are columns.
    sortable
        Whether readers can sort it.
    summary
        The line that unfolds it; nothing if it is always open.
    """

    kind: ClassVar[str] = "table"
    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    sortable: bool = True
    summary: str = ""

    @property
    def clairvoyant(self) -> bool:
        """Whether any row is marked."""
        return any(row.clairvoyant for row in self.rows)


@dataclass(frozen=True)
class FigureBlock:
    """A drawing.

    Attributes
    ----------
    id
        Of the element; unique on the page.
    heading
        Its subject.
    svg
        The drawing, as `carbonroute.report.svg.inline` gives it: the one text that is not escaped.
    finding, reading
        Its result here, and how to read it.
    """

    kind: ClassVar[str] = "figure"
    id: str
    heading: str
    svg: str
    finding: str
    reading: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Items:
    """A list of remarks."""

    kind: ClassVar[str] = "items"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Terms, each with its value."""

    kind: ClassVar[str] = "facts"
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """Text to copy as it is; folded away behind a summary, if there is one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


Block = TableBlock | FigureBlock | Text | Items | Facts | Code


@dataclass(frozen=True)
class Section:
    """A part of the page, named in its contents."""

    id: str
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Verdict:
    """An objective, and whether it was met."""

    met: bool
    text: str


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Attributes
    ----------
    title, description
        Its subject.
    about
        Its size in a few words each.
    finding
        The result in a sentence.
    verdicts
        The objectives.
    warnings
        Remarks to read before anything else.
    sections
        The rest, in order.
    maker
        The program and version that made it.
    """

    title: str
    description: str
    about: tuple[str, ...]
    finding: str
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    maker: str


def render(page: Page) -> str:
    """Return a page as one HTML file, which asks for nothing beyond itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("carbonroute", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tied"] = tied
    script = _asset("page.js")
    template = environment.get_template("page.html.j2")
    style = _asset("page.css")
    return visible(template.render(page=page, style=style, script=script, script_digest=_digest(script)))


def tied(text: str) -> Markup:
    """Return a text in which no line ends between a number and its unit; all else in it is escaped.

    >>> print(tied("at 5 % of <all>"))
    at <span class="tied">5 %</span> of &lt;all&gt;
    """
    from markupsafe import Markup

    parts, place = Markup(), 0
    for match in _WITH_UNIT.finditer(text):
        parts += text[place : match.start()]
        parts += Markup('<span class="tied">{}</span>').format(match.group())
        place = match.end()
    return parts + text[place:]


def _asset(name: str) -> str:
    return (resources.files("carbonroute.report") / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return how a content security policy names a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
