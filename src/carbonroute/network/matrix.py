"""Round-trip times from a CSV matrix: rows are where a request comes from, columns where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.tablefile import FIRST_LINE, read_table

#: Light needs 134 ms around the Earth and back in vacuum; a minute is a fault of unit.
MAX_RTT_MS = 60_000.0


def read_matrix(
    path: Path, shown: str, origins: Sequence[str], regions: Sequence[str]
) -> NDArray[np.float64]:
    """Return the round-trip time of each origin and region, ms, shape (O, R).

    Parameters
    ----------
    path, shown
        The CSV file (also ``.gz``), and what it is called in messages. Its first column names the origins.
    origins, regions
        Names of the rows and columns to return, in order.

    Raises
    ------
    InputError
        If a row or column is missing or stands twice, or a value is not a number from 0 to `MAX_RTT_MS`.
    """
    table = read_table(path, shown)
    names = table[table.columns[0]].cast(pl.String).to_list()
    faults = [
        Fault(
            f"row {origin!r}",
            "missing" if origin not in names else "stands twice",
            did_you_mean(origin, [n for n in names if n]),
        )
        for origin in dict.fromkeys(origins)
        if names.count(origin) != 1
    ]
    faults += [
        Fault(f"column {region!r}", "missing", did_you_mean(region, table.columns[1:]))
        for region in dict.fromkeys(regions)
        if region not in table.columns[1:]
    ]
    if faults:
        raise InputError(shown, faults)
    rows = [names.index(origin) for origin in origins]
    found = [table[region].gather(rows).cast(pl.String) for region in regions]
    numbers = [column.str.strip_chars().cast(pl.Float64, strict=False).to_numpy() for column in found]
    rtt_ms = np.stack(numbers, axis=1)
    for o, r in np.argwhere(~((rtt_ms >= 0) & (rtt_ms <= MAX_RTT_MS))):
        place = f"line {rows[o] + FIRST_LINE}, {origins[o]} to {regions[r]}"
        faults.append(
            Fault(place, f"found {found[r][int(o)]!r}", f"milliseconds from 0 to {MAX_RTT_MS:g} are expected")
        )
    if faults:
        raise InputError(shown, faults)
    return rtt_ms
