"""What can be known of a grid's long run before the horizon begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbonroute.errors import PolicyError
from carbonroute.scenario import builtin_text
from carbonroute.study import run

START = datetime(2021, 1, 1, tzinfo=UTC)


def scenario(folder: Path, hours_before: int) -> Path:
    """Write a scenario of 48 hours; before it Ireland was clean and Sweden dirty, in it the reverse."""
    lines = ["time,Ireland,Sweden,Virginia"]
    for hour in range(-hours_before, 48):
        time = START + timedelta(hours=hour)
        ireland, sweden = (20, 300) if hour < 0 else (300, 20)
        lines.append(f"{time.isoformat()},{ireland},{sweden},500")
    (folder / "carbon.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = builtin_text("starter")
    head, rest = text.split("[carbon]", 1)
    _, tail = rest.split("[network]", 1)
    keys = {"kind": "file", "path": "carbon.csv", "layout": "wide", "time_column": "time", "unit": "g/kWh"}
    source = "[carbon]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    head = head.replace("hours = 168", "hours = 48\nstart = 2021-01-01T00:00:00Z")
    path = folder / "mine.toml"
    path.write_text(f"{head}{source}[network]{tail}", encoding="utf-8")
    return path


STATIC = {"policies": [{"use": "static-greenest"}, {"use": "constrained-hybrid"}]}


def requests_in(path: Path, region: str) -> list[int]:
    return run(path, STATIC).tables.routing.filter(region=region)["requests"].to_list()


@pytest.mark.parametrize("hours_before", [24, 48, 200])
def test_the_static_choice_follows_the_period_before(tmp_path: Path, hours_before: int) -> None:
    path = scenario(tmp_path, hours_before)
    static, hourly = requests_in(path, "Ireland")
    assert static > 20_000  # all but the searches from America, which it cannot serve in time
    assert hourly < static
    assert requests_in(path, "Sweden")[0] == 0


def test_less_than_a_day_says_nothing_of_the_long_run(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"policy 'Static-Greenest': ValueError: no long-run carbon means"):
        run(scenario(tmp_path, 23), STATIC)


def test_nobody_else_asks_for_what_came_before(tmp_path: Path) -> None:
    path = scenario(tmp_path, 30)
    broken = (tmp_path / "carbon.csv").read_text(encoding="utf-8").replace(",20,300,", ",,300,", 1)
    (tmp_path / "carbon.csv").write_text(broken, encoding="utf-8")
    run(path, {"policies": [{"use": "carbon-first"}]})
    with pytest.raises(Exception, match=r"carbon.csv: line 2, zone Ireland: no value"):
        run(path, STATIC)
