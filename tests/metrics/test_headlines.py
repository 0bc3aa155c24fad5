"""Headlines: sentences that must be true, from tables made by hand."""

from __future__ import annotations

import polars as pl

from carbonroute.metrics.headlines import study


def test_a_study_tells_where_no_policy_keeps_the_limit_from_where_there_is_nothing_to_save() -> None:
    """Three loads: one is served well, one is too much, and one is met on a grid without carbon."""
    summary = pl.DataFrame(
        {
            "load": [1, 2, 3],
            "policy": "Spill",
            "clairvoyant": False,
            "baseline": "Latency-First",
            "viable": [True, False, True],
            "max_violation_pct": 5.0,
            "slo_violation_pct": [1.0, 9.0, 1.0],
            "carbon_reduction_pct": [40.0, 50.0, None],
            "carbon_reduction_pct_low": pl.Series([None] * 3, dtype=pl.Float64),
            "carbon_reduction_pct_high": pl.Series([None] * 3, dtype=pl.Float64),
        }
    )
    results = pl.DataFrame({"cell": [0, 1, 2], "status": "done"})
    first, *rest = study.finding(results, summary, ["load"])
    assert "Spill cuts mean carbon intensity most: by 40.0 %" in first
    assert rest == [
        "Of 3 combinations, the best policy within the limit is Spill in 1; it saves 40.0 %.",
        "In 1 of them, no policy that a router could run keeps the limit.",
        "In 1 of them, there is nothing to save: the baseline emits nothing.",
    ]
