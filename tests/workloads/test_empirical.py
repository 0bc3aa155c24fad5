"""Measured service times: their distribution to the letter, and files that hold none."""

from __future__ import annotations

import gzip
import io
import math
import pickle
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist, fmean, pstdev
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.special import ndtr, ndtri

from carbonroute import rng
from carbonroute.errors import InputError
from carbonroute.workloads import Empirical, ServiceLaw
from helpers.grids import examples

#: Two-sided, failure probability 1e-6.
Z = NormalDist().inv_cdf(1 - 0.5e-6)
LAW = {"law": "empirical", "path": "times.csv", "column": "service_ms", "unit": "ms"}


def unread(**changes: str | int) -> Empirical:
    law = TypeAdapter[Any](ServiceLaw).validate_python({**LAW, **changes})
    assert isinstance(law, Empirical)
    return law


def with_times(times_ms: list[float]) -> Empirical:
    law = unread()
    return law.with_times(np.array(times_ms, dtype=np.float64))


def read(folder: Path, data: str | bytes, **changes: str | int) -> Empirical:
    law = unread(**changes)
    (folder / law.path).write_bytes(data.encode() if isinstance(data, str) else data)
    return law.read(folder)


def parquet(**columns: object) -> bytes:
    data = io.BytesIO()
    pl.DataFrame(columns).write_parquet(data)
    return data.getvalue()


CSV = "id,service_ms\na,30\nb,10.5\nc, 20 \n"


@pytest.mark.parametrize(
    ("data", "changes", "expected"),
    [
        (CSV, {}, [10.5, 20, 30]),
        (CSV, {"unit": "s"}, [10_500, 20_000, 30_000]),
        (gzip.compress(CSV.encode()), {"path": "times.csv.gz"}, [10.5, 20, 30]),
        (parquet(service_ms=[3, 1, 2]), {"path": "times.parquet"}, [1, 2, 3]),
        (parquet(service_ms=[0.1, 1e-7]), {"path": "times.parquet"}, [1e-7, 0.1]),
        ("\ufeffid,dauer\r\na,5\r\nb,1e3\r\n", {"column": "dauer"}, [5, 1000]),
    ],
    ids=["CSV", "seconds", "packed", "Parquet", "fractions in Parquet", "of a spreadsheet"],
)
def test_times_are_read_in_their_unit(
    data: str | bytes, changes: dict[str, str], expected: list[float], tmp_path: Path
) -> None:
    law = read(tmp_path, data, **changes)
    assert law.times_ms.tolist() == expected
    assert law.file == law.path
    assert not law.per_request


@pytest.mark.parametrize("n", [2, 3, 10, 49, 100, 997, 10_000, 999_983])
def test_at_k_of_n_it_is_the_kth_time(n: int) -> None:
    law = with_times(list(range(1, n + 1)))
    k = np.unique(np.linspace(1, n - 1, 5000).round())
    assert np.array_equal(law.at(ndtri(k / n)), k)
    assert np.array_equal(law.at(ndtri((k - 0.5) / n)), k)
    assert np.array_equal(law.at(ndtri((k + 1e-9 * n) / n)), k + 1)
    assert law.at(np.array([-np.inf, -40.0, 40.0, np.inf])).tolist() == [1, 1, n, n]


@pytest.mark.parametrize("n", [2, 7, 20, 100, 365])
def test_the_quantile_of_k_in_n_is_the_kth_time(n: int) -> None:
    law = with_times(list(range(1, n + 1)))
    assert [law.quantile(k / n) for k in range(1, n)] == list(range(1, n))


@given(
    times_ms=st.lists(st.floats(0.001, 1e9), min_size=2, max_size=40),
    z=st.floats(-9, 9),
)
def test_it_is_the_inverse_of_the_empirical_distribution_function(times_ms: list[float], z: float) -> None:
    law = with_times(times_ms)
    value, share, n = float(law.at(np.array(z))), float(ndtr(z)), len(times_ms)
    within = sum(time <= value for time in times_ms)
    below = sum(time < value for time in times_ms)
    assert value in times_ms
    assert Fraction(within, n) >= share * (1 - 2e-12)  # what rounding may take off
    assert Fraction(below, n) < share or below == 0


