"""Scenarios as they should be: read, changed, and kept as frozen values."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.rng import MAX_SEED
from carbonroute.runs import run
from carbonroute.scenario import Scenario, builtin_scenarios, builtin_text, load, resolve
from helpers import small


def test_the_sections_of_a_file_become_fields(tmp_path: Path) -> None:
    scenario = load(small.write(tmp_path))
    assert scenario.name == "small"
    assert scenario.horizon.start == datetime(2021, 1, 1, tzinfo=UTC)
    assert [origin.share for origin in scenario.origins] == [0.4, 0.6]
    assert [entry.shown for entry in scenario.policies] == [
        "Latency-First",
        "Hybrid (α=0.5)",
        "Constrained Hybrid (5 ms margin)",
    ]
    assert scenario.folder == tmp_path


def test_sections_that_may_be_left_out_have_defaults(tmp_path: Path) -> None:
    left_out = (
        ('[sampling]\nscheme = "streams"\nseed = 7\n', ""),
        ('[information]\nservice_time = "mean"\n', ""),
    )
    scenario = load(small.write(tmp_path, *left_out, ("start = 2021-01-01T00:00:00Z\n", "")))
    assert (scenario.sampling.scheme, scenario.sampling.seed) == ("streams", 42)
    assert scenario.information.service_time == "mean"
    assert scenario.horizon.start is None


def test_a_scenario_cannot_be_changed(tmp_path: Path) -> None:
    scenario = load(small.write(tmp_path))
    with pytest.raises(ValidationError):
        scenario.horizon.hours = 7  # type: ignore[misc]  # the refusal is the subject
    with pytest.raises(ValidationError):
        scenario.name = "other"  # type: ignore[misc]  # the refusal is the subject


def test_changes_are_set_before_the_check(tmp_path: Path) -> None:
    path = small.write(tmp_path, ("hours = 6", "hours = 0"))
    scenario = load(path, {"horizon.hours": 3, "network.jitter_std_ms": 0.5, "description": "new"})
    assert (scenario.horizon.hours, scenario.network.jitter_std_ms, scenario.description) == (3, 0.5, "new")
    with pytest.raises(InputError, match=r"sampling\.seed: found -1; it should be"):
        load(path, {"horizon.hours": 3, "sampling.seed": -1})
    with pytest.raises(InputError, match="name: found 'small'; a table is expected"):
        load(path, {"name.of": 1})
    with pytest.raises(InputError, match=r"horizon\.huors: unknown key; did you mean 'hours'\?"):
        load(path, {"horizon.hours": 3, "horizon.huors": 3})


def test_a_change_may_make_a_section(tmp_path: Path) -> None:
    path = small.write(tmp_path, ('[sampling]\nscheme = "streams"\nseed = 7\n', ""))
    assert load(path, {"sampling.seed": 9}).sampling.seed == 9


@pytest.mark.parametrize("name", builtin_scenarios())
def test_a_built_in_scenario_is_the_file_of_its_text(name: str, tmp_path: Path) -> None:
    (tmp_path / "copy.toml").write_text(builtin_text(name), encoding="utf-8")
    assert load(name).model_dump() == load(tmp_path / "copy.toml").model_dump()


def test_a_file_of_a_built_in_s_name_is_read_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small.write(tmp_path).rename("published")
    assert load("published").name == "published"
    assert load("./published").name == "small"
    assert load(Path("published")).name == "small"


def test_a_dump_makes_the_same_scenario_again(tmp_path: Path) -> None:
    for change in [("noise = 0.1", "noise = 0"), (small.SYNTHETIC, small.WIDE), ("0.5", "0.5\nlabel = 'L'")]:
        scenario = load(small.write(tmp_path, change))
        document = json.loads(scenario.model_dump_json(by_alias=True, exclude_none=True))
        document["horizon"]["start"] = datetime.fromisoformat(
            document["horizon"]["start"]
        )  # as TOML gives it
        assert Scenario.model_validate(document, context={"folder": tmp_path}) == scenario


@pytest.mark.parametrize(
    "name",
    ["policy", "region", "requests", "x_ms", "x_pct", "a,b", 'a"b', "[red]A[/red]", "Ü 東京", "A" * 100, "-"],
)
def test_names_may_be_odd(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [(f'"{old}"', json.dumps(name, ensure_ascii=False)) for old in ("West", "A", "small", "short")]
    scenario = small.write(
        tmp_path,
        ("West = { A", f"{json.dumps(name)} = {{ {json.dumps(name)}"),
        ("{ A = 80", f"{{ {json.dumps(name)} = 80"),
        *changes,
    )
    assert main(["simulate", str(scenario), "--no-figures", "--output", str(tmp_path / "run")]) == 0
    assert "".join(name.split()) in "".join(capsys.readouterr().out.split())
    results = rows(tmp_path / "run" / "tables" / "simulation_results.csv")
    assert sum(int(row[f"requests_{name}"]) + int(row["requests_B"]) for row in results) == 3 * 6 * 50
    matrix = rows(tmp_path / "run" / "data" / "latency_matrix.csv")
    heading = f"'{name}" if name == "-" else name  # a spreadsheet would take it for a formula
    assert [float(row[heading]) for row in matrix] == [5, 80]
    assert len([row[heading] for row in rows(tmp_path / "run" / "data" / "carbon_intensity_traces.csv")]) == 6


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


LIMITS = {
    "one hour": ("hours = 6", "hours = 1"),
    "one request": ("requests_per_hour = 50", "requests_per_hour = 1"),
    "first seed": ("seed = 7", "seed = 0"),
    "last seed": ("seed = 7", f"seed = {MAX_SEED}"),
    "all from one origin": (
        'share = 0.4\n[[origins]]\nname = "East"\nshare = 0.6',
        'share = 1\n[[origins]]\nname = "East"\nshare = 0',
    ),
    "shares to nine digits": ("share = 0.4", "share = 0.4000000009"),
    "no carbon": ("carbon_g_per_kwh = 400", "carbon_g_per_kwh = 0"),
    "most noise": ("noise = 0.1", "noise = 1\ndiurnal_amplitude = 1"),
    "no round trip": ("A = 5", "A = 0"),
    "longest round trip": ("A = 5", "A = 60000"),
    "tiny limit": (
        'slo_ms = 100\nservice_ms = { law = "normal", mean = 20, std = 4 }',
        'slo_ms = 5e-324\nservice_ms = { law = "normal", mean = 5e-324, std = 5e-324 }',
    ),
    "longest limit": ("slo_ms = 100", "slo_ms = 1e9"),
    "tiny service time": ("mean = 20, std = 4", "mean = 5e-324, std = 5e-324"),
    "longest service time": (
        'slo_ms = 100\nservice_ms = { law = "normal", mean = 20, std = 4 }',
        'slo_ms = 1e9\nservice_ms = { law = "normal", mean = 1e9, std = 1e9 }',
    ),
    "highest floor": (
        'slo_ms = 100\nservice_ms = { law = "normal", mean = 20, std = 4 }',
        'slo_ms = 1e9\nservice_ms = { law = "normal", mean = 20, std = 4, floor = 1e9 }',
    ),
    "wide lognormal": ('"normal", mean = 20, std = 4', '"lognormal", mean = 1e-3, std = 1'),
    "narrow lognormal": (
        'slo_ms = 100\nservice_ms = { law = "normal", mean = 20, std = 4 }',
        'slo_ms = 1e9\nservice_ms = { law = "lognormal", mean = 1e9, std = 5e-324 }',
    ),
    "wide gamma": ('"normal", mean = 20, std = 4', '"gamma", mean = 1e-3, std = 1'),
    "narrow gamma": (
        'slo_ms = 100\nservice_ms = { law = "normal", mean = 20, std = 4 }',
        'slo_ms = 1e9\nservice_ms = { law = "gamma", mean = 1e9, std = 1e3 }',
    ),
    "certain quantile": ('service_time = "mean"', 'service_time = "quantile:0.9999999999999999"'),
    "tiny quantile": ('service_time = "mean"', 'service_time = "quantile:5e-324"'),
    "carbon alone": ("alpha = 0.5", "alpha = 0"),
    "latency alone": ("alpha = 0.5", "alpha = 1"),
    "endless bounds": ("alpha = 0.5", "alpha = 0.5\nrtt_bounds_ms = [-1e308, 1e308]"),
    "largest margin": ("margin_ms = 5", "margin_ms = 1e308"),
    "first day of the calendar": ("2021-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    "last day of the calendar": ("2021-01-01T00:00:00Z", "9999-12-31T17:00:00Z"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_lies_at_a_limit_runs_and_gives_numbers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = small.write(tmp_path, LIMITS[name])
    assert main(["simulate", str(scenario), "--json", "--no-figures", "--output", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for policy in json.loads(printed.out)["policies"]:
        assert all(np.isfinite(value) for value in policy.values() if isinstance(value, float)), policy


def test_a_thousand_members_of_each_kind_are_allowed(tmp_path: Path) -> None:
    more = "".join(f'[[regions]]\nname = "{i}"\ncarbon_g_per_kwh = 5\n' for i in range(998))
    matrix = (
        "from,"
        + ",".join(["A", "B", *map(str, range(998))])
        + "\n"
        + "".join(f"{o}{',7' * 1000}\n" for o in ("West", "East"))
    )
    (tmp_path / "m.csv").write_text(matrix, encoding="utf-8")
    inline = "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n"
    scenario = small.write(
        tmp_path, ("[[workloads]]", f"{more}[[workloads]]"), (inline, 'rtt_file = "m.csv"\n')
    )
    assert resolve(load(scenario)).shape == (6, 2, 2, 1000)


def test_the_scenario_s_policies_are_compared_to_latency_first_even_without_it(tmp_path: Path) -> None:
    scenario = small.write(tmp_path, ('[[policies]]\nuse = "latency-first"\n', ""))
    policies = run(scenario).tables.policies
    assert policies["policy"].to_list() == ["Hybrid (α=0.5)", "Constrained Hybrid (5 ms margin)"]
    assert set(policies["baseline"]) == {"Latency-First"}
