"""Carbon from Electricity Maps: the CSV files of its data portal."""

from __future__ import annotations

from typing import Literal

import polars as pl

from carbonroute.carbon.formats import PublishedFormat, column_named, joined, labelled
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import Readings
from carbonroute.errors import Fault, InputError
from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, found_text, read_table
from carbonroute.files.times import to_utc

#: Headers in small letters, newest first: the exports of 2022 to 2025 differ in them.
_VALUE = {
    "direct": ("carbon intensity gco₂eq/kwh (direct)",),
    "lifecycle": (
        "carbon intensity gco₂eq/kwh (life cycle)",
        "carbon intensity gco₂eq/kwh (lca)",
        "carbon intensity gco₂eq/kwh (life cycle assessment)",
    ),
}


class ElectricityMaps(PublishedFormat):
    """History of a zone as the Electricity Maps data portal exports it (CSV, also ``.gz``).

    The numbers are averages of what a zone uses, its imports traced to where they come from
    (https://www.electricitymaps.com/methodology). Times are the starts of intervals in UTC; a region's zone
    is the export's zone id, such as ``"DE"`` or ``"US-CAL-CISO"``.

    Attributes
    ----------
    scope
        Which of the two columns counts: combustion alone, or the whole life cycle.
    estimated
        What becomes of values that the source estimated: they count, or are taken as missing.
    """

    kind: Literal["electricity-maps"]
    scope: Literal["direct", "lifecycle"]
    estimated: Literal["keep", "missing"] = "keep"

    @property
    def labels(self) -> Accounting:
        """What the numbers count."""
        return Accounting(rate="average", scope=self.scope, boundary="consumption")

    def read(self, query: Query) -> Readings:
        """Return the rows of the files, and how many of the hours asked for are estimates.

        Raises
        ------
        InputError
            With file and line: columns that are not there, and times and flags that cannot be read.
        """
        start, end = self.window(query)
        parts, estimates = [], 0
        for shown, path in self.files(query).items():
            table = read_table(path, shown, query.digests)
            raw = column_text(column_named(table, _VALUE[self.scope], shown), shown)
            part = pl.DataFrame(
                {
                    "line": range(FIRST_LINE, FIRST_LINE + len(table)),
                    "time": to_utc(
                        column_named(table, ["datetime (utc)"], shown), "UTC", (start, end), shown
                    ),
                    "zone": column_text(column_named(table, ["zone id"], shown), shown).str.strip_chars(),
                    "raw": raw,
                    "value": column_numbers(raw),
                    "estimated": self._estimated(table, shown),
                }
            ).with_columns(file=pl.lit(shown), place=pl.format("line {}", "line"))
            wanted = pl.col("zone").is_in(query.zones) & pl.col("time").is_between(start, end, closed="left")
            estimates += part.select((wanted & pl.col("estimated")).sum()).item()
            if self.estimated == "missing":
                known = pl.when(~pl.col("estimated"))
                part = part.with_columns(raw=known.then("raw"), value=known.then("value"))
            parts.append(part)
        accounting = labelled(self.accounting, self.labels)
        return Readings(joined(parts), accounting, {"estimated by the source": estimates})

    def _estimated(self, table: pl.DataFrame, shown: str) -> pl.Series:
        """Return which rows are estimates; a file without that column is refused where it matters."""
        if self.estimated == "keep" and "data estimated" not in (
            name.strip().lower() for name in table.columns
        ):
            return pl.repeat(value=False, n=len(table), eager=True)
        column = column_named(table, ["data estimated"], shown)
        says = column_text(column, shown).str.strip_chars().str.to_lowercase().fill_null("")
        unclear = (~says.is_in(["true", "false", ""])).arg_true()
        if len(unclear):
            remedy = "'true' or 'false' is expected"
            faults = (
                Fault(f"line {FIRST_LINE + row}, {column.name}", found_text(says[row]), remedy)
                for row in unclear
            )
            raise InputError(shown, faults)
        return says == "true"
