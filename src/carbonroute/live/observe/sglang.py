"""SGLang: https://docs.sglang.io/references/production_metrics.html, with ``--enable-metrics``."""

from __future__ import annotations

from carbonroute.live.observe.preset import Preset, histogram

PRESET = Preset(
    requests="sglang:num_requests_total",
    alive="sglang:num_running_reqs",
    running="sglang:num_running_reqs",
    waiting="sglang:num_queue_reqs",
    wait=histogram("sglang:queue_time_seconds"),
    prompt_tokens="sglang:prompt_tokens_total",
    answer_tokens="sglang:generation_tokens_total",
)
