"""From pydantic's errors to faults in the words of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic_core import PydanticCustomError

from carbonroute.errors import Fault, first_faults
from carbonroute.files.toml import as_found

#: Type of the error by which one validator reports several faults.
SEVERAL = "several_faults"

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
