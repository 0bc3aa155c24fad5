"""Live baselines, and actuators of several cells, keep requests within their allowed regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import InputError
from carbonroute.live.baselines import nearest, weights_of
from carbonroute.live.config import EvenBaseline, StaticBaseline, load_live
from carbonroute.scenario import load, resolve
from helpers import small
from helpers.live import bed

WEST = ("share = 0.4\n", 'share = 0.4\nallowed_regions = ["B"]\n')


def test_baselines_send_nothing_outside(tmp_path: Path) -> None:
    site = resolve(load(small.write(tmp_path, WEST))).site
    west, east = [0.0, 1.0], [0.0, 1.0]  # B is also nearest to the East
    np.testing.assert_array_equal(nearest(site), [[west] * 2, [east] * 2])
    even = weights_of(EvenBaseline(kind="even"), site, ["A", "B"])
    np.testing.assert_array_equal(even, [[west] * 2, [[0.5, 0.5]] * 2])
    only_a = weights_of(StaticBaseline(kind="static", weights={"A": 1.0}), site, ["A", "B"])
    np.testing.assert_array_equal(only_a, [[west] * 2, [[1.0, 0.0]] * 2])


@pytest.mark.parametrize(
    ("each", "refused"),
    [([""], True), (['origin = "West"', 'origin = "East"'], False), (['workload = "long"', ""], True)],
)
def test_an_actuator_of_cells_with_different_regions_is_refused(
    each: list[str], tmp_path: Path, *, refused: bool
) -> None:
    bed(tmp_path, WEST)
    live = tmp_path / "live.toml"
    actuators = "".join(
        f'\n[[live.actuators]]\nkind = "gauge"\nprefix = "p{place}"\n{cells}\n'
        for place, cells in enumerate(each)
    )
    live.write_text(live.read_text(encoding="utf-8") + actuators, encoding="utf-8")
    if not refused:
        assert load_live(live).inputs.allowed is not None
        return
    with pytest.raises(InputError, match="one set of weights to cells whose allowed_regions differ"):
        load_live(live)


@pytest.mark.parametrize(("origin", "missing"), [("West", False), ("East", True)])
def test_a_target_needs_endpoints_of_the_regions_that_may_serve_it(
    origin: str, tmp_path: Path, *, missing: bool
) -> None:
    bed(tmp_path, WEST)
    live = tmp_path / "live.toml"
    target = f'kind = "haproxy"\nsocket = "stats"\norigin = "{origin}"\nservers = {{ B = ["be/b"] }}\n'
    text = live.read_text(encoding="utf-8")
    other = f'kind = "gauge"\norigin = "{({"West", "East"} - {origin}).pop()}"\n'
    live.write_text(f"{text}\n[[live.actuators]]\n{target}\n[[live.actuators]]\n{other}", encoding="utf-8")
    if not missing:
        assert load_live(live).settings.actuators[-2].origin == origin
        return
    with pytest.raises(InputError, match="region 'A' is missing"):
        load_live(live)