@given(st.lists(st.floats(0.001, 1e9), min_size=2, max_size=40))
def test_its_average_is_the_mean_whatever_the_order(times_ms: list[float]) -> None:
    assert with_times(times_ms).average() == pytest.approx(fmean(times_ms), rel=1e-14)
    assert with_times(times_ms[::-1]) == with_times(times_ms)


def test_draws_have_the_mean_and_the_shares_of_the_times() -> None:
    times_ms, n = [10.0, 10.0, 20.0, 400.0], 200_000
    drawn = with_times(times_ms).at(rng.stream(4, "test empirical").standard_normal(n))
    assert drawn.mean() == pytest.approx(fmean(times_ms), abs=Z * pstdev(times_ms) / math.sqrt(n))
    for time, share in ((10.0, 0.5), (20.0, 0.25), (400.0, 0.25)):
        tolerance = Z * math.sqrt(n * share * (1 - share))
        assert np.count_nonzero(drawn == time) == pytest.approx(n * share, abs=tolerance)


def test_a_shape_comes_back() -> None:
    law = with_times([1, 2, 3])
    assert law.at(np.zeros((2, 3))).tolist() == [[2, 2, 2], [2, 2, 2]]
    assert law.at(np.array(0.0)).shape == ()
    assert law.at(np.zeros(0)).shape == (0,)


def test_a_law_is_a_value(tmp_path: Path) -> None:
    stated = unread()
    law = read(tmp_path, CSV)
    assert law == law.read(tmp_path) == stated.read(tmp_path)
    assert stated == unread(), "reading makes another law"
    assert law == pickle.loads(pickle.dumps(law))
    assert law != stated
    assert law != read(tmp_path, CSV.replace("30", "31"))
    assert law.model_dump() == {**LAW, "skip_rows": 0}
    with pytest.raises(ValueError, match="read-only"):
        law.times_ms[0] = 5


def test_without_its_times_it_says_what_to_do() -> None:
    for use in (lambda: unread().at(np.zeros(1)), unread().average, lambda: unread().quantile(0.5)):
        with pytest.raises(RuntimeError, match=r"times of times\.csv are not there yet: use the law"):
            use()


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    above = "# measured by X\n\n"
    assert read(tmp_path, above + CSV, skip_rows=2).times_ms.tolist() == [10.5, 20, 30]
    with pytest.raises(InputError, match="line 5, service_ms: found 'fast'"):
        read(tmp_path, above + CSV.replace("10.5", "fast"), skip_rows=2)
    with pytest.raises(InputError, match="remove lines 1 to 2, or state skip_rows = 2"):
        read(tmp_path, above + CSV)
    with pytest.raises(InputError, match="is a Parquet file, and skip_rows = 2 is stated; leave skip_rows"):
        read(tmp_path, parquet(service_ms=[3, 1]), path="times.parquet", skip_rows=2)


