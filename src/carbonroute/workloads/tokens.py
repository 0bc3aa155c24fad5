"""Service time of a large language model, from the lengths of prompt and answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from carbonroute.arrays import Array, Index
from carbonroute.units import MAX_TIME_MS
from carbonroute.workloads.integrals import over_scores
from carbonroute.workloads.piecewise import Piecewise
from carbonroute.workloads.service import (
    Distribution,
    Gamma,
    Law,
    Lognormal,
    Normal,
    NotNegative,
    Positive,
    score_of,
)

#: The variable by which requests are limited to an interval.
By: TypeAlias = Literal["service", "prompt"]

Length = Annotated[Normal | Lognormal | Gamma, Field(discriminator="law")]

#: Scores that the overall law is worked out for; one normal in 10¹⁶ lies beyond.
_FARTHEST = 8.25

#: Between the times at which it is smooth, so many steps are straight lines.
_FINE = 256

#: Milliseconds ÷ a smaller time per token overflow: prompts take none.
_LEAST_MS = 1e-200


class Tokens(Law):
    """Service time that grows with the tokens in and out: overhead + prefill · prompt + decode · answer, ms.

    The prompt is read at once, the answer written token by token. A router knows the prompt of a request; of
    the answer it knows the law alone. Lengths are independent of each other, and no whole numbers.

    Attributes
    ----------
    prefill_ms_per_token, decode_ms_per_token
        Time per token of the prompt, and of the answer, ms. Both are needed, unless every region serves the
        workload by pools that state `llm`, which work them out: see `timed`.
    overhead_ms
        Time of every request, whatever its lengths.
    prompt_tokens
        Law of the prompt's length, in tokens; not needed where the traffic states every prompt.
    answer_tokens
        Law of the answer's length, in tokens: a router's belief, and the law of draws where the traffic
        does not state answers.

    Examples
    --------
    >>> answers = Lognormal(law="lognormal", mean=200, std=150)
    >>> law = Tokens(law="tokens", prefill_ms_per_token=0.1, decode_ms_per_token=20, answer_tokens=answers)
    >>> law.estimate_ms(np.array([100.0, 4000.0])).tolist()
    [4010.0, 4400.0]
    """

    per_request: ClassVar[bool] = True

    law: Literal["tokens"]
    prefill_ms_per_token: NotNegative = 0.0
    decode_ms_per_token: Positive = 1.0
    overhead_ms: NotNegative = 0.0
    prompt_tokens: Length | None = None
    answer_tokens: Length

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        prompt_tokens = self.prompt_tokens.average() if self.prompt_tokens else 0.0
        expected_ms = self.time_ms(np.array(prompt_tokens), np.array(self.answer_tokens.average()))
        if expected_ms > MAX_TIME_MS:
            raise ValueError(
                f"found an expected time of {expected_ms:g} ms; up to {MAX_TIME_MS:g} is expected"
            )
        return self

    @property
    def timed(self) -> bool:
        """Whether it states the times per token, and not the lengths alone."""
        return {"prefill_ms_per_token", "decode_ms_per_token"} <= self.model_fields_set

    def time_ms(self, prompt: Array, answer: Array) -> Array:
        """Return the service time of requests, ms.

        `prompt`, `answer`: lengths in tokens, of shapes that broadcast.
        """
        return self.overhead_ms + self.prefill_ms_per_token * prompt + self.decode_ms_per_token * answer

    def estimate_ms(self, prompt: Array, share: float | None = None) -> Array:
        """Return the estimate of the service time before the answer is known, ms, shape of `prompt`.

        `share`: of answers that the estimate is to cover, 0 < share < 1; None for the expected answer.
        """
        answer = self.answer_tokens.average() if share is None else self.answer_tokens.quantile(share)
        return self.time_ms(prompt, np.array(answer))

    def prompt_at(self, z: Array) -> Array:
        """Return the prompt's length at standard-normal scores, tokens, shape of `z`."""
        return self.prompts.at(z)

    def answer_at(self, z: Array) -> Array:
        """Return the answer's length at standard-normal scores, tokens, shape of `z`."""
        return self.answer_tokens.at(z)

    def average(self) -> float:
        """Return the expected service time when neither length is known, ms."""
        return float(self.estimate_ms(np.array(self.prompts.average())))

    def at(self, z: Array) -> Array:
        """Return the service time at standard-normal scores when neither length is known, ms, shape of `z`.

        That is the law of the sum, worked out on a grid of scores to some 6 digits, and flat beyond scores
        of ±8; with one length fixed, it is exact.
        """
        if self._both_vary:
            return np.interp(z, *_law_of_sum(self))
        return self.time_ms(self.prompt_at(z), self.answer_at(z))

    def score(self, value: Array) -> Array:
        """Return the standard-normal score of service times when neither length is known, as `at` has it."""
        if self.steps is not None:
            return np.where(value < self.steps[0], -np.inf, np.inf)
        if self._both_vary:
            scores, times_ms = _law_of_sum(self)
            return np.interp(value, times_ms, scores, left=-np.inf, right=np.inf)
        if self.answer_tokens.varies:
            return self.answer_ms.score(value - self.before_ms(self.prompt_at(np.zeros(()))))
        return self._prompt_score(value - self.answer_ms.at(np.zeros(())))

    def partial(self, value: Array) -> Array:
        """Return E[S·1(S ≤ value)] and E[S²·1(S ≤ value)], shape (2, …) for values of shape (…)."""
        return self.up_to(value)[1:3]

    def up_to(self, value: Array, by: By = "service") -> Array:
        """Return expectations over the requests up to a service time, or up to a prompt.

        Parameters
        ----------
        value
            ms, or tokens, shape (…).
        by
            The variable that is limited.

        Returns
        -------
        Share of the requests, and expected value of service time (ms), its square, prompt and answer
        (tokens), each times 1 where the request is one of them and 0 otherwise, shape (5, …).
        """
        from carbonroute.special import ndtr

        if by == "service" and self.steps is not None:
            everything = self.up_to(np.full(np.shape(value), np.inf), "prompt")
            return np.where(value < self.steps[0], 0.0, everything)
        if by == "service":
            times_ms, place = np.unique(value, return_inverse=True)
            return self._up_to_service(times_ms)[:, place].reshape(5, *np.shape(value))
        share, prompt = ndtr(self.prompts.score(value)), self.prompts.partial(value)
        first, square = self.answer_ms.partial(np.array(np.inf))
        rate, rest = self.prefill_ms_per_token, self.overhead_ms + first
        service = rest * share + rate * prompt[0]
        squared = (rest**2 + square - first**2) * share + 2 * rest * rate * prompt[0] + rate**2 * prompt[1]
        return np.stack([share, service, squared, prompt[0], self.answer_tokens.average() * share])

    def _up_to_service(self, time_ms: Array) -> Array:
        """Return `up_to` times of shape (n,): the answer's part in closed form, integrated over prompts."""
        from carbonroute.special import ndtr

        def given_prompt(z: Array, row: Index) -> Array:
            prompt = self.prompt_at(z)
            before = self.before_ms(prompt)
            left_ms = time_ms[row] - before
            share, (first, square) = ndtr(self.answer_ms.score(left_ms)), self.answer_ms.partial(left_ms)
            # Formula tokens-moments.
            service, squared = before * share + first, before**2 * share + 2 * before * first + square
            return np.stack([share, service, squared, prompt * share, first / self.decode_ms_per_token])

        everywhere = np.full_like(time_ms, np.inf)
        splits = self.prompt_splits(time_ms[:, np.newaxis] - self.answer_ms.edges)
        return over_scores(-everywhere, everywhere, splits, given_prompt)

    def before_ms(self, prompt: Array) -> Array:
        """Return the time before the answer begins, ms, shape of `prompt` (tokens)."""
        return self.time_ms(prompt, np.zeros(()))

    def prompt_splits(self, before_ms: Array) -> Array:
        """Return scores at which to split integrals over prompts, shape (n, K + 1).

        Of the prompts after which answers begin at given times, shape (n, K), and of the shortest prompt.
        """
        shortest = np.full((len(before_ms), 1), self.prompts.score(self.prompts.edges[0]))
        return np.hstack([self._prompt_score(before_ms), shortest])

    @property
    def answer_ms(self) -> Distribution:
        """Law of the time that the answer takes."""
        return self.answer_tokens.scaled(self.decode_ms_per_token)

    @property
    def steps(self) -> Array | None:
        """The service time, shape (1,), where both lengths are fixed."""
        fixed = not (self._prompt_varies or self.answer_tokens.varies)
        return self.time_ms(self.prompt_at(np.zeros(1)), self.answer_at(np.zeros(1))) if fixed else None

    @property
    def least(self) -> float:
        """The overhead: service takes longer."""
        return self.overhead_ms

    @property
    def prompts(self) -> Distribution:
        """Law of the prompt's length, where the scenario states one."""
        if self.prompt_tokens is None:
            raise RuntimeError("the law has no prompt_tokens: its prompts come with the traffic")
        return self.prompt_tokens

    def _prompt_score(self, before_ms: Array) -> Array:
        """Return the score of the longest prompts after which answers begin within times."""
        left_ms = before_ms - self.overhead_ms
        if self.prefill_ms_per_token < _LEAST_MS:
            return np.where(left_ms < 0, -np.inf, np.inf)
        return self.prompts.score(left_ms / self.prefill_ms_per_token)

    @property
    def _prompt_varies(self) -> bool:
        return self.prompts.varies and self.prompts.std * self.prefill_ms_per_token > 0

    @property
    def _both_vary(self) -> bool:
        return self._prompt_varies and self.answer_tokens.varies


