"""The check of the documentation site: what is broken is found, what is whole passes."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from documentation.site import faults
from helpers.pages import ROOT

PAGE = """<!doctype html><html><head><link rel="stylesheet" href="{up}a.css"><script src="{up}a.js"></script>
<style>p {{ background: url(data:image/png;base64,AA) }}</style></head><body>
<nav class="md-nav md-nav--primary"><a href="{up}index.html">Home</a><a href="{up}sub/b.html">B</a>
</nav><nav class="md-footer"><a href="{up}index.html#top">top</a></nav>
<h1 id="top">x</h1><p><a href="https://example.org/page">a link that a reader follows</a>{body}</p>
<svg xmlns="http://www.w3.org/2000/svg"></svg><img src="{up}a.png" alt="an image"></body></html>"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.css").write_text("@import url('b.css'); p { background: url(a.png) }")
    for name in ("b.css", "a.js", "a.png"):
        (tmp_path / name).write_text("")
    (tmp_path / "index.html").write_text(PAGE.format(up="", body='<a href="sub/b.html#top">b</a>'))
    (tmp_path / "sub/b.html").write_text(PAGE.format(up="../", body='<a href="../?q=1#top">home</a>'))
    (tmp_path / "404.html").write_text(PAGE.format(up="/", body=""))
    return tmp_path


def test_a_whole_site_has_no_faults(site: Path) -> None:
    assert list(faults(site)) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="c.html">c</a>', "sub/b.html: c.html: there is no such page or file"),
        ('<a href="b.md">c</a>', "sub/b.html: b.md: there is no such page or file"),
        ('<a href="#lost">c</a>', "sub/b.html: #lost: sub/b.html has no such anchor"),
        ('<a href="../index.html#lost">c</a>', "../index.html#lost: index.html has no such anchor"),
        ('<a href="../../etc">c</a>', "sub/b.html: ../../etc: there is no such page or file"),
        ('<img src="lost.png" alt="a">', "sub/b.html: lost.png: there is no such page or file"),
        ('<img src="../a.png" alt="">', "sub/b.html: ../a.png: an image without alternative text"),
        ('<img src="//h.org/a.png" alt="a">', "sub/b.html: //h.org/a.png: loaded from elsewhere"),
        ('<img srcset="https://h.org/a.png" alt="a">', "https://h.org/a.png: loaded from elsewhere"),
        ('<script src="https://h.org/a.js"></script>', "https://h.org/a.js: loaded from elsewhere"),
        ('<link rel="preconnect" href="https://h.org">', "https://h.org: loaded from elsewhere"),
        ('<iframe src="http://h.org/"></iframe>', "http://h.org/: loaded from elsewhere"),
        ('<object data="https://h.org/a.svg"></object>', "https://h.org/a.svg: loaded from elsewhere"),
        ('<p style="background: url(https://h.org/a)">a</p>', "https://h.org/a: loaded from elsewhere"),
        ("<style>@import 'https://h.org/a.css';</style>", "https://h.org/a.css: loaded from elsewhere"),
    ],
)
def test_what_is_broken_in_a_page_is_found(site: Path, body: str, fault: str) -> None:
    (site / "sub/b.html").write_text(PAGE.format(up="../", body=body))
    (found,) = faults(site)
    assert fault in found


def test_a_style_sheet_that_loads_from_elsewhere_is_found(site: Path) -> None:
    (site / "b.css").write_text("@font-face { src: url(https://h.org/font.woff2) }")
    assert list(faults(site)) == ["b.css: https://h.org/font.woff2: loaded from elsewhere"]


def test_a_page_outside_the_navigation_is_found(site: Path) -> None:
    shutil.copy(site / "sub/b.html", site / "sub/c.html")
    assert list(faults(site)) == ["sub/c.html: not in the navigation (zensical.toml)"]


def test_a_folder_without_pages_is_no_site(tmp_path: Path) -> None:
    assert "no pages" in "".join(faults(tmp_path))


def test_the_settings_take_nothing_from_elsewhere_and_name_every_page() -> None:
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    assert project["theme"]["font"] is False
    assert "://" not in text
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r'"([\w/-]+\.md)"', text)) == pages


def test_every_page_is_read_under_a_policy_that_keeps_to_this_host() -> None:
    page = (ROOT / "scripts/documentation/theme/main.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
    assert "*" not in policy
