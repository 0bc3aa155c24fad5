"""Piecewise Chebyshev interpolation of an expensive function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from carbonroute.arrays import Array

#: Chebyshev polynomials per panel.
_TERMS = 12


class Piecewise:
    """A function that is smooth between edges, and constant beyond the outer ones.

    `edges`: ascending, shape (K,), K > 1.
    `function`: from values to values, shape (n,) both; asked between the edges, 12 times for each panel.

    >>> sine = Piecewise(np.array([0.0, 1.0, 3.0]), np.sin)
    >>> bool(np.allclose(sine(np.array([0.5, 2.0, 9.0])), np.sin([0.5, 2.0, 3.0]), rtol=0, atol=1e-9))
    True
    """

    def __init__(self, edges: Array, function: Callable[[Array], Array]) -> None:
        node = np.cos((np.arange(_TERMS) + 0.5) * np.pi / _TERMS)
        self.edges, self._width = edges, np.diff(edges)
        asked = edges[:-1, np.newaxis] + self._width[:, np.newaxis] * (1 + node) / 2
        values = function(asked.ravel()).reshape(asked.shape)
        self._terms = np.linalg.solve(np.polynomial.chebyshev.chebvander(node, _TERMS - 1), values.T)

    def __call__(self, x: Array) -> Array:
        """Return the function's values, shape of `x`."""
        inside = np.clip(x, self.edges[0], self.edges[-1])
        panel = np.searchsorted(self.edges[1:-1], inside, side="right")
        place = 2 * (inside - self.edges[panel]) / self._width[panel] - 1
        # Formula chebyshev.
        value, before = self._terms[-1][panel], np.zeros_like(place)
        for term in self._terms[-2:0:-1]:  # Clenshaw's sum
            value, before = term[panel] + 2 * place * value - before, value
        values: Array = self._terms[0][panel] + place * value - before
        return values
