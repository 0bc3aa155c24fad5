"""From a TOML file to its tables, within what a TOML parser can take."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.scenario.faults import as_found, key_text
from carbonroute.textfile import plain_text, read_bytes, refused

MAX_BYTES = 256 * 2**10
#: TOML's integers have 64 bits.
LARGEST = 2**63 - 1
#: A key with n dots costs the parser time and memory n²; a line may hold hundreds of round-trip times.
MAX_DOTS = 300


def parse(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises
    ------
    InputError
        If it is not valid TOML, or beyond the limits.
    """
    shown = str(path)
    data = read_bytes(path, shown, MAX_BYTES)
    if data.startswith(b"\xef\xbb\xbf"):
        found = "line 1 begins with a byte order mark (BOM), which TOML does not allow"
        raise refused(shown, found, "save the file as UTF-8 without BOM")
    text = plain_text(data, shown)
    for line, dots in enumerate(map(_dots, text.split("\n")), start=1):
        if dots > MAX_DOTS:
            raise refused(shown, f"line {line} has {dots:,} dots", f"the limit is {MAX_DOTS:,} a line")
    try:
        tables = tomllib.loads(text)
        too_large = list(_too_large(tables, ""))
    except RecursionError as error:
        raise refused(shown, "is nested too deeply", "a scenario has three levels") from error
    except tomllib.TOMLDecodeError as error:
        raise refused(shown, f"is not valid TOML ({error})", "see https://toml.io") from error
    except ValueError as error:  # an integer of thousands of digits
        raise refused(shown, "holds a number that is too long", "write numbers in fewer digits") from error
    if too_large:
        raise InputError(shown, too_large)
    return tables


def _too_large(value: object, path: str) -> Iterator[Fault]:
    """Yield a fault for each integer that TOML does not have: 64 bits, with a sign."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _too_large(inner, f"{path}.{key_text(key)}" if path else key_text(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _too_large(inner, f"{path}[{place}]")
    elif isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST:
        yield Fault(path, as_found(value), f"an integer of 64 bits is expected, {LARGEST} at most")


def _dots(line: str) -> int:
    return line.count(".")
