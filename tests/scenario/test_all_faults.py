"""All faults of a scenario in one pass: schema, data, cross-checks; each with file, line, id and remedy."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from carbonroute.cli import main
from carbonroute.errors import Fault, InputError
from carbonroute.scenario import load, resolve
from carbonroute.scenario.written.faults import as_share
from helpers import faulty, small
from helpers.refusals import places

OWN = 'carbon = {{ kind = "file", path = "{}", layout = "wide", time_column = "time", unit = "g/kWh"{} }}\n'
MARGINAL = ', accounting = { rate = "marginal" }'
AVERAGE = ', accounting = { rate = "average" }'


def validated(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the faults that ``validate --json`` prints."""
    assert main(["validate", str(path), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is False
    assert all(fault["found"] and fault["file"] and fault["id"] for fault in document["faults"])
    faults: list[dict[str, Any]] = document["faults"]
    return faults


def line(path: Path, text: str) -> int:
    return path.read_text(encoding="utf-8").split("\n").index(text) + 1


def test_schema_data_and_cross_checks_are_reported_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.csv").write_text("time,B\n2021-01-01T00:00:00Z,-5\n", encoding="utf-8")
    path = small.write(
        tmp_path,
        ("share = 0.4", "share = 40"),
        ("share = 0.6", 'share = "60 %"'),
        ("hours = 6", "hours = 6\nhuors = 3"),
        (small.SYNTHETIC, small.WIDE.replace("carbon.csv", "nowhere.csv") + AVERAGE[2:] + "\n"),
        ('name = "B"\n', 'name = "B"\npue = 0.5\n' + OWN.format("b.csv", MARGINAL)),
        ("East = { A = 80, B = 10 }", "East = { A = 80 }"),
        ("carbon_g_per_kwh = 50\n", "carbon_g_per_kwh = 50\nzone = 'B'\n"),
        ("alpha = 0.5", "alhpa = 0.5"),
    )
    faults = validated(path, capsys)
    expected = {
        ("small.toml", line(path, "huors = 3"), "unknown-key"),
        ("small.toml", line(path, "share = 40"), "percentage"),
        ("small.toml", line(path, 'share = "60 %"'), "percentage"),
        ("small.toml", line(path, "pue = 0.5"), "out-of-range"),
        ("small.toml", line(path, "East = { A = 80 }"), "missing-key"),
        ("small.toml", line(path, "alhpa = 0.5"), "unknown-key"),
        ("small.toml", line(path, "[carbon]"), "mixed-accounting"),
        ("nowhere.csv", None, "unreadable-file"),
        ("b.csv", 2, "carbon-data"),
    }
    assert expected <= places(faults), faults
    assert all(fault["remedy"] for fault in faults)


def test_a_healthy_scenario_has_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(small.write(tmp_path)), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["valid"], document["faults"], document["hours"], document["policies"]) == (
        True,
        [],
        6,
        3,
    )


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ([("hours = 6", "hours = 0")], "nowhere.csv"),
        ([("start = 2021-01-01T00:00:00Z", "start = 2021-01-01")], "nowhere.csv"),
        ([("[[policies]]\nuse = \"latency-first\"", '[[policies]]\nuse = "latency-fist"')], "nowhere.csv"),
        ([('name = "B"\ncarbon_g_per_kwh = 50', "carbon_g_per_kwh = 50")], "nowhere.csv"),
        ([('kind = "fixed-rate"\n', 'kind = "fixed"\n')], "nowhere.csv"),
        ([("slo_ms = 100", "slo_ms = -1"), ('id = "long"', "id = 5")], "nowhere.csv"),
        ([('name = "A"\ncarbon_g_per_kwh = 400\n', 'name = "A"\npue = 160\n')], "nowhere.csv"),
    ],
)  # fmt: skip
def test_a_missing_file_is_reported_beside_any_fault_of_the_scenario(
    changes: list[small.Change], other: str, tmp_path: Path
) -> None:
    path = small.write(tmp_path, (small.SYNTHETIC, small.WIDE.replace("carbon.csv", other)), *changes)
    with pytest.raises(InputError) as caught:
        load(path)
    files = [caught.value.file_of(fault) for fault in caught.value.faults]
    assert files.count(other) == 1
    assert files.count(str(path)) >= len(changes)


def test_every_source_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    path = small.write(
        tmp_path,
        (small.SYNTHETIC, small.WIDE),
        (
            "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n",
            'rtt_file = "rtt.csv"\n',
        ),
        (
            'kind = "fixed-rate"\nrequests_per_hour = 50',
            'kind = "replay"\nalign = "first-request"\n'
            '[[traffic.logs]]\npath = "log.csv"\ntime_column = "t"\ntime_unit = "s"\n',
        ),
        (
            '{ law = "normal", mean = 20, std = 4 }',
            '{ law = "empirical", path = "ms.csv", column = "x", unit = "ms" }',
        ),
    )
    with pytest.raises(InputError) as caught:
        resolve(load(path))
    error = caught.value
    assert [error.file_of(fault) for fault in error.faults] == ["carbon.csv", "log.csv", "rtt.csv", "ms.csv"]
    assert {fault.id for fault in error.faults} == {"unreadable-file"}


def test_a_misspelt_key_that_data_are_read_by_starts_no_chain_of_faults(tmp_path: Path) -> None:
    (tmp_path / "carbon.csv").write_text(small.WIDE_CSV.replace(",A,", ",DE,"), encoding="utf-8")
    path = small.write(tmp_path, (small.SYNTHETIC, small.WIDE), ('name = "A"\n', 'name = "A"\nzoen = "DE"\n'))
    with pytest.raises(InputError) as caught:
        load(path)
    assert [fault.where for fault in caught.value.faults] == ["regions[0].zoen"]


