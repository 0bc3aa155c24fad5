"""What a policy declares to read: checked when it is made, and never a way to see more than it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonroute.errors import InputError, PolicyError
from carbonroute.runs import run
from carbonroute.scenario import load
from helpers import small

OWN = ('use = "latency-first"', 'use = "own.py:Own"')
CHEAT = """\
class Own:
    name = "Own"
    reads = {reads}
    def cost(self, view):
        return view.carbon_g_per_kwh
"""


def write(folder: Path, reads: str, *changes: small.Change) -> Path:
    (folder / "own.py").write_text(CHEAT.format(reads=reads), encoding="utf-8")
    return small.write(folder, OWN, *changes)


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ("None", "has reads = None; a set of names of the view's fields is expected"),
        ("'rtt_ms'", "has reads = 'rtt_ms'; a set of names"),
        ("{'rtt'}", "reads 'rtt', which no view has; did you mean 'rtt_ms'?"),
        ("{'jitter_ms'}", "reads jitter_ms, which only a bound is shown; set oracle = True"),
    ],
)
def test_bad_declarations_are_refused(reads: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        load(write(tmp_path, reads))
    assert message in str(refusal.value)


def test_carbon_that_is_not_declared_cannot_win_anything(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="'Own': reads carbon_g_per_kwh, which its `reads` does not name"):
        run(write(tmp_path, "{'rtt_ms'}"))
    honest = run(write(tmp_path, "{'rtt_ms', 'carbon_g_per_kwh'}")).tables.policies
    assert honest["avg_carbon_g_per_kwh"][0] < 60


def test_a_number_behind_the_name_is_the_needed_parameter() -> None:
    entries = [{"use": "nearest-greenest:2"}, {"use": "nearest-greenest", "k": 2, "label": "by key"}]
    table = run("five-aws-regions", {"horizon.hours": 24, "policies": entries}).tables.policies
    assert table["policy"].to_list() == ["Nearest-Greenest (2)", "by key"]
    one, other = table.drop("policy", "dominated_by").rows()
    assert one == other
