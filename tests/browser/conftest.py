"""A real Chromium, and pages opened in it from the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .opening import Opener

COMMANDS = ("chromium", "chromium-browser", "google-chrome")
#: No sandbox, as root has none; no graphics card; and nothing that asks a network by itself.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


def command() -> str:
    """Return the browser's place; without one, skip the test, or fail it where a browser is required."""
    found = next(filter(None, map(shutil.which, COMMANDS)), None)
    if found is not None:
        return found
    missing = f"needs one of the commands {', '.join(COMMANDS)}: scripts/browser installs one"
    if os.environ.get("CARBONROUTE_BROWSER") == "required":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")  # not longer: while it is there, no other test could run an event loop
def browser() -> Iterator[Browser]:
    """Yield a running Chromium."""
    place = command()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=place, headless=True, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def free() -> dict[bool, list[Page]]:
    """Return the pages that no test uses, with scripts and without."""
    return {True: [], False: []}


@pytest.fixture
def opened(browser: Browser, free: dict[bool, list[Page]]) -> Iterator[Opener]:
    """Yield what opens a file; what it opened is left after the test."""
    with ExitStack() as stack:
        yield Opener(browser, stack, free)
