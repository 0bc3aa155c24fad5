"""Whatever becomes of a file on its way, `inspect` and `validate` describe or refuse it, and never fail."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from carbonroute.cli import main
from helpers.grids import examples
from helpers.mutations import EDITS, FILES, PARQUET, Edit, edited, parquet, scenario_of

AS = [("--as", kind) for kind in ("carbon", "traffic", "rates", "rtt")]
KINDS = st.sampled_from([(), (), ("--json",), *AS])
ONE = settings(
    max_examples=examples(120),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(ONE, max_examples=20_000, derandomize=False)


@dataclass(frozen=True)
class Good:
    """A good file, its bytes, and a scenario that reads it."""

    path: Path
    data: bytes
    scenario: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Good]:
    found = {}
    for name, make in FILES.items():
        path = make(tmp_path_factory.mktemp("good"))
        scenario = scenario_of(path)
        assert main(["validate", str(scenario)]) == 0
        found[name] = Good(path, path.read_bytes(), scenario)
    return found


def told(*arguments: str) -> None:
    """Run a command, which is carried out or refused; any other exception ends the test."""
    assert main(arguments) in {0, 2}


def look(good: Good, edits: list[Edit], packed_again: bool, kind: tuple[str, ...]) -> None:
    is_packed = good.path.suffix == ".gz" and packed_again
    data = edited(gzip.decompress(good.data) if is_packed else good.data, edits)
    good.path.write_bytes(gzip.compress(data) if is_packed else data)
    told("inspect", str(good.path), *kind)
    told("validate", str(good.scenario))
    told("inspect", str(good.scenario))


def look_at_columns(folder: Path, data: bytes, edits: list[Edit], kind: tuple[str, ...]) -> None:
    path = folder / "any.parquet"
    path.write_bytes(edited(data, edits))
    told("inspect", str(path), *kind)


@ONE
@given(name=st.sampled_from(sorted(FILES)), edits=EDITS, packed=st.booleans(), kind=KINDS)
def test_a_file_with_parts_taken_out_and_put_in(
    files: Mapping[str, Good], name: str, edits: list[Edit], packed: bool, kind: tuple[str, ...]
) -> None:
    look(files[name], edits, packed, kind)


@ONE
@given(data=PARQUET, edits=st.one_of(st.just([]), EDITS), kind=KINDS)
@example(data=parquet({"input_tokens": "bytes of a number", "time": "not finite"}), edits=[], kind=())
@example(data=parquet({"time": "local times", "zone": "not finite"}), edits=[], kind=("--as", "carbon"))
def test_a_parquet_file_of_any_columns(
    tmp_path: Path, data: bytes, edits: list[Edit], kind: tuple[str, ...]
) -> None:
    look_at_columns(tmp_path, data, edits, kind)


@ONE
@given(name=st.sampled_from(sorted(FILES)), edits=EDITS)
def test_a_scenario_with_parts_taken_out_and_put_in(
    files: Mapping[str, Good], name: str, edits: list[Edit]
) -> None:
    files[name].path.write_bytes(files[name].data)
    path = files[name].scenario.with_name("edited.toml")
    path.write_bytes(edited(files[name].scenario.read_bytes(), edits))
    told("validate", str(path))


@pytest.mark.full(long=True)
@MANY
@given(name=st.sampled_from(sorted(FILES)), edits=EDITS, packed=st.booleans(), kind=KINDS)
def test_very_many_files_with_parts_taken_out_and_put_in(
    files: Mapping[str, Good], name: str, edits: list[Edit], packed: bool, kind: tuple[str, ...]
) -> None:
    look(files[name], edits, packed, kind)


@pytest.mark.full(long=True)
@MANY
@given(data=PARQUET, edits=st.one_of(st.just([]), EDITS), kind=KINDS)
def test_very_many_parquet_files_of_any_columns(
    tmp_path: Path, data: bytes, edits: list[Edit], kind: tuple[str, ...]
) -> None:
    look_at_columns(tmp_path, data, edits, kind)


@pytest.mark.parametrize(
    ("name", "old"), [("forecast", b"forecast"), ("rates", b"0,1"), ("traffic, csv", b"TIMESTAMP")]
)
def test_a_scenario_whose_file_lost_a_column_is_described(
    files: Mapping[str, Good], name: str, old: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    good = files[name]
    text = good.scenario.read_text(encoding="utf-8")
    if name == "rates":  # columns are named where not all of them count
        good.scenario.with_name("named.toml").write_text(
            text.replace('kind = "rate-file"', 'kind = "rate-file"\ncolumns = ["0"]'), encoding="utf-8"
        )
    good.path.write_bytes(good.data.replace(old, b"x,1" if name == "rates" else b"x", 1))
    path = good.scenario.with_name("named.toml") if name == "rates" else good.scenario
    assert main(["inspect", str(path)]) == 0
    lost = old.decode().partition(",")[0]
    assert f"there is no column '{lost}'" in " ".join(capsys.readouterr().out.split())
