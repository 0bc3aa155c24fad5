"""From what pydantic found to faults in the words of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from carbonroute.errors import Fault

#: Type of the error by which one validator reports several faults.
SEVERAL = "several_faults"


def several(faults: Sequence[Fault]) -> PydanticCustomError:
    """Return an error that carries several faults out of one validator; their places follow the validator's."""
    return PydanticCustomError(SEVERAL, "several faults", {"faults": tuple(faults)})


def fault_of(where: str, details: Mapping[str, Any]) -> Fault:
    """Return the fault behind one of pydantic's error details."""
    if details["type"] == "value_error":
        return Fault(where, str(details["ctx"]["error"]))
    return Fault(
        where, f"found {_short(details['input'])}", details["msg"].replace("Input should be", "it should be")
    )


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
