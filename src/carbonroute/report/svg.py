"""A drawing as part of a page: its names are its own, and it carries no text but its label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

#: Pixels of the page per point of a drawing: its letters of 7 pt then are as large as the page's.
_PX_PER_PT = 2.15
#: Wider drawings take the page's whole width, not one of its two columns.
_COLUMN_PX = 600
_URL = re.compile(r"url\(#([^)]+)\)")
_NEEDLESS_DIGITS = re.compile(r"(\.\d\d)\d+")
_HREF = "{http://www.w3.org/1999/xlink}href"
#: What matplotlib says of all elements in a style sheet, which here would be the whole page's.
_STROKES = "stroke-linejoin: round; stroke-linecap: butt"


def inline(svg: bytes, prefix: str, label: str) -> str:
    """Return a drawing as an element of a page.

    Comments and metadata are left out: matplotlib repeats there what it draws, names of the user's included.
    So are the names of elements that nothing refers to; the others begin with the prefix, which is unique on
    the page. The label is for those who do not see the drawing.

    >>> drawing = b'<svg width="20pt" height="10pt"><!-- x --><g id="a"/><g id="b"/><use href="#a"/></svg>'
    >>> inline(drawing, "one", "A dot.").partition("<g")[2]
    ' id="one-a" /><g /><use href="#one-a" /></svg>'
    """
    root = ElementTree.fromstring(svg)  # noqa: S314  our own drawing, not a file from elsewhere
    for parent in list(root.iter()):
        for child in [child for child in parent if _local(child) in {"metadata", "style"}]:
            parent.remove(child)
    used = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        _adapt(element, prefix, used)
    for side in ("width", "height"):
        root.set(side, str(round(float(root.attrib[side].removesuffix("pt")) * _PX_PER_PT)))
    if int(root.attrib["width"]) > _COLUMN_PX:
        root.set("class", "wide")
    root.attrib.update({"style": _STROKES, "role": "img", "aria-label": label})
    return ElementTree.tostring(root, encoding="unicode")


def _local(element: Element) -> str:
    """Return an element's name without its namespace, which HTML knows by itself."""
    return element.tag.rpartition("}")[2]


def _references(element: Element) -> Iterator[str]:
    """Yield the names of other elements that one refers to."""
    for name, value in element.attrib.items():
        if name in {_HREF, "href"}:
            yield value.removeprefix("#")
        yield from _URL.findall(value)


def _adapt(element: Element, prefix: str, used: set[str]) -> None:
    element.tag = _local(element)
    element.text = element.tail = None
    attributes = {"href" if name == _HREF else name: value for name, value in element.attrib.items()}
    if (own := attributes.pop("id", None)) in used:
        attributes["id"] = f"{prefix}-{own}"
    for name, value in attributes.items():
        if name == "href" and value.startswith("#"):
            attributes[name] = f"#{prefix}-{value[1:]}"
        elif name == "d":
            attributes[name] = _NEEDLESS_DIGITS.sub(r"\1", " ".join(value.split()))
        else:
            attributes[name] = _URL.sub(rf"url(#{prefix}-\1)", value)
    element.attrib.clear()
    element.attrib.update(attributes)
