"""Requests as blocks of columns: the common result of all kinds of traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.files.text import Digests


@dataclass(frozen=True)
class Requests:
    """Requests one after the other, one entry each, shape (n,).

    Attributes
    ----------
    hour
        Hour of the horizon, from 0.
    origin, workload
        Index into the scenario's origins and workloads.
    time_s
        When each request comes, seconds from the start of the horizon; None where only the hour is known.
    prompt_tokens, answer_tokens
        Tokens in and out, NaN where one of several logs has none; None where the traffic does not state them.
    service_ms
        Measured inference time, NaN where a log has none; None where the traffic does not state any.
    """

    hour: Index
    origin: Index
    workload: Index
    time_s: Array | None = None
    prompt_tokens: Array | None = None
    answer_tokens: Array | None = None
    service_ms: Array | None = None

    def __len__(self) -> int:
        return len(self.hour)


@dataclass(frozen=True)
class Demand:
    """The horizon, origins and workloads for which traffic is made.

    Attributes
    ----------
    hours, start
        The horizon; `start` (UTC) is None without a calendar.
    origins, workloads
        Names of the origins, and ids of the workloads.
    origin_share, workload_share
        Probabilities, shapes (O,) and (W,).
    utc_offset_hours
        Local time of each origin minus UTC, shape (O,).
    seed
        Of all dice: `carbonroute.rng.stream`.
    folder
        Folder of the scenario file: paths are relative to it.
    digests
        Where the digest of every file that is read is noted: whoever reads one again reads the same.
    """

    hours: int
    start: datetime | None
    origins: tuple[str, ...]
    workloads: tuple[str, ...]
    origin_share: Array
    workload_share: Array
    utc_offset_hours: Array
    seed: int
    folder: Path
    digests: Digests = field(default_factory=Digests, compare=False)


#: A block of requests that is drawn, or read, when it is called.
Pending = Callable[[], Requests]


def stated_times(_index: int, requests: Requests) -> Array:
    """Return the stated times of a block's requests, s."""
    if requests.time_s is None:
        raise RuntimeError("the requests have no times: their traffic must state Arrivals.times")
    return requests.time_s


@dataclass(frozen=True)
class Arrivals:
    """The requests of a run; they can be sent to another process.

    Attributes
    ----------
    count
        How many there are; where dice decide that, how many are expected.
    pending
        Gives the blocks anew, from the first to the last, the same ones at every call: whoever skips one
        pays only for the state that the next ones need of it.
    expected
        Gives the number of requests that are expected by hour × origin × workload, shape (H, O, W): those of
        a log are counted, and shared out where their origins or workloads are drawn.
    times
        Gives the moments at which the requests of a block come, s from the start of the horizon, ascending,
        shape (n,), from the block's index and its requests. Between two blocks, rounding may make them
        descend by less than a microsecond.
    own
        Columns of requests that only logs have, such as service times, in words; empty where a request has
        no more than hour, origin and workload.
    files
        Data files read, by the name that the scenario gives them.
    source
        Where they come from, with licence or attribution.
    synthetic_geography
        Whether the origins were drawn although the requests are real.
    provenance
        Counts of rows read, left out or assumed, for the manifest: JSON values.
    notes
        The same for people: one line each.
    """

    count: float
    pending: Callable[[], Iterator[Pending]]
    expected: Callable[[], Array]
    times: Callable[[int, Requests], Array] = stated_times
    own: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    source: str = ""
    synthetic_geography: bool = False
    provenance: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def blocks(self) -> Iterator[Requests]:
        """Yield all requests, in blocks of `carbonroute.rng.BLOCK`; the last one may be smaller."""
        for draw in self.pending():
            yield draw()


def pick(uniform: Array, share: Array) -> Index:
    """Return which of several things each uniform number falls on, by their shares.

    The rule of `numpy.random.Generator.choice`: the first index whose cumulative share exceeds the number.

    `uniform`: numbers in [0, 1), shape (n,).
    `share`: probabilities, which sum to 1, shape (k,).

    >>> pick(np.array([0.0, 0.59, 0.61, 0.99]), np.array([0.6, 0.3, 0.1])).tolist()
    [0, 0, 1, 2]
    """
    limits = np.cumsum(share)
    limits /= limits[-1]
    index = np.zeros(uniform.shape, dtype=np.int8 if len(limits) < 2**7 else np.int16)
    for limit in limits[:-1]:  # a pass per limit is faster than a binary search per number
        index += uniform >= limit
    return index.astype(np.intp)
