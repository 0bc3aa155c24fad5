"""Workloads: laws of service time. One law, one class, and one line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonroute.workloads.empirical import Empirical
from carbonroute.workloads.service import Distribution, Gamma, Law, Lognormal, Normal
from carbonroute.workloads.tokens import By, Tokens

ServiceLaw = Annotated[Normal | Lognormal | Gamma | Empirical | Tokens, Field(discriminator="law")]

__all__ = ["By", "Distribution", "Empirical", "Gamma", "Law", "Lognormal", "Normal", "ServiceLaw", "Tokens"]
