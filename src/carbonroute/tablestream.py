"""Reading tables of any size piece by piece: CSV and JSON lines, both also compressed, and Parquet."""

from __future__ import annotations

import io
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.tablefile import FIRST_LINE, check_lines, column_names, parquet
from carbonroute.textfile import MAX_LINE_BYTES, chunks, plain_lines, refused

#: What is held at a time: bytes of text, and values of a Parquet file.
PIECE_BYTES = 2**24
PIECE_VALUES = 2**20

#: Rows, each piece with the line of its first one.
Pieces = Iterator[tuple[int, pl.DataFrame]]


def stream_table(
    path: Path,
    shown: str,
    wanted: Mapping[str, str],
    piece_bytes: int = PIECE_BYTES,
    piece_values: int = PIECE_VALUES,
) -> Pieces:
    """Yield some columns of a table of any size, piece by piece, each with the line of its first row.

    Fields of text files come as text, null where there is none; those of a Parquet file typed, and its rows
    count as lines below a header.

    Parameters
    ----------
    path
        The file: ``.csv``, ``.jsonl``, either with ``.gz``, or ``.parquet``.
    shown
        What the file is called in messages.
    wanted
        Names of the columns, by what asks for them in messages. In JSON lines they are keys, and the first
        line has them all.
    piece_bytes, piece_values
        Size of a piece of text, and of a Parquet file; the rows do not depend on them.

    Raises
    ------
    InputError
        If there is no such file, it is not such a table, or lacks a column; for a line, when that is reached.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else "".join(suffixes[-1:])
    if kind in {".parquet", ".pq"}:
        pieces = _stream_parquet(path, shown, wanted, piece_values)
    elif kind == ".csv":
        pieces = _stream_csv(path, shown, wanted, piece_bytes)
    elif kind in {".jsonl", ".ndjson"}:
        pieces = _stream_json(path, shown, wanted, piece_bytes)
    else:
        remedy = "a name that ends in .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet is expected"
        raise refused(shown, f"is of unknown kind {path.suffix!r}", remedy)
    rows = 0
    for first_line, piece in pieces:
        rows += len(piece)
        yield first_line, piece
    if not rows:
        raise refused(shown, "there is a header and no data", "one line per request is expected")


def _stream_csv(path: Path, shown: str, wanted: Mapping[str, str], piece_bytes: int) -> Pieces:
    names: list[str] = []
    for line, data in _text_pieces(path, shown, piece_bytes):
        first_line, body = line, data
        if not names:
            head, _, body = data.partition(b"\n")
            first_line += 1
            names = column_names(head, shown)
            _require(wanted, names, shown)
            if not body:
                continue
        check_lines(body, shown, len(names), first_line)
        yield first_line, _parsed(body, shown, first_line, _csv_parser(wanted, names))
    if not names:
        raise refused(shown, "the file is empty", "a header line and data are expected")


def _csv_parser(wanted: Mapping[str, str], names: list[str]) -> Callable[[bytes], pl.DataFrame]:
    places = sorted({names.index(name) for name in wanted.values()})

    def parse(data: bytes) -> pl.DataFrame:
        table = pl.read_csv(io.BytesIO(data), has_header=False, infer_schema=False, columns=places)
        return table.rename(dict(zip(table.columns, [names[place] for place in places], strict=True)))

    return parse


def _stream_json(path: Path, shown: str, wanted: Mapping[str, str], piece_bytes: int) -> Pieces:
    schema = dict.fromkeys(wanted.values(), pl.String())

    def parse(data: bytes) -> pl.DataFrame:
        return pl.read_ndjson(io.BytesIO(data), schema=schema)

    first_line = 0
    for first_line, data in _text_pieces(path, shown, piece_bytes):
        if first_line == 1:
            _require(wanted, _keys(data.partition(b"\n")[0], shown), shown)
        yield first_line, _parsed(data, shown, first_line, parse)
    if not first_line:
        raise refused(shown, "the file is empty", "a JSON object per line is expected")


def _keys(row: bytes, shown: str) -> list[str]:
    try:
        found = json.loads(row)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise refused(shown, "line 1 cannot be read", "a JSON object per line is expected")
    return list(found)


def _stream_parquet(path: Path, shown: str, wanted: Mapping[str, str], piece_values: int) -> Pieces:
    names = list(dict.fromkeys(wanted.values()))
    rows = max(piece_values // max(len(names), 1), 1)
    with parquet(path, shown) as lazy:
        _require(wanted, lazy.collect_schema().names(), shown)
        total = lazy.select(pl.len()).collect().item()
        for first in range(0, total, rows):
            yield FIRST_LINE + first, lazy.select(names).slice(first, rows).collect()


def _require(wanted: Mapping[str, str], names: list[str], shown: str) -> None:
    faults = first_faults(
        Fault(where, f"there is no column {name!r}", did_you_mean(name, names))
        for where, name in wanted.items()
        if name not in names
    )
    if faults:
        raise InputError(shown, faults)


def _text_pieces(path: Path, shown: str, piece_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines of a text file, without the last line's end, and the number of the first of them."""
    first_line, held = 1, b""
    for chunk in chunks(path, shown, piece_bytes):
        held += chunk
        if len(held) < piece_bytes:
            continue
        body = held[: held.rfind(b"\n") + 1].rstrip(b"\r\n")
        if len(held) - len(body) > MAX_LINE_BYTES + 2:
            plain_lines(held, shown, first_line)
            line = first_line + body.count(b"\n") + bool(body)
            raise refused(shown, f"line {line} is empty", "one row per line is expected")
        if body:  # empty lines are kept: at the end of the file they do no harm
            end = held.index(b"\n", len(body)) + 1
            yield first_line, plain_lines(held[:end], shown, first_line)[:-1]
            held = held[end:]
            first_line += body.count(b"\n") + 1
    if rest := plain_lines(held, shown, first_line).rstrip(b"\n"):
        yield first_line, rest


def _parsed(data: bytes, shown: str, first_line: int, parse: Callable[[bytes], pl.DataFrame]) -> pl.DataFrame:
    """Return lines as a table with a row for each; refuse the first that does not make one."""

    def fails(lines: int) -> bool:
        try:
            return len(parse(b"\n".join(data.split(b"\n", lines)[:lines]))) != lines
        except pl.exceptions.PolarsError:
            return True

    reason = "it makes no row"
    try:
        table = parse(data)
        if len(table) == data.count(b"\n") + 1:
            return table
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
    line = first_line + bisect_left(range(1, data.count(b"\n") + 1), 1, key=fails)
    raise refused(shown, f"line {line} cannot be read ({reason})", "one row per line is expected")
