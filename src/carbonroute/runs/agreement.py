"""Agreement of the sampled and the exact engine on one scenario."""

from __future__ import annotations

from functools import partial

import polars as pl

from carbonroute.metrics import agreement
from carbonroute.metrics.long import DIFFERENCE
from carbonroute.metrics.standard_errors import gram_moments, standard_errors
from carbonroute.runs.replications import Replications


def compare_engines(sampled: Replications, exact: Replications) -> pl.DataFrame:
    """Return the differences between sampled and exact figures; see `Tables.agreement`."""
    inputs = sampled.inputs
    grams = partial(gram_moments, inputs.energy, inputs.laws) if inputs.energy else None
    errors = standard_errors(inputs.scenario, grams, exact.outcomes, exact.comparison, sampled.outcomes)
    printed = ~pl.col("figure").str.ends_with(DIFFERENCE)
    figures = sampled.figures.filter(printed), exact.figures.filter(printed)
    return agreement.table(inputs.scenario, sampled.outcomes, exact.outcomes, figures, errors)
