"""Every figure that is printed, sampled beside exact, on scenarios with all laws and 2 to 8 regions.

Seeds are fixed, so a run that passes will pass again. By chance alone, one figure in 16,000 is further off
than 4 standard errors; those that vary less than independent draws do, hardly ever.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from carbonroute.engines.unsupported import unsupported
from carbonroute.runs.replications import once
from carbonroute.runs.tabulate import compare_engines
from helpers.random_inputs import random_inputs

MOST = 4.0


def assert_agree(number: int, requests: int) -> None:
    """Run a scenario under a third of the policies that can be worked out."""
    inputs = random_inputs(number, requests)
    all_known = [candidate for candidate in inputs.candidates if not unsupported(inputs, candidate)]
    known = tuple(all_known[number % 3 :: 3])
    inputs = replace(inputs, candidates=known)
    found = compare_engines(once(inputs, "sampled", 1), once(inputs, "exact", 1))
    assert found.height >= 3 * len(known)
    off = found.filter(~(pl.col("z").abs() <= MOST))
    assert off.is_empty(), off


@pytest.mark.parametrize("number", range(400, 405))
def test_engines_agree(number: int) -> None:
    assert_agree(number, 20_000)


@pytest.mark.full
@pytest.mark.parametrize("number", range(400, 600))
def test_engines_agree_on_many_scenarios(number: int) -> None:
    assert_agree(number, 20_000)
