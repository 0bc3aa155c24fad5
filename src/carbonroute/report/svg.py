"""A drawing as part of a page: its names are its own, and its texts are its label and those of hovering."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

#: Pixels of the page per point of a drawing: its letters of 7 pt then are as large as the page's.
_PX_PER_PT = 2.15
#: Wider drawings take the page's whole width, not one of its two columns.
_COLUMN_PX = 600
#: How a drawing names what it shows: `carbonroute.figures.style.SeriesStyle.tag`.
_TAG = re.compile(r"(?P<series>policy-\d+)?\|(?P<tip>.*)", re.DOTALL)
#: How matplotlib names a letter: by its font and its number.
_LETTER = re.compile(r"\w[\w-]*-[0-9a-f]+")
_URL = re.compile(r"url\(#([^)]+)\)")
_PLACES = frozenset(("x", "y", "cx", "cy"))
_NEEDLESS_DIGITS = re.compile(r"(\.\d\d)\d+")
_HREF = "{http://www.w3.org/1999/xlink}href"
#: What matplotlib says of all elements in a style sheet, which here would be the whole page's.
_STROKES = "stroke-linejoin: round; stroke-linecap: butt"


def inline(svg: bytes, prefix: str, label: str, letters: set[str] | None = None) -> str:
    """Return a drawing as an element of a page.

    Comments and metadata are left out: matplotlib repeats there what it draws, names of the user's included.
    So are the names of elements that nothing refers to; the others begin with the prefix, which is unique on
    the page. The label is for those who do not see the drawing; what is tagged has a title, which is read on
    hovering, and the class of its series. Letters that the page has already are not drawn again; those of
    this drawing are added to them.

    >>> drawing = b'<svg width="20pt" height="10pt"><!-- x --><g id="a"/><g id="b"/><use href="#a"/></svg>'
    >>> inline(drawing, "one", "A dot.").partition("<g")[2]
    ' id="one-a" /><g /><use href="#one-a" /></svg>'
    """
    root = ElementTree.fromstring(svg)  # noqa: S314  our own drawing, not a file from elsewhere
    for parent in list(root.iter()):
        for child in [child for child in parent if _local(child) in {"metadata", "style"}]:
            parent.remove(child)
    tags = {element: tag for element in root.iter() if (tag := _TAG.fullmatch(element.attrib.get("id", "")))}
    _share(root, set() if letters is None else letters)
    used = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        _adapt(element, prefix, used)
    for element, tag in tags.items():
        _tell(element, tag)
    for side in ("width", "height"):
        root.set(side, str(round(float(root.attrib[side].removesuffix("pt")) * _PX_PER_PT)))
    if int(root.attrib["width"]) > _COLUMN_PX:
        root.set("class", "wide")
    root.attrib.update({"style": _STROKES, "role": "img", "aria-label": label})
    return ElementTree.tostring(root, encoding="unicode")


def _share(root: Element, letters: set[str]) -> None:
    """Take out the letters that the page has, and add the others to them."""
    for defs in [element for element in root.iter() if _local(element) == "defs"]:
        for letter in [each for each in defs if _LETTER.fullmatch(each.attrib.get("id", ""))]:
            if letter.attrib["id"] in letters:
                defs.remove(letter)
            letters.add(letter.attrib["id"])


def _tell(element: Element, tag: re.Match[str]) -> None:
    """Give an element the title and the class of its tag."""
    title = Element("title")
    title.text = tag["tip"]
    element.insert(0, title)
    if tag["series"]:
        element.set("class", tag["series"])


def _local(element: Element) -> str:
    """Return an element's name without its namespace, which HTML knows by itself."""
    return element.tag.rpartition("}")[2]


def _references(element: Element) -> Iterator[str]:
    """Yield the names of other elements that one refers to."""
    for name, value in element.attrib.items():
        if name in {_HREF, "href"}:
            yield value.removeprefix("#")
        yield from _URL.findall(value)


def _name(own: str, prefix: str) -> str:
    """Return the name of an element on the page: letters are the same in all drawings."""
    return f"letter-{own}" if _LETTER.fullmatch(own) else f"{prefix}-{own}"


def _adapt(element: Element, prefix: str, used: set[str]) -> None:
    element.tag = _local(element)
    element.text = element.tail = None
    attributes = {"href" if name == _HREF else name: value for name, value in element.attrib.items()}
    if (own := attributes.pop("id", None)) in used:
        attributes["id"] = _name(own, prefix)
    for name, value in attributes.items():
        if name == "href" and value.startswith("#"):
            attributes[name] = f"#{_name(value[1:], prefix)}"
        elif name == "d":
            attributes[name] = _NEEDLESS_DIGITS.sub(r"\1", " ".join(value.split()))
        elif name in _PLACES or (name == "transform" and not value.startswith("scale")):
            attributes[name] = _NEEDLESS_DIGITS.sub(r"\1", value)
        else:
            attributes[name] = _URL.sub(rf"url(#{prefix}-\1)", value)
    element.attrib.clear()
    element.attrib.update(attributes)
