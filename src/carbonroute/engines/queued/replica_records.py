"""Records of replicas that batch continuously: a pool, a replica, its places, and a request."""

from __future__ import annotations

import numpy as np

from carbonroute.engines.queued.events import records

#: One pool: its limits, its law, present state, totals, and the places of its replicas and its windows.
POOL = records(
    [
        ("servers", np.int64),
        ("queue_limit", np.int64),
        ("in_turn", np.int64),  # 1: replicas take requests in turn; 0: the one with the fewest
        ("max_num_seqs", np.int64),
        ("max_num_batched_tokens", np.int64),
        ("kv_blocks", np.int64),
        ("block_tokens", np.int64),
        ("prefix_hit_share", np.float64),
        ("prefix_caching", np.int64),  # 1: preempted sequences find again blocks that nobody took
        ("load_s", np.float64),
        ("fixed_ms", np.float64),  # of a step: overhead and link
        ("sequence_ms", np.float64),
        ("link_ms_per_token", np.float64),
        ("weights_ms", np.float64),
        ("experts_ms", np.float64),
        ("expert_share", np.float64),
        ("kv_ms_per_token", np.float64),
        ("compute_ms_per_token", np.float64),
        ("idle_w", np.float64),
        ("prefill_w", np.float64),
        ("decode_w", np.int64),  # place of the power of no sequence; that of n lies n behind it
        ("first", np.int64),  # its first replica, and the one after its last
        ("end", np.int64),
        ("turn", np.int64),
        ("busy", np.int64),  # replicas
        ("running", np.int64),  # sequences
        ("waiting", np.int64),
        ("served", np.int64),
        ("rejected", np.int64),
        ("preemptions", np.int64),
        ("clock_s", np.float64),  # time of the last event
        ("switched_s", np.float64),  # when the number of servers last changed
        ("server_s", np.float64),  # up to then
        ("window", np.int64),  # the next one that begins, and the one after the pool's last
        ("window_end", np.int64),
        ("closed_until_s", np.float64),
    ]
)

#: One replica: its sequences, its cache, its present run of steps, and totals up to the start of that.
REPLICA = records(
    [
        ("powered", np.int64),
        ("ready_s", np.float64),  # when it has loaded
        ("begin_s", np.float64),  # when its next run begins; infinity if it is in one, or has nothing to do
        ("end_s", np.float64),  # when its present run ends
        ("clock_s", np.float64),  # when that began; or when anything last changed
        ("running", np.int64),
        ("last", np.int64),  # row of the sequence that was admitted last
        ("partial", np.int64),  # row of the one whose prompt is partly computed, or −1
        ("waiting", np.int64),
        ("begun", np.int64),  # how many of these, at the head of the line, were preempted
        ("head", np.int64),  # rows of the first and the last request in line
        ("tail", np.int64),
        ("free", np.int64),  # blocks
        ("freed", np.int64),  # so far, less those found again: minus `free`, those taken from the front
        ("held", np.int64),  # tokens, before the present run; with those of the step, if it reads prompts
        ("count", np.int64),  # decode steps so far
        ("next", np.int64),  # −count mod block: the number of those that need a block with the next step
        ("place", np.int64),  # the first of its places
        ("steps", np.int64),  # of the present run
        ("flat_steps", np.int64),  # how many of them, at first, take the time of their arithmetic
        ("flat_ms", np.float64),  # time of each of these
        ("base_ms", np.float64),  # time of the others: this, and slope_ms for every step so far
        ("slope_ms", np.float64),
        ("grown", np.int64),  # tokens that each step adds to the cache
        ("decoding", np.int64),  # sequences in it that decode, and that read prompts
        ("prefilling", np.int64),
        ("prompt", np.int64),  # tokens of prompts in it
        ("power_w", np.float64),
        ("prompt_tokens", np.int64),
        ("answer_tokens", np.int64),
        ("busy_s", np.float64),
        ("running_s", np.float64),
        ("held_s", np.float64),
        ("energy_j", np.float64),
        ("waiting_s", np.float64),
        ("line_s", np.float64),  # up to when waiting_s reaches
    ]
)

#: One place of a replica, which has one for each sequence of a batch, and one for each token of a block: a
#: heap of the sequences that decode, and how many of these need a block with which step.
PLACE = records(
    [
        ("finish", np.int64),  # count of decode steps with which the sequence finishes
        ("row", np.int64),
        ("crossing", np.int64),  # sequences whose (tokens held − count) mod block is the number of this place
    ]
)

#: One request not yet handed out.
REQUEST = records(
    [
        ("reach_s", np.float64),
        ("pool", np.int64),
        ("prompt", np.int64),  # tokens
        ("answer", np.int64),
        ("produced", np.int64),  # tokens of the answer, when it last began to read its prompt
        ("computed", np.int64),  # tokens; of one that decodes, minus its replica's count
        ("residue", np.int64),  # that mod block
        ("kept", np.int64),  # blocks that it gave back when it was preempted, in the order of their end
        ("kept_from", np.int64),  # and how many were taken from the front when the first of them is next
        ("begin_s", np.float64),
        ("wait_ms", np.float64),  # −1 until it begins; NaN if rejected
        ("first_ms", np.float64),  # −1 until its first token; NaN if rejected
        ("service_ms", np.float64),  # −1 until it has finished; NaN if rejected
        ("ahead", np.int64),  # rows of its neighbours in the list of those that run, or that wait
        ("behind", np.int64),
    ]
)
