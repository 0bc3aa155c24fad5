"""The sampled engine against the scalar reference, on the published study."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measuring import Row, Size, medians_s
from carbonroute.engines import sampled
from carbonroute.scenario import load, resolve


def measure(size: Size) -> list[Row]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from helpers import reference

    inputs = resolve(load("published", {"horizon.hours": 2 if size.small else 168}))
    slow_s, fast_s = medians_s(size.repeat, lambda: reference.simulate(inputs), lambda: sampled.run(inputs))
    return [
        Row("published study, scalar reference", f"{slow_s * 1e3:.0f} ms"),
        Row("published study, sampled engine", f"{fast_s * 1e3:.1f} ms"),
        Row("reference ÷ engine", f"{slow_s / fast_s:.0f}×", "≥ 50×"),
    ]
