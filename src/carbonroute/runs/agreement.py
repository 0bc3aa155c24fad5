"""One run by both engines."""

from __future__ import annotations

import polars as pl

from carbonroute.metrics import agreement
from carbonroute.metrics.long import DIFFERENCE
from carbonroute.metrics.standard_errors import standard_errors
from carbonroute.runs.replications import Replications


def held_against(sampled: Replications, exact: Replications) -> pl.DataFrame:
    """Return how far each figure of a sampled run is off the exact engine's; see `Tables.agreement`."""
    errors = standard_errors(sampled.inputs, exact.outcomes, exact.comparison, sampled.outcomes)
    printed = ~pl.col("figure").str.ends_with(DIFFERENCE)
    figures = sampled.figures.filter(printed), exact.figures.filter(printed)
    return agreement.table(sampled.inputs.scenario, sampled.outcomes, exact.outcomes, figures, errors)
