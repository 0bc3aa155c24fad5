"""The catalogue's tables: every figure is there or its gap is said, and has a source."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from carbonroute.carbon import Profile
from carbonroute.catalogue import (
    cloud_region,
    cloud_regions,
    correlations,
    model,
    models,
    nearest,
    search,
    zones,
)
from carbonroute.catalogue.zones import LEAST_CORRELATION
from carbonroute.units import MAX_CARBON_G_PER_KWH

#: Words with which the source of a PUE begins: the area that the figure is of.
AREAS = {"region", "campus", "geography", "FLEET"}


def test_all_regions_and_zones_are_there_once() -> None:
    regions = cloud_regions()
    assert Counter(region.provider for region in regions.values()) == {"aws": 37, "gcp": 43, "azure": 58}
    assert all(key == region.id for key, region in regions.items())
    assert len(zones()) == 54
    assert sum(zone.has_statistics for zone in zones().values()) == 45
    assert {region.zone for region in regions.values()} == set(zones())


@pytest.mark.parametrize("key", sorted(cloud_regions()))
def test_every_region_is_complete_or_its_gap_is_said(key: str) -> None:
    region = cloud_regions()[key]
    assert region.place
    assert len(region.country) == 2
    assert region.continent in {"AF", "AS", "EU", "ME", "NA", "OC", "SA"}
    assert -60 < region.latitude < 75
    assert -180 <= region.longitude <= 180
    assert region.location_source
    assert region.zone_note
    if region.pue is None:
        assert region.pue_source.startswith("not published")
        assert "no PUE" in region.gaps
    else:
        area = region.pue_source.partition(":")[0].split()[0]
        assert area in AREAS
        assert 1 < region.pue < 2
        assert region.pue_year in {2023, 2024, 2025}
        assert ("PUE: fleet mean" in region.gaps) == (area == "FLEET")
    assert ("carbon: annual mean only" in region.gaps) == (zones()[region.zone].statistics is None)


@pytest.mark.parametrize("key", sorted(zones()))
def test_every_zone_is_complete_or_its_gap_is_said(key: str) -> None:
    zone = zones()[key]
    assert zone.source
    assert zone.accounting == "average, lifecycle, consumption"
    assert 0 < zone.mean_g_per_kwh < MAX_CARBON_G_PER_KWH
    assert zone.annual_means[2024] == zone.mean_g_per_kwh
    Profile.model_validate(zone.profile())
    if zone.statistics is None:
        assert "no hourly data" in zone.note
        assert zone.mean_g_per_kwh == zone.annual_2024_other_release
        return
    known = zone.statistics
    assert known.p5 < zone.mean_g_per_kwh < known.p95
    # The parts of the variance are orthogonal: they make up the whole, within the rounding of the table.
    waves = (known.diurnal_amplitude_pct, known.second_harmonic_pct, known.seasonal_amplitude_pct)
    variance = sum((pct / 100 * zone.mean_g_per_kwh) ** 2 / 2 for pct in waves)
    variance += known.weather_std_g_per_kwh**2 + known.hourly_noise_std**2
    assert math.sqrt(variance) == pytest.approx(known.std, rel=0.03)
    assert zone.is_doubtful == (key in {"HK", "IL"})


def test_correlations_are_of_zones_with_statistics() -> None:
    assert len(correlations()) == 308
    for (a, b), r in correlations().items():
        assert a < b
        assert zones()[a].has_statistics
        assert zones()[b].has_statistics
        assert LEAST_CORRELATION <= abs(r) < 1


def test_the_correlations_are_of_daily_means() -> None:
    """Israel has no weather: it shares the season of daily means with others, by its share of them."""

    def share(key: str) -> float:
        known, mean = zones()[key].statistics, zones()[key].mean_g_per_kwh
        assert known is not None
        season = (known.seasonal_amplitude_pct / 100 * mean) ** 2 / 2
        return math.sqrt(season / (season + known.weather_std_g_per_kwh**2))

    errors = []
    for (a, b), r in correlations().items():
        if "IL" in (a, b):
            days = np.array([zones()[key].profile()["seasonal_peak_day"] for key in (a, b)], dtype=float)
            errors.append(r - share(a) * share(b) * math.cos(2 * math.pi * (days[0] - days[1]) / 365.25))
    assert len(errors) == 26
    assert np.abs(errors).max() < 0.11


def test_a_search_takes_names_places_countries_and_zones() -> None:
    assert [region.id for region in search("Dublin")] == ["aws:eu-west-1", "azure:northeurope"]
    assert {region.country for region in search("in")} == {"IN"}
    assert {region.country for region in search("south africa")} == {"ZA"}
    assert {region.zone for region in search("us-nw-bpat")} == {"US-NW-BPAT"}
    assert [region.id for region in search("aws:eu-west-2")] == ["aws:eu-west-2"]
    assert {region.provider for region in search("west", "gcp")} == {"gcp"}
    assert len(search()) == 138
    assert search("nowhere at all") == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("eu-west-1", "aws:eu-west-1"),
        ("aws:eu-wst-1", "aws:eu-west-1"),
        ("aws/eu-west-1", "aws:eu-west-1"),
        ("AWS:EU_WEST_1", "aws:eu-west-1"),
        ("europe-west-4", "gcp:europe-west4"),
        ("west europe", "azure:westeurope"),
        ("Dubln", "aws:eu-west-1"),
        ("tokio", "aws:ap-northeast-1"),
    ],
)
def test_near_names_are_offered(typed: str, meant: str) -> None:
    assert cloud_region(typed) is None
    assert nearest(typed)[0] == meant


@pytest.mark.parametrize("word", ["qqqqqqqqqqqqqq", "nowhere", "datacenter", "asia", "mars", "staging", "us"])
def test_a_word_for_something_else_is_near_to_no_region(word: str) -> None:
    assert nearest(word) == []


@pytest.mark.parametrize("name", sorted(models()))
def test_every_model_has_time_energy_and_source(name: str) -> None:
    entry = models()[name]
    assert entry.source
    assert model(name.upper()) == entry
    if entry.answer_tokens is None:
        assert entry.service_mean_ms
        assert entry.service_std_ms
        assert entry.energy_j
    else:
        assert entry.ms_per_answer_token
        assert 1 < entry.ms_per_answer_token < 100
        assert entry.j_per_answer_token
        assert 0.01 < entry.j_per_answer_token < 20
        assert entry.num_gpus
        assert entry.max_num_seqs == 32
