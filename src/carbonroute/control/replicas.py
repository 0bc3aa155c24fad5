"""What a router expects of regions that serve language models: first and further tokens, and lateness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.capacity import Replicas
from carbonroute.control.site import Site
from carbonroute.workloads import Tokens


@dataclass(frozen=True)
class Expected:
    """Times of the mean request of each workload in each region, ms, shape (K, W, R); NaN without llm.

    Attributes
    ----------
    queue_ms
        Until a request is admitted to a batch.
    prefill_ms
        From then to its first token.
    tpot_ms
        For each further token.
    """

    queue_ms: Array
    prefill_ms: Array
    tpot_ms: Array

    @property
    def ttft_ms(self) -> Array:
        """Until the first token, without the network."""
        return self.queue_ms + self.prefill_ms


class LoadedTimes:
    """Times in regions that batch continuously, by how many sequences are in a batch. W workloads, R regions.

    `site`: facts of the regions.
    `service_ms`: estimated service time of each workload without load, ms, shape (W,).
    """

    def __init__(self, site: Site, service_ms: Array) -> None:
        self._site, self._service_ms = site, service_ms
        self._further = np.maximum(site.average_tokens[:, 1] - 1, 0.0)

    def at(self, running: Array, waiting: Array, servers: Array) -> Expected:
        """Return times by the sequences that run, those that wait, and the replicas; shape (K, P) each."""
        columns = np.full((3, len(running), *self._site.capacity.pool.shape), np.nan)
        for index in self._site.capacity.replicas:
            on = np.maximum(servers[:, index], 1.0)
            self._fill(columns, index, running[:, index] / on, waiting[:, index] / on)
        return Expected(*columns)

    def usual(self, load: Array, in_line: Array, servers: Array) -> Expected:
        """Return times by averages: the load, in full replicas, and the requests in line; shape (K, P) each.

        The batch is that of the steady state which completes as many requests as come.
        """
        columns = np.full((3, len(load), *self._site.capacity.pool.shape), np.nan)
        for index, replicas in self._site.capacity.replicas.items():
            on = np.maximum(servers[:, index], 1.0)
            self._fill(columns, index, _batch(replicas, load[:, index] / on), in_line[:, index] / on)
        return Expected(*columns)

    def excess_ms(self, expected: Expected) -> Array:
        """Return by how much a request takes longer than the estimate without load, ms, shape (K, W, R)."""
        tokens_ms = expected.tpot_ms * self._further[:, np.newaxis]
        return np.maximum(expected.ttft_ms + tokens_ms - self._service_ms[:, np.newaxis], 0.0)

    def late_share(self, expected: Expected) -> Array:
        """Return the probability that a request breaks one of its SLOs, shape (K, O, W, R); NaN without llm.

        By the laws of its lengths at the expected times, and with waits as spread as exponential ones: the
        largest of the probabilities for the end, for the first token by the prompt and by the wait, and for
        the further ones, which are late or in time for all.
        """
        site = self._site
        origins, _, regions = site.shape
        travel_ms = site.rtt_ms + site.jitter.moments(*np.indices((origins, regions)))[0]
        late = np.full((len(expected.queue_ms), *site.shape), np.nan)
        for w, law in enumerate(site.laws):
            if not isinstance(law, Tokens):
                continue
            queue_ms, prefill_ms, tpot_ms = (
                times[:, np.newaxis, w]
                for times in (expected.queue_ms, expected.prefill_ms, expected.tpot_ms)
            )
            per_prompt_ms = prefill_ms / max(law.prompts.average(), 1.0)
            # Formula llm-risk.
            answers = (site.slo_ms[w] - travel_ms - queue_ms - prefill_ms) / tpot_ms + 1
            prompts = (site.ttft_slo_ms[w] - travel_ms) / per_prompt_ms
            left_ms = np.maximum(site.ttft_slo_ms[w] - travel_ms - prefill_ms, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                waits = np.where(queue_ms > 0, np.exp(-left_ms / queue_ms), 0.0)
            risks = (
                _beyond(law.answer_tokens.score(answers)),
                _beyond(law.prompts.score(prompts)),
                waits,
                np.where(tpot_ms > site.tpot_slo_ms[w], 1.0, 0.0),
            )
            late[:, :, w] = np.maximum.reduce(np.broadcast_arrays(*risks))
        known = ~np.isnan(expected.tpot_ms)[:, np.newaxis]
        return np.where(known, late, np.nan)

    def _fill(self, columns: Array, index: int, batch: Array, waiting: Array) -> None:
        """Put the times of a pool, by its batch and line per replica, shape (K,), in their places."""
        replicas = self._site.capacity.replicas[index]
        curve = replicas.curve
        tpot_ms = np.interp(batch, curve.batch, curve.tpot_ms)
        queue_ms = waiting * np.interp(batch, curve.batch, replicas.mean_busy_ms)
        for w, r in np.argwhere(self._site.capacity.pool == index):
            columns[0, :, w, r], columns[2, :, w, r] = queue_ms, tpot_ms
            columns[1, :, w, r] = np.interp(batch, curve.batch, curve.prefill_ms[w])


def _batch(replicas: Replicas, load: Array) -> Array:
    """Return the batch at which a replica completes the requests of a load, in full replicas, shape (K,)."""
    per_full = replicas.mean_busy_ms[replicas.most] / replicas.mean_busy_ms
    return np.interp(load, np.maximum.accumulate(per_full), replicas.curve.batch)


def _beyond(score: Array) -> Array:
    """Return the share of a standard normal above a score."""
    from carbonroute.special import ndtr

    share: Array = ndtr(-score)
    return share
