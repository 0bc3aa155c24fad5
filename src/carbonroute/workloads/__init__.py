"""Workloads: laws of service time. One law, one class, and one line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonroute.workloads.service import Gamma, Law, Lognormal, Normal

ServiceLaw = Annotated[Normal | Lognormal | Gamma, Field(discriminator="law")]

__all__ = ["Gamma", "Law", "Lognormal", "Normal", "ServiceLaw"]
