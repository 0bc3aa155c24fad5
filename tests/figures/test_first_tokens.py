"""The figure of first and further tokens: legible on any sheet, and it names what it draws."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from carbonroute.figures import draw, first_tokens
from carbonroute.figures.first_tokens import few, round_values
from carbonroute.figures.style import Style
from helpers.grids import grid

from . import factory, looking


def tokens(
    policies: int = 3, names: str = "short", longest_ms: float = 600.0, **changes: Any
) -> pl.DataFrame:
    """Make a table of two workloads, of which the first has limits."""
    rows = [
        {
            "policy": factory._name("Policy", place + 1, names),
            "clairvoyant": place == 2,
            "workload": f"workload-{workload}",
            "name": factory._name("Workload", workload + 1, names),
            **{f"{part}_ttft_ms": longest_ms * share for part, share in _SHARES.items()},
            **{f"{part}_tpot_ms": 60.0 * share + 10 for part, share in _SHARES.items()},
            "ttft_slo_ms": None if workload else 500.0,
            "tpot_slo_ms": None if workload else 80.0,
            "ttft_violation_pct": 1.5,
        }
        for place in range(policies)
        for workload in range(2)
    ]
    nullable = {"ttft_slo_ms": pl.Float64, "tpot_slo_ms": pl.Float64}
    table = pl.DataFrame(rows, schema_overrides=nullable)
    return table.with_columns(**{name: pl.lit(value, pl.Float64) for name, value in changes.items()})


_SHARES = {"p50": 0.2, "p95": 0.6, "p99": 1.0}
_NO_FURTHER: dict[str, Any] = dict.fromkeys(("p50_tpot_ms", "p95_tpot_ms", "p99_tpot_ms"))
_NO_LIMITS: dict[str, Any] = dict.fromkeys(("ttft_slo_ms", "tpot_slo_ms"))


@pytest.mark.parametrize(
    ("style", "longest_ms"),
    grid(["house", "paper", "phone"], [205.0, 600.0, 40_000.0, 9e6], one_of=2),
)
def test_every_time_axis_has_labels(style: Style, longest_ms: float) -> None:
    ax = draw("first_tokens", {"tokens": tokens(longest_ms=longest_ms)}, style=style)
    looking.assert_legible(ax)
    for panel in ax.child_axes:
        low, high = panel.get_xlim()
        labels = [
            tick.get_text()
            for tick, place in zip(panel.get_xticklabels(), panel.get_xticks(), strict=True)
            if low <= place <= high
        ]
        assert len(labels) >= 2
        assert all(labels)
    said = looking.words(ax)
    assert ("Time (s, logarithmic)" in said) == (longest_ms >= 10_000)
    assert "10⁵" not in said


def test_names_and_many_policies_are_legible() -> None:
    looking.assert_legible(first_tokens.draw(tokens(12, "long")))
    looking.assert_legible(first_tokens.draw(tokens(9, "odd")))


def test_the_drawing_alone_tells_what_lines_and_marks_are() -> None:
    said = looking.words(first_tokens.draw(tokens()))
    assert "line: P50 to P99, mark: P95" in said
    assert "limit of the workload" in said
    assert "limit of the workload" not in looking.words(first_tokens.draw(tokens(**_NO_LIMITS)))


def test_answers_of_one_token_have_no_panel_of_further_ones() -> None:
    ax = first_tokens.draw(tokens(**_NO_FURTHER))
    assert len(ax.child_axes) == 1
    assert "Time to the first token" in looking.words(ax)
    said = looking.words(first_tokens.draw(tokens(**_NO_FURTHER, ttft_slo_ms=None)))
    assert "limit of the workload" not in said


def test_ticks_are_round_and_two_at_least() -> None:
    for low, high in ((61.0, 62.0), (100.0, 100.0), (0.1, 3e7), (20.0, 450.0)):
        values = round_values(low, high)
        assert values[0] <= low
        assert values[-1] >= high
        assert 2 <= len(few(values, 3)) <= 3
