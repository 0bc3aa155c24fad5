"""Opening a file in a browser, and keeping what the browser says of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page


@dataclass
class Opened:
    """A page that is open, and what became known of it.

    Attributes
    ----------
    page
        The page.
    complaints
        Warnings and errors in its console, errors of its script, and dialogs.
    requests
        Addresses that it asked for, its own among them.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Keep what the browser says from now on."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", self._asked)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"warning", "error", "assert"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@dataclass
class Opener:
    """Opens files, each in a profile of its own."""

    browser: Browser
    stack: ExitStack

    def __call__(
        self,
        file: Path | str,
        *,
        width: int = 1280,
        scheme: Literal["light", "dark"] = "light",
        media: Literal["screen", "print"] = "screen",
        script: bool = True,
    ) -> Opened:
        """Open a file, or an address on loopback, in a window of a width in CSS pixels."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=script
        )
        self.stack.callback(context.close)
        opened = Opened(context.new_page())
        opened.watch()
        opened.page.emulate_media(media=media)
        opened.page.goto(file if isinstance(file, str) else file.as_uri(), wait_until="load")
        return opened
