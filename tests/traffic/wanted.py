"""What tests of traffic ask for, and what they get."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from carbonroute.traffic import Arrivals, Demand

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "traffic"
START = datetime(2023, 11, 16, tzinfo=UTC)


def demand(**changes: Any) -> Demand:
    """Return a day of three origins and two workloads, changed."""
    settings: dict[str, Any] = {
        "hours": 24,
        "start": START,
        "origins": ("West", "Mid", "East"),
        "workloads": ("chat", "code"),
        "origin_share": np.array([0.5, 0.2, 0.3]),
        "workload_share": np.array([0.7, 0.3]),
        "utc_offset_hours": np.array([-8.0, 0.0, 5.75]),
        "seed": 1,
        "folder": Path(),
    }
    return Demand(**{**settings, **changes})


COLUMNS = ("hour", "origin", "workload", "time_s", "prompt_tokens", "answer_tokens", "service_ms")


def together(arrivals: Arrivals) -> dict[str, np.ndarray]:
    """Return all requests as columns; those that are None are left out."""
    blocks = list(arrivals.blocks())
    there = [name for name in COLUMNS if blocks and getattr(blocks[0], name) is not None]
    return {name: np.concatenate([getattr(block, name) for block in blocks]) for name in there}
