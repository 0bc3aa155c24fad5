"""`allowed_regions` as a scenario states it: the mask of the cells, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from helpers import small

WEST = ("share = 0.4\n", 'share = 0.4\nallowed_regions = ["A"]\n')
LONG = ("share = 0.3\n", 'share = 0.3\nallowed_regions = ["B"]\n')
BOTH = ("share = 0.3\n", 'share = 0.3\nallowed_regions = ["B", "A"]\n')


def faults_of(path: Path) -> list[tuple[int | None, str, str, str]]:
    with pytest.raises(InputError) as caught:
        load(path)
    return [(fault.line, fault.where, fault.id, str(fault)) for fault in caught.value.faults]


def line_of(path: Path, text: str) -> int:
    return path.read_text(encoding="utf-8").splitlines().index(text) + 1


def test_a_cell_is_allowed_what_its_origin_and_its_workload_allow(tmp_path: Path) -> None:
    inputs = resolve(load(small.write(tmp_path, WEST, BOTH)))
    assert inputs.allowed is not None
    assert inputs.allowed.tolist() == [[[True, False]] * 2, [[True, True]] * 2]
    assert inputs.site.allowed is inputs.allowed
    assert "40 % of the requests are served in their allowed regions, and nowhere else" in inputs.notes


def test_without_the_key_and_with_all_regions_nothing_is_restricted(tmp_path: Path) -> None:
    for changes in ((), (BOTH,)):
        inputs = resolve(load(small.write(tmp_path, *changes)))
        assert inputs.allowed is None
        assert not any("allowed" in note for note in inputs.notes)


def test_an_unknown_name_is_refused_with_its_line_and_the_one_that_is_meant(tmp_path: Path) -> None:
    names = [("West = {", "West = { north = 9,"), ("East = {", "East = { north = 9,")]
    region = ("[[workloads]]", '[[regions]]\nname = "north"\ncarbon_g_per_kwh = 9\n[[workloads]]')
    stated = 'allowed_regions = ["A", "nort"]'
    path = small.write(tmp_path, *names, region, ("share = 0.4\n", f"share = 0.4\n{stated}\n"))
    [(line, where, kind, text)] = faults_of(path)
    assert (line, where, kind) == (line_of(path, stated), "origins[0].allowed_regions[1]", "unknown-name")
    assert "there is no region 'nort'" in text
    assert "did you mean 'north'?" in text


@pytest.mark.parametrize(
    ("stated", "where", "problem"),
    [
        ("[]", "workloads[1].allowed_regions", "names no region"),
        ('["A", "B", "A"]', "workloads[1].allowed_regions[2]", "'A' stands twice"),
    ],
)
def test_none_and_a_name_twice_are_refused(stated: str, where: str, problem: str, tmp_path: Path) -> None:
    path = small.write(tmp_path, ("share = 0.3\n", f"share = 0.3\nallowed_regions = {stated}\n"))
    [(line, place, _, text)] = faults_of(path)
    assert (line, place) == (line_of(path, f"allowed_regions = {stated}"), where)
    assert problem in text


def test_a_cell_that_no_region_may_serve_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = small.write(tmp_path, WEST, LONG)
    of_origin, of_workload = faults_of(path)
    assert of_origin[:3] == (
        line_of(path, 'allowed_regions = ["A"]'),
        "origins[0].allowed_regions",
        "no-allowed-region",
    )
    assert of_workload[:3] == (
        line_of(path, 'allowed_regions = ["B"]'),
        "workloads[1].allowed_regions",
        "no-allowed-region",
    )
    for *_, text in (of_origin, of_workload):
        assert "nothing could serve requests of long from West" in text
    assert "not in workloads[1].allowed_regions" in of_origin[3]
    assert "not in origins[0].allowed_regions" in of_workload[3]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    twice = ('name = "B"\ncarbon', 'name = "A"\ncarbon')
    unknown = ("share = 0.4\n", 'share = 0.4\nallowed_regions = ["C"]\n')
    places = {where for _, where, *_ in faults_of(small.write(tmp_path, twice, unknown))}
    assert {"regions[1].name", "origins[0].allowed_regions[0]"} <= places


def test_names_of_the_catalogue_are_those_of_its_regions(tmp_path: Path) -> None:
    """A region that takes its name from the catalogue is allowed by that name."""
    path = small.write(
        tmp_path,
        ('name = "A"\ncarbon_g_per_kwh = 400', 'from = "aws:eu-west-1"'),
        ("West = { A = 5,", 'West = { "eu-west-1" = 5,'),
        ("East = { A = 80,", 'East = { "eu-west-1" = 80,'),
        ("share = 0.4\n", 'share = 0.4\nallowed_regions = ["eu-west-1"]\n'),
    )
    scenario = load(path)
    names = [region.name for region in scenario.regions]
    inputs = resolve(scenario)
    assert inputs.allowed is not None
    np.testing.assert_array_equal(inputs.allowed[0, 0], [name == "eu-west-1" for name in names])