FIT = "a time above 0 is expected, up to 1e+09 ms"
BAD: dict[str, tuple[str | bytes, dict[str, str], tuple[str, ...]]] = {
    "text": (CSV.replace("10.5", "fast"), {}, (f"line 3, service_ms: found 'fast'; {FIT}",)),
    "with unit": (CSV.replace("10.5", "10 ms"), {}, (f"line 3, service_ms: found '10 ms'; {FIT}",)),
    "nothing": (CSV.replace("10.5", ""), {}, (f"line 3, service_ms: no value; {FIT}",)),
    "blanks": (CSV.replace("10.5", "  "), {}, (f"line 3, service_ms: no value; {FIT}",)),
    "zero": (CSV.replace("10.5", "0"), {}, (f"line 3, service_ms: found '0'; {FIT}",)),
    "negative": (CSV.replace("10.5", "-1"), {}, (f"line 3, service_ms: found '-1'; {FIT}",)),
    "nan": (CSV.replace("10.5", "NaN"), {}, (f"line 3, service_ms: found 'NaN'; {FIT}",)),
    "inf": (CSV.replace("10.5", "inf"), {}, (f"line 3, service_ms: found 'inf'; {FIT}",)),
    "beyond belief": (CSV.replace("10.5", "2e9"), {}, (f"line 3, service_ms: found '2e9'; {FIT}",)),
    "beyond belief in s": (CSV.replace("10.5", "2e6"), {"unit": "s"}, ("found '2e6'", "up to 1e+06 s")),
    "all faults": (
        CSV.replace("10.5", "x").replace("30", "y"),
        {},
        ("2 faults", f"line 2, service_ms: found 'y'; {FIT}", f"line 3, service_ms: found 'x'; {FIT}"),
    ),
    "a single time": ("service_ms\n5\n", {}, ("column 'service_ms': holds a single time", "needs more")),
    "another column": (
        CSV.replace("service_ms", "servce_ms"),
        {},
        ("column 'service_ms': missing; did you mean 'servce_ms'? Known: id, servce_ms",),
    ),
    "the column twice": (CSV.replace("id", "service_ms"), {}, ("column 'service_ms' stands 2 times",)),
    "empty": ("", {}, ("the file is empty",)),
    "header alone": ("service_ms\n", {}, ("there is a header and no data",)),
    "a field too many": (CSV.replace("30", "30,1"), {}, ("line 2 has 3 fields", "the header has 2")),
    "Latin-1": (CSV.replace("b,", "ü,").encode("latin-1"), {}, ("line 3 is not UTF-8",)),
    "not packed": (CSV, {"path": "times.csv.gz"}, ("is not a complete gzip file",)),
    "not Parquet": (CSV, {"path": "times.parquet"}, ("is not a Parquet file",)),
    "lists": (
        parquet(service_ms=[[1], [2]]),
        {"path": "t.parquet"},
        ("column 'service_ms': holds List(Int64)",),
    ),
    "truth values": (parquet(service_ms=[True, False]), {"path": "t.parquet"}, ("line 2", "found 'true'")),
    "nulls": (
        parquet(service_ms=[1.0, None]),
        {"path": "t.parquet"},
        (f"line 3, service_ms: no value; {FIT}",),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_times_are_refused(case: str, tmp_path: Path) -> None:
    data, changes, words = BAD[case]
    with pytest.raises(InputError) as refused:
        read(tmp_path, data, **changes)
    message = str(refused.value)
    assert message.startswith(f"{changes.get('path', 'times.csv')}: ")
    assert all(word in message for word in words), message


@settings(max_examples=examples(150))
@given(
    st.lists(st.sampled_from(["1", "2e3", "-0", "0x1", "", " ", "nan", "1e999", '"', ",", "\n", "\0", "½"]))
)
def test_of_any_file_come_usable_times_or_a_refusal(tmp_path: Path, parts: list[str]) -> None:
    try:
        law = read(tmp_path, "service_ms\n" + "".join(parts))
    except InputError:
        return
    assert law.times_ms.size >= 2
    assert ((law.times_ms > 0) & (law.times_ms <= 1e9)).all()


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^times.csv: cannot be read \(No such file"):
        unread().read(tmp_path)
    with pytest.raises(InputError, match=r"^\.: is a directory; name a file"):
        unread(path=".").read(tmp_path)


@pytest.mark.parametrize("change", [{"unit": "min"}, {"path": ""}, {"column": ""}, {"mean": "3"}])
def test_a_law_that_cannot_be_meant_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        unread(**change)
    without_unit = {key: value for key, value in LAW.items() if key != "unit"}
    with pytest.raises(ValidationError, match="unit"):
        TypeAdapter[Any](ServiceLaw).validate_python(without_unit)
