"""What rich prints by: imported where there is something to print in tables or colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from carbonroute.cli.spelling import spelled
from carbonroute.errors import visible

#: More than any table needs.
_ANY_WIDTH = 10_000


class EscapingConsole(Console):
    """A console that lets no control characters through but its own, and cuts no table."""

    def on_broken_pipe(self) -> None:
        """Leave it to `main`."""
        raise  # noqa: PLE0704  rich calls this while it handles that error

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text as it will be printed, which tables are measured by."""
        return super().render_str(spelled(text, self.encoding), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render with escaped control characters, except those of the console itself."""
        options = options or self.options
        segments = super().render(renderable, options)
        if isinstance(renderable, Table) and renderable.box and self.is_terminal:  # progress has no box
            segments = list(segments)
            widths = map(Segment.get_line_length, Segment.split_lines(segments))
            least = Measurement.get(self, options.update(width=_ANY_WIDTH), renderable).minimum
            if max((least, *widths)) > options.max_width:
                segments = [part for line in _folded(renderable) for part in self.render(line, options)]
        for segment in segments:
            is_safe = segment.control or segment.text.isprintable()
            yield segment if is_safe else segment._replace(text=visible(segment.text))


def _folded(table: Table) -> Iterator[RenderableType]:
    """Yield a table as a list, a line per cell: for a terminal that is too narrow for its words."""
    first, *others = table.columns
    headings = [" ".join(str(column.header).split()) for column in others]
    if table.title:
        yield Text(str(table.title), style="table.title", end="\n\n")
    for name, *cells in zip(first.cells, *(column.cells for column in others), strict=True):
        if str(name):
            yield Text(str(name), style="bold", overflow="fold")
        for heading, cell in zip(headings, cells, strict=True):
            if str(cell):
                text = ", ".join(str(cell).split("\n"))
                yield Padding(Text(f"{heading}: {text}" if heading else text, overflow="fold"), (0, 0, 0, 2))
    yield Text("")
