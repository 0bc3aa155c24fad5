"""Running an engine anew where a policy that declares nothing is seen to read more than before."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec

from carbonroute.outcome import Outcome
from carbonroute.policies.recording import until_known
from carbonroute.scenario import Inputs

P = ParamSpec("P")
Engine = Callable[Concatenate[Inputs, P], tuple[Outcome, ...]]


def until_reads_are_known(engine: Engine[P]) -> Engine[P]:
    """Return an engine that begins anew whenever a policy reads a field that it was not shown as it is.

    Its outcomes are those of a run in which all that is read was known from the beginning.
    """

    def run(inputs: Inputs, /, *args: P.args, **kwargs: P.kwargs) -> tuple[Outcome, ...]:
        policies = [candidate.policy for candidate in inputs.candidates]
        return until_known(policies, lambda: engine(inputs, *args, **kwargs))

    update_wrapper(run, engine)
    return run
