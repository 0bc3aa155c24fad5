"""Notes on what no policy can change: a single region, and limits that are too short."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonroute.scenario import load, resolve
from helpers import small

#: Limits of the small scenario's workloads: services take 20 ± 4 ms (short) and 120 ± 25 ms (long).
SHORT, LONG = "slo_ms = 100", "slo_ms = 300"
#: All that the small scenario says of its second region.
SECOND = (
    ("A = 5, B = 65", "A = 5"),
    ("A = 80, B = 10", "A = 20"),
    ('[[regions]]\nname = "B"\ncarbon_g_per_kwh = 50\n', ""),
)


def notes(folder: Path, *changes: small.Change) -> list[str]:
    return [note for note in resolve(load(small.write(folder, *changes))).notes if "accounting" not in note]


def test_nothing_is_said_where_a_policy_can_keep_the_limits(tmp_path: Path) -> None:
    assert notes(tmp_path) == []


def test_a_limit_below_every_round_trip_is_named(tmp_path: Path) -> None:
    """The nearest regions are 5 and 10 ms away."""
    assert notes(tmp_path, (SHORT, "slo_ms = 3")) == [
        "At least 100.0 % of Short answers is late under every policy: its limit, 3 ms, is too short for its "
        "service time and the round trip to the nearest region"
    ]


def test_the_share_is_that_of_the_law(tmp_path: Path) -> None:
    """With 130 ms, users of West, 5 ms away, leave 125 ms for 120 ± 25 ms: Φ(-0.2) of them wait longer."""
    (note,) = notes(tmp_path, (LONG, "slo_ms = 130"))
    assert note.startswith("At least 42.1 % of Long answers is late under every policy")


@pytest.mark.parametrize(("std_ms", "words"), [(4, "At least 0.00003 % of Short answers"), (2, "")])
def test_a_share_above_a_limit_of_nothing_is_told_where_it_counts(
    std_ms: int, words: str, tmp_path: Path
) -> None:
    """Of 20 ± 4 ms, Φ(-5) take longer than 40 ms, which 45 ms leave 5 ms away; of 20 ± 2 ms, Φ(-10)."""
    none_late = ("[horizon]", "[limits]\nviolations = 0\n[horizon]")
    law = ("mean = 20, std = 4", f"mean = 20, std = {std_ms}")
    said = notes(tmp_path, none_late, law, (SHORT, "slo_ms = 45"), (LONG, "slo_ms = 3000"))
    assert "".join(said).startswith(words)
    assert bool(said) == bool(words)


def test_one_region_leaves_nothing_to_route(tmp_path: Path) -> None:
    assert notes(tmp_path, *SECOND) == ["A is the only region: there is nowhere else to route to"]
