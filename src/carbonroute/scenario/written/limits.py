"""The limit on SLO violations: how many requests may be late, and whether of each workload or of all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from carbonroute.files.toml import as_found
from carbonroute.policies.base import MAX_VIOLATION
from carbonroute.spec import Spec


def share(text: str) -> float:
    """Return a share from ``5%`` or ``0.05``; a bare number above 1 is ambiguous and refused.

    >>> share("5%"), share("0.05")
    (0.05, 0.05)
    """
    number = text.strip().removesuffix("%").strip()
    try:
        value = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ValueError(
            f"{as_found(text)}; a percentage such as '5%' or a share from 0 to 1 such as 0.05 is expected"
        )
    return value


def _from_text(value: Any) -> Any:
    return share(value) if isinstance(value, str) else value


class Limits(Spec):
    """The limit that every policy is judged by, and that policies keep which state none of their own.

    Attributes
    ----------
    violations
        Share of requests that may break their SLO: ``"5%"`` or 0.05.
    per
        ``"workload"``: the limit holds for each workload by itself. ``"all"``: for all requests together.
    """

    violations: Annotated[float, BeforeValidator(_from_text), Field(ge=0, le=1)] = MAX_VIOLATION
    per: Literal["workload", "all"] = "workload"
