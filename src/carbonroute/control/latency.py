"""The probability law of service time + network jitter, S + J of docs/model.md, without sampling.

Probabilities and moments are of the requests in an interval, low < S ≤ high: a router that knows service
times sends each interval to another region. Probabilities err by at most:

============================  ========================================================  =====
normal, half-normal jitter    closed form; small ones keep 9 digits                     1e-13
lognormal, gamma              Gauss–Legendre over the jitter's score; after a wait,     1e-10
                              a table of such integrals, where one jitter is that of
                              all pairs, and a gamma's std is at most its mean
fixed, empirical up to 4,096  sum over the times                                        1e-13
more measured times           they are summed up over 1/32 score of the jitter          1e-6
tokens, by service time       Gauss–Legendre, with the tabulated law of the sum         1e-6
tokens, by prompt             Gauss–Legendre over the prompt's score                    1e-9
============================  ========================================================  =====

Where a std is 100 means or more, or the 90th percentile of the network 100 medians, 1e-9 takes the place of
1e-10. Where a std is less than a thousandth of the mean, SciPy's incomplete gamma function errs by up to 3e-6
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.sums import Table, TailArguments, beyond, tabulates
from carbonroute.network import Jitter
from carbonroute.workloads import By, Law, ServiceLaw, Tokens
from carbonroute.workloads.integrals import over_scores

#: Infinite times are as far as that: differences between them stay numbers.
_FAR_MS = 1e30

#: Violation shares below it are not taken from a table.
_RARE = 1e-6


class Latency:
    """Law of service time + jitter. O origins, W workloads, R regions.

    It keeps the tables that it has worked out.

    Parameters
    ----------
    laws
        Of service time, one per workload.
    jitter
        Of the network.
    rtt_ms
        Round trips, shape (O, R).
    slo_ms
        Latency limits, shape (W,).
    """

    def __init__(self, laws: tuple[ServiceLaw, ...], jitter: Jitter, rtt_ms: Array, slo_ms: Array) -> None:
        self.laws, self.jitter, self.rtt_ms, self.slo_ms = laws, jitter, rtt_ms, slo_ms
        self._tables: dict[tuple[int, int], Table] = {}
        self._unloaded: Array | None = None
        self._kept: dict[str, tuple[Array, Mask]] = {}

    def of_cells(self, name: str, place: Index, work_out: Callable[[Index], Array]) -> Array:
        """Return values that depend on origin, workload and region alone; each is worked out once.

        Parameters
        ----------
        name
            Of the values.
        place
            Of each cell and region among all, shape (n,); none stands twice.
        work_out
            From rows of `place`, m of them, to their K values, shape (K, m).

        Returns
        -------
        Values, shape (K, n).
        """
        values, known = self._kept.get(name, (np.empty((0, 0)), np.zeros(0, dtype=bool)))
        if not (known.size and known[place].all()):
            rows = np.flatnonzero(~known[place]) if known.size else np.arange(len(place))
            new = work_out(rows)
            if not known.size:
                size = self.rtt_ms.size * len(self.slo_ms)
                values, known = np.empty((len(new), size)), np.zeros(size, dtype=bool)
                self._kept[name] = values, known
            values[:, place[rows]], known[place[rows]] = new, True
        return values.take(place, axis=1)

    def beyond(
        self,
        time_ms: ArrayLike,
        workload: ArrayLike,
        origin: ArrayLike,
        region: ArrayLike,
        low: ArrayLike = -np.inf,
        high: ArrayLike = np.inf,
        *,
        by: By = "service",
    ) -> Array:
        """Return P(low < X ≤ high and service + jitter > time), with all digits in the tail.

        Raises ValueError if X is the prompt, and a workload has none.

        Parameters
        ----------
        time_ms
            Without the round trip, ms; all arguments broadcast.
        workload, origin, region
            Indices.
        low, high
            Ends of an interval of X.
        by
            The variable X: the service time, ms, or the length of the prompt, tokens.
        """
        times_ms = np.clip(time_ms, -_FAR_MS, _FAR_MS)
        columns = np.broadcast_arrays(workload, times_ms, low, np.maximum(low, high), origin, region)
        shares = np.empty(columns[0].shape)
        for index, law, at in self._laws(columns[0]):
            rows = TailArguments(*(column[at] for column in columns[1:]))
            if by == "prompt":
                shares[at] = self._beyond_by_prompt(index, _tokens(law), rows)
            else:
                shares[at] = beyond(law, self.jitter, rows)
        return shares

    def share(self, workload: ArrayLike, low: ArrayLike, high: ArrayLike, *, by: By = "service") -> Array:
        """Return P(low < X ≤ high)."""
        workloads, lows, highs = np.broadcast_arrays(workload, low, high)
        shares = np.empty(workloads.shape)
        for _, law, at in self._laws(workloads):
            of = law if by == "service" else _tokens(law).prompts
            shares[at] = of.between(lows[at], highs[at])
        return shares

    def moments(
        self,
        workload: ArrayLike,
        origin: ArrayLike,
        region: ArrayLike,
        low: ArrayLike = -np.inf,
        high: ArrayLike = np.inf,
        *,
        by: By = "service",
    ) -> tuple[Array, Array]:
        """Return E[L·1(low < X ≤ high)] and E[L²·1(…)] of service + jitter L, ms and ms²."""
        workloads, origins, regions, lows, highs = np.broadcast_arrays(
            workload, origin, region, low, np.maximum(low, high)
        )
        moments = np.empty((2, *workloads.shape))
        for _, law, at in self._laws(workloads):
            share, once, twice = _moments_within(law, lows[at], highs[at], by)[:3]
            jitter, jitter_twice = self.jitter.moments(origins[at], regions[at])
            # Formula latency-moments.
            squares = twice + 2 * once * jitter + share * jitter_twice
            moments[:, at] = once + share * jitter, squares
        return moments[0], moments[1]

    def tokens_mean(
        self, workload: ArrayLike, low: ArrayLike = -np.inf, high: ArrayLike = np.inf, *, by: By = "service"
    ) -> tuple[Array, Array]:
        """Return E[prompt·1(low < X ≤ high)] and E[answer·1(low < X ≤ high)], tokens."""
        workloads, lows, highs = np.broadcast_arrays(workload, low, np.maximum(low, high))
        tokens = np.empty((2, *workloads.shape))
        for _, law, at in self._laws(workloads):
            tokens[:, at] = _moments_within(_tokens(law), lows[at], highs[at], by)[3:]
        return tokens[0], tokens[1]

    @property
    def violation_share(self) -> Array:
        """P(rtt + service + jitter > slo), shape (O, W, R); NaN where prompts have no law: `late_share`."""
        if self._unloaded is None:
            left_ms = self.slo_ms[:, np.newaxis] - self.rtt_ms[:, np.newaxis]
            self._unloaded = np.full(left_ms.shape, np.nan)
            for w in self._with_law():
                self._unloaded[:, w] = self._late(w, left_ms[:, w])
        return self._unloaded

    def violation_share_after(self, more_ms: ArrayLike) -> Array:
        """Return P(rtt + service + jitter + more > slo), shape (…, O, W, R); NaN where prompts have no law.

        Where no time is added, these are the values of `violation_share`.

        `more_ms`: further time of a request, such as its wait, ms, shape (…, W, R).
        """
        workloads, regions = len(self.laws), self.rtt_ms.shape[1]
        more_ms = np.broadcast_to(more_ms, (*np.shape(more_ms)[:-2], workloads, regions))
        more_ms = np.expand_dims(more_ms, -3)
        left_ms = self.slo_ms[:, np.newaxis] - self.rtt_ms[:, np.newaxis] - more_ms
        shares = np.full(left_ms.shape, np.nan)
        for w in self._with_law():
            shares[..., w, :] = self._late(w, left_ms[..., w, :], often=True)
        return np.where(more_ms == 0, self.violation_share, shares)

    def _with_law(self) -> Iterator[int]:
        """Yield the workloads of whose service times there is a law before they come."""
        for w, law in enumerate(self.laws):
            if not (isinstance(law, Tokens) and law.prompt_tokens is None):
                yield w

    def _late(self, workload: int, left_ms: Array, *, often: bool = False) -> Array:
        """Return P(service + jitter > left) of a workload, shape (…, O, R); of many times from a table.

        The error of a table is a part of 1, not of the share: small shares, which need their digits, are
        integrated.
        """
        law, pairs = self.laws[workload], self.rtt_ms.shape
        if often and tabulates(law, self.jitter):
            shares = self._table(workload, 0, law)(left_ms)
            rare = shares < _RARE
            each_ms, which = np.unique(left_ms[rare], return_inverse=True)
            shares[rare] = self.beyond(each_ms, workload, 0, 0)[which]
            return shares
        asked = np.empty(left_ms.shape, dtype=complex)  # a pair and a time: numbers that can be sorted
        asked.real = np.arange(self.rtt_ms.size).reshape(pairs) if self.jitter.by_pair else 0
        asked.imag = left_ms
        each, which = np.unique(asked, return_inverse=True)  # asked again, it would be the same
        origin, region = np.divmod(each.real.astype(np.intp), pairs[1])
        late: Array = self.beyond(each.imag, workload, origin, region)[which.reshape(left_ms.shape)]
        return late

    def late_share(
        self, workload: ArrayLike, origin: ArrayLike, region: ArrayLike, prompt_tokens: ArrayLike
    ) -> Array:
        """Return P(rtt + service + jitter > slo) of requests whose prompts are known; arguments broadcast.

        Raises ValueError if a workload has no prompts.
        """
        columns = np.broadcast_arrays(workload, origin, region, prompt_tokens)
        shares = np.empty(columns[0].shape)
        for index, law, at in self._laws(columns[0]):
            o, r, prompt = (column[at] for column in columns[1:])
            left_ms = self.slo_ms[index] - self.rtt_ms[o, r] - _tokens(law).before_ms(prompt)
            late = np.empty_like(left_ms)
            for table, rows in self._answers(index, o, r):
                late[rows] = table(left_ms[rows])
            shares[at] = late
        return shares

    def _beyond_by_prompt(self, workload: int, law: Tokens, rows: TailArguments) -> Array:
        shares = np.empty(len(rows))
        for table, at in self._answers(workload, rows.origin, rows.region):
            shares[at] = _over_prompts(law, table, rows[at])
        return shares

    def _laws(self, workload: Index) -> Iterator[tuple[int, ServiceLaw, Mask]]:
        """Yield each workload that occurs, its law, and where it does."""
        for index in np.flatnonzero(np.bincount(workload.reshape(-1))):
            yield int(index), self.laws[index], workload == index

    def _answers(self, workload: int, origin: Index, region: Index) -> Iterator[tuple[Table, Index]]:
        """Yield P(answer + jitter > t) of a workload's requests, and which rows have that law."""
        pair = origin * self.rtt_ms.shape[1] + region if self.jitter.by_pair else np.zeros_like(origin)
        order = np.argsort(pair, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(pair[order])) + 1):
            answer_ms = _tokens(self.laws[workload]).answer_ms
            yield self._table(workload, int(pair[rows[0]]), answer_ms), rows

    def _table(self, workload: int, pair: int, law: Law) -> Table:
        """Return P(S + J > t) of a workload's time S of one law and a pair's jitter; made once."""
        if (workload, pair) not in self._tables:
            self._tables[workload, pair] = Table(law, self.jitter, *divmod(pair, self.rtt_ms.shape[1]))
        return self._tables[workload, pair]


def _tokens(law: ServiceLaw) -> Tokens:
    if isinstance(law, Tokens):
        return law
    raise ValueError(f"a workload of law {law.law!r} has no prompts")


def _moments_within(law: ServiceLaw, low: Array, high: Array, by: By) -> Array:
    """Return share, E[S] and E[S²] in intervals, and E[prompt] and E[answer] of tokens; shape (3 or 5, n)."""
    if isinstance(law, Tokens):
        return law.up_to(high, by) - law.up_to(low, by)
    if by == "prompt":
        _tokens(law)
    return np.stack([law.between(low, high), *(law.partial(high) - law.partial(low))])


def _over_prompts(law: Tokens, table: Table, rows: TailArguments) -> Array:
    """Return P(low < prompt ≤ high and S + J > t), shape (n,)."""

    def late(z: Array, row: Index) -> Array:
        return table(rows.time_ms[row] - law.before_ms(law.prompt_at(z)))

    splits = law.prompt_splits(rows.time_ms[:, np.newaxis] - table.edges)
    return over_scores(law.prompts.score(rows.low), law.prompts.score(rows.high), splits, late)
