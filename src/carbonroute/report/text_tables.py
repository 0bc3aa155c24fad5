"""Tables as text for papers and pages: LaTeX (booktabs), Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class TextColumn:
    """A column: its heading, its unit ("" for none), and whether it holds numbers."""

    heading: str
    unit: str = ""
    numeric: bool = True

    @property
    def title(self) -> str:
        """Heading and unit."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading


@dataclass(frozen=True)
class NumberText:
    """A number as text, alone and with its interval; `low` and `high` are None without one."""

    plain: str
    shown: str
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True)
class TextTable:
    """A table of texts and figures.

    Attributes
    ----------
    title
        Its subject, on one line.
    columns
        In order.
    rows
        As many cells as columns each.
    notes
        Sentences below it.
    """

    title: str
    columns: tuple[TextColumn, ...]
    rows: tuple[tuple[str | NumberText, ...], ...]
    notes: tuple[str, ...] = ()


#: Characters of names that mean something to LaTeX, and letters and signs that its fonts have by a command.
_COMMANDS = MappingProxyType(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\(<\)",
        ">": r"\(>\)", "|": r"\textbar{}", '"': r"\char34{}", "`": r"\char96{}", "[": "{[}", "*": "{*}",
        "±": r"\(\pm\)", "≤": r"\(\leq\)", "≥": r"\(\geq\)", "≈": r"\(\approx\)", "×": r"\(\times\)",
        "·": r"\(\cdot\)", "−": r"\(-\)", "→": r"\(\to\)", "∞": r"\(\infty\)", "°": r"\(^\circ\)",
        "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "©": r"\copyright{}", "£": r"\pounds{}",
        "–": "--", "—": "---", "\u2018": "`", "\u2019": "'", "\u201c": "``", "\u201d": "''", "…": r"\dots{}",
        "\xa0": "~", "\u202f": r"\,", "\u2009": r"\,", "\u2011": "-",
        "¹": r"\(^1\)", "²": r"\(^2\)", "³": r"\(^3\)",
        **{chr(0x2080 + digit): f"\\(_{digit}\\)" for digit in range(10)},
        "µ": r"\(\mu\)", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}",
        "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "\u0131": r"\i{}", "¡": "!`", "¿": "?`",
    }
)  # fmt: skip
#: Greek letters that LaTeX writes as Latin ones: capitals, and the small omicron.
_LATIN = MappingProxyType(
    {
        "ALPHA": "A", "BETA": "B", "EPSILON": "E", "ZETA": "Z", "ETA": "H", "IOTA": "I", "KAPPA": "K",
        "MU": "M", "NU": "N", "OMICRON": "O", "RHO": "P", "TAU": "T", "CHI": "X",
    }
)  # fmt: skip
#: Accents, by their combining character.
_ACCENTS = MappingProxyType(
    {
        "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
        "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
        "\u0323": "d", "\u0331": "b",
    }
)  # fmt: skip


def escaped(text: str) -> str:
    r"""Return a text for LaTeX, in ASCII: what has no command there is named by its code point.

    >>> print(escaped("R&D_50%: α ≤ 0.5, Zürich~1"), escaped("中"))
    R\&D\_50\%: \(\alpha\) \(\leq\) 0.5, Z\"{u}rich\textasciitilde{}1 \texttt{U+4E2D}
    """
    apart = re.sub(r"(?<=-)-", "\0-", unicodedata.normalize("NFC", text))  # two hyphens are no dash
    return "".join("{}" if character == "\0" else _in_latex(character) for character in apart)


def _in_latex(character: str) -> str:
    if character in _COMMANDS:
        return _COMMANDS[character]
    if " " <= character <= "~":
        return character
    if greek := re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, "")):
        return _greek(greek[2], small=greek[1] == "SMALL")
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"\\texttt{{U+{ord(character):04X}}}"


def _greek(letter: str, *, small: bool) -> str:
    if letter in _LATIN and (not small or letter == "OMICRON"):
        return _LATIN[letter].lower() if small else _LATIN[letter]
    name = "lambda" if letter == "LAMDA" else letter.lower()
    return f"\\(\\{name if small else name.capitalize()}\\)"


def latex(table: TextTable) -> str:
    """Return a table as LaTeX; it needs the package booktabs."""
    kinds = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        f"% {_comment(table.title)}. Needs \\usepackage{{booktabs}}.",
        f"\\begin{{tabular}}{{{kinds}}}",
        "\\toprule",
        _latex_row([column.title for column in table.columns]),
        "\\midrule",
        *(_latex_row([_shown(cell) for cell in row]) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {_comment(note)}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return escaped(" ".join(text.split()))


def _latex_row(cells: list[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def markdown(table: TextTable) -> str:
    """Return a table in Markdown, as GitHub and Pandoc read it."""
    rows = [[_in_markdown(column.title) for column in table.columns]]
    rows.append(["--:" if column.numeric else ":--" for column in table.columns])
    rows += [
        [_in_markdown(cell) if isinstance(cell, str) else cell.shown.replace("<", r"\<") for cell in row]
        for row in table.rows
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, *(f"\n{_in_markdown(note)}" for note in table.notes)]) + "\n"


def _in_markdown(text: str) -> str:
    r"""Return a text without meaning to Markdown.

    >>> print(_in_markdown("a|b_c*"))
    a\|b\_c\*
    >>> print(_in_markdown("R&D, &amp;"))
    R&D, \&amp;
    """
    return re.sub(r"([\\`*_{}\[\]<>#|~$]|&(?=#?\w+;))", r"\\\1", " ".join(text.split()))


def as_csv(table: TextTable) -> str:
    """Return a table as CSV: numbers alone in their cells, and the ends of intervals in columns behind."""
    ranged = [
        any(isinstance(cell, NumberText) and cell.low for cell in cells)
        for cells in zip(*table.rows, strict=True)
    ]
    ranged = ranged or [False for _ in table.columns]
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    heads = [
        [column.title, f"{column.title} low", f"{column.title} high"][: 3 if wide else 1]
        for column, wide in zip(table.columns, ranged, strict=True)
    ]
    writer.writerow([head for each in heads for head in each])
    for row in table.rows:
        cells: list[str] = []
        for cell, wide in zip(row, ranged, strict=True):
            if isinstance(cell, str):
                cells += [cell, "", ""][: 3 if wide else 1]
            else:
                cells += [_number(cell.plain), cell.low or "", cell.high or ""][: 3 if wide else 1]
        writer.writerow(cells)
    return content.getvalue()


def _number(plain: str) -> str:
    return "" if plain == "–" else plain


def _shown(cell: str | NumberText) -> str:
    return cell if isinstance(cell, str) else cell.shown


FORMATS: Mapping[str, Callable[[TextTable], str]] = MappingProxyType(
    {"latex": latex, "markdown": markdown, "csv": as_csv}
)
