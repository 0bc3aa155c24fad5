"""Jitter from percentiles: exactly what it was fitted to, and matrices that it cannot be fitted to."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carbonroute import rng
from carbonroute.errors import InputError
from carbonroute.network import HalfNormal, LognormalJitter, PairLognormal, read_matrix
from carbonroute.scenario import load, resolve
from helpers import needs, small

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "network"
P50, P90 = DATA / "aws_cloudping_p50_matrix.csv", DATA / "aws_cloudping_p90_matrix.csv"

#: Two-sided, failure probability 1e-6.
Z = NormalDist().inv_cdf(1 - 0.5e-6)
Z90 = NormalDist().inv_cdf(0.9)

P50_MS = np.array([[5.0, 65.0], [80.0, 10.0]])
CSV = "from,A,B\nWest,6,65\nEast,90,40\n"


def fit(folder: Path, data: str, p50_ms: np.ndarray = P50_MS) -> PairLognormal:
    (folder / "p90.csv").write_text(data, encoding="utf-8")
    return LognormalJitter(law="lognormal", p90_file="p90.csv").fit(
        folder, ["West", "East"], ["A", "B"], p50_ms
    )


def pairs(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    origin, region = np.indices(shape)
    return origin, region


def test_a_std_by_which_milliseconds_overflow_is_no_jitter() -> None:
    law = HalfNormal(std_ms=1e-323)
    assert law.none
    assert law.score(np.array([-1.0, 0.0, 100.0])).tolist() == [-math.inf, math.inf, math.inf]
    assert not HalfNormal(std_ms=1e-9).none


def test_half_normal_jitter_is_the_same_for_all_pairs() -> None:
    law, z = HalfNormal(std_ms=3), np.array([-1.0, 0.0, 2.0])
    assert not law.by_pair
    assert law.at(z).tolist() == [0, 0, 6]
    assert law.at(z, np.array([0, 1, 0]), np.array([1, 1, 0])).tolist() == [0, 0, 6]


def test_fitted_jitter_has_exactly_the_percentiles(tmp_path: Path) -> None:
    law, (origin, region) = fit(tmp_path, CSV), pairs((2, 2))
    assert law.by_pair
    assert (law.at(np.zeros((2, 2)), origin, region) == 0).all()
    assert (law.at(np.full((2, 2), -7.0), origin, region) == 0).all()
    rtt_ms = P50_MS + law.at(np.full((2, 2), Z90), origin, region)
    np.testing.assert_allclose(rtt_ms, [[6, 65], [90, 40]], rtol=1e-14)


def test_above_the_median_a_round_trip_is_lognormal(tmp_path: Path) -> None:
    law, z = fit(tmp_path, CSV), np.linspace(0, 6, 61)
    sigma = math.log(40 / 10) / Z90
    np.testing.assert_allclose(10 + law.at(z, np.array(1), np.array(1)), 10 * np.exp(sigma * z), rtol=1e-13)
    assert (law.at(z, np.array(0), np.array(1)) == 0).all(), "no jitter where both percentiles agree"


def test_drawn_round_trips_have_the_percentiles(tmp_path: Path) -> None:
    law, n = fit(tmp_path, CSV), 400_000
    z = rng.stream(7, "test pair jitter").standard_normal(n)
    for o, r, p90_ms in ((0, 0, 6.0), (1, 0, 90.0), (1, 1, 40.0)):
        rtt_ms = P50_MS[o, r] + law.at(z, np.array(o), np.array(r))
        for limit_ms, share in ((P50_MS[o, r], 0.5), (p90_ms, 0.9)):
            within = np.count_nonzero(rtt_ms <= limit_ms)
            assert within == pytest.approx(n * share, abs=Z * math.sqrt(n * share * (1 - share)))


def test_a_request_meets_the_jitter_of_its_pair(tmp_path: Path) -> None:
    law, z = fit(tmp_path, CSV), np.array([1.0, 1.0, 2.0])
    origin, region = np.array([0, 1, 1]), np.array([1, 0, 1])
    one_by_one = [float(law.at(*map(np.array, each))) for each in zip(z, origin, region, strict=True)]
    assert law.at(z, origin, region).tolist() == one_by_one
    every = law.at(z[:, np.newaxis], origin[:, np.newaxis], np.arange(2))
    assert every.shape == (3, 2)
    assert every[[0, 1, 2], region].tolist() == one_by_one


@given(st.floats(1e-3, 6e4), st.floats(1, 999))
def test_any_percentiles_are_met(p50_ms: float, ratio: float) -> None:
    p50, one = np.array([[p50_ms]]), np.array(0)
    law = PairLognormal(p50, np.log(np.array([[ratio]])) / Z90)
    found = p50_ms + law.at(np.array([0.0, Z90, 8.0]), one, one)
    assert found[0] == p50_ms
    assert found[1] == pytest.approx(p50_ms * ratio, rel=1e-13)
    assert np.isfinite(found[2])


def test_without_a_round_trip_there_is_no_jitter(tmp_path: Path) -> None:
    law = fit(tmp_path, CSV.replace("West,6", "West,0"), np.array([[0.0, 65.0], [80.0, 10.0]]))
    assert law.sigma[0, 0] == 0
    assert law.at(np.array(5.0), np.array(0), np.array(0)) == 0


EXPECTED = "as much is expected, or more, below 1000 times: are both in milliseconds?"
UNFIT = "milliseconds from 0 to 60000 are expected"
BAD: dict[str, tuple[str, tuple[str, ...]]] = {
    "below the median": (
        CSV.replace("90", "79.9"),
        (f"East to A: found a 90th percentile of 79.9 ms, and a median of 80 ms; {EXPECTED}",),
    ),
    "seconds": (
        "from,A,B\nWest,.006,.065\nEast,.09,.04\n",
        ("4 faults", f"West to A: found a 90th percentile of 0.006 ms, and a median of 5 ms; {EXPECTED}"),
    ),
    "a thousand times the median": (
        CSV.replace("6,", "5000,"),
        (f"West to A: found a 90th percentile of 5000 ms, and a median of 5 ms; {EXPECTED}",),
    ),
    "missing row": (CSV.replace("East", "Esat"), ("row 'East': missing; did you mean 'Esat'?",)),
    "missing column": (CSV.replace("B", "C"), ("column 'B': missing",)),
    "missing value": (CSV.replace("90", ""), (f"line 3, East to A: no value; {UNFIT}",)),
    "nan": (CSV.replace("90", "nan"), (f"line 3, East to A: found 'nan'; {UNFIT}",)),
    "negative": (CSV.replace("90", "-90"), (f"line 3, East to A: found '-90'; {UNFIT}",)),
    "microseconds": (CSV.replace("90", "90000"), (f"line 3, East to A: found '90000'; {UNFIT}",)),
    "text": (CSV.replace("90", "90 ms"), (f"line 3, East to A: found '90 ms'; {UNFIT}",)),
    "empty": ("", ("the file is empty",)),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_matrix_is_refused(case: str, tmp_path: Path) -> None:
    data, words = BAD[case]
    with pytest.raises(InputError) as refused:
        fit(tmp_path, data)
    assert str(refused.value).startswith("p90.csv: ")
    assert all(word in str(refused.value) for word in words), refused.value


def test_a_median_of_zero_has_no_lognormal(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="West to A: found a 90th percentile of 6 ms, and a median of 0 ms"):
        fit(tmp_path, CSV, np.array([[0.0, 65.0], [80.0, 10.0]]))


def test_medians_in_seconds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"4 faults\n.*90th percentile of 6 ms, and a median of 0.005 ms"):
        fit(tmp_path, CSV, P50_MS / 1000)


@pytest.mark.parametrize(
    "change", [{"law": "gamma"}, {"p90_file": ""}, {"p95_file": "p95.csv"}, {"p90_file": 5}]
)
def test_a_law_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LognormalJitter.model_validate({"law": "lognormal", "p90_file": "p90.csv", **change})


@needs.data(P50, P90)
def test_real_percentiles_are_met() -> None:
    names = P50.read_text(encoding="utf-8").partition("\n")[0].split(",")[1:]
    p50_ms, p90_ms = (read_matrix(path, path.name, names, names) for path in (P50, P90))
    assert p50_ms.shape == (33, 33)
    assert (p90_ms >= p50_ms).all()
    law = LognormalJitter(law="lognormal", p90_file=P90.name).fit(DATA, names, names, p50_ms)
    origin, region = pairs((33, 33))
    np.testing.assert_allclose(p50_ms + law.at(np.array(Z90), origin, region), p90_ms, rtol=1e-13)
    # What one request in a million meets stays within what a round trip can be.
    assert (
        p50_ms + law.at(np.array(NormalDist().inv_cdf(1 - 1e-6)), origin, region)
    ).max() < 2 * p90_ms.max()


LONG = "src,dst,p50_ms,p90_ms,n\n" + "".join(
    f"{origin},{region},{p50},{p90},9\n"
    for origin, region, p50, p90 in (
        ("West", "A", 5, 6), ("West", "B", 65, 65), ("East", "A", 80, 90), ("East", "B", 10, 40),
    )
)  # fmt: skip
MATRIX = (
    "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n",
    "jitter_std_ms = 3\n",
)
P50_COLUMNS = 'rtt_columns = { from = "src", to = "dst", ms = "p50_ms" }\n'
P90_COLUMNS = ', p90_columns = { from = "src", to = "dst", ms = "p90_ms" }'


def with_jitter(folder: Path, network: str, columns: str = "", p90_file: str = "long.csv") -> Path:
    """Write the small scenario with jitter from a file, and the long table beside it."""
    (folder / "long.csv").write_text(LONG, encoding="utf-8")
    (folder / "p90.csv").write_text(CSV, encoding="utf-8")
    jitter = f'jitter = {{ law = "lognormal", p90_file = "{p90_file}"{columns} }}\n'
    return small.write(folder, (MATRIX[0], ""), (MATRIX[1], network + jitter))


@pytest.mark.parametrize(
    ("network", "columns", "p90_file", "named"),
    [
        ('rtt_file = "long.csv"\n' + P50_COLUMNS, P90_COLUMNS, "long.csv", "one table of both"),
        ('rtt_file = "long.csv"\n' + P50_COLUMNS, "", "p90.csv", "a matrix beside a long table"),
        ('rtt_file = "long.csv"\n' + P50_COLUMNS, "", "other.csv", "the same columns in another table"),
        ('rtt_file = "long.csv"\n' + P50_COLUMNS, "", "told.csv", "columns told by their names"),
        ("rtt_ms = { West = { A = 5, B = 65 }, East = { A = 80, B = 10 } }\n", P90_COLUMNS, "long.csv", ""),
    ],
)
def test_percentiles_may_stand_in_a_long_table(
    network: str, columns: str, p90_file: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text(LONG.replace("p50_ms,p90_ms", "p10_ms,p50_ms"), encoding="utf-8")
    told = "from,to,ms\nWest,A,6\nWest,B,65\nEast,A,90\nEast,B,40\n"
    (tmp_path / "told.csv").write_text(told, encoding="utf-8")
    law = resolve(load(with_jitter(tmp_path, network, columns, p90_file))).jitter
    expected = fit(tmp_path, CSV)
    assert isinstance(law, PairLognormal), named
    assert law.p50_ms.tolist() == expected.p50_ms.tolist()
    assert law.sigma.tolist() == expected.sigma.tolist()


@pytest.mark.parametrize(
    ("network", "columns", "p90_file", "words"),
    [
        (
            'rtt_file = "long.csv"\n' + P50_COLUMNS, "", "long.csv",
            "network.jitter.p90_file: found 'long.csv', the file of the medians; another file is expected",
        ),
        (
            "rtt_ms = { West = { A = 5, B = 65 }, East = { A = 80, B = 10 } }\n", "", "long.csv",
            "state network.jitter.p90_columns = { from = 'src', to = 'dst', ms = 'p90_ms' }",
        ),
        (
            'rtt_file = "long.csv"\n' + P50_COLUMNS, P90_COLUMNS.replace("p90_ms", "p95_ms"), "long.csv",
            "network.jitter.p90_columns.ms: there is no column 'p95_ms'; did you mean 'p90_ms'?",
        ),
        (
            'rtt_file = "long.csv"\n' + P50_COLUMNS, "", "gap.csv",
            "East to B: no value; milliseconds from 0 to 60000 are expected",
        ),
    ],
)  # fmt: skip
def test_long_tables_of_percentiles_that_do_not_fit_are_refused(
    network: str, columns: str, p90_file: str, words: str, tmp_path: Path
) -> None:
    gap = "from,to,ms\nWest,A,6\nWest,B,65\nEast,A,90\nWest,C,40\nEast,B,\n"
    (tmp_path / "gap.csv").write_text(gap, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        resolve(load(with_jitter(tmp_path, network, columns, p90_file)))
    assert words in str(caught.value)
    assert "network.rtt_ms" not in str(caught.value)


def test_lines_above_the_header_of_the_90th_percentiles_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "p90.csv").write_text("Measured by X\n\nfrom,A,B\nA,10,20\nB,20,10\n")
    p50_ms = np.array([[5.0, 10.0], [10.0, 5.0]])
    law = LognormalJitter(law="lognormal", p90_file="p90.csv")
    with pytest.raises(InputError, match=r"or state network\.jitter\.p90_skip_rows = 2"):
        law.fit(tmp_path, ["A", "B"], ["A", "B"], p50_ms)
    skipping = LognormalJitter(law="lognormal", p90_file="p90.csv", p90_skip_rows=2)
    jitter = skipping.fit(tmp_path, ["A", "B"], ["A", "B"], p50_ms)
    assert np.allclose(jitter.sigma, np.log(2) / NormalDist().inv_cdf(0.9))
