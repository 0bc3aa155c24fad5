"""What rich prints by: imported where there is something to print in tables or colours."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from carbonroute.errors import visible


class EscapingConsole(Console):
    """A console that lets no control characters through but its own."""

    def on_broken_pipe(self) -> None:
        """Leave it to `main`."""
        raise  # noqa: PLE0704  rich calls this while it handles that error

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render with escaped control characters, except those of the console itself."""
        for segment in super().render(renderable, options):
            is_safe = segment.control or segment.text.isprintable()
            yield segment if is_safe else segment._replace(text=visible(segment.text))
