"""Overview of a study: each policy over all combinations, and the best policy of each combination."""

from __future__ import annotations

from types import MappingProxyType

import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.best import best_of_each
from carbonroute.metrics.measure import measure_of
from carbonroute.study.tables import StudyTables

#: Columns of `policies` that are figures, and how many decimals they deserve.
STYLES = MappingProxyType(
    {
        "saved_least_pct": "z.1f",
        "saved_median_pct": "z.1f",
        "saved_most_pct": "z.1f",
        "violations_median_pct": ".2f",
        "violations_most_pct": ".2f",
    }
)


def saved_column(summary: pl.DataFrame) -> str:
    """Return the column of savings: in grams, where all cells state energies."""
    return measure_of(summary).reduction


def axes(tables: StudyTables) -> list[str]:
    """Return the axes whose combinations a summary has: all that are not averaged."""
    return tables.axes.filter(~pl.col("averaged"))["axis"].unique(maintain_order=True).to_list()


def policies(tables: StudyTables) -> pl.DataFrame:
    """Return each policy over all combinations.

    Returns
    -------
    A row per policy, those that a router can run first, then from the one that is best in most combinations
    on, and then by the median saving: ``policy``, ``clairvoyant``, ``combinations`` (in which it
    takes part), ``viable`` (of them), ``best`` (of those, where no other policy that a router could run saves
    more), and minimum, median and maximum of its savings and of the violations that the limit is on (of all
    requests, or of the worst workload); see `STYLES`.
    """
    saved, late = saved_column(tables.summary), slo.limited(tables.summary)
    wins = best(tables)["policy"].drop_nulls().value_counts(name="best")
    table = tables.summary.group_by("policy", maintain_order=True).agg(
        pl.col("clairvoyant").any(),
        pl.len().alias("combinations"),
        pl.col("viable").sum(),
        pl.col(saved).min().alias("saved_least_pct"),
        pl.col(saved).median().alias("saved_median_pct"),
        pl.col(saved).max().alias("saved_most_pct"),
        pl.col(late).median().alias("violations_median_pct"),
        pl.col(late).max().alias("violations_most_pct"),
    )
    table = table.join(wins, on="policy", how="left", maintain_order="left")
    order = {"clairvoyant": False, "best": True, "viable": True, "saved_median_pct": True}
    return table.with_columns(pl.col("best").fill_null(0)).sort(
        list(order), descending=list(order.values()), maintain_order=True, nulls_last=True
    )


def best(tables: StudyTables) -> pl.DataFrame:
    """Return the viable policy that saves most in each combination, of those that a router could run.

    Returns
    -------
    Rows of the summary, in its order; null behind the axes where no policy is viable.
    """
    return best_of_each(tables.summary, axes(tables), saved_column(tables.summary))
