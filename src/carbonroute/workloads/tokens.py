"""Service time of a large language model, from the lengths of prompt and answer."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from carbonroute.units import MAX_TIME_MS
from carbonroute.workloads.service import (
    Array,
    Distribution,
    Gamma,
    Law,
    Lognormal,
    Normal,
    NotNegative,
    Positive,
    score_of,
)

Length = Annotated[Normal | Lognormal | Gamma, Field(discriminator="law")]

#: Scores that the overall law is worked out for; one normal in 10¹⁶ lies beyond.
_FARTHEST = 8.25


class Tokens(Law):
    """Service time that grows with the tokens in and out: overhead + prefill · prompt + decode · answer, ms.

    The prompt is read at once, the answer written token by token. A router knows the prompt of a request; of
    the answer it knows the law alone. Lengths are independent of each other, and no whole numbers.

    Attributes
    ----------
    prefill_ms_per_token, decode_ms_per_token
        Time per token of the prompt and of the answer.
    overhead_ms
        Time of every request, whatever its lengths.
    prompt_tokens
        Law of the prompt's length, in tokens; not needed where the traffic states every prompt.
    answer_tokens
        Law of the answer's length, in tokens: what a router believes, and what is drawn where the traffic
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
    prefill_ms_per_token: NotNegative
    decode_ms_per_token: Positive
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

    def time_ms(self, prompt: Array, answer: Array) -> Array:
        """Return the service time of requests, ms.

        Parameters
        ----------
        prompt, answer
            Lengths in tokens, of shapes that broadcast.
        """
        return self.overhead_ms + self.prefill_ms_per_token * prompt + self.decode_ms_per_token * answer

    def estimate_ms(self, prompt: Array, share: float | None = None) -> Array:
        """Return what is known of the service time before the answer is, ms, shape of `prompt`.

        Parameters
        ----------
        prompt
            Lengths in tokens.
        share
            Of answers that the estimate is to cover, 0 < share < 1; None for the expected answer.
        """
        answer = self.answer_tokens.average() if share is None else self.answer_tokens.quantile(share)
        return self.time_ms(prompt, np.array(answer))

    def prompt_at(self, z: Array) -> Array:
        """Return the prompt's length at standard-normal scores, tokens, shape of `z`."""
        return self._prompts.at(z)

    def answer_at(self, z: Array) -> Array:
        """Return the answer's length at standard-normal scores, tokens, shape of `z`."""
        return self.answer_tokens.at(z)

    def average(self) -> float:
        """Return the expected service time when neither length is known, ms."""
        return float(self.estimate_ms(np.array(self._prompts.average())))

    def at(self, z: Array) -> Array:
        """Return the service time at standard-normal scores when neither length is known, ms, shape of `z`.

        That is the law of the sum, worked out on a grid of scores to some 4 digits, and flat beyond scores
        of ±8; with one length fixed, it is exact.
        """
        prompt, answer = self._parts
        if not (_width(*prompt) and _width(*answer)):
            return self.time_ms(self.prompt_at(z), self.answer_at(z))
        return np.interp(z, *self._overall)

    @property
    def _prompts(self) -> Distribution:
        if self.prompt_tokens is None:
            raise RuntimeError("the law has no prompt_tokens: its prompts come with the traffic")
        return self.prompt_tokens

    @property
    def _parts(self) -> tuple[tuple[float, Distribution], tuple[float, Distribution]]:
        """Time per token, and law, of both lengths."""
        return (self.prefill_ms_per_token, self._prompts), (self.decode_ms_per_token, self.answer_tokens)

    @cached_property
    def _overall(self) -> tuple[Array, Array]:
        """Scores, and the service time (ms) at each: P(T ≤ t) = E[P(wide ≤ t − narrow)] over the narrow part.

        The wide part's probability is smooth over the narrow part's scores, so that the sum over an even grid
        is as good as the integral.
        """
        from scipy.special import ndtr

        z = np.linspace(-_FARTHEST, _FARTHEST, 401)
        weight = np.exp(-z * z / 2)
        weight /= weight.sum()
        (narrow_rate, narrow), (wide_rate, wide) = sorted(self._parts, key=lambda part: _width(*part))
        both = np.linspace(-_FARTHEST, _FARTHEST, 1001)  # the sum goes beyond when both parts go that far
        times_ms = np.unique(self.time_ms(self.prompt_at(both), self.answer_at(both)))
        left_ms = times_ms[:, np.newaxis] - self.overhead_ms - narrow_rate * narrow.at(z)
        scores = wide.score(left_ms / wide_rate)
        score = score_of(ndtr(scores) @ weight, ndtr(-scores) @ weight)
        return score[np.isfinite(score)], times_ms[np.isfinite(score)]


def _width(rate: float, length: Distribution) -> float:
    low, high = rate * length.at(np.array([-1.0, 1.0]))
    return float(high - low)
