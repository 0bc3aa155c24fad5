"""Policies in hours whose carbon is unknown to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from carbonroute.scenario import Candidate


def blinded(candidate: Candidate, hours: list[bool] | np.ndarray) -> Candidate:
    """Return a policy that knows no carbon in some hours, shape (H,)."""
    known = candidate.knowledge
    g_per_kwh = np.where(np.array(hours)[:, np.newaxis], np.nan, known.g_per_kwh)
    return replace(candidate, knowledge=replace(known, g_per_kwh=g_per_kwh))
