"""``carbonroute inspect``: content and faults of a data file, or of all data of a scenario."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from cyclopts import Parameter
from rich.segment import Segment

from carbonroute.cli.imported import print_import
from carbonroute.cli.options import NoCode
from carbonroute.cli.terminal import empty_table, out, print_json, results_alone
from carbonroute.errors import Fault, InputError
from carbonroute.files.folder import write_named
from carbonroute.inspection import Inspection, Kind, inspect_file

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from carbonroute.figures import Format

_FORMATS = ("png", "svg", "pdf")
#: Rows of a table that are printed.
_MOST_ROWS = 200
_TITLES = {
    "carbon": "carbon intensity",
    "traffic": "requests",
    "rates": "request rates",
    "rtt": "round-trip times",
}


def inspect(
    file: str,
    /,
    *,
    kind: Annotated[Kind | None, Parameter(name="--as")] = None,
    picture: Path | None = None,
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    no_code: NoCode = False,
) -> int:
    """Describe a data file: its content, its faults, and the scenario lines that read it.

    For a scenario, every file is inspected with the scenario's settings, and so are synthetic signals. For a
    log, metrics or a table of requests, the report is that of `carbonroute import`, with the commands.

    Parameters
    ----------
    file
        A file of carbon intensities, requests, request rates or round-trip times; or a scenario: a TOML file
        or a built-in scenario's name.
    kind
        Kind of the file, where it is not recognised correctly.
    picture
        Draw it into this file (.png, .svg or .pdf); of a scenario, every part into a numbered file.
    json
        Print all of it as JSON, at full precision.
    """
    form = None if picture is None else _format(picture)
    is_scenario = _is_scenario(file)
    if is_scenario and kind is not None:
        raise InputError(
            "--as",
            [Fault("", "found a scenario", "leave it out: the scenario states the kinds of its files")],
        )
    own: _Imported | None = None
    parts: Sequence[Inspection] = ()
    with results_alone():
        if is_scenario:
            from carbonroute.inspection.scenario import inspect_scenario
            from carbonroute.scenario import load

            parts = inspect_scenario(load(file, code=not no_code))
        else:
            try:
                parts = [inspect_file(Path(file), kind)]
            except InputError:
                if kind is not None or picture is not None or not _is_importable(Path(file)):
                    raise
                own = _imported(Path(file))
        drawn = _draw(parts, picture, cast("Format", form)) if picture is not None else []
    if own is not None:
        _print_imported(own, as_json=json)
        return 0
    if json:
        content = (
            {"scenario": file, "parts": [part.as_json() for part in parts]}
            if is_scenario
            else parts[0].as_json()
        )
        print_json(content)
        return 0
    console = out()
    for part in parts:
        _print(console, part)
    for path in drawn:
        console.print(f"\nWrote {path}.", soft_wrap=True)
    return 0


def _is_scenario(file: str) -> bool:
    if file.endswith(".toml") or Path(file).exists():
        return file.endswith(".toml")
    from carbonroute.scenario import builtin_scenarios

    return file in builtin_scenarios()


def _is_importable(path: Path) -> bool:
    from carbonroute.importing.recognition import is_importable

    return is_importable(path)


@dataclass(frozen=True)
class _Imported:
    """How a file would be imported, and the commands that do it and run the scenario."""

    report: dict[str, Any]
    commands: tuple[str, ...]


def _imported(path: Path) -> _Imported:
    """Read a file as it would be imported; nothing is written."""
    from carbonroute.importing.importer import import_files
    from carbonroute.importing.settings import ImportSettings

    folder = path.name.partition(".")[0] or "imported"
    output = f"{folder}.toml"
    imported = import_files([path], ImportSettings(), Path(output))
    making = shlex.join(["carbonroute", "import", str(path), "--output", output])
    further = (["validate", output], ["simulate", output, "--no-figures", "--output", folder])
    commands = [" ".join([making, *imported.options]), *(shlex.join(["carbonroute", *c]) for c in further)]
    return _Imported(imported.as_json(), tuple(commands))


def _print_imported(own: _Imported, *, as_json: bool) -> None:
    if as_json:
        print_json({**own.report, "commands": own.commands})
        return
    console = out()
    print_import(console, own.report)
    said = "Commands that make a scenario of it (capitals: yours to fill in) and run it"
    console.print(f"\n{said}:\n", soft_wrap=True)
    for command in own.commands:
        console.print(command, soft_wrap=True)


def _format(picture: Path) -> str:
    form = picture.suffix.lower().removeprefix(".")
    if form not in _FORMATS:
        problem = f"found {picture.suffix!r}" if form else "the name has no ending"
        raise InputError(
            str(picture), [Fault("--picture", problem, "a name in .png, .svg or .pdf is expected")]
        )
    return form


def _draw(parts: Sequence[Inspection], picture: Path, form: Format) -> list[Path]:
    """Draw every part that has a picture, into one file or numbered ones; return the paths."""
    from carbonroute.figures import render

    drawable = [part for part in parts if part.pictures]
    if not drawable:
        raise InputError(parts[0].name, [Fault("--picture", "there is nothing to draw", "see its findings")])
    paths = []
    for place, part in enumerate(drawable, start=1):
        name = picture if len(drawable) == 1 else picture.with_stem(f"{picture.stem}-{place}-{part.kind}")
        write_named(name, render(f"inspection_{part.kind}", part.pictures, form))
        paths.append(name)
    return paths


def _print(console: Console, part: Inspection) -> None:
    lines = [f"\n{part.name}: {_TITLES[part.kind]}"]
    for name, value in filter(lambda item: item[1] or item[0] == "row names", part.reading.items()):
        lines.append(
            f"  {name}: {value!r}" if name.endswith(("column", "names")) else f"  {name}: {_line(value)}"
        )
    console.print("\n".join(lines), soft_wrap=True)
    if part.quantities:
        console.print(_facts(part.quantities))
    if not part.table.is_empty():
        console.print(_rows(part, console))
    if part.table.height > _MOST_ROWS:
        console.print(f"… and {part.table.height - _MOST_ROWS:,} rows more, which --json prints.")
    for finding in part.findings:
        console.print(f"– {finding}.", soft_wrap=True)
    if part.suggestion:
        console.print(
            "\nSuggested scenario lines (paths are relative to the scenario file):\n", soft_wrap=True
        )
        console.print(part.suggestion, soft_wrap=True)


def _facts(values: Any) -> Table:
    table = empty_table(headings=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in values.items():
        table.add_row(_heading(name), shown(value))
    return table


def _rows(part: Inspection, console: Console) -> RenderableType:
    """Return the table of an inspection, without columns that are empty or count no fault.

    Where it fits the console's width, its rows are laid out here, under the heading that rich lays out: that
    takes a tenth of the time, and looks the same.
    """
    silent = {
        name
        for name, column in zip(part.table.columns, part.table.iter_columns(), strict=True)
        if (column.dtype.is_integer() and "est_hour" not in name and not column.sum())
        or column.null_count() == len(column)
    }
    columns = part.table.select(name for name in part.table.columns if name not in silent).head(_MOST_ROWS)
    texts = [[*map(shown, column)] for column in columns.iter_columns()]
    plain = all(text.isascii() and text.isprintable() for column in texts for text in column if text != "–")
    lines = _lines(columns, texts)
    if plain and max(map(len, lines)) < console.width:
        widest = _headed(columns, [max(column, key=len) for column in texts])
        return _TableRows(widest, lines)
    return _headed(columns, *zip(*texts, strict=True))


def _lines(columns: pl.DataFrame, texts: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of plain text as rich lays them out below the heading of `_headed`."""
    padded = []
    for (name, dtype), column in zip(columns.schema.items(), texts, strict=True):
        width = max(map(len, [*_words(name), *column]))
        pad = str.rjust if dtype.is_numeric() else str.ljust
        padded.append([pad(text, width) for text in column])
    return [f" {'  '.join(row)}  " for row in zip(*padded, strict=True)]


