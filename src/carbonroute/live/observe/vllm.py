"""vLLM: https://docs.vllm.ai/en/latest/usage/metrics.html. A model is the label ``model_name``."""

from __future__ import annotations

from carbonroute.live.observe.preset import Preset, histogram

PRESET = Preset(
    requests="vllm:e2e_request_latency_seconds_count",
    alive="vllm:num_requests_running",
    running="vllm:num_requests_running",
    waiting="vllm:num_requests_waiting",
    service=histogram("vllm:request_inference_time_seconds"),
    wait=histogram("vllm:request_queue_time_seconds"),
    prompt_tokens="vllm:prompt_tokens_total",
    answer_tokens="vllm:generation_tokens_total",
)
