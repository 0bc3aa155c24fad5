"""Whole numbers from shares: the weights of routers are integers, and their sum is exact."""

from __future__ import annotations

import math
from collections.abc import Mapping


def largest_remainder(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Return whole numbers in proportion to shares, by the method of the largest remainder.

    Each is its quota, share ÷ sum of shares · `total`, rounded down; what is left goes, one each, to the
    largest remainders, on ties to the first. A share of 0 gets 0.

    `shares`: at least 0 each, by name; their sum is above 0.
    `total`: sum of the result, at least 0.
    Raises ValueError if a share is negative, infinite or NaN, or all are 0.

    >>> largest_remainder({"eu": 0.5, "us": 0.3, "ap": 0.2}, 256)
    {'eu': 128, 'us': 77, 'ap': 51}
    """
    if not all(math.isfinite(share) and share >= 0 for share in shares.values()):
        raise ValueError("a share is not a number of at least 0")
    whole = math.fsum(shares.values())
    if not whole > 0:
        raise ValueError("all shares are 0")
    quotas = {name: share / whole * total for name, share in shares.items()}
    parts = {name: math.floor(quota) for name, quota in quotas.items()}
    positive = [name for name, share in shares.items() if share > 0]
    by_remainder = sorted(positive, key=lambda name: parts[name] - quotas[name])
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def divided(shares: Mapping[str, float], total: int, trickle: float = 0.0) -> dict[str, int]:
    """Return whole numbers in proportion to shares, where none is below a trickle.

    `shares`: at least 0 each, by name; their sum is above 0.
    `trickle`: lowest share. Those below get ``trickle · total``, rounded, at least 1; the others share the
    rest by `largest_remainder`. With 0 there is no lowest share.
    Raises ValueError as `largest_remainder`; and if the trickles take all.

    >>> divided({"eu": 1.0, "us": 0.0}, 10_000, trickle=0.001)
    {'eu': 9990, 'us': 10}
    """
    parts = largest_remainder(shares, total)
    if trickle <= 0:
        return parts
    least = max(round(trickle * total), 1)
    low = {name for name, part in parts.items() if part < least}
    rest = total - least * len(low)
    others = {name: share for name, share in shares.items() if name not in low}
    if rest <= 0 or not others:
        raise ValueError(f"a trickle of {trickle:g} for each of {len(low)} regions leaves nothing to divide")
    divided_rest = largest_remainder(others, rest)
    return {name: divided_rest.get(name, least) for name in shares}
