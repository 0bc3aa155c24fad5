"""Triton: https://docs.nvidia.com/deeplearning/triton-inference-server; a model is the label ``model``."""

from __future__ import annotations

from carbonroute.live.observe.preset import Preset, TotalTime

PRESET = Preset(
    requests="nv_inference_request_success",
    alive="nv_inference_request_success",
    waiting="nv_inference_pending_request_count",
    service=TotalTime("nv_inference_compute_infer_duration_us", "nv_inference_request_success", "us"),
    wait=TotalTime("nv_inference_queue_duration_us", "nv_inference_request_success", "us"),
    energy="nv_energy_consumption",
)
