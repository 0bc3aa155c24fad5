"""Real years with their real faults: what is found, what is filled, and what is left as wild as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from carbonroute.carbon import Signal
from carbonroute.errors import InputError
from helpers import needs, small
from helpers.carbon_sources import DATA, query, source

EIA = DATA / "eia_us_2022_9zones.parquet"
EIA_ZONES = ("AZPS", "BPAT", "CISO", "ERCO", "SOCO", "MISO", "NYIS", "PJM", "WAAT")
EIA_SECTION = (
    f'kind = "file"\npath = "{EIA.name}"\nlayout = "long"\ntime_column = "timestamp"\nzone_column = "ba"\n'
    'value_column = "avg_CI"\nunit = "g/kWh"\n'
)
of_eia = needs.data(EIA)


def eia(rules: str, **changes: Any) -> Signal:
    asked = {"zones": EIA_ZONES, "hours": 8760, "start": datetime(2022, 1, 1, tzinfo=UTC), **changes}
    return source(EIA_SECTION + rules).signal(query(DATA, **asked))


@of_eia
def test_the_faults_of_a_real_year_are_found_filled_and_counted() -> None:
    found = eia('gaps = "previous-day:24h"\nspikes = "remove:40"\n')
    done = found.cleaning[EIA.name]
    assert done["spikes"]["by_zone"] == {"PJM": 5}
    assert done["filled"]["by_zone"] == {"CISO": 3, "MISO": 3, "PJM": 23 + 5}
    assert done["copies"] == [{"zone": "WAAT", "same_as": "BPAT", "hours": 8081}]
    assert set(done) == {"spikes", "filled", "copies"}
    pjm = EIA_ZONES.index("PJM")
    gone = np.isnan(found.measured_g_per_kwh)
    assert gone.sum(axis=0)[[0, 2, 5, pjm]].tolist() == [0, 3, 3, 28]
    absurd = (datetime(2022, 10, 1, 5, tzinfo=UTC) - datetime(2022, 1, 1, tzinfo=UTC)).days * 24 + 5
    assert gone[absurd : absurd + 4, pjm].all()
    assert found.g_per_kwh[:, pjm].min() > 200


@of_eia
def test_a_real_year_is_refused_without_rules() -> None:
    with pytest.raises(InputError) as caught:
        eia("")
    places = [fault.where for fault in caught.value.faults]
    assert sum(place.endswith("zone CISO") for place in places) == 3
    assert str(caught.value).endswith("24 more such values")  # 29 in all, 5 of them shown
    with pytest.raises(InputError, match=r"PJM: 22 hours in a row have no value, from 2022-03-13T07:00Z"):
        eia('gaps = "interpolate:6h"\n')
    assert eia("", zones=("AZPS", "NYIS")).notes == ()


@of_eia
def test_real_years_keep_their_wild_hours() -> None:
    actual = DATA / "carboncast_actual_2020-2021_13zones.csv.gz"
    zones = ("AUS_QLD", "BPAT", "CISO", "DE", "ERCO", "ES", "ISNE", "NL", "NYISO", "PJM", "PL")
    section = small.changed(small.WIDE, ("carbon.csv", actual.name), ('"time"', '"datetime_utc"'))
    asked = query(DATA, zones=zones, hours=2 * 8760, start=datetime(2020, 1, 1, tzinfo=UTC))
    found = source(f'{section}column_suffix = "_life"\nspikes = "remove:40"\n').signal(asked)
    assert "spikes" not in found.cleaning.get(actual.name, {})
