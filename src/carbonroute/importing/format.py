"""Base of the formats of imported files: a format recognises its files and reads them."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from carbonroute.errors import InputError, shortened
from carbonroute.files.csv_layout import CsvLayout
from carbonroute.files.limits import MAX_LINE_BYTES
from carbonroute.files.preview import Preview, preview
from carbonroute.files.streams import stream_table
from carbonroute.files.strict_json import read_json
from carbonroute.files.tables import Batches
from carbonroute.files.text import Digests, chunks, refused
from carbonroute.importing.aggregates import Aggregates
from carbonroute.importing.settings import ImportSettings

#: How much of a file is looked at to recognise it, and read of a log at a time.
_HEAD_BYTES = 2**16
BLOCK_BYTES = 2**23
_BOM = b"\xef\xbb\xbf"

Content = Literal["text", "json", "json lines", "parquet"]


class File:
    """A file to be imported, of which the first bytes are read when they are asked for.

    `skip_rows`: number of lines above the header of a CSV file.
    """

    def __init__(self, path: Path, name: str, skip_rows: int = 0) -> None:
        self.path, self.name = path, name
        self.layout = CsvLayout(skip_rows=skip_rows, skip_key="--skip-rows")

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked."""
        return next(chunks(self.path, self.name, _HEAD_BYTES), b"").removeprefix(_BOM)[:_HEAD_BYTES]

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not empty."""
        text = self.head.decode("utf-8", "replace").replace("\r\n", "\n")
        whole = text[: text.rfind("\n")] if len(self.head) == _HEAD_BYTES and "\n" in text else text
        return [line for line in whole.split("\n") if line.strip()]

    @cached_property
    def content(self) -> Content:
        """The kind of its content, by its first bytes."""
        if self.head.startswith(b"PAR1"):
            return "parquet"
        if not re.match(rb"\s*(\{|\[\s*[\[\{\"])", self.head):
            return "text"
        first = self.lines[0] if self.lines else ""
        if len(self.lines) == 1 and ".json" in self.path.suffixes:
            return "json"
        try:
            return "json lines" if isinstance(json.loads(first), dict) and not _is_answer(first) else "json"
        except (ValueError, RecursionError):
            return "json"

    @property
    def kind(self) -> str:
        """The ending of names of files of such content, whatever its own is: logs are called ``.log``."""
        return {"parquet": ".parquet", "json lines": ".jsonl", "json": ".json", "text": ".csv"}[self.content]

    @cached_property
    def preview(self) -> Preview | None:
        """The first rows of a table; None where it is none."""
        try:
            return self.table()
        except InputError:
            return None

    def mostly(self, pattern: re.Pattern[str]) -> bool:
        """Whether it is text and most of its first lines begin as a pattern says."""
        matching = sum(pattern.match(line) is not None for line in self.lines)
        return self.content == "text" and matching > len(self.lines) / 2

    def table(self) -> Preview:
        """Return the first rows of a table.

        Raises InputError if it is none.
        """
        return preview(self.path, self.name, self.kind, self.layout)

    def batches(self, columns: Iterable[str], digests: Digests) -> Batches:
        """Yield these columns of the whole table, as `stream_table` does."""
        named = {name: name for name in columns}
        return stream_table(self.path, self.name, named, digests=digests, kind=self.kind, layout=self.layout)

    @property
    def first_line(self) -> str:
        """The first line, for messages."""
        return shortened(self.lines[0], 120) if self.lines else ""

    def blocks(self, digests: Digests) -> Iterator[tuple[int, bytes]]:
        """Yield lines of UTF-8 text without the end of the last one, and the number of the first.

        Bytes that are not UTF-8 are replaced: a log holds any text that was sent to its server.

        Raises InputError if the file cannot be read, or has a line of more than `MAX_LINE_BYTES`.
        """
        first_line, pending, size = 1, [], 0
        for chunk in chunks(self.path, self.name, BLOCK_BYTES, digests=digests):
            pending.append(chunk)
            size += len(chunk)
            if size < BLOCK_BYTES:
                continue
            data = b"".join(pending)
            end = data.rfind(b"\n")
            if len(data) - end > MAX_LINE_BYTES + 1:
                line = first_line + data.count(b"\n")
                problem = f"line {line} has more than {MAX_LINE_BYTES:,} bytes"
                raise refused(self.name, problem, "shorter lines of text are expected")
            if end < 0:
                pending = [data]
                continue
            yield first_line, _plain(data[:end], first_line)
            first_line += data.count(b"\n", 0, end) + 1
            pending = [data[end + 1 :]]
            size = len(pending[0])
        rest = b"".join(pending)
        if rest.strip():
            yield first_line, _plain(rest.rstrip(b"\r\n"), first_line)


def _is_answer(line: str) -> bool:
    """Whether a JSON object on one line is a whole answer, and no line of a log."""
    return any(f'"{key}"' in line[:4000] for key in ("resultType", "errorType", "benchmarks", "input_lens"))


def _plain(data: bytes, first_line: int) -> bytes:
    if first_line == 1:
        data = data.removeprefix(_BOM)
    if b"\r\n" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    try:
        if not data.isascii():
            data.decode()
    except UnicodeDecodeError:
        data = data.decode("utf-8", "replace").encode()
    return data


class Format(ABC):
    """A format of files; a member recognises its own files and reads them.

    Attributes
    ----------
    name
        As `--format` has it.
    features
        Signs by which its files are recognised, in words.
    has_header
        Whether it is a table, above whose header further lines may stand.
    """

    name: ClassVar[str]
    features: ClassVar[str]
    has_header: ClassVar[bool] = False

    @abstractmethod
    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether a file is one of its own."""

    @abstractmethod
    def read(self, file: File, aggregates: Aggregates, digests: Digests) -> list[str]:
        """Count a file's requests; return how it was read, in sentences.

        Raises InputError if the file cannot be used.
        """


class JsonFormat(Format):
    """Base of the formats that are one JSON value.

    `keys`: a file that has one of them near its beginning is of this format.
    """

    keys: ClassVar[tuple[str, ...]]

    def recognises(self, file: File, _settings: ImportSettings) -> bool:
        """Whether it is JSON with one of the keys."""
        return file.content == "json" and any(f'"{key}"'.encode() in file.head for key in self.keys)

    def read(self, file: File, aggregates: Aggregates, digests: Digests) -> list[str]:
        """Count the requests of the value; return how it was read, in sentences."""
        return self.add(read_json(file.path, file.name, digests), file, aggregates)

    @abstractmethod
    def add(self, content: Any, file: File, aggregates: Aggregates) -> list[str]:
        """Count the requests of a JSON value; return how it was read, in sentences.

        Raises InputError if it has none.
        """
