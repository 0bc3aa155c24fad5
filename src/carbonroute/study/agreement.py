"""One run by both engines."""

from __future__ import annotations

import polars as pl

from carbonroute.metrics import agreement
from carbonroute.metrics.long import DIFFERENCE
from carbonroute.metrics.standard_errors import standard_errors
from carbonroute.study.replications import Replications, once


def held_against_exact(sampled: Replications) -> pl.DataFrame:
    """Return how far each figure of a sampled run is off the exact engine's; see `Tables.agreement`."""
    exact = once(sampled.inputs, "exact", workers=1)
    errors = standard_errors(sampled.inputs, exact.outcomes, exact.comparison, sampled.outcomes)
    figures = [run.figures.filter(~pl.col("figure").str.ends_with(DIFFERENCE)) for run in (sampled, exact)]
    return agreement.table(sampled.inputs, sampled.outcomes, exact.outcomes, (figures[0], figures[1]), errors)
