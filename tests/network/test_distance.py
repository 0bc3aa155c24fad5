"""Great circles against geometry, estimates against real round trips, and times that nothing can reach."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.catalogue import cloud_region
from carbonroute.errors import InputError
from carbonroute.network import (
    CONTINENT_ERROR,
    Continent,
    Locations,
    by_continents,
    complete,
    read_matrix,
    refuse_faster_than_light,
)
from carbonroute.network.distance import (
    ACCESS_MS,
    CONTINENT_FACTORS,
    EARTH_RADIUS_KM,
    FIBRE_KM_PER_MS,
    ROUTE_FACTOR,
    estimated_rtt_ms,
    estimates_ms,
    great_circle_km,
)
from helpers import needs

CLOUDPING = Path(__file__).parents[2].parent / "shared" / "data" / "network" / "aws_cloudping_p50_matrix.csv"
needs_cloudping = needs.data(CLOUDPING)

#: The city that each region is named after, or lies near (AWS, "Regions and Availability Zones").
AWS = {
    "af-south-1": (-33.92, 18.42),  # Cape Town
    "ap-east-1": (22.32, 114.17),  # Hong Kong
    "ap-east-2": (25.03, 121.57),  # Taipei
    "ap-northeast-1": (35.68, 139.69),  # Tokyo
    "ap-northeast-2": (37.57, 126.98),  # Seoul
    "ap-northeast-3": (34.69, 135.50),  # Osaka
    "ap-south-1": (19.08, 72.88),  # Mumbai
    "ap-south-2": (17.39, 78.49),  # Hyderabad
    "ap-southeast-1": (1.35, 103.82),  # Singapore
    "ap-southeast-2": (-33.87, 151.21),  # Sydney
    "ap-southeast-3": (-6.21, 106.85),  # Jakarta
    "ap-southeast-4": (-37.81, 144.96),  # Melbourne
    "ap-southeast-5": (3.14, 101.69),  # Kuala Lumpur
    "ap-southeast-7": (13.76, 100.50),  # Bangkok
    "ca-central-1": (45.50, -73.57),  # Montreal
    "ca-west-1": (51.05, -114.07),  # Calgary
    "eu-central-1": (50.11, 8.68),  # Frankfurt am Main
    "eu-central-2": (47.37, 8.54),  # Zurich
    "eu-north-1": (59.33, 18.07),  # Stockholm
    "eu-south-1": (45.46, 9.19),  # Milan
    "eu-south-2": (41.65, -0.89),  # Zaragoza
    "eu-west-1": (53.35, -6.26),  # Dublin
    "eu-west-2": (51.51, -0.13),  # London
    "eu-west-3": (48.86, 2.35),  # Paris
    "il-central-1": (32.09, 34.78),  # Tel Aviv
    "me-central-1": (25.20, 55.27),  # Dubai
    "me-south-1": (26.23, 50.59),  # Manama
    "mx-central-1": (20.59, -100.39),  # Querétaro
    "sa-east-1": (-23.55, -46.63),  # São Paulo
    "us-east-1": (39.04, -77.49),  # Ashburn, Virginia
    "us-east-2": (39.96, -83.00),  # Columbus, Ohio
    "us-west-1": (37.34, -121.89),  # San Jose, California
    "us-west-2": (45.84, -119.70),  # Boardman, Oregon
}
AWS_PLACES = Locations(tuple(AWS), np.array(list(AWS.values())))

R = EARTH_RADIUS_KM
latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)
points = st.tuples(latitudes, longitudes)
Point = tuple[float, float]


def km(a: Point, b: Point) -> float:
    return float(great_circle_km(*np.array([*a, *b])))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0), (0, 180), math.pi * R),
        ((90, 0), (-90, 77), math.pi * R),
        ((35, -20), (-35, 160), math.pi * R),
        ((0, 13), (90, -100), math.pi * R / 2),
        ((-90, 13), (0, -100), math.pi * R / 2),
        ((0, 0), (0, 90), math.pi * R / 2),
        ((0, 7), (0, 8), math.pi * R / 180),
        ((0, 179.5), (0, -179.5), math.pi * R / 180),
        ((60, 10), (61, 10), math.pi * R / 180),
        ((60, 0), (60, 180), math.pi * R / 3),  # over the pole, not along the parallel
        ((45, 0), (45, 90), math.pi * R / 3),  # cos c = sin² 45°
        ((12, 34), (12, 34), 0),
        ((90, 0), (90, 123), 0),
    ],
)
def test_distances_that_geometry_gives(a: Point, b: Point, expected: float) -> None:
    # Near the antipodes, rounding of the haversine (2⁻⁵³) counts by its square root: 2R · 1e-8.
    assert km(a, b) == pytest.approx(expected, rel=1e-12, abs=2 * R * 2e-8)


@given(points, points)
def test_a_distance_is_that_of_the_vectors_to_both_points(a: Point, b: Point) -> None:
    def vector(point: Point) -> np.ndarray:
        latitude, longitude = map(math.radians, point)
        east, north = math.cos(longitude), math.sin(longitude)
        return np.array([math.cos(latitude) * east, math.cos(latitude) * north, math.sin(latitude)])

    u, v = vector(a), vector(b)
    expected = R * math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v))
    assert km(a, b) == pytest.approx(expected, abs=2 * R * 2e-8)
    assert km(a, b) == km(b, a)
    assert 0 <= km(a, b) <= math.pi * R


@given(points, points, points)
def test_a_detour_is_never_shorter(a: Point, b: Point, c: Point) -> None:
    assert km(a, c) <= km(a, b) + km(b, c) + 2 * R * 4e-8


def test_all_pairs_at_once_and_what_is_unknown_stays_unknown() -> None:
    latitude = np.array([0.0, math.nan])
    found = great_circle_km(latitude[:, np.newaxis], np.zeros((2, 1)), np.zeros(3), np.array([0.0, 1, 2]))
    assert found[0].tolist() == pytest.approx([0, math.pi * R / 180, math.pi * R / 90])
    assert np.isnan(found[1]).all()


def test_an_estimate_is_two_ways_through_glass_and_the_access() -> None:
    assert pytest.approx(299.792458 / 1.468, rel=1e-12) == FIBRE_KM_PER_MS
    found = estimated_rtt_ms(np.array([0.0, FIBRE_KM_PER_MS]), route_factor=1.5, access_ms=3)
    assert found.tolist() == pytest.approx([3, 6])
    assert estimated_rtt_ms(np.array(1000.0)) == pytest.approx(
        2000 * ROUTE_FACTOR / FIBRE_KM_PER_MS + ACCESS_MS
    )


HERE = Locations(["West", "East"], np.array([[0.0, 0.0], [0.0, 10.0]]))
THERE = Locations(["A", "B", "C"], np.array([[0.0, 1.0], [math.nan, math.nan], [10.0, 10.0]]))
DEGREE_MS = 2 * math.pi * R / 180 * ROUTE_FACTOR / FIBRE_KM_PER_MS


def test_what_is_missing_is_estimated_and_named() -> None:
    stated = np.array([[math.nan, 2.0, 300.0], [200.0, 5.0, math.nan]])
    rtt_ms, pairs = complete(stated, HERE, THERE, "m.csv")
    expected = [[DEGREE_MS + ACCESS_MS, 2, 300], [200, 5, 10 * DEGREE_MS + ACCESS_MS]]
    np.testing.assert_allclose(rtt_ms, expected, rtol=1e-12)
    assert pairs == [("West", "A"), ("East", "C")]
    assert np.isnan(stated).sum() == 2, "what was given is not changed"


#: Coordinates of the catalogue; distances by the spherical law of cosines, factors of docs/catalogue.md:
#: 2 · km · factor · 1.468 / 299.792458 + 4.3.
DUBLIN, ASHBURN, MUMBAI = (53.35, -6.27), (39.04, -77.49), (19.08, 72.88)
SYDNEY, SAO_PAULO, CAPE_TOWN, DUBAI = (-33.87, 151.21), (-23.55, -46.63), (-33.92, 18.42), (25.20, 55.27)


@pytest.mark.parametrize(
    ("a", "in_a", "b", "in_b", "expected_ms"),
    [
        (DUBLIN, "EU", ASHBURN, "NA", 88.26),  # 5,460.9 km · 1.57
        (ASHBURN, "NA", DUBLIN, "EU", 88.26),
        (DUBLIN, "EU", MUMBAI, "AS", 160.68),  # 7,603.5 km · 2.10
        (ASHBURN, "NA", SYDNEY, "OC", 194.64),  # 15,673.6 km · 1.24
        (ASHBURN, "NA", SAO_PAULO, "SA", 125.15),  # 7,664.4 km · 1.61
        (CAPE_TOWN, "AF", SAO_PAULO, "SA", 183.86),  # 6,344.1 km · 2.89
        (DUBAI, "ME", MUMBAI, "AS", 44.10),  # 1,935.1 km · 2.10
        (DUBLIN, "EU", DUBLIN, "EU", 4.3),
    ],
)
def test_estimates_by_continents(a: Point, in_a: Any, b: Point, in_b: Any, expected_ms: float) -> None:
    start, end = (Locations(["x"], np.array([place]), [where]) for place, where in ((a, in_a), (b, in_b)))
    assert estimates_ms(start, end)[0, 0] == pytest.approx(expected_ms, abs=0.02)


def test_a_pair_of_which_one_continent_is_unknown_has_the_plain_law() -> None:
    start = Locations(["x", "y"], np.array([DUBLIN, DUBLIN]), ["EU", None])
    end = Locations(["z"], np.array([ASHBURN]), ["NA"])
    assert by_continents(start, end).tolist() == [[True], [False]]
    nowhere = Locations(["z"], np.array([ASHBURN]))
    plain_ms = estimated_rtt_ms(np.array(km(DUBLIN, ASHBURN)))
    assert estimates_ms(start, end)[1, 0] == pytest.approx(plain_ms)
    assert estimates_ms(start, nowhere)[0, 0] == pytest.approx(plain_ms)


def test_every_pair_of_continents_has_a_factor() -> None:
    pairs = ["-".join(sorted(pair)) for pair in combinations_with_replacement(get_args(Continent), 2)]
    assert sorted(CONTINENT_FACTORS) == sorted(pairs)
    assert min(CONTINENT_FACTORS.values()) > 1, "nothing is faster than light in glass"


def test_nothing_missing_needs_no_coordinates() -> None:
    nowhere = Locations(["A", "B", "C"], np.full((3, 2), math.nan))
    rtt_ms, pairs = complete(np.ones((2, 3)), HERE, nowhere, "m.csv")
    assert (rtt_ms == 1).all()
    assert pairs == []


def test_without_coordinates_an_estimate_is_refused() -> None:
    half = Locations(["West", "East"], np.array([[0.0, 0.0], [0.0, math.nan]]))
    with pytest.raises(InputError) as refused:
        complete(np.array([[1.0, math.nan, 1.0], [1.0, 1.0, math.nan]]), half, THERE, "m.csv")
    missing = "has no coordinates, and no round-trip time"
    remedy = "state latitude and longitude, or the time"
    assert [str(fault) for fault in refused.value.faults] == [
        f"origin 'East': {missing} to 'C'; {remedy}",
        f"region 'B': {missing} from 'West'; {remedy}",
    ]


def test_light_sets_the_floor() -> None:
    floor_ms = 2 * math.pi * R / 180 / 299.792458  # of a degree, 0.742 ms
    fast = np.array([[floor_ms * 0.999, 0.0, 300.0], [200.0, 0.0, math.nan]])
    with pytest.raises(InputError) as refused:
        refuse_faster_than_light(fast, HERE, THERE, "m.csv")
    found = "m.csv: West to A: found 0.741072 ms over 111 km"
    remedy = "light takes 0.742 ms there and back: check unit (ms) and coordinates"
    assert str(refused.value) == f"{found}; {remedy}"
    refuse_faster_than_light(fast * 1.0011, HERE, THERE, "m.csv")


@pytest.fixture
def cloudping_ms() -> np.ndarray:
    return read_matrix(CLOUDPING, "p50.csv", list(AWS), list(AWS))


@needs_cloudping
def test_no_real_round_trip_is_faster_than_light(cloudping_ms: np.ndarray) -> None:
    refuse_faster_than_light(cloudping_ms, AWS_PLACES, AWS_PLACES, "p50.csv")
    with pytest.raises(InputError, match=r"faults.*\n +af-south-1 to ap-east-1: found 0\.34755 ms"):
        refuse_faster_than_light(cloudping_ms / 1000, AWS_PLACES, AWS_PLACES, "p50.csv")


@needs_cloudping
def test_real_round_trips_are_estimated_as_well_as_stated(cloudping_ms: np.ndarray) -> None:
    nothing = np.full_like(cloudping_ms, math.nan)
    estimate_ms, pairs = complete(nothing, AWS_PLACES, AWS_PLACES, "p50.csv")
    assert len(pairs) == 33 * 33
    error = estimate_ms / cloudping_ms - 1
    between = ~np.eye(33, dtype=bool)
    assert np.quantile(np.abs(error), 0.5) < 0.15
    assert np.quantile(np.abs(error), 0.9) < 0.37
    assert abs(np.median(error)) < 0.02
    assert error.min() > -0.74
    assert error[between].max() < 0.52
    assert np.abs(estimate_ms - cloudping_ms)[~between].max() < ACCESS_MS + 0.3


@needs_cloudping
def test_the_defaults_are_the_fit_to_real_round_trips(cloudping_ms: np.ndarray) -> None:
    straight_ms = estimated_rtt_ms(
        great_circle_km(*AWS_PLACES.degrees.T[..., np.newaxis], *AWS_PLACES.degrees.T), 1, 0
    )

    def error(factor: float, access_ms: float) -> float:
        return float(np.abs(np.log((factor * straight_ms + access_ms) / cloudping_ms)).mean())

    errors = {
        (factor, access_ms): error(factor, access_ms)
        for factor in np.arange(10, 30) / 10
        for access_ms in np.arange(1.0, 15)
    }
    assert min(errors, key=lambda key: errors[key]) == (ROUTE_FACTOR, ACCESS_MS)


@needs_cloudping
def test_a_real_matrix_with_gaps_is_completed(tmp_path: Path) -> None:
    table = pl.read_csv(CLOUDPING, infer_schema=False).filter(pl.col("").ne("eu-north-1")).drop("sa-east-1")
    table.write_csv(tmp_path / "p50.csv")
    read_ms = read_matrix(tmp_path / "p50.csv", "p50.csv", list(AWS), list(AWS), "great-circle")
    rtt_ms, pairs = complete(read_ms, AWS_PLACES, AWS_PLACES, "p50.csv")
    assert len(pairs) == 33 + 33 - 1
    assert all(origin == "eu-north-1" or region == "sa-east-1" for origin, region in pairs)
    assert np.isfinite(rtt_ms).all()


@needs_cloudping
def test_estimates_by_continents_are_as_good_as_stated(cloudping_ms: np.ndarray) -> None:
    """On the catalogue's coordinates, and the means of both directions: the figures of docs/catalogue.md."""
    regions = [cloud_region(f"aws:{name}") for name in AWS]
    known = [region for region in regions if region]
    degrees = np.array([(region.latitude, region.longitude) for region in known])
    places = Locations(list(AWS), degrees, [cast("Continent", region.continent) for region in known])
    pairs = np.triu_indices(len(AWS), 1)
    measured_ms = ((cloudping_ms + cloudping_ms.T) / 2)[pairs]
    error_ms = np.abs(estimates_ms(places, places)[pairs] - measured_ms)
    assert len(error_ms) == 528
    assert np.quantile(error_ms / measured_ms, [0.5, 0.9]) == pytest.approx([0.10, 0.32], abs=0.005)
    assert np.quantile(error_ms, [0.5, 0.9]) == pytest.approx([13, 56], abs=0.5)
    assert error_ms.max() < 155
    assert str(round(np.quantile(error_ms / measured_ms, 0.9) * 100)) in CONTINENT_ERROR
