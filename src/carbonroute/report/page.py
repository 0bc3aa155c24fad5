"""The content of a page, in parts, and its rendering as HTML."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, ClassVar, Literal

from carbonroute.errors import visible

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_LONG_WORD = 12
_SHORT_NAME = 16
_LONG_TABLE = 10
_WITH_UNIT = re.compile(r"(?<![^\s(±])(?:± )?\d[\d.,]* (?:%|ms\b|[kmµ]?g\b|t\b)")


@dataclass(frozen=True)
class Column:
    """A column of a table: its text, and how it is aligned and sorted."""

    heading: str
    unit: str = ""
    numeric: bool = True
    best: Literal["low", "high"] | None = None  # the end that the first click on its heading sorts to the top
    prose: bool = False  # whether its cells are sentences, which need room

    @property
    def has_long_word(self) -> bool:
        """Whether a word of it is too long for a column: that one may be broken anywhere."""
        return any(len(word) > _LONG_WORD for word in f"{self.heading} {self.unit}".split())


@dataclass(frozen=True)
class TableCell:
    """A cell of a table."""

    text: str
    value: float | str | None = None  # what it is sorted by; None sorts last
    detail: str = ""  # smaller text below

    @property
    def is_short_name(self) -> bool:
        """Whether it is a name, such as us-east-1, that stays on one line."""
        return isinstance(self.value, str) and 0 < len(self.text) <= _SHORT_NAME and " " not in self.text


@dataclass(frozen=True)
class TableRow:
    """A row of a table; its first cell is its heading."""

    cells: tuple[TableCell, ...]
    clairvoyant: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table; in a row there are as many cells as there are columns."""

    kind: ClassVar[str] = "table"
    id: str  # unique on the page
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    sortable: bool = True  # by readers
    summary: str = ""  # the line that unfolds it; nothing if it is always open

    @property
    def long(self) -> bool:
        """Whether it is folded on a phone, where each row is as high as it has columns."""
        return not self.summary and len(self.rows) > _LONG_TABLE

    @property
    def clairvoyant(self) -> bool:
        """Whether any row is marked."""
        return any(row.clairvoyant for row in self.rows)


@dataclass(frozen=True)
class FigureBlock:
    """A drawing: its subject, its result here, and how to read it."""

    kind: ClassVar[str] = "figure"
    id: str  # unique on the page
    heading: str
    svg: str  # as `carbonroute.report.svg.inline` gives it: the one text that is not escaped
    finding: str
    reading: str
    narrow: str = ""  # the same, drawn for a phone, if it is wide


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
class Terms:
    """Terms, each with its value."""

    kind: ClassVar[str] = "terms"
    terms: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """Text to copy as it is; folded away behind a summary, if there is one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


@dataclass(frozen=True)
class Switches:
    """Boxes to tick, one per policy in the table's order: without its tick, the drawings hide the policy."""

    kind: ClassVar[str] = "switches"
    names: tuple[str, ...]


Block = TableBlock | FigureBlock | Text | Items | Terms | Code | Switches


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
    """The content of a page."""

    title: str
    description: str
    about: tuple[str, ...]  # its size, in a few words each
    finding: str  # the result in a sentence
    verdicts: tuple[Verdict, ...]  # on the objectives
    warnings: tuple[str, ...]  # remarks to read before anything else
    sections: tuple[Section, ...]
    maker: str  # the program and version that made it


@functools.cache
def _template() -> Template:
    """Return the page's template: it takes longer to compile than to fill."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("carbonroute", "report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["tied"] = tied
    return environment.get_template("page.html.j2")


def render(page: Page) -> str:
    """Return a page as one HTML file, which asks for nothing beyond itself."""
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    # How the page's content security policy names its script.
    digest = f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
    return visible(_template().render(page=page, style=style, script=script, script_digest=digest))


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