@dataclass(frozen=True)
class _TableRows:
    """Rows below the heading of a table.

    Attributes
    ----------
    widest
        A table with one row, of the widest text of each column.
    lines
        The rows, laid out in columns as wide as its own.
    """

    widest: Table
    lines: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table with these rows in place of its own."""
        *heading, _, end = Segment.split_lines(console.render(self.widest, options))
        for line in heading:
            yield from (*line, Segment.line())
        yield Segment("".join(f"{line}\n" for line in self.lines))
        yield from (*end, Segment.line())


def _headed(columns: pl.DataFrame, *rows: Sequence[str]) -> Table:
    """Return rows of text as a table with the headings of columns; numbers stand on the right."""
    table = empty_table()
    for name, dtype in columns.schema.items():
        justify: Literal["left", "right"] = "right" if dtype.is_numeric() else "left"
        table.add_column("\n".join(_words(name)), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _words(name: str) -> list[str]:
    """Return the words of a column's heading, a line each."""
    return _heading(name).split(" ")


def _heading(name: str) -> str:
    for ending, unit in (("_pct", " %"), ("_ms", " ms"), ("_utc", " UTC")):
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " ") + unit
    return name.replace("_", " ")


def _line(text: str) -> str:
    """Return text of a file on one line."""
    return text.replace("\n", "\\n")


def shown(value: Any) -> str:
    """Return a value as text.

    >>> shown(17544), shown(0.95443), shown(583.0), shown(1234567.8), shown(float("nan")), shown(None)
    ('17,544', '0.9544', '583', '1,234,568', '–', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | str):
        return _line(str(value))
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