@lru_cache(maxsize=64)
def _law_of_sum(law: Tokens) -> tuple[Array, Array]:
    """Return scores, and the service time (ms) at each, of random prompts and answers: read-only, shape (n,).

    P(S ≤ t) is smooth between the times at which a length, or the sum, is at an edge.
    """
    from carbonroute.special import ndtr

    prompt_ms, answer_ms = law.before_ms(law.prompts.edges), law.answer_ms.edges
    z = np.arange(-np.ceil(_FARTHEST), _FARTHEST + 1)
    together_ms = law.time_ms(law.prompt_at(z), law.answer_at(z))
    edges = np.unique([*(prompt_ms + answer_ms[0]), *(prompt_ms[0] + answer_ms), *together_ms])

    def exact(times_ms: Array) -> Array:
        # Formula tokens-law.
        def given_prompt(z: Array, row: Index) -> Array:
            score = law.answer_ms.score(times_ms[row] - law.before_ms(law.prompt_at(z)))
            return np.stack([ndtr(score), ndtr(-score)])

        everywhere = np.full_like(times_ms, np.inf)
        splits = law.prompt_splits(times_ms[:, np.newaxis] - answer_ms)
        return score_of(*over_scores(-everywhere, everywhere, splits, given_prompt))

    edges = edges[np.abs(exact(edges)) < _FARTHEST]
    between = np.linspace(0, len(edges) - 1, _FINE * (len(edges) - 1) + 1)
    times_ms = np.interp(between, np.arange(len(edges)), edges)
    scores = np.maximum.accumulate(Piecewise(edges, exact)(times_ms))
    for column in (scores, times_ms):
        column.setflags(write=False)
    return scores, times_ms
