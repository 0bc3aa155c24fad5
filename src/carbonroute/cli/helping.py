"""How the help of a command is printed: its examples can be copied as they stand."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import ConsoleOptions, RenderableType
from rich.markdown import CodeBlock
from rich.segment import Segment
from rich.text import Text

from carbonroute.cli.console import EscapingConsole


class HelpConsole(EscapingConsole):
    """A console that pads no line of an example: a shell goes on after a backslash at its very end alone."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render; blocks of code as plain lines."""
        if isinstance(renderable, CodeBlock):
            renderable = Text(str(renderable.text).rstrip(), overflow="fold")
        return super().render(renderable, options)