def test_a_value_that_an_option_set_has_no_line(tmp_path: Path) -> None:
    path = small.write(tmp_path, ("hours = 6", "hours = 0"))
    with pytest.raises(InputError) as caught:
        load(path, {"sampling.seed": -1})
    by_place = {fault.where: fault.line for fault in caught.value.faults}
    assert by_place == {"horizon.hours": 5, "sampling.seed": None}


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (60, 0.6),
        ("60%", 0.6),
        ("12,5 %", 0.125),
        ("5 percent", 0.05),
        (100, 1),
        (1.1, None),
        (250, None),
        (True, None),
    ],
)
def test_a_percentage_is_told_from_a_share(value: object, share: float | None) -> None:
    assert as_share(value) == share


def test_the_remedy_for_a_percentage_works(tmp_path: Path) -> None:
    path = small.write(tmp_path, ("share = 0.4", "share = 40"), ("share = 0.6", "share = 60"))
    with pytest.raises(InputError) as caught:
        load(path)
    shares = [fault.remedy.rpartition("; ")[2].rstrip("?") for fault in caught.value.faults]
    repaired = small.write(
        tmp_path, ("share = 0.4", f"share = {shares[0]}"), ("share = 0.6", f"share = {shares[1]}")
    )
    assert [origin.share for origin in load(repaired).origins] == [0.4, 0.6]


Told = tuple[str, str, str]  # file, place, problem


def told(folder: Path, names: list[str]) -> dict[Told, Fault]:
    """Return the faults of a scenario in which some are planted."""
    with pytest.raises(InputError) as caught:
        resolve(load(faulty.write(folder, names)))
    error = caught.value
    assert not error.more
    return {(Path(error.file_of(fault)).name, fault.where, fault.found): fault for fault in error.faults}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[Told, Fault]]:
    """Return the faults that each planted one makes by itself."""
    folder = tmp_path_factory.mktemp("alone")
    resolve(load(faulty.write(folder, [])))
    return {name: told(folder, [name]) for name in faulty.PLANTED}


def test_a_planted_fault_is_told_once_with_all_parts(alone: dict[str, dict[Told, Fault]]) -> None:
    for name, faults in alone.items():
        assert len(faults) == (2 if name == "a parameter that there is not" else 1), name  # one lacks, too
        for (file, where, found), fault in faults.items():
            assert fault.remedy or fault.id == "unreadable-file", name
            in_words = any(word in f"{where}{found}" for word in ("line", "row", "column"))
            assert fault.line or in_words or fault.id == "unreadable-file", name
            assert (fault.line is not None) == (file == "faulty.toml"), name


def check_together(names: list[str], folder: Path, alone: dict[str, dict[Told, Fault]]) -> None:
    """Check that faults together are told as each of them alone, and nothing else is."""
    found = told(folder, names).keys()
    own = {name: alone[name].keys() for name in names}
    assert found <= set().union(*own.values()), f"follow-on faults of {names}"
    for name, faults in own.items():
        for fault in faults - found:
            assert faulty.may_hide(name, names, is_of_data=fault[0] != "faulty.toml"), (name, names)


def some_faults(dice: random.Random) -> list[str]:
    """Return 3 to 6 faults at different places."""
    names = dice.sample(sorted(faulty.PLANTED), 12)
    places = {faulty.PLANTED[name].place: name for name in names}
    return list(places.values())[: dice.randint(3, 6)]


@pytest.mark.parametrize("seed", range(25))
def test_three_to_six_faults_are_told_together_and_nothing_follows(
    seed: int, tmp_path: Path, alone: dict[str, dict[Told, Fault]]
) -> None:
    check_together(some_faults(random.Random(seed)), tmp_path, alone)


@pytest.mark.parametrize(
    "beside", [["a reserved name"], ["shares of workloads that do not add up", "an unknown law"]], ids=str
)
def test_energies_that_lack_are_told_beside_faulty_sections(
    beside: list[str], tmp_path: Path, alone: dict[str, dict[Told, Fault]]
) -> None:
    lacks = "no energy of one workload"
    assert alone[lacks].keys() <= told(tmp_path, [*beside, lacks]).keys()


def test_energies_are_not_known_beside_faulty_regions_with_pools(tmp_path: Path) -> None:
    path = faulty.write(tmp_path, ["a reserved name", "no energy of one workload"])
    stated = path.read_text(encoding="utf-8")
    path.write_text(stated.replace('name = "hour"', 'name = "hour"\npools = [{ servers = 1 }]'), "utf-8")
    with pytest.raises(InputError) as caught:
        load(path)
    assert [fault.where for fault in caught.value.faults] == ["regions[1].name"]


@pytest.mark.full
def test_any_faults_are_told_together_and_nothing_follows(
    tmp_path: Path, alone: dict[str, dict[Told, Fault]]
) -> None:
    dice = random.Random(1)
    for _ in range(2000):
        check_together(some_faults(dice), tmp_path, alone)


def test_every_id_is_documented(request: pytest.FixtureRequest) -> None:
    text = (request.config.rootpath / "docs" / "model.md").read_text(encoding="utf-8")
    source = request.config.rootpath / "src" / "carbonroute"
    for name in (
        "unknown-key",
        "percentage",
        "mixed-accounting",
        "unreadable-file",
        "wrong-file",
        "not-toml",
    ):
        assert f"`{name}`" in text
        assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
