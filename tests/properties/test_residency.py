"""No request is ever served outside of its allowed regions: random scenarios, every policy, every engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from carbonroute.control.information import Information
from carbonroute.control.router import Control
from carbonroute.engines import ENGINES
from carbonroute.engines.queued import faults
from carbonroute.engines.unsupported import unsupported
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs
from helpers.residency import HOSTILE, allowed_of, document, inputs_of

#: Scenarios of every run of the tests, and of the full proof, in parts.
FEW, PART, PARTS = 60, 500, 20
#: Of so many scenarios one is run with queues: it takes ten times as long.
_QUEUED_EVERY = 5


def _with_hostile(inputs: Inputs, number: int) -> Inputs:
    kind = HOSTILE[number % len(HOSTILE)]
    hostile = inputs.candidate("hostile", kind(), Information())
    return replace(inputs, candidates=(*inputs.candidates, hostile))


def _outcomes(inputs: Inputs, engine: str) -> tuple[Outcome, ...]:
    """Run the policies that an engine supports, without limits on shares where it asks about requests."""
    candidates = []
    for candidate in inputs.candidates:
        if engine == "exact" and unsupported(inputs, candidate):
            continue
        if engine == "queued" and list(faults(candidate, inputs.site, "")):
            candidate = replace(candidate, control=Control(interval_s=600))  # noqa: PLW2901
        candidates.append(candidate)
    return ENGINES[engine](replace(inputs, candidates=tuple(candidates)))


def _runs(number: int) -> Iterator[tuple[str, np.ndarray, Outcome]]:
    """Yield the outcomes of a random scenario, with the engine and where its cells may be served."""
    queues = number % _QUEUED_EVERY == 0
    spelled = document(number, queues=queues)
    inputs, allowed = _with_hostile(inputs_of(spelled), number), allowed_of(spelled)
    for engine in ("queued",) if queues else ("sampled", "exact"):
        for outcome in _outcomes(inputs, engine):
            yield engine, allowed, outcome


def _check(numbers: range) -> tuple[int, int]:
    """Check scenarios; return how many (scenario, policy) pairs there were, and cells that were bound."""
    runs = bound = 0
    for number in numbers:
        for engine, allowed, outcome in _runs(number):
            outside = outcome.requests[~allowed]
            assert not outside.any(), (number, engine, outcome.policy, outside.sum())
            assert outcome.requests.sum() > 0, (number, engine, outcome.policy)
            runs, bound = runs + 1, bound + int((~allowed.all(axis=-1)).sum())
    return runs, bound


def test_no_request_of_sixty_scenarios_is_served_outside() -> None:
    runs, bound = _check(range(FEW))
    assert runs > 5 * FEW
    assert bound > runs  # most cells may not be served everywhere: there is something to break


@pytest.mark.full
@pytest.mark.parametrize("part", range(PARTS))
def test_no_request_of_ten_thousand_scenarios_is_served_outside(part: int) -> None:
    _check(range(part * PART, (part + 1) * PART))
