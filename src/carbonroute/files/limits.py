"""Limits on the size of files from elsewhere, and of the tables made of them; every reader checks them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

#: Bytes of a file that is held in memory as a whole, and of what it unpacks to.
MAX_BYTES = 512 * 2**20
#: Bytes of a line of text, and of a single text of a Parquet file.
MAX_LINE_BYTES = 2**20
#: Compressed text expands by a factor of 3 to 30; what goes far beyond is a fault or an attack.
MAX_EXPANSION = 200
#: Columns of a table, characters of a column's name, and values (rows × columns) of a table held in memory.
MAX_COLUMNS = 10_000
MAX_NAME = 1000
MAX_VALUES = 100_000_000
#: A parsed JSON file takes some ten times its size in memory, and a hundred bytes for each of its values.
MAX_JSON_BYTES = MAX_BYTES // 4
MAX_JSON_VALUES = 10_000_000
#: What is held of a streamed table at a time: bytes of text, and values of a Parquet file.
BATCH_BYTES = 2**23
BATCH_VALUES = 2**20
#: What is decoded of a Parquet file at a time, and the description of its columns.
MAX_GROUP_BYTES = MAX_BYTES
MAX_FOOTER_BYTES = 2**24
MAX_PAGES = 1_000_000
#: Bytes of a policy's file.
MAX_CODE_BYTES = 2**22
#: How many lines of a CSV file a header is looked for in.
HEADER_LINES = 100

#: A setting: number of lines above the header of a CSV file.
SkipRows = Annotated[int, Field(ge=0, le=HEADER_LINES)]
