"""First and further tokens of one policy's requests, and the batches that produced them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.capacity import Capacity
from carbonroute.control.site import Site
from carbonroute.engines.queued.meter import TOKEN_COLUMNS, Meter
from carbonroute.engines.queued.settling import Counted
from carbonroute.engines.samples import TimesByWorkload
from carbonroute.outcome import Serving

#: Sums by origin × workload × region, in the order of the fields of `Serving`.
_SUMS = (
    "requests",
    "several",
    "ttft_late",
    "tpot_late",
    "ttft_sum_ms",
    "tpot_sum_ms",
    "prompt_tokens",
    "answer_tokens",
)
_COUNTS = 4


class TokenTimes(NamedTuple):
    """Of n requests: times, ms, NaN where no pool with llm served them; and lengths, tokens; shape (n,)."""

    ttft_ms: Array
    tpot_ms: Array
    prompt: Array
    answer: Array

    @classmethod
    def of(cls, counted: Counted, first_ms: Array, tokens: Array) -> TokenTimes:
        """Return the times of requests.

        Parameters
        ----------
        counted
            The requests.
        first_ms
            From reaching the pool to the first token, ms, shape (n,).
        tokens
            Lengths of prompts and answers, shape (2, n), which are rounded to whole tokens.
        """
        prompt, answer = np.maximum(np.rint(tokens), 1.0)
        last_ms = counted.wait_ms + counted.service_ms
        tpot_ms = np.full(len(first_ms), np.nan)
        np.divide(last_ms - first_ms, answer - 1, out=tpot_ms, where=answer > 1)
        return cls(counted.latency_ms - last_ms + first_ms, tpot_ms, prompt, answer)


class TokenLedger:
    """Adds up first and further tokens.

    `site`: with the limits of each workload.
    `kept`: whether every time is kept.
    """

    def __init__(self, site: Site, *, kept: bool) -> None:
        self._site, workloads = site, len(site.slo_ms)
        self._ttft, self._tpot = TimesByWorkload(workloads, kept=kept), TimesByWorkload(workloads, kept=kept)
        self._sums = np.zeros((len(_SUMS), int(np.prod(site.shape))))

    def add(self, times: TokenTimes, group: Index, limits: Index) -> Mask:
        """Add up n requests; return which break a limit of their tokens, shape (n,).

        Parameters
        ----------
        times
            Of the requests, sorted by workload.
        group
            Place of each in a row of all origins × workloads × regions, shape (n,).
        limits
            Where each workload's requests begin, and the end, shape (W + 1,).
        """
        workload = np.repeat(np.arange(len(limits) - 1), np.diff(limits))
        first_late = times.ttft_ms > self._site.ttft_slo_ms[workload]
        next_late = times.tpot_ms > self._site.tpot_slo_ms[workload]
        served, several = ~np.isnan(times.ttft_ms), ~np.isnan(times.tpot_ms)
        columns = (
            served,
            several,
            first_late,
            next_late,
            np.where(served, times.ttft_ms, 0.0),
            np.where(several, times.tpot_ms, 0.0),
            np.where(served, times.prompt, 0.0),
            np.where(served, times.answer, 0.0),
        )
        cells = self._sums.shape[1]
        self._sums += np.stack([np.bincount(group, column, cells) for column in columns])
        for distribution, values, known in (
            (self._ttft, times.ttft_ms, served),
            (self._tpot, times.tpot_ms, several),
        ):
            distribution.add(values[known], np.searchsorted(np.flatnonzero(known), limits))
        late: Mask = first_late | next_late
        return late

    def serving(self, capacity: Capacity, meter: Meter) -> Serving:
        """Return the results of all requests, and of the batches as a meter read them."""
        sums = self._sums.reshape(len(_SUMS), *self._site.shape)
        by_name: dict[str, Any] = {
            name: values.astype(np.int64) if row < _COUNTS else values
            for row, (name, values) in enumerate(zip(_SUMS, sums, strict=True))
        }
        totals = dict(zip(TOKEN_COLUMNS, meter.tokens, strict=True))
        llm = np.zeros(len(capacity.servers), dtype=bool)
        llm[list(capacity.replicas)] = True
        cache = np.array(
            [
                capacity.replicas[index].pool.kv_cache_tokens if index in capacity.replicas else np.nan
                for index in range(len(llm))
            ]
        )
        on_s = np.maximum(meter.server_s, totals["replica_s"])  # those that are switched off finish
        on_s = np.where(on_s > 0, on_s, np.nan)

        def of_llm(values: Array) -> Array:
            return np.where(llm, values, np.nan)

        return Serving(
            **by_name,
            ttft=self._ttft.distribution(),
            tpot=self._tpot.distribution(),
            running=of_llm(totals["running_s"] / meter.slot_s),
            held_share=of_llm(np.nan_to_num(totals["held_s"] / (on_s * cache))),
            prompt_tokens_per_s=of_llm(totals["prompt_tokens"] / meter.slot_s),
            answer_tokens_per_s=of_llm(totals["answer_tokens"] / meter.slot_s),
            preemptions=of_llm(totals["preemptions"].sum(axis=0)),
            energy_j=np.where(np.isnan(capacity.idle_w), np.nan, of_llm(meter.spent_j)),
            produced=of_llm(meter.produced),
        )
