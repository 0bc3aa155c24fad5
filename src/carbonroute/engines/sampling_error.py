"""By how much the figures of sampled requests differ from the expected ones: their standard errors.

A mean over requests varies for two reasons: requests of the same hour differ, and – unless every hour has the
same number of requests in every run – so do hours. Of λ(h) requests expected in hour h, Λ in all, with
means m(h) and m,

    Var = (W + d·B) / Λ,    B = Σ λ(h)·(m(h) − m)² / Λ,    W = E[X²] − m² − B,

where d is the variance of an hour's number of requests over its mean: 0 where it is fixed, 1 for a Poisson
process, and about cv² for gaps with coefficient of variation cv, of which no less than 1 is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonroute.engines.exact import luck_of, routed, times_left_ms, token_j
from carbonroute.engines.luck import Luck
from carbonroute.outcome import LatencyDistribution, Outcome
from carbonroute.outcome.mixture import Groups
from carbonroute.scenario import Candidate, Inputs
from carbonroute.units import G_PER_KG, J_PER_KWH, pct

Array = NDArray[np.float64]

#: Standard errors up to which a quantile's is looked for: none of them is narrower than the widest.
_QUANTILE_REACH = 5
