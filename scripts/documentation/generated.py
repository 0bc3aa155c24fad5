"""The generated pages: their names, and what makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from documentation import commands, keys

REFERENCE = Path(__file__).parents[2] / "docs/reference"

#: What makes each page of `REFERENCE`.
PAGES: MappingProxyType[str, Callable[[], str]] = MappingProxyType(
    {"scenario.md": keys.page, "live.md": keys.live_page, "commands.md": commands.page}
)
