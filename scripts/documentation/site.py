"""The check of a built site: links, anchors, images, navigation, and nothing from another host.

`python -m documentation.site site` prints the faults, and exits with 1 where there are any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes by which a page loads something by itself; only `a` and `area` have links that readers follow.
_LOADS = ("src", "srcset", "href", "data", "poster", "action", "xlink:href")
_FOLLOWED = ("a", "area")
#: Names of XML languages, which no browser fetches.
_NAMES = ("http://www.w3.org/",)
_IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?\s*([^"')\s;]+)""")


@dataclass
class Page(HTMLParser):
    """The parts of a built page that can be broken.

    Attributes
    ----------
    place
        Its file, relative to the site.
    ids
        Anchors.
    links
        What a reader can follow.
    loads
        What the page loads by itself.
    navigation
        Links of the navigation.
    unnamed
        Images without an alternative text.
    """

    place: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    navigation: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    _navs: list[bool] = field(default_factory=list)
    _in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take over the anchors and references of a tag."""
        given = {name: value or "" for name, value in attrs}
        if name := given.get("id"):
            self.ids.add(name)
        if tag == "nav":
            self._navs.append("md-nav--primary" in given.get("class", ""))
        if tag in _FOLLOWED and "href" in given:
            self.links.append(given["href"])
            if any(self._navs):
                self.navigation.append(given["href"])
        else:
            self.loads += (given[name] for name in _LOADS if given.get(name))
        if tag == "img" and not given.get("alt"):
            self.unnamed.append(given.get("src", ""))
        self.loads += _IN_STYLES.findall(given.get("style", ""))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        """Leave a navigation."""
        if tag == "nav":
            self._navs.pop()

    def handle_data(self, data: str) -> None:
        """Take over what a style sheet in the page loads."""
        if self._in_style:
            self.loads += _IN_STYLES.findall(data)


def faults(site: Path) -> Iterator[str]:
    """Yield the faults of a built site, each with its page."""
    pages = {path.relative_to(site): _read(site, path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no pages; scripts/docs builds them"
    for place, page in pages.items():
        for link in [*page.links, *page.loads]:
            if problem := _broken(link, page, pages, site):
                yield f"{place}: {link}: {problem}"
        yield from (f"{place}: {load}: loaded from elsewhere" for load in page.loads if _foreign(load))
        yield from (f"{place}: {source}: an image without alternative text" for source in page.unnamed)
    listed = {_target(link, page)[0] for page in pages.values() for link in page.navigation}
    for place in pages:
        if place not in listed and place.name != "404.html":
            yield f"{place}: not in the navigation (zensical.toml)"
    for style in sorted(site.rglob("*.css")):
        for load in _IN_STYLES.findall(style.read_text(encoding="utf-8")):
            if _foreign(load):
                yield f"{style.relative_to(site)}: {load}: loaded from elsewhere"


def _read(site: Path, path: Path) -> Page:
    page = Page(path.relative_to(site))
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def _foreign(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.netloc or parts.scheme not in {"", "data", "blob"}) and not link.startswith(_NAMES)


def _target(link: str, page: Page) -> tuple[Path, str]:
    """Return the file of the site that a link of a page leads to, and the anchor in it."""
    parts = urlsplit(link)
    path = unquote(parts.path)
    if not path:
        return page.place, unquote(parts.fragment)
    whole = Path(path.lstrip("/")) if path.startswith("/") else page.place.parent / path
    steps: list[str] = []
    for step in whole.parts:
        if step != "..":
            steps.append(step)
        else:
            steps = steps[:-1] if steps else [".."]
    target = Path(*steps)
    return (target / "index.html" if path.endswith(("/", ".")) else target), unquote(parts.fragment)


def _broken(link: str, page: Page, pages: dict[Path, Page], site: Path) -> str:
    """Return the fault of a link within the site, or nothing."""
    if urlsplit(link).scheme or urlsplit(link).netloc:
        return ""
    target, anchor = _target(link, page)
    if not (site / target).is_file():
        return "there is no such page or file"
    if anchor and target in pages and anchor not in pages[target].ids:
        return f"{target} has no such anchor"
    return ""


if __name__ == "__main__":
    failed = list(faults(Path(sys.argv[1])))
    sys.stderr.writelines(f"{fault}\n" for fault in failed)
    sys.exit(bool(failed))
