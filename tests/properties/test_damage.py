"""Whatever is damaged in a folder, its readers refuse it, or find in it what was there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonroute import study
from carbonroute.cli import main
from carbonroute.errors import RunFolderError
from carbonroute.runs.store import read_tables
from helpers.damage import draw_nothing, line_of, made_run, made_study, records_of, restated
from helpers.grids import examples

MANY = settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(
    max_examples=examples(40), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

#: What may stand instead of a value in JSON.
JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["\x1b[31m", "a\0b", "\u202e", "x" * 3000, 10**400]),
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return places with a run and with a study in ``out``; to be copied."""
    return {
        "run": made_run(tmp_path_factory.mktemp("run")),
        "study": made_study(tmp_path_factory.mktemp("study")),
        "copy": tmp_path_factory.mktemp("copies") / "copy",
    }


def ways(document: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the ways to all values within a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found = [way] if way else []
    for key, value in items:
        deeper = (*way, key)
        found += ways(value, deeper) if isinstance(value, dict | list) else [deeper]
    return found


def with_a_change(document: Any, data: st.DataObject) -> Any:
    """Return a document in which one value is another one, or is not there."""
    *way, last = data.draw(st.sampled_from(ways(document)))
    place = document
    for key in way:
        place = place[key]
    if data.draw(st.booleans()):
        del place[last]
    else:
        place[last] = data.draw(JSON)
    return document


def with_other_bytes(content: bytes, data: st.DataObject) -> bytes:
    """Return bytes of which some are missing, or others."""
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    return content[:start] + data.draw(st.binary(max_size=20)) + content[end:]


def with_other_values(table: pl.DataFrame, data: st.DataObject) -> pl.DataFrame:
    """Return a table in which a column is damaged."""
    name = data.draw(st.sampled_from(table.columns))
    column = table[name]
    kind = data.draw(st.sampled_from(("value", "type", "drop", "null", "rows")))
    if kind == "drop":
        return table.drop(name)
    if kind == "rows":
        return table.sample(data.draw(st.integers(0, table.height)), seed=1)
    if kind == "null":
        return table.with_columns(pl.lit(None, column.dtype).alias(name))
    other = data.draw(st.sampled_from((-1.0, 0.0, 5e-324, 1e29, 1e300, float("nan"), float("inf"))))
    texts = data.draw(st.sampled_from(("", "x", "\x1b[31m", "a\0b", "$\\frac{$", "x\ny", "x" * 3000)))
    dtype = column.dtype if kind == "value" else data.draw(st.sampled_from((pl.Int64, pl.Float64, pl.String)))
    value: object = texts if dtype == pl.String else dtype == pl.Boolean if dtype == pl.Boolean else other
    one = pl.Series([[texts]] if isinstance(dtype, pl.List) else [value]).cast(dtype, strict=False)
    series = one.new_from_index(0, table.height)
    row = data.draw(st.integers(0, max(table.height - 1, 0)))
    kept = pl.int_range(table.height) != row
    changed = pl.when(kept).then(column).otherwise(series) if dtype == column.dtype else series
    return table.with_columns(changed.alias(name))


def readers(kind: str, place: Path) -> list[list[str]]:
    """Return the commands that read a folder, and the one that goes on with it."""
    out = str(place / "out")
    if kind == "run":
        again = ["simulate", str(place / "small.toml"), "--output", out, "--no-figures", "--quiet"]
        return [["report", out], again]
    again = ["study", "run", str(place / "study.toml"), "--output", out, "--quiet"]
    return [["study", "status", out], ["study", "show", out], ["report", out], again]


def damage_and_read(data: st.DataObject, places: dict[str, Path]) -> None:
    """Damage a file of a folder; check that each command ends as promised, and what it accepts."""
    kind = data.draw(st.sampled_from(("run", "study")))
    shutil.rmtree(places["copy"], ignore_errors=True)
    place = shutil.copytree(places[kind], places["copy"])
    out = place / "out"
    names = [path for path in sorted(out.rglob("*")) if path.suffix in {".json", ".jsonl", ".parquet"}]
    path = data.draw(st.sampled_from(names))
    known = False
    if data.draw(st.booleans()):
        path.write_bytes(with_other_bytes(path.read_bytes(), data))
    elif path.suffix == ".parquet":
        with_other_values(pl.read_parquet(path), data).write_parquet(path)
        restated(out, str(path.relative_to(out)))
        known = True
    elif path.suffix == ".jsonl":
        path.write_bytes(b"".join(map(line_of, with_a_change(records_of(out), data))))
    else:
        path.write_text(json.dumps(with_a_change(json.loads(path.read_text("utf-8")), data)), "utf-8")
    if not known:
        accepted_as_it_was(kind, places[kind] / "out", out)
    for words in readers(kind, place):
        assert main(words) in (0, 2), words


def accepted_as_it_was(kind: str, before: Path, now: Path) -> None:
    """Check that tables whose digests nobody forged are refused, or what they were."""
    try:
        if kind == "run":
            found: list[pl.DataFrame] = list(vars(read_tables(now)).values())
            expected = list(vars(read_tables(before)).values())
        else:
            found, expected = [study.read(now).results], [study.read(before).results]
    except RunFolderError:
        return
    assert all(one.equals(other) for one, other in zip(found, expected, strict=True))


@FEW
@given(data=st.data())
def test_damaged_folders_are_refused_or_what_they_were(
    data: st.DataObject, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    damage_and_read(data, places)


@pytest.mark.full(long=True)
@MANY
@given(data=st.data())
def test_many_damaged_folders_are_refused_or_what_they_were(
    data: st.DataObject, places: dict[str, Path]
) -> None:
    damage_and_read(data, places)
