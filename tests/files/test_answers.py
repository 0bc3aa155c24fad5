"""JSON objects against their models: every fault has its place, and many faults are cut short."""

from __future__ import annotations

from typing import Any

import pytest

from carbonroute.errors import MAX_FAULTS, InputError
from carbonroute.files import answers
from carbonroute.files.answers import AnswerModel, Instant, records


class Row(AnswerModel):
    value: float | None
    time: Instant | None = None


def refusal(rows: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        records(Row, rows, "data", "f")
    return caught.value


def test_rows_become_columns_whatever_their_number() -> None:
    columns = records(Row, [{"value": float(i), "other": []} for i in range(2500)], "data", "f")
    assert columns["value"] == [float(i) for i in range(2500)]
    assert columns["time"] == [None] * 2500


def test_a_fault_far_down_has_its_place() -> None:
    rows: list[Any] = [{"value": 1.0}] * 2500
    rows[1500] = {"value": "much"}
    rows[2400] = {}
    assert str(refusal(rows)).splitlines() == [
        "f: 2 faults",
        "  data[1500].value: found 'much'; a number or null is expected",
        "  data[2400].value: missing; a number or null is expected",
    ]


def test_many_faults_end_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    firsts: list[int] = []
    faults = answers._faults

    def noted(*given: Any) -> Any:
        firsts.append(given[-1])
        return faults(*given)

    monkeypatch.setattr(answers, "_faults", noted)
    error = refusal([{}] * 5000)
    assert (len(error.faults), error.more) == (MAX_FAULTS, True)
    assert firsts == [0]
