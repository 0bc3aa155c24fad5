"""The verdict on a policy: by the worst workload or by all requests, and beyond doubt or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.metrics import Comparison, finding, policies, slo
from carbonroute.metrics.intervals import violations
from carbonroute.outcome import Outcome, Samples
from carbonroute.scenario import Scenario, load
from helpers import small

#: Of 900 short and 100 long requests, so many are late: 5 % of all, but a third of the long ones.
MIX = (900, 100), (17, 33)


def scenario(folder: Path, per: str = "workload", share: float = 0.05) -> Scenario:
    section = f'[limits]\nviolations = {share}\nper = "{per}"\n[horizon]'
    return load(small.write(folder, ("[horizon]", section)))


def outcome(
    requests: tuple[int, ...], late: tuple[int, ...], policy: str = "P", carbon: float = 1.0
) -> Outcome:
    """Return an outcome of one origin and region, with so many requests and violations per workload."""
    counts = np.array(requests).reshape(1, -1, 1)
    return Outcome(
        policy=policy,
        clairvoyant=False,
        requests=counts,
        violations=np.array(late).reshape(1, -1, 1),
        latency_sum_ms=counts * 10.0,
        carbon_sum_g_per_kwh=counts * carbon,
        latency=Samples((tuple(np.full(count, 10.0) for count in requests),)),
    )


def table(scenario: Scenario, *outcomes: Outcome) -> pl.DataFrame:
    return policies.table(scenario, outcomes, Comparison(outcomes[0], {}, {}))


def row(scenario: Scenario, one: Outcome) -> dict[str, Any]:
    return table(scenario, one).row(0, named=True)


def test_the_worst_workload_stands_beside_all_requests(tmp_path: Path) -> None:
    found = row(scenario(tmp_path), outcome(*MIX))
    assert found["slo_violation_pct"] == pytest.approx(5.0)
    assert (found["worst_workload"], found["worst_violations_pct"]) == ("Long answers", pytest.approx(33.0))


def test_of_equal_workloads_the_first_is_the_worst_and_one_without_requests_is_none(tmp_path: Path) -> None:
    limits = scenario(tmp_path)
    assert row(limits, outcome((10, 20), (1, 2)))["worst_workload"] == "Short answers"
    assert row(limits, outcome((0, 20), (0, 0)))["worst_workload"] == "Long answers"
    nobody = row(limits, outcome((0, 0), (0, 0)))
    assert (nobody["worst_workload"], nobody["worst_violations_pct"], nobody["viable"]) == (None, None, False)


@pytest.mark.parametrize(("per", "viable"), [("workload", False), ("all", True)])
def test_a_policy_is_within_the_limit_only_if_every_workload_is(
    per: str, viable: bool, tmp_path: Path
) -> None:
    found = row(scenario(tmp_path, per), outcome(*MIX))
    assert found["viable"] is viable
    assert "Long answers 33.00 %" in slo.verdict(found)
    assert slo.verdict(found).startswith("viable") is viable


def test_the_limit_itself_is_kept_and_rounding_breaks_nothing(tmp_path: Path) -> None:
    third = scenario(tmp_path, share=0.33)
    assert row(third, outcome(*MIX))["viable"]
    assert not row(scenario(tmp_path, share=0.3299), outcome(*MIX))["viable"]
    assert slo.keeps(5 * (1 + 1e-12), 5.0)
    assert not slo.keeps(5 * (1 + 1e-6), 5.0)
    assert not slo.keeps(None, 100.0)


@given(st.floats(0.0001, 99), st.floats(-0.01, 0.01))
def test_a_share_reads_on_its_own_side_of_the_limit(limit_pct: float, beyond: float) -> None:
    late_pct = max(limit_pct + beyond, 0.0)
    text = slo.beside(limit_pct, late_pct)
    assert slo.keeps(float(text), limit_pct) == slo.keeps(late_pct, limit_pct)
    assert float(text) == pytest.approx(late_pct, abs=0.005)


@pytest.mark.parametrize(
    ("late", "words"),
    [
        ((500_000, 50_003), "over 5 % violations: Short answers 50.00 %"),
        ((50_003, 50_003), "over 5 % violations: 5.0003 %"),
        ((1, 50_003), "over 5 % violations: Long answers 5.0003 %"),
        ((1, 49_999), "viable, Long answers 5.00 %"),
    ],
)
def test_no_verdict_says_that_the_limit_is_over_the_limit(
    late: tuple[int, int], words: str, tmp_path: Path
) -> None:
    """A table has two decimals: 5.0003 % is shown as 5.00 %."""
    one = outcome((1_000_000, 1_000_000), late)
    found = table(scenario(tmp_path), one)
    assert slo.verdict(found.row(0, named=True)) == words
    if "5.0003" in words:
        assert f"{slo.nearest_in_words(found)}".startswith("P comes nearest with 5.0003 %")


def test_one_workload_is_all(tmp_path: Path) -> None:
    share = ("share = 0.7", "share = 1")
    text = small.changed(small.SCENARIO, share)
    start, end = text.index('[[workloads]]\nid = "long"'), text.index("[[policies]]")
    (tmp_path / "one.toml").write_text(text[:start] + text[end:], encoding="utf-8")
    found = row(load(tmp_path / "one.toml"), outcome((100,), (3,)))
    assert (found["limit_per"], slo.verdict(found)) == ("all", "viable")


@pytest.mark.parametrize(
    ("late", "viable", "sure"),
    [((1, 1), True, True), ((1, 40), True, False), ((1, 60), False, False), ((1, 200), False, True)],
)
def test_within_over_or_not_sure(late: tuple[int, ...], viable: bool, sure: bool, tmp_path: Path) -> None:
    """Of 1,000 long requests, 4 % and 6 % are within the sampling error of 5 %, 0.1 % and 20 % are not."""
    one = outcome((1000, 1000), late)
    found, intervals = row(scenario(tmp_path), one), violations(["short", "long"], [one])
    assert (found["viable"], slo.beyond_doubt(found, intervals)) == (viable, sure)
    assert slo.verdict(found, sure=sure).endswith("not beyond doubt") is not sure
    assert slo.beyond_doubt(found, intervals.clear()) is None


def test_doubts_are_of_the_requests_that_the_limit_is_on(tmp_path: Path) -> None:
    """0.6 % of all requests are late for sure, and 6 % of the long ones within the sampling error of 5 %."""
    one = outcome((9000, 1000), (0, 60))
    intervals = violations(["short", "long"], [one])
    for per, sure in (("all", True), ("workload", False)):
        assert slo.beyond_doubt(row(scenario(tmp_path, per), one), intervals) is sure


def test_the_headline_names_the_workload(tmp_path: Path) -> None:
    near, far = outcome((900, 100), (0, 2), "Near"), outcome((900, 100), (17, 33), "Far", carbon=0.4)
    said = finding(table(scenario(tmp_path), near, far))
    assert "none that a router could run cuts" in said
    assert said.endswith(
        "; Far cuts it by 60.0 %, over the limit (violations 5.00 %, of Long answers 33.00 %)."
    )
    assert "5 % SLO violations in every workload" in said
    said = finding(table(scenario(tmp_path, "all"), near, far))
    assert said.startswith(
        "Far cuts mean carbon intensity by 60.0 % against Near (violations 5.00 %, of Long"
    )
    said = finding(table(scenario(tmp_path), far))
    assert said == (
        "None of the policies compared stays within 5 % SLO violations in every workload; Far comes nearest "
        "with 33.00 % of Long answers."
    )
