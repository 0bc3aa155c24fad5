"""Opening a file in a browser, and keeping what the browser says of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, Request


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
        for event, take in self._heard().items():
            self.page.on(event, take)

    def leave(self) -> None:
        """Show nothing, and keep no more."""
        self.page.unroute_all()
        self.page.goto("about:blank")
        for event, take in self._heard().items():
            self.page.remove_listener(event, take)

    def _heard(self) -> dict[Any, Callable[..., None]]:
        return {
            "console": self._said,
            "pageerror": self._failed,
            "dialog": self._asked,
            "request": self._requested,
        }

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"error: {error}")

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"warning", "error", "assert"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@dataclass
class Opener:
    """Opens files, each in a page of its own, which is used again after the test."""

    browser: Browser
    stack: ExitStack
    free: dict[bool, list[Page]]

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
        pages = self.free[script] if media == "screen" else []  # one that was left takes no other medium
        page = pages.pop() if pages else self.browser.new_context(java_script_enabled=script).new_page()
        opened = Opened(page)
        opened.watch()
        self.stack.callback(self.give_back, opened, pages)
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(media=media, color_scheme=scheme)
        page.goto(file if isinstance(file, str) else file.as_uri(), wait_until="load")
        return opened

    def give_back(self, opened: Opened, pages: list[Page]) -> None:
        opened.leave()
        pages.append(opened.page)
