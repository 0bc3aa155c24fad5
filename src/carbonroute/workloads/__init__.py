"""Workloads: laws of service time. One law, one class, and one line here."""

from __future__ import annotations

from carbonroute.workloads.service import Normal

ServiceLaw = Normal  # with a second law: Annotated[Normal | …, Field(discriminator="law")]

__all__ = ["Normal", "ServiceLaw"]
