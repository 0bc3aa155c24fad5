"""Deciding in a thread of its own, so that a slow policy delays neither the kill file nor the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from carbonroute.arrays import Array
from carbonroute.control.loop import Decisions
from carbonroute.live.clock import Clock

#: How often it is looked whether the kill file is there or the end was asked for, s.
_POLL_S = 0.05
#: So many looks are still waited then: a policy that is not slow is done by that time.
_POLLS_LEFT = 20
#: A decision that comes later than so many intervals after its reading is dropped.
_STALE_INTERVALS = 3


@dataclass
class _OpenDecision:
    """A decision under way.

    `begun_s`, `begun`: by the clock that never jumps, s, and by the calendar, UTC.
    `held`: weights that it is decided from, shape (O, W, R), or None.
    """

    begun_s: float
    begun: datetime
    held: Array | None
    done: threading.Event = field(default_factory=threading.Event)
    answer: Decisions | None = None
    error: BaseException | None = None
    ended_s: float = 0.0


@dataclass(frozen=True)
class Decided:
    """A decision that has come.

    Attributes
    ----------
    decisions
        It, with the reading and the moment that it was made for.
    held
        Weights that it was decided from, shape (O, W, R), or None.
    took_s
        How long it took, s.
    """

    decisions: Decisions
    held: Array | None
    took_s: float


class Deciding:
    """Asks for one decision at a time, and waits for it no longer than is good.

    A thread cannot be ended: a policy that never returns is never asked again. One that runs in a library
    without letting Python's other threads run holds all of them.

    `interval_s`: how long a decision is waited for, s. A later one is taken at a later tick, unless it is
    stale.
    `in_a_hurry`: whether the kill file is there or the end was asked for: then a decision is hardly waited
    for.
    """

    def __init__(self, clock: Clock, interval_s: float, in_a_hurry: Callable[[], bool]) -> None:
        self._clock, self._interval_s, self._in_a_hurry = clock, interval_s, in_a_hurry
        self._question: _OpenDecision | None = None
        self._dropped = False

    @property
    def since_s(self) -> float:
        """How long the decision under way has taken so far, s; 0 where there is none."""
        return 0.0 if self._question is None else self._clock.monotonic_s() - self._question.begun_s

    @property
    def since(self) -> datetime:
        """When the decision under way was begun, UTC; now, where there is none."""
        return self._clock.now() if self._question is None else self._question.begun

    def drop(self) -> None:
        """Have the decision under way not taken when it comes: other weights are held now."""
        self._dropped = self._question is not None

    def decide(self, held: Array | None, ask: Callable[[], Callable[[], Decisions]]) -> Decided | None:
        """Return a decision, or None where it is not there in time; the next call goes on waiting for it.

        `held`: weights in force, shape (O, W, R), or None.
        `ask`: reads what there is to decide on, and returns what decides on it in the thread. Called where no
        earlier decision is under way.
        Raises PolicyError if the policy fails.
        """
        end_s = self._clock.monotonic_s() + self._interval_s
        while True:
            question = self._question or self._begun(held, ask())
            if not self._waited(question, end_s):
                return None
            self._question, dropped, self._dropped = None, self._dropped, False
            stale_s = _STALE_INTERVALS * self._interval_s
            if not dropped and self._clock.monotonic_s() - question.begun_s <= stale_s:
                break
        if question.error is not None:
            raise question.error
        if question.answer is None:
            raise RuntimeError("a decision has neither an answer nor an error")
        return Decided(question.answer, question.held, question.ended_s - question.begun_s)

    def _begun(self, held: Array | None, decide: Callable[[], Decisions]) -> _OpenDecision:
        question = self._question = _OpenDecision(self._clock.monotonic_s(), self._clock.now(), held)

        def run() -> None:
            try:
                question.answer = decide()
            except BaseException as error:  # noqa: BLE001  raised again where the answer is waited for
                question.error = error
            question.ended_s = self._clock.monotonic_s()
            question.done.set()

        threading.Thread(target=run, name="policy", daemon=True).start()
        return question

    def _waited(self, question: _OpenDecision, end_s: float) -> bool:
        """Wait for a decision; return whether it is there."""
        left = _POLLS_LEFT
        while not question.done.wait(_POLL_S):
            left -= self._in_a_hurry()
            if left <= 0 or self._clock.monotonic_s() >= end_s:
                return False
        return True
