"""The documentation site as a reader meets it: it fits every screen, stays alone, and its search finds."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from helpers.pages import ROOT

from .opening import Opener

SITE = ROOT / "site"
PAGES = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
#: All but the decisions, which are text alone, and the page for addresses that lead nowhere.
READ = [page for page in PAGES if not page.startswith("decisions/") and page != "404.html"]
#: Pages with something that is wide: long commands, tables of keys, tables of figures, pictures.
WIDE = [
    "index.html",
    "start/engineer.html",
    "reference/scenario.html",
    "capacity.html",
    "guides/certainty.html",
]

pytestmark = pytest.mark.skipif(not PAGES, reason="needs the site in site/: scripts/docs builds it")


def foreign(requests: list[str]) -> list[str]:
    """Return the addresses that are neither of the disk nor of the page itself."""
    return [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]


def sideways(page: Page) -> list[str]:
    """Return what a reader must scroll sideways: the page, and what should wrap, such as tables of keys.

    Tables of figures and code other than commands scroll in a frame of their own.
    """
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    whole = ["the page"] if page.evaluate(wider) else []
    framed = page.evaluate(
        """[...document.querySelectorAll('.keys, .language-console')].filter(
            one => [one, ...one.querySelectorAll('*')].some(
                part => part.scrollWidth > part.clientWidth + 1
                    && ['auto', 'scroll'].includes(getComputedStyle(part).overflowX))
        ).map(one => one.textContent.trim().slice(0, 60))"""
    )
    return [*whole, *framed]


@pytest.mark.parametrize("page", READ)
def test_a_page_fits_a_phone_and_asks_no_other_host(page: str, opened: Opener) -> None:
    seen = opened(SITE / page, width=360)
    assert not sideways(seen.page)
    assert foreign(seen.requests) == []
    assert seen.page.locator("h1").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_wide_pages_fit_every_screen(width: int, scheme: Literal["light", "dark"], opened: Opener) -> None:
    for page in WIDE:
        seen = opened(SITE / page, width=width, scheme=scheme)
        assert not sideways(seen.page), page
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_figures_are_inverted_in_the_dark(opened: Opener) -> None:
    schemes: dict[Literal["light", "dark"], bool] = {"light": False, "dark": True}
    for scheme, inverted in schemes.items():
        seen = opened(SITE / "index.html", scheme=scheme)
        style = seen.page.locator(".md-content img").first.evaluate("one => getComputedStyle(one).filter")
        assert ("invert" in style) == inverted


@pytest.fixture
def address() -> Iterator[str]:
    """Yield the address of a server of the site on this machine."""
    handler = functools.partial(Silent, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class Silent(SimpleHTTPRequestHandler):
    """A server that prints nothing."""

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def test_the_search_finds_a_key_and_other_hosts_are_refused(browser: Browser, address: str) -> None:
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    slow = page.context.new_cdp_session(page)  # the search hears no key before its own script has run
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 20})
    page.goto(f"{address}start/engineer.html")
    page.locator("input[type=text]").wait_for(state="attached")
    page.keyboard.press("Control+k")
    page.locator("input[type=text]:focus").wait_for()
    page.keyboard.type("carbon_profile")
    page.get_by_text(re.compile(r"^[1-9]\d* results?$")).wait_for(timeout=120_000)
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    script = "url => fetch(url).then(() => 'loaded', () => 'refused')"
    assert page.evaluate(script, "https://example.invalid/") == "refused"
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy is not None
    assert "default-src 'self'" in policy
    page.close()
