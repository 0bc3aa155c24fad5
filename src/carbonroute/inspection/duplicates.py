"""Several values of one zone for one time: by how much they differ, and whether whole files overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from carbonroute.arrays import Mask
from carbonroute.carbon.grid import CarbonRows, iso
from carbonroute.carbon.refusals import same_hours


@dataclass(frozen=True)
class Duplicates:
    """Rows that stand for a zone and time that an earlier row stands for already.

    Attributes
    ----------
    count, differ
        Of them all, and of those whose value is another than the first.
    zones
        Indices of the zones with values that differ.
    said
        How many differ, by how much at most, and where; "" for none.
    files
        Pairs of files that cover the same hours, a sentence each.
    """

    count: int
    differ: int
    zones: Sequence[int]
    said: str
    files: Sequence[str]

    @classmethod
    def of(cls, rows: CarbonRows, again: Mask) -> Duplicates:
        """Return the duplicates of a file's rows; `again` is `carbonroute.carbon.grid.repeated` of them."""
        count = int(again.sum())
        if not count:
            return cls(0, 0, (), "", ())
        cells = pl.DataFrame(
            {
                "row": np.arange(len(again)),
                "column": rows.column,
                "slot": rows.slot,
                "value": np.where(rows.missing, np.nan, rows.value),
            }
        ).filter(pl.Series(~rows.off))
        cells = cells.filter(pl.struct("column", "slot").is_duplicated()).fill_nan(None)
        first = pl.col("value").drop_nulls().first().over("column", "slot")
        cells = cells.with_columns(first=first, apart=(pl.col("value") - first).abs())
        others = cells.filter(pl.col("apart") > 0)
        files = [
            f"{a} and {b} cover the same hours of zone {zone}: one source per region is expected"
            for a, b, zone in same_hours(rows)
        ]
        if others.is_empty():
            return cls(count, 0, (), f"all equal to the first ({count:,})", files)
        most: dict[str, Any] = others.sort("apart", descending=True, maintain_order=True).row(0, named=True)
        row = int(most["row"])
        time = iso(rows.table["time"][row])
        said = (
            f"{len(others):,} of {count:,} differ from the first, by up to {most['apart']:.6g} "
            f"({rows.place(row)}: {most['value']:.6g} where {most['first']:.6g} stands for {time})"
        )
        zones = others["column"].unique(maintain_order=True).to_list()
        return cls(count, len(others), zones, said, files)
