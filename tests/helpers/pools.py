"""The capacity of some pools, of which a test states only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.control.capacity import UNLIMITED, Capacity

Windows = Sequence[tuple[float, float, float, float]]


def pools(servers: Sequence[int], windows: Windows = (), /, **columns: ArrayLike) -> Capacity:
    """Return P pools in as many regions; every other column of `Capacity` as named, or neutral."""
    count = len(servers)
    whole = {"queue_limit": UNLIMITED, "max_batch": 0}
    real = {"speed": 1, "max_wait_s": 0, "batch_fixed_s": 0, "batch_per_request_s": 0}
    unknown = set(columns) - set(whole) - set(real)
    assert not unknown, unknown

    def column(name: str, neutral: float, kind: type) -> np.ndarray:
        return np.broadcast_to(columns.get(name, neutral), count).astype(kind)

    columns_of_pools: dict[str, Any] = {
        name: column(name, neutral, np.int64) for name, neutral in whole.items()
    } | {name: column(name, neutral, np.float64) for name, neutral in real.items()}
    names = tuple(f"pool {index}" for index in range(count))
    return Capacity(
        region=np.arange(count),
        pool=np.arange(count)[None, :],
        servers=np.array(servers, dtype=np.int64),
        **columns_of_pools,
        idle_w=np.full(count, np.nan),
        busy_w=np.full(count, np.nan),
        windows=np.array(sorted(windows, key=lambda row: row[2]), dtype=float).reshape(-1, 4),
        labels=names,
        region_names=names,
    )
