"""XML of data providers within limits: no document types, and so no entities and nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, XMLParser

from carbonroute.errors import Fault, InputError
from carbonroute.files.limits import MAX_JSON_BYTES, MAX_JSON_VALUES
from carbonroute.files.strict_json import TOP
from carbonroute.files.text import Digests, read_bytes, refused

_DOCTYPE = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.I)
_MAX_DEPTH = 50


def read_xml(path: Path, file_name: str, digests: Digests | None = None) -> Element:
    """Return the root of an XML file: ``.xml`` or ``.xml.gz``.

    Raises InputError if there is no such file, it is too large, or no XML.
    """
    return parse_xml(read_bytes(path, file_name, MAX_JSON_BYTES, digests), file_name)


def parse_xml(data: bytes, file_name: str) -> Element:
    """Return the root of XML bytes, a file's or an answer's.

    Raises InputError if it is too large, not XML in UTF-8, nested too deeply, or has a document type.
    """
    if (count := data.count(b"<")) > MAX_JSON_VALUES:
        raise refused(file_name, f"holds {count:,} tags", f"the limit is {MAX_JSON_VALUES:,}")
    try:
        data.decode("utf-8")
    except UnicodeError as error:
        raise InputError(file_name, [Fault(TOP, "is not UTF-8 text", "save the file as UTF-8")]) from error
    if _DOCTYPE.search(data):
        raise refused(file_name, "has a document type", "plain data is expected")
    parser = XMLParser()  # noqa: S314  without a document type there are no entities to expand
    try:
        parser.feed(data)
        root: Element = parser.close()
    except ParseError as error:
        problem = f"is no XML ({error})" if data.strip() else "is empty"
        raise InputError(file_name, [Fault(TOP, problem, "copy, export or fetch it again")]) from error
    if _depth(root) > _MAX_DEPTH:
        raise refused(file_name, "is nested too deeply", "check what the file is")
    return root


def name_of(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the children of a name, of any namespace."""
    return (child for child in element if name_of(child) == name)


def text_at(element: Element, *names: str) -> str | None:
    """Return the text of the first element at a path of names; None if there is none."""
    for name in names:
        below = next(children(element, name), None)
        if below is None:
            return None
        element = below
    return (element.text or "").strip() or None


def _depth(root: Element) -> int:
    """Return how deeply elements are nested."""
    depth, level = 0, [root]
    while level and depth <= _MAX_DEPTH:
        depth, level = depth + 1, [child for element in level for child in element]
    return depth
