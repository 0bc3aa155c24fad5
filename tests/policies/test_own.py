"""Anyone's own policy: from a file beside the scenario, from a package, by an entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError, PolicyError
from carbonroute.policies import POLICIES
from carbonroute.runs import run
from carbonroute.scenario import builtin_text, load

POLICY = '''
"""A policy that avoids one region by its number."""


class Avoid:
    """Everything but one region, by latency."""

    def __init__(self, region: int, penalty_ms: float = 1000.0) -> None:
        self.region = region
        self.penalty_ms = penalty_ms
        self.name = f"Avoid {region}"

    def cost(self, view):
        cost = view.rtt_ms.copy()
        cost[..., self.region] += self.penalty_ms
        return cost
'''


def scenario(folder: Path, entry: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(builtin_text("starter") + entry, encoding="utf-8")
    return path


def requests_of(path: Path, policy: str) -> dict[str, int]:
    routing = run(path, {"horizon.hours": 3}).tables.routing.filter(policy=policy)
    return dict(routing.select("region", "requests").iter_rows())


def assert_avoids_ireland(path: Path) -> None:
    by_region = requests_of(path, "Avoid 0")
    assert by_region == {"Ireland": 0, "Sweden": by_region["Sweden"], "Virginia": by_region["Virginia"]}
    assert min(by_region["Sweden"], by_region["Virginia"]) > 0


def test_from_a_file_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLICY, encoding="utf-8")
    path = scenario(tmp_path, '[[policies]]\nuse = "mine.py:Avoid"\nregion = 0\n')
    assert_avoids_ireland(path)
    assert list(run(path, {"horizon.hours": 3}).inputs.files) == ["mine.py:Avoid"]


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    path = scenario(tmp_path, '[[policies]]\nuse = "mine.py:Avoid"\nregion = 0\n')
    (tmp_path / "mine.py").write_text(POLICY, encoding="utf-8")
    assert requests_of(path, "Avoid 0")["Ireland"] == 0
    (tmp_path / "mine.py").write_text(POLICY.replace("+=", "-="), encoding="utf-8")
    assert requests_of(path, "Avoid 0")["Ireland"] == 1500


def test_from_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "routing_of_ours"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "avoid.py").write_text(POLICY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert_avoids_ireland(
        scenario(tmp_path, '[[policies]]\nuse = "routing_of_ours.avoid:Avoid"\nregion = 0\n')
    )
    sys.modules.pop("routing_of_ours.avoid")


def test_by_an_entry_point_of_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "installed_avoid.py").write_text(POLICY, encoding="utf-8")
    metadata = tmp_path / "installed_avoid-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: installed-avoid\nVersion: 1.0\n", encoding="utf-8"
    )
    points = "[carbonroute.policies]\navoid = installed_avoid:Avoid\n"
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert POLICIES.installed() == {"avoid": "installed_avoid:Avoid"}
    assert_avoids_ireland(scenario(tmp_path, '[[policies]]\nuse = "avoid"\nregion = 0\n'))
    assert main(["policies"]) == 0
    assert "installed_avoid:Avoid" in capsys.readouterr().out


def test_parameters_are_checked_against_the_class(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLICY, encoding="utf-8")
    path = scenario(tmp_path, '[[policies]]\nuse = "mine.py:Avoid"\npenalty = 3.0\n')
    with pytest.raises(InputError) as caught:
        load(path)
    assert [fault.where for fault in caught.value.faults] == ["policies[4].penalty", "policies[4].region"]
    assert "did you mean 'penalty_ms'?" in str(caught.value)


def test_a_policy_that_raises_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLICY, encoding="utf-8")
    path = scenario(tmp_path, '[[policies]]\nuse = "mine.py:Avoid"\nregion = 9\n')
    with pytest.raises(PolicyError, match=r"policy 'Avoid 9': IndexError: index 9 is out of bounds"):
        run(path, {"horizon.hours": 3})


def test_information_and_label_are_each_policy_s_own() -> None:
    entries = [
        {"use": "constrained-hybrid"},
        {"use": "constrained-hybrid", "label": "Honest", "information": {"service_time": "mean"}},
        {"use": "carbon-first"},
    ]
    policies = run("published", {"horizon.hours": 24, "policies": entries}).tables.policies
    assert policies["policy"].to_list() == ["Constrained Hybrid", "Honest", "Carbon-First"]
    assert policies["clairvoyant"].to_list() == [True, False, False]
