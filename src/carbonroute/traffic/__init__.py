"""Traffic: when requests come, from where, and for what. One kind, one file, and one line here."""

from __future__ import annotations

from carbonroute.traffic.requests import Requests, pick
from carbonroute.traffic.synthetic import FixedRate

Traffic = FixedRate  # with a second kind: Annotated[FixedRate | …, Field(discriminator="kind")]

__all__ = ["FixedRate", "Requests", "Traffic", "pick"]
