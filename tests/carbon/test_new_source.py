"""A new source is one file and one line: then scenarios read its files, and `inspect` recognises them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from helpers import small
from helpers.extended import extended, run
from helpers.package import SOURCE

FILE = '''"""Carbon from an operator that this test makes up."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from carbonroute.carbon.formats import PublishedFormat, Suggestion, labelled, of_json
from carbonroute.carbon.signal import Accounting
from carbonroute.carbon.source import CarbonReadings
from carbonroute.files.answers import AnswerModel, Instant, records
from carbonroute.files.preview import Certainty, Preview, Recognition


class _Row(AnswerModel):
    grid: str
    since: Instant
    grams: float | None


class Nordic(PublishedFormat):
    """Answers of a made-up operator: a list under ``nordic``."""

    form: ClassVar = "json"
    json_keys: ClassVar[str] = "Nordic's list"

    kind: Literal["nordic"]

    @property
    def labels(self) -> Accounting:
        return Accounting(rate="average")

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        known = isinstance(preview.content, dict) and "nordic" in preview.content
        return Recognition(Certainty.SIGNATURE, "nordic") if known else None

    @classmethod
    def suggest(cls, content: Any, shown: str) -> Suggestion:
        return Suggestion({"kind": "nordic"}, ["made up"])

    def parse_answer(self, content: Any, shown: str) -> CarbonReadings:
        rows = records(_Row, content["nordic"], "nordic", shown)
        table = of_json(shown, "nordic[{}]", rows["since"], rows["grid"], rows["grams"])
        return CarbonReadings(table, labelled(self.accounting, self.labels))
'''
REGISTER = '    "neso:Neso",\n'
LINE = '    "nordic:Nordic",\n'
HOURS = range(6)
CONTENT = {
    "nordic": [
        {"grid": zone, "since": f"2021-01-01T{hour:02}:00Z", "grams": 400 + hour - 300 * (zone == "B")}
        for zone in "AB"
        for hour in HOURS
    ]
}
READ = """
import json, sys
from carbonroute.scenario import load, resolve
carbon = resolve(load(sys.argv[1])).carbon
print(json.dumps([carbon.g_per_kwh.T.tolist(), str(carbon.accounting)]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one file more, and one line."""
    folder = tmp_path_factory.mktemp("package")
    return extended(folder, "carbon/nordic.py", FILE, line=LINE, after=REGISTER)


def test_it_is_recognised_suggested_and_read(package: Path, tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text(json.dumps(CONTENT), encoding="utf-8")
    seen = run(package, tmp_path, "-m", "carbonroute", "inspect", "n.json", "--json")
    assert seen.returncode == 0, seen.stderr
    found = json.loads(seen.stdout)
    assert (found["kind"], found["reading"]["format"]) == ("carbon", "nordic")
    assert found["reading"]["accounting"] == "average"
    assert [row["mean"] for row in found["table"]] == [402.5, 102.5]
    assert tomllib.loads(found["suggestion"])["carbon"] == {"kind": "nordic", "path": "n.json"}
    assert '# zones: "A", "B"\n# made up' in found["suggestion"]

    carbon = "[carbon]\n" + small.SYNTHETIC
    scenario = small.write(tmp_path, (carbon, found["suggestion"] + "\n"))
    read = run(package, tmp_path, "-c", READ, str(scenario))
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout) == [
        [[400 + hour for hour in HOURS], [100 + hour for hour in HOURS]],
        "average",
    ]


def test_messages_name_it(package: Path, tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text("{}", encoding="utf-8")
    unknown = run(package, tmp_path, "-m", "carbonroute", "inspect", "n.json")
    assert unknown.returncode == 2
    assert "Nordic's list" in unknown.stderr
    scenario = small.write(tmp_path, ('kind = "synthetic"', 'kind = "nordisc"'))
    misspelt = run(package, tmp_path, "-m", "carbonroute", "validate", str(scenario))
    assert misspelt.returncode == 2
    assert "did you mean 'nordic'" in misspelt.stdout + misspelt.stderr


def test_without_the_line_it_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text(json.dumps(CONTENT), encoding="utf-8")
    seen = run(SOURCE.parent, tmp_path, "-m", "carbonroute", "inspect", "n.json")
    assert seen.returncode == 2
    assert "this JSON is nothing that is known" in seen.stderr
