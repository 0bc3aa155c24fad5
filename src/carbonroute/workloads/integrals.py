"""Gauss–Legendre integrals over a standard-normal score, with splits at kinks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from carbonroute.arrays import Array, Index

#: Scores beyond are left out: one normal in 10³³.
FARTHEST = 12.0

#: Nodes per panel: integrands turn over one score or more.
_NODES = 10
#: Rows at a time, so that an array of all their nodes takes some 20 MB.
_ROWS = 4096


def over_scores(start: Array, end: Array, splits: Array, values: Callable[[Array, Index], Array]) -> Array:
    """Return ∫ φ(z)·f(z) dz from `start` to `end`, row by row, by Gauss–Legendre rules on panels.

    Parameters
    ----------
    start, end
        Scores, shape (n,); 0 comes out where `end` is not above `start`.
    splits
        Scores at which f has a kink, or between which it turns, shape (n, K): panels end there, and at whole
        scores.
    values
        f of scores, shape (m, k), that belong to rows, shape (m, 1); more axes may come in front of the two.

    Returns
    -------
    The integrals, shape (…, n).
    """
    chunks = [slice(first, first + _ROWS) for first in range(0, max(len(start), 1), _ROWS)]
    return np.concatenate(
        [_over(span.start, start[span], end[span], splits[span], values) for span in chunks], -1
    )


@cache
def _rule() -> tuple[Array, Array]:
    """Return the nodes and weights of a panel from −1 to 1: finding them takes longer than many integrals."""
    return np.polynomial.legendre.leggauss(_NODES)


def _over(
    first: int, start: Array, end: Array, splits: Array, values: Callable[[Array, Index], Array]
) -> Array:
    node, weight = _rule()
    whole = np.arange(-FARTHEST, FARTHEST + 1)
    start = np.clip(start, -FARTHEST, FARTHEST)[:, np.newaxis]
    end = np.clip(end[:, np.newaxis], start, FARTHEST)
    limits = np.hstack([splits, np.broadcast_to(whole, (len(start), whole.size)), start, end])
    limits = np.sort(np.clip(limits, start, end), axis=1)
    width = np.diff(limits)
    row, panel = np.nonzero(width)
    half = width[row, panel, np.newaxis] / 2
    z = limits[row, panel, np.newaxis] + half * (1 + node)
    # Formula gauss-legendre.
    density = np.exp(-z * z / 2) * (half * weight / np.sqrt(2 * np.pi))
    of_panel = (density * values(z, first + row[:, np.newaxis])).sum(axis=-1)
    total = np.zeros((*of_panel.shape[:-1], len(start)))
    rows, begins = np.unique(row, return_index=True)
    if rows.size:
        total[..., rows] = np.add.reduceat(of_panel, begins, axis=-1)
    return total
