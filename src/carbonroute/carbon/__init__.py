"""Carbon sources: one source, one file, and one line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonroute.carbon.files import CarbonFile
from carbonroute.carbon.profile import Profile
from carbonroute.carbon.signal import Accounting, Query, Signal
from carbonroute.carbon.synthetic import Synthetic

CarbonSource = Annotated[Synthetic | CarbonFile, Field(discriminator="kind")]

__all__ = ["Accounting", "CarbonFile", "CarbonSource", "Profile", "Query", "Signal", "Synthetic"]
