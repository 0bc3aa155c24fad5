"""From pydantic's errors to faults in the words of the file."""

from __future__ import annotations

import math
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

_ID = MappingProxyType({"literal_error": "unknown-name", "string_pattern_mismatch": "invalid-value"})


def several(faults: Iterable[Fault], elsewhere: Iterable[Fault] = ()) -> PydanticCustomError:
    """Return an error that carries several faults out of a validator.

    Places of `faults` follow the validator's own; those of faults `elsewhere` are whole.
    """
    kept = {"faults": first_faults(faults), "elsewhere": first_faults(elsewhere)}
    return PydanticCustomError(SEVERAL, "several faults", kept)


def refuse(faults: Iterable[Fault], elsewhere: Iterable[Fault] = ()) -> None:
    """Raise the faults out of a validator, if there are any; see `several`."""
    first, others = first_faults(faults), first_faults(elsewhere)
    if first or others:
        raise several(first, others)


def as_share(value: object) -> float | None:
    """Return the share that a percentage is, written as a number above 1 or with its sign.

    >>> as_share(60), as_share("60 %"), as_share("0,5%"), as_share(0.6), as_share(250)
    (0.6, 0.6, 0.005, None, None)
    """
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:[.,]\d+)?)\s*(?:%|percent)\s*", value)
        number, least = (float(match[1].replace(",", ".")), 0.0) if match else (math.nan, 0.0)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number, least = value, 1.99  # 1.1 is rather a share beyond its limit
    else:
        return None
    return float(f"{number / 100:.12g}") if least < number <= 100 else None


def fault_of(where: str, details: Mapping[str, Any]) -> Fault:
    """Return the fault behind one of pydantic's error details."""
    kind = details["type"]
    if kind == "value_error":
        found, _, remedy = str(details["ctx"]["error"]).partition("; ")
        return Fault(where, found, remedy)
    if kind == "missing":
        remedy = "write schema = 1 as the first line" if where == "schema" else _EXPECTED[kind]
        return Fault(where, "missing", remedy, "missing-key")
    found, context = as_found(details["input"]), details.get("ctx", {})
    share = as_share(details["input"])
    if share is not None and (context.get("le") == 1 or kind == "float_type"):
        return Fault(
            where, found, f"{_of_msg(details)}: {details['input']} is no share; {share:g}?", "percentage"
        )
    remedy = _EXPECTED.get(kind) or _of_msg(details)
    return Fault(
        where, found, remedy, _ID.get(kind) or ("wrong-type" if kind.endswith("_type") else "out-of-range")
    )


def _of_msg(details: Mapping[str, Any]) -> str:
    return re.sub(r"^\w+ should", "it should", details["msg"])
