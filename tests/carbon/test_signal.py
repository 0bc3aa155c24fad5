"""What a signal is, wherever its numbers come from."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from carbonroute.carbon import Accounting, MixedAccounting, Signal


@pytest.mark.parametrize("value", [-1e-9, 2000.0001, math.nan, math.inf, -math.inf])
def test_a_signal_holds_nothing_that_is_no_carbon_intensity(value: float) -> None:
    values = np.full((6, 2), 100.0)
    values[4, 1] = value
    found = f"carbon intensity {value} g/kWh at hour 4, region index 1; 0 … 2000 is expected"
    with pytest.raises(ValueError, match=re.escape(found)):
        Signal(values, values)


def test_the_limits_themselves_are_believable() -> None:
    values = np.array([[0.0, 2000.0]])
    assert Signal(values, values).g_per_kwh.tolist() == [[0, 2000]]


def test_accounting_says_what_is_stated_and_no_more() -> None:
    assert str(Accounting()) == "not stated"
    assert str(Accounting(boundary="production", rate="average")) == "average, production"


def test_mixed_accounting_names_each_label_with_its_regions() -> None:
    direct = Accounting(scope="direct")
    mixed = MixedAccounting((("A", direct), ("B", Accounting()), ("C", direct)))
    assert str(mixed) == "mixed: direct (A, C); not stated (B)"
