"""The base of everything that a scenario file can spell out."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen value made of checked fields; it refuses keys and types that it does not know.

    An integer is taken where a float is asked for; a string or a boolean never is. NaN and infinity are
    refused.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
