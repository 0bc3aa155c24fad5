"""Regions and origins ``from`` the catalogue: what they fill in, what overrides it, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.catalogue import cloud_regions, zones
from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.scenario import Inputs, Scenario, load, resolve
from carbonroute.scenario.written.load import checked
from carbonroute.scenario.written.sections import Origin, Region

TEXT = """
schema = 1
name = "catalogue"
[horizon]
hours = 48
start = 2024-06-01T00:00:00Z
[traffic]
kind = "fixed-rate"
requests_per_hour = 5
[carbon]
kind = "synthetic"
{carbon}
{network}
[[origins]]
from = "aws:eu-west-1"
share = 1
{origins}
{regions}
[[workloads]]
id = "chat"
name = "chat"
model = "a model"
share = 1
slo_ms = 500
service_ms = {{ law = "normal", mean = 60, std = 12, floor = 1 }}
energy_j = 1.0
[[policies]]
use = "latency-first"
[[policies]]
use = "carbon-first"
"""


def text(*regions: str, **parts: str) -> str:
    tables = "\n".join(f"[[regions]]\n{region}" for region in regions)
    return TEXT.format(**{"carbon": "", "network": "", "origins": "", **parts}, regions=tables)


def scenario(tmp_path: Path, *regions: str, **parts: str) -> Scenario:
    (tmp_path / "s.toml").write_text(text(*regions, **parts), encoding="utf-8")
    return load(str(tmp_path / "s.toml"))


def inputs(tmp_path: Path, *regions: str, **parts: str) -> Inputs:
    return resolve(scenario(tmp_path, *regions, **parts))


def refused(tmp_path: Path, *regions: str, **parts: str) -> str:
    with pytest.raises(InputError) as error:
        inputs(tmp_path, *regions, **parts)
    return str(error.value)


DUBLIN = 'from = "aws:eu-west-1"'


def test_from_fills_in_all_that_the_catalogue_knows(tmp_path: Path) -> None:
    made = scenario(tmp_path, DUBLIN, 'from = "gcp:asia-south1"')
    (origin,), (dublin, mumbai) = made.origins, made.regions
    assert (dublin.name, dublin.zone, dublin.continent) == ("eu-west-1", "IE", "EU")
    assert (dublin.latitude, dublin.longitude, dublin.pue) == (53.35, -6.27, 1.11)
    assert dublin.carbon_g_per_kwh == 406.2
    assert dublin.carbon_profile is not None
    assert dublin.carbon_profile.model_dump(exclude_none=True) == {
        **zones()["IE"].profile(),
        "utc_offset_hours": 0.0,
    }
    assert (origin.name, origin.latitude, origin.continent, origin.utc_offset_hours) == (
        "eu-west-1",
        53.35,
        "EU",
        0.0,
    )
    assert mumbai.name == "asia-south1"
    assert made.network.missing == "great-circle"
    assert str(made.carbon.accounting) == "average, lifecycle, consumption"


def test_any_key_is_overridden(tmp_path: Path) -> None:
    own = f'{DUBLIN}\nname = "here"\npue = 1.5\nlatitude = 50.0\ncarbon_g_per_kwh = 300\nzone = "Z"'
    region = scenario(tmp_path, own).regions[0]
    assert (region.name, region.pue, region.latitude) == ("here", 1.5, 50.0)
    assert (region.carbon_g_per_kwh, region.zone) == (300, "Z")
    profile = scenario(tmp_path, f"{DUBLIN}\ncarbon_profile = {{ weather_std_g_per_kwh = 0 }}").regions[0]
    assert profile.carbon_profile is not None
    assert profile.carbon_profile.weather_std_g_per_kwh == 0
    assert profile.carbon_profile.noise_std_g_per_kwh == 64.1
    other = scenario(tmp_path, f'{DUBLIN}\nzone = "GB"').regions[0]
    assert other.carbon_g_per_kwh == zones()["GB"].mean_g_per_kwh
    assert other.carbon_profile is not None
    assert other.carbon_profile.grid == "GB"


def test_changes_find_a_region_by_its_id(tmp_path: Path) -> None:
    scenario(tmp_path, DUBLIN)
    path = str(tmp_path / "s.toml")
    assert load(path, {"regions[aws:eu-west-1].pue": 1.3}).regions[0].pue == 1.3
    moved = load(path, {"regions[0].from": "aws:eu-north-1"})
    assert (moved.regions[0].name, moved.regions[0].zone) == ("eu-north-1", "SE-SE3")


def test_a_scenario_written_out_is_the_same_again(tmp_path: Path) -> None:
    made = scenario(tmp_path, DUBLIN, 'from = "aws:us-west-2"\npue = 1.4')
    dumped: dict[str, Any] = made.model_dump(mode="json", by_alias=True, exclude_none=True)
    dumped["horizon"]["start"] = made.horizon.start
    assert checked(dumped, "again", tmp_path) == made


@pytest.mark.parametrize("key", sorted(cloud_regions()))
def test_every_region_is_taken_or_refused_with_what_to_state(key: str, tmp_path: Path) -> None:
    table: dict[str, object] = {"from": key}
    if cloud_regions()[key].pue is None:
        message = refused(tmp_path, f'from = "{key}"')
        assert f"regions[0].pue: missing; the catalogue has no PUE of {key}: state pue" in message
        table["pue"] = 1.3
    made = Region.model_validate(table)
    assert made.carbon_g_per_kwh == zones()[str(made.zone)].mean_g_per_kwh
    assert Origin.model_validate({"from": key, "share": 1}).name == made.name


def test_an_unknown_region_is_refused_with_the_nearest_ones(tmp_path: Path) -> None:
    message = refused(tmp_path, DUBLIN, 'from = "aws:us-wst-2"')
    assert "line 21, regions[1].from: the catalogue has no region 'aws:us-wst-2'" in message
    assert "did you mean 'aws:us-west-2'" in message
    message = refused(tmp_path, DUBLIN, origins='[[origins]]\nfrom = "eu-central-1"\nshare = 0')
    assert (
        "origins[1].from: the catalogue has no region 'eu-central-1'; did you mean 'aws:eu-central-1'"
        in message
    )
    assert "regions[0].from: found 7" in refused(tmp_path, "from = 7")


def test_the_same_region_twice_is_refused(tmp_path: Path) -> None:
    assert "'eu-west-1' stands at [0] too" in refused(tmp_path, DUBLIN, DUBLIN)


def test_other_accounting_than_the_catalogue_s_is_refused(tmp_path: Path) -> None:
    marginal = 'accounting = { rate = "marginal" }'
    assert "the catalogue's carbon is average, lifecycle, consumption" in refused(
        tmp_path, DUBLIN, carbon=marginal
    )
    own = f"{DUBLIN}\ncarbon_g_per_kwh = 500"
    assert str(scenario(tmp_path, own, carbon=marginal).carbon.accounting) == "marginal"
    assert str(scenario(tmp_path, own).carbon.accounting) == "not stated"


def dublin_to_mumbai_ms() -> float:
    """Return the estimate by the spherical law of cosines, with the factor of Asia and Europe."""
    (a, b), (c, d) = (
        (math.radians(cloud_regions()[key].latitude), math.radians(cloud_regions()[key].longitude))
        for key in ("aws:eu-west-1", "aws:ap-south-1")
    )
    angle = math.acos(math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d))
    return 2 * 6371.0088 * angle * 2.10 * 1.468 / 299.792458 + 4.3


def test_round_trips_are_estimated_and_said_to_be(tmp_path: Path) -> None:
    made = inputs(tmp_path, DUBLIN, 'from = "aws:ap-south-1"')
    assert made.rtt_ms[0] == pytest.approx([4.3, dublin_to_mumbai_ms()], rel=1e-9)
    (note,) = [note for note in made.notes if "round-trip" in note]
    assert note.startswith("2 of 2 round-trip times estimated by great-circle distance and continents")
    assert note.endswith(
        "half of such estimates lie within 11 % of what was measured, nine tenths within 32 %"
    )


def test_measured_round_trips_come_first(tmp_path: Path) -> None:
    stated = '[network.rtt_ms]\n"eu-west-1" = { "eu-west-1" = 2, "ap-south-1" = 120 }'
    made = inputs(tmp_path, DUBLIN, 'from = "aws:ap-south-1"', network=stated)
    assert made.rtt_ms.tolist() == [[2, 120]]
    assert not any("round-trip" in note for note in made.notes)
    partly = '[network]\nmissing = "great-circle"\n[network.rtt_ms]\n"eu-west-1" = { "eu-west-1" = 2 }'
    made = inputs(tmp_path, DUBLIN, 'from = "aws:ap-south-1"', network=partly)
    assert made.rtt_ms[0] == pytest.approx([2, dublin_to_mumbai_ms()], rel=1e-9)
    assert any(note.startswith("1 of 2 round-trip times") for note in made.notes)


def test_without_a_place_round_trips_are_asked_for(tmp_path: Path) -> None:
    unplaced = '[[regions]]\nname = "cellar"\ncarbon_g_per_kwh = 100\n'
    assert "found neither of rtt_ms and rtt_file" in refused(tmp_path, DUBLIN, unplaced, network="[network]")


def test_places_of_one_s_own_are_estimated_beside_the_catalogue_s(tmp_path: Path) -> None:
    placed = '[[origins]]\nname = "office"\nshare = 0\nlatitude = 48.9\nlongitude = 2.4\n'
    made = inputs(tmp_path, DUBLIN, origins=placed)
    assert [note.partition(" (")[0] for note in made.notes if "round-trip" in note] == [
        "1 of 2 round-trip times estimated by great-circle distance",
        "1 of 2 round-trip times estimated by great-circle distance and continents",
    ]
    known = inputs(tmp_path, DUBLIN, origins=f'{placed}continent = "EU"\n')
    assert sum("round-trip" in note for note in known.notes) == 1
    cellar = 'name = "cellar"\ncarbon_g_per_kwh = 100\nlatitude = 48.9\nlongitude = 2.4'
    made = inputs(tmp_path, DUBLIN, cellar)
    assert made.rtt_ms.shape == (1, 2)
    assert str(made.carbon.accounting) == "not stated"


def test_doubts_and_assumptions_are_notes(tmp_path: Path) -> None:
    keys = ("aws:us-west-2", "aws:me-central-1", "aws:ap-east-1", "gcp:europe-west1")
    notes = "\n".join(inputs(tmp_path, *(f'from = "{key}"' for key in keys)).notes)
    assert "PUE of ap-east-1: the mean of all the provider's sites (aws, 1.15), assumed here" in notes
    assert (
        "carbon of me-central-1: assumed constant; the catalogue has but the annual mean of grid AE" in notes
    )
    assert "carbon of ap-east-1: 93 % of the hours of grid HK repeat the one before" in notes
    assert "grid of us-west-2: US-NW-BPAT, but US-NW-PACW is plausible too" in notes
    own = inputs(tmp_path, 'from = "aws:ap-east-1"\npue = 1.3\ncarbon_profile = { grid = "mine" }').notes
    assert not any("PUE" in note or "HK" in note for note in own)


@pytest.mark.usefixtures("undrawn")
def test_the_manifest_and_the_report_say_where_figures_come_from(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text(DUBLIN, 'from = "aws:ap-east-1"'), encoding="utf-8")
    arguments = [
        "simulate",
        str(tmp_path / "s.toml"),
        "--report",
        "--no-figures",
        "--quiet",
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert "catalogue of grid zones: computed from Electricity Maps (2025)" in manifest["carbon"]["source"]
    assert any("estimated by great-circle distance and continents" in note for note in manifest["notes"])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "estimated by great-circle distance and continents" in page
    assert "aws:eu-west-1: region: AWS sustainability page 2024" in page


def test_regions_of_one_grid_have_one_series(tmp_path: Path) -> None:
    made = inputs(tmp_path, DUBLIN, 'from = "azure:northeurope"', 'from = "aws:eu-north-1"')
    carbon = made.carbon.g_per_kwh
    assert np.array_equal(carbon[:, 0], carbon[:, 1])
    alone = inputs(tmp_path, 'from = "aws:eu-north-1"').carbon.g_per_kwh
    assert np.array_equal(carbon[:, 2], alone[:, 0])


def test_keys_of_a_grid_need_one(tmp_path: Path) -> None:
    plain = '{0}\nname = "x"\ncarbon_g_per_kwh = 100\ncarbon_profile = {{ {1} }}'.format
    network = '[network.rtt_ms]\n"eu-west-1" = { "x" = 2 }'
    message = refused(tmp_path, plain("", "seasonal_amplitude = 0.1"), network=network)
    assert "regions[0].carbon_profile: found seasonal_amplitude without grid" in message
    tall = 'grid = "mine", diurnal_amplitude = 0.7, second_harmonic_amplitude = 0.4'
    assert "the harmonics of the day reach 1.1 times the mean" in refused(
        tmp_path, plain("", tall), network=network
    )
