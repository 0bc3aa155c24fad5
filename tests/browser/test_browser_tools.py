"""The measures find what they are there to find, on pages that hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import conftest
from .measures import broken_words, illegible, scrolling_sideways, sticking_out, texts
from .opening import Opener


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.html"


def write(page: Path, body: str, style: str = "") -> Path:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title><style>{style}</style>'
    page.write_text(f"{head}<body>{body}", encoding="utf-8")
    return page


@pytest.mark.parametrize(
    ("body", "style"),
    [
        ("<p>grey</p>", "p { color: #777 }"),
        ("<p>grey</p>", "p { color: rgb(0 0 0 / 50%) }"),
        ("<p>grey</p>", "p { color: oklch(0.6 0 0) }"),
        ("<p>faded</p>", "p { opacity: 0.5 }"),
        ("<div><p>faded</p></div>", "div { opacity: 0.7 } p { opacity: 0.7 }"),
        ("<p>on grey</p>", "p { background: #666 }"),
        ("<div><p>through</p></div>", "div { background: #444 } p { background: rgb(255 255 255 / 20%) }"),
        ("<p>on an image</p>", "p { background: linear-gradient(#fff, #eee) }"),
        ("<h1>large</h1>", "h1 { color: #999; font-size: 32px }"),
        ("<p></p>", "p::before { content: 'made'; color: #777 }"),
        ("<p data-label='label'></p>", "p::after { content: attr(data-label); color: #777 }"),
    ],
)
def test_text_that_is_hard_to_read_is_found(body: str, style: str, opened: Opener, page: Path) -> None:
    assert len(illegible(opened(write(page, body, style)).page)) == 1


@pytest.mark.parametrize(
    ("body", "style"),
    [
        ("<p>dark grey</p>", "p { color: #757575 }"),
        ("<h1>large</h1>", "h1 { color: #888; font-size: 32px }"),
        ("<p>white on black</p>", "p { color: white; background: black }"),
        ("<p hidden>hidden</p><details><summary>s</summary><p>folded</p></details>", "p { color: #777 }"),
        ("<h1>here</h1><p>away</p>", "p { color: #777; position: absolute; left: -9999px }"),
    ],
)
def test_text_that_can_be_read_is_not(body: str, style: str, opened: Opener, page: Path) -> None:
    assert illegible(opened(write(page, body, style)).page) == []


def test_contrast_is_wcag_s(opened: Opener, page: Path) -> None:
    body = '<p>black</p><p style="color: #767676">grey</p><p style="color: #fff; background: #00f">blue</p>'
    ratios = [text["contrast"] for text in texts(opened(write(page, body)).page)]
    assert ratios == pytest.approx([21, 4.54, 8.59], abs=0.005)


def test_the_scheme_reaches_the_page(opened: Opener, page: Path) -> None:
    write(page, "<p>text</p>", ":root { color-scheme: light dark } p { color: #555 }")
    assert illegible(opened(page).page) == []
    assert len(illegible(opened(page, scheme="dark").page)) == 1


def test_what_sticks_out_is_found(opened: Opener, page: Path) -> None:
    wide = '<div id="wide" style="width: 500px">w</div>'
    write(page, f'{wide}<div id="box" style="overflow-x: auto">{wide.replace("wide", "inside")}</div>')
    shown = opened(page, width=360).page
    assert [name.partition(" ")[0] for name in sticking_out(shown)] == ["div#wide"]
    assert [name.partition(" ")[0] for name in scrolling_sideways(shown)] == ["div#box"]
    assert sticking_out(opened(page, width=768).page) == []


def test_words_that_are_broken_are_found(opened: Opener, page: Path) -> None:
    heads = "".join(f"<th>{words}</th>" for words in ("two words", "Policy", "Violations, most"))
    style = "th { overflow-wrap: anywhere; width: 4rem } table { table-layout: fixed; width: 12rem }"
    write(page, f"<table><thead><tr>{heads}</tr></thead></table>", style)
    assert broken_words(opened(page).page) == ["Violations,"]


def test_requests_and_complaints_are_kept(opened: Opener, page: Path) -> None:
    loads = '<img src="missing.png" alt="m"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="d">'
    script = "<script>console.warn('a'); console.log('b'); alert('c'); nowhere()</script>"
    seen = opened(write(page, loads + script))
    assert [address.rpartition("/")[2][:11] for address in seen.requests if "data" not in address] == [
        "page.html",
        "missing.png",
    ]
    text = "\n".join(seen.complaints)
    for part in (
        "warning: a",
        "dialog: c",
        "error: nowhere is not defined",
        "error: Failed to load resource",
    ):
        assert part in text
    assert ": b" not in text


def test_a_browser_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CARBONROUTE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="scripts/browser installs one"):
        conftest.command()
    monkeypatch.setenv("CARBONROUTE_BROWSER", "required")
    with pytest.raises(pytest.fail.Exception, match="needs one of the commands chromium, "):
        conftest.command()
