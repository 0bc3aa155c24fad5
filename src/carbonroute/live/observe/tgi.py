"""Text Generation Inference: https://huggingface.co/docs/text-generation-inference/reference/metrics."""

from __future__ import annotations

from carbonroute.live.observe.preset import Preset, histogram

PRESET = Preset(
    requests="tgi_request_count",
    alive="tgi_queue_size",
    running="tgi_batch_current_size",
    waiting="tgi_queue_size",
    service=histogram("tgi_request_inference_duration"),
    wait=histogram("tgi_request_queue_duration"),
    prompt_tokens="tgi_request_input_length_sum",
    answer_tokens="tgi_request_generated_tokens_sum",
)
