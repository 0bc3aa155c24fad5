"""Reading tables of any size batch by batch: CSV and JSON lines, both also compressed, and Parquet."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from carbonroute.files.csv_layout import FIRST_LINE, PLAIN, CsvLayout, parsed
from carbonroute.files.limits import BATCH_BYTES, BATCH_VALUES
from carbonroute.files.parquet import parquet
from carbonroute.files.strict_json import refuse_halves
from carbonroute.files.tables import PARQUET, Batches, csv_batches, required, text_batches
from carbonroute.files.text import Digests, refused, repeated

#: How the names of files of JSON lines end.
JSON_LINES = (".jsonl", ".ndjson")

#: A text that a colon follows, which is how a key begins.
_KEY = r'"(?:[^"\\]|\\.)*":'
_SPACED = re.compile(rb'"\s+:')


class _RepeatedKeyError(Exception):
    """An object of JSON has this key more than once."""


def stream_table(  # noqa: PLR0913  a file, its columns, and how it is read
    path: Path,
    file_name: str,
    required_columns: Mapping[str, str],
    batch_bytes: int = BATCH_BYTES,
    batch_values: int = BATCH_VALUES,
    digests: Digests | None = None,
    kind: str | None = None,
    *,
    layout: CsvLayout = PLAIN,
) -> Batches:
    """Yield some columns of a table of any size, batch by batch, each with the line of its first row.

    Fields of text files come as text, null where there is none; those of a Parquet file typed, and its rows
    count as lines below a header.

    Raises InputError if there is no such file, it is not such a table, or lacks a column; for a line, when
    that is reached.

    Parameters
    ----------
    path
        The file: ``.csv``, ``.jsonl``, either with ``.gz``, or ``.parquet``.
    required_columns
        Names of the columns, by the key that asks for them. In JSON lines they are keys, and the first
        line has them all.
    batch_bytes, batch_values
        Size of a batch of text, and of a Parquet file; the rows do not depend on them.
    digests
        Where the digest of the file is noted, when all of it has been read.
    kind
        Ending of the names of such files, where the name of this one is another; None: its own.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    kind = kind or (suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else "".join(suffixes[-1:]))
    if kind in PARQUET:
        layout.require_csv(file_name, "a Parquet file")
        parts = _stream_parquet(path, file_name, required_columns, batch_values, digests)
    elif kind == ".csv":
        parts = csv_batches(
            path,
            file_name,
            lambda names: required(required_columns, names, file_name),
            batch_bytes,
            digests,
            layout=layout,
        )
    elif kind in JSON_LINES:
        layout.require_csv(file_name, "a file of JSON lines")
        parts = _stream_json(path, file_name, required_columns, batch_bytes, digests)
    else:
        remedy = "a name that ends in .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet is expected"
        raise refused(file_name, f"is of unknown kind {path.suffix!r}", remedy)
    rows = 0
    for first_line, batch in parts:
        rows += len(batch)
        yield first_line, batch
    if not rows:
        raise refused(file_name, "there is a header and no data", "one line per request is expected")


def _stream_json(
    path: Path, file_name: str, required_columns: Mapping[str, str], batch_bytes: int, digests: Digests | None
) -> Batches:
    schema = dict.fromkeys(required_columns.values(), pl.String())

    def parse(data: bytes) -> pl.DataFrame:
        return pl.read_ndjson(io.BytesIO(data), schema=schema)

    first_line = 0
    for first_line, lines in text_batches(path, file_name, batch_bytes, digests):
        data = lines.removesuffix(b"\n")
        if first_line == 1:
            required(required_columns, _keys(data.partition(b"\n")[0], file_name), file_name)
        refuse_halves(data, file_name, first_line)
        _refuse_twice(data, file_name, first_line)
        yield first_line, parsed(data, file_name, first_line, parse)
    if not first_line:
        raise refused(file_name, "the file is empty", "a JSON object per line is expected")


def _keys(row: bytes, file_name: str) -> list[str]:
    try:
        row_keys = json.loads(row)
    except (ValueError, RecursionError):
        row_keys = None
    if not isinstance(row_keys, dict):
        raise refused(file_name, "line 1 cannot be read", "a JSON object per line is expected")
    return list(row_keys)


def _stream_parquet(
    path: Path,
    file_name: str,
    required_columns: Mapping[str, str],
    batch_values: int,
    digests: Digests | None,
) -> Batches:
    with parquet(path, file_name, digests) as file:
        names = required(required_columns, list(file.schema), file_name)
        rows = max(batch_values // max(len(names), 1), 1)
        for first, batch in file.batches(names, rows):
            yield FIRST_LINE + first, batch


def _refuse_twice(data: bytes, file_name: str, first_line: int) -> None:
    """Refuse lines of JSON in which an object has a key twice.

    `data`: the lines, without the end of the last one.
    `file_name`, `first_line`: the file's name in messages, and the number of the first line.
    """
    lines = pl.Series([data.decode()]).str.split("\n").explode()
    keys = (lines.str.replace_all(r'"\s+:', '":') if _SPACED.search(data) else lines).str.extract_all(_KEY)
    # Keys that stand twice may be those of two objects in a line, and escapes may spell one differently.
    suspect = (keys.list.len() != keys.list.n_unique()) | keys.list.join("").str.contains("\\", literal=True)
    for row in suspect.arg_true():
        try:
            json.loads(lines[row], object_pairs_hook=_once)
        except _RepeatedKeyError as error:
            problem = f"line {first_line + row}: the key {str(error)!r} stands twice"
            raise refused(file_name, problem, "name every key once") from error
        except (ValueError, RecursionError):  # no JSON at all: refused with its line when it is parsed
            return


def _once(items: list[tuple[str, object]]) -> None:
    if (name := repeated([name for name, _ in items])) is not None:
        raise _RepeatedKeyError(name)
