"""A new kind of traffic is one file and one line: then scenarios run on it, and `inspect` knows its files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from helpers import small
from helpers.extended import extended, run
from helpers.package import SOURCE

FILE = '''"""Traffic of a made-up shop: a row for each sale, with its second."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import numpy as np

from carbonroute.files import toml
from carbonroute.files.preview import Certainty, Preview, Recognition
from carbonroute.files.numbers import column_numbers
from carbonroute.files.tables import read_table
from carbonroute.traffic.requests import Arrivals, Demand, Requests
from carbonroute.traffic.source import Form, TrafficContent, TrafficFile, TrafficSource


class Shop(TrafficSource):
    """The sales of a shop: all from the first origin, for the first workload."""

    is_random: ClassVar[bool] = False
    form: ClassVar[Form] = "traffic"

    kind: Literal["shop"]
    path: str

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        known = "sale_s" in preview.head.columns
        return Recognition(Certainty.SIGNATURE, "shop", {"time": "sale_s"}) if known else None

    @classmethod
    def suggest(cls, path: str, recognition: Recognition, content: TrafficContent) -> str:
        return toml.section("[traffic]", {"kind": "shop", "path": path}, [f"{content.hours} hours"])

    def files(self) -> tuple[TrafficFile, ...]:
        recognition = Recognition(Certainty.SIGNATURE, "shop", {"time": "sale_s"})
        return (TrafficFile(self.path, "traffic", recognition),)

    def arrivals(self, demand: Demand) -> Arrivals:
        path = demand.folder / self.path
        times_s = column_numbers(read_table(path, self.path)["sale_s"]).to_numpy()
        expected = np.zeros((demand.hours, len(demand.origins), len(demand.workloads)))
        np.add.at(expected, (times_s.astype(int) // 3600, 0, 0), 1)
        pending = partial(_pending, times_s)
        return Arrivals(len(times_s), pending, partial(np.copy, expected), files={self.path: path})


def _pending(times_s):
    zeros = np.zeros(len(times_s), dtype=np.intp)
    yield lambda: Requests((times_s // 3600).astype(np.intp), zeros, zeros, times_s)
'''
REGISTER = '    "replay:Replay",\n'
LINE = '    "shop:Shop",\n'
SALES = "sale_s\n" + "".join(f"{600 * sale}\n" for sale in range(30))
FIXED = 'kind = "fixed-rate"\nrequests_per_hour = 50\n'
SHOP = 'kind = "shop"\npath = "sales.csv"\n'


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one file more, and one line."""
    folder = tmp_path_factory.mktemp("package")
    return extended(folder, "traffic/shop.py", FILE, line=LINE, after=REGISTER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sales.csv").write_text(SALES, encoding="utf-8")
    return tmp_path


def test_its_file_is_recognised_and_suggested(package: Path, folder: Path) -> None:
    seen = run(package, folder, "-m", "carbonroute", "inspect", "sales.csv", "--json")
    assert seen.returncode == 0, seen.stderr
    inspection = json.loads(seen.stdout)
    assert (inspection["kind"], inspection["reading"]["format"]) == ("traffic", "shop")
    assert inspection["facts"]["requests"] == 30
    assert tomllib.loads(inspection["suggestion"])["traffic"] == {"kind": "shop", "path": "sales.csv"}
    assert "# 5 hours" in inspection["suggestion"]


def test_a_scenario_runs_on_it(package: Path, folder: Path) -> None:
    scenario = str(small.write(folder, (FIXED, SHOP)))
    ran = run(package, folder, "-m", "carbonroute", "simulate", scenario, "--quiet", "--no-figures")
    assert ran.returncode == 0, ran.stderr
    inspected = run(package, folder, "-m", "carbonroute", "inspect", scenario, "--json")
    assert inspected.returncode == 0, inspected.stderr
    assert '"format": "shop"' in inspected.stdout


def test_messages_name_it(package: Path, folder: Path) -> None:
    scenario = small.write(folder, (FIXED, SHOP.replace("shop", "shp")))
    misspelt = run(package, folder, "-m", "carbonroute", "validate", str(scenario))
    assert misspelt.returncode == 2
    assert "did you mean 'shop'" in misspelt.stdout + misspelt.stderr


def test_without_the_line_it_is_unknown(folder: Path) -> None:
    scenario = small.write(folder, (FIXED, SHOP))
    unknown = run(SOURCE.parent, folder, "-m", "carbonroute", "validate", str(scenario))
    assert unknown.returncode == 2
    assert "shop" in unknown.stdout + unknown.stderr
