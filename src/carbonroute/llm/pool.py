"""Equal replicas of one model that batch continuously: their limits, their laws, and who gets a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from carbonroute.llm.power import PowerLaw
from carbonroute.llm.step import StepLaw

Balance: TypeAlias = Literal["least-load", "round-robin"]
BALANCES: tuple[Balance, ...] = ("least-load", "round-robin")


@dataclass(frozen=True)
class LlmPool:
    """The replica that a pool consists of.

    Attributes
    ----------
    law, power
        Time and power of a step; power is None where the scenario states none.
    max_num_seqs
        Sequences in a batch at most.
    max_num_batched_tokens
        Tokens that a step computes at most, `max_num_seqs` or more: longer prompts are read in chunks.
    kv_blocks, block_tokens
        Blocks of the key-value cache, and tokens of a block.
    prefix_hit_share
        Part of a prompt that is in the cache already, 0…1: whole blocks, and never its last token.
    prefix_caching
        Whether a preempted sequence finds again those of its blocks that nobody has taken since.
    balance
        Which replica gets a request that arrives: the one with the fewest requests, the first of equal ones;
        or one after the other.
    load_s
        Time from switching a replica on until it takes requests, s; it draws idle power meanwhile.
    """

    law: StepLaw
    power: PowerLaw | None
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_blocks: int
    block_tokens: int = 16
    prefix_hit_share: float = 0.0
    prefix_caching: bool = True
    balance: Balance = "least-load"
    load_s: float = 0.0

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens that the cache of a replica holds."""
        return self.kv_blocks * self.block_tokens
