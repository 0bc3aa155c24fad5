"""`[limits]`: the share of late requests that every command and policy is held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonroute import run
from carbonroute.errors import InputError
from carbonroute.policies import POLICIES
from carbonroute.policies.base import MAX_VIOLATION
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.programs import RoutingLimits
from carbonroute.scenario import Scenario, load
from helpers import small


def scenario(folder: Path, *lines: str, policy: str = "") -> Scenario:
    section = ("[horizon]", "[limits]\n" + "\n".join(lines) + "\n[horizon]") if lines else ("", "")
    entry = ("[[policies]]\n", f'[[policies]]\nuse = "optimal"\n{policy}\n[[policies]]\n')
    return load(small.write(folder, section, entry))


@pytest.mark.parametrize("text", ['"2%"', '" 2 % "', '"0.02"', "0.02", '"2.0%"'])
def test_a_percentage_and_a_share_are_the_same_limit(text: str, tmp_path: Path) -> None:
    assert scenario(tmp_path, f"violations = {text}").limits.violations == 0.02


def test_the_limit_is_each_workloads_and_one_in_twenty_by_default(tmp_path: Path) -> None:
    limits = scenario(tmp_path).limits
    assert (limits.violations, limits.per) == (MAX_VIOLATION, "workload") == (0.05, "workload")
    assert load("published").limits.per == "all"
    assert scenario(tmp_path, 'per = "all"').limits.violations == 0.05


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            'violations = "5"',
            "limits.violations: found '5'; a percentage such as '5%' or a share from 0 to 1",
        ),
        ('violations = "120%"', "limits.violations: found '120%'"),
        ('violations = "few"', "limits.violations: found 'few'"),
        ('violations = "nan"', "limits.violations: found 'nan'"),
        ("violations = 5", "limits.violations: found 5"),
        ("violations = -0.1", "limits.violations: found -0.1"),
        ("violations = true", "limits.violations: found true"),
        ('per = "each"', "limits.per: found 'each'"),
        ("violation = 0.05", "limits.violation"),
    ],
)
def test_any_other_limit_is_refused_where_it_stands(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        scenario(tmp_path, line)
    assert words in str(refusal.value)
    assert "small.toml: line 5, " in str(refusal.value)


def kept_by(scenario: Scenario) -> float | None:
    policy = scenario.policies[0].policy
    assert isinstance(policy, Optimal)
    return policy.max_violation


def test_a_policy_without_a_limit_of_its_own_keeps_the_scenarios(tmp_path: Path) -> None:
    assert kept_by(scenario(tmp_path)) == 0.05
    limited = scenario(tmp_path, 'violations = "2%"')
    assert kept_by(limited) == 0.02
    assert kept_by(limited.within(0.3)) == 0.3  # an option of a command
    assert kept_by(limited.within(None)) == 0.02


def test_a_policys_own_limit_stays(tmp_path: Path) -> None:
    own = scenario(tmp_path, 'violations = "2%"', policy="max_violation = 0.01")
    assert kept_by(own) == kept_by(own.within(0.3)) == 0.01


def test_no_policy_has_a_default_limit_of_its_own() -> None:
    held = [member for member in POLICIES.members.values() if issubclass(member, RoutingLimits)]
    assert len(held) > 1
    assert {member.model_fields["max_violation"].default for member in held} == {MAX_VIOLATION}


def test_a_limit_that_is_no_share_is_refused_by_the_interface(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_violation: found 5; a share from 0 to 1 is expected"):
        run(small.write(tmp_path), max_violation=5)


def test_a_limit_survives_being_written_and_read(tmp_path: Path) -> None:
    limited = scenario(tmp_path, 'violations = "2%"', 'per = "all"')
    again = Scenario.model_validate(limited.model_dump(by_alias=True, exclude_none=True))
    assert again.limits == limited.limits
    assert kept_by(again) == 0.02
