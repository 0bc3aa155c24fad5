"""From what pydantic found to faults in the words of the file."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from pydantic_core import PydanticCustomError

from carbonroute.errors import Fault, first_faults

#: Type of the error by which one validator reports several faults.
SEVERAL = "several_faults"

_MAX_BITS = 128

_EXPECTED = MappingProxyType(
    {
        "missing": "this key is required",
        "model_type": "a table is expected",
        "model_attributes_type": "a table is expected",
        "dict_type": "a table is expected",
        "tuple_type": "an array is expected",
        "datetime_type": "a date and time without quotes is expected, such as 2021-01-01T00:00:00Z",
    }
)


def several(faults: Iterable[Fault]) -> PydanticCustomError:
    """Return an error that carries several faults out of a validator; their places follow the validator's."""
    return PydanticCustomError(SEVERAL, "several faults", {"faults": first_faults(faults)})


def refuse(faults: Iterable[Fault]) -> None:
    """Raise the faults out of a validator, if there are any."""
    if first := first_faults(faults):
        raise several(first)


def fault_of(where: str, details: Mapping[str, Any]) -> Fault:
    """Return the fault behind one of pydantic's error details."""
    kind = details["type"]
    if kind == "value_error":
        return Fault(where, str(details["ctx"]["error"]))
    remedy = _EXPECTED.get(kind) or re.sub(r"^\w+ should", "it should", details["msg"])
    return Fault(where, "missing" if kind == "missing" else as_found(details["input"]), remedy)


def key_text(key: str) -> str:
    """Return a key as a TOML file spells it.

    >>> key_text("US-East"), key_text("my region")
    ('US-East', '"my region"')
    """
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def as_found(value: object) -> str:
    """Return how a message names a value of the file: as TOML has it, and cut where it is long or deep.

    >>> as_found([True, {"noise": 0.1}, "x" * 100])
    "found [true, {'noise': 0.1}, 'xxxxxxxxxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxxxxxxxxxxx']"
    """
    return f"found {_TOML.repr(value)}"


class _Toml(reprlib.Repr):
    """Short text of any value, however long or deep."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.fillvalue = 3, 60, 60, "…"

    def repr_bool(self, value: bool, _level: int) -> str:
        return str(value).lower()

    def repr_int(self, value: int, level: int) -> str:
        bits = value.bit_length()  # an integer beyond 4,300 digits has no decimal text
        return super().repr_int(value, level) if bits <= _MAX_BITS else f"an integer of {bits} bits"

    def repr_date(self, value: date, _level: int) -> str:
        return value.isoformat()

    def repr_datetime(self, value: datetime, _level: int) -> str:
        return value.isoformat()


_TOML = _Toml()
