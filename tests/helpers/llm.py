"""A small scenario whose regions serve language models, as text."""

from __future__ import annotations

from pathlib import Path

from carbonroute.scenario import Inputs, load, resolve

STEP = "{ overhead_ms = 1, weights_ms = 9, kv_ms_per_token = 0.0005, compute_ms_per_token = 0.05 }"
POWER = "{ idle_w = 100, prefill_w = 700, batches = [1, 16], decode_w = [300, 500] }"
POOL = f"""\
servers = 2
[pools.llm]
max_num_seqs = 16
max_num_batched_tokens = 512
kv_cache_tokens = 8192
step = {STEP}
power = {POWER}
"""
SCENARIO = f"""\
schema = 1
name = "llm"

[horizon]
hours = 2

[information]
service_time = "mean"

[traffic]
kind = "poisson"
requests_per_hour = 20000

[carbon]
kind = "synthetic"

[network.rtt_ms]
West = {{ A = 5, B = 65 }}
East = {{ A = 80, B = 10 }}

[[origins]]
name = "West"
share = 0.4
[[origins]]
name = "East"
share = 0.6

[[regions]]
name = "A"
carbon_g_per_kwh = 400
pue = 1.2
[[regions]]
name = "B"
carbon_g_per_kwh = 50

[[pools]]
{POOL}
[[workloads]]
id = "chat"
name = "Chat"
model = "small"
share = 1
slo_ms = 10000
ttft_slo_ms = 500
tpot_slo_ms = 40
service_ms = {{ law = "tokens", prompt_tokens = {{ law = "lognormal", mean = 200, std = 150 }}, \
answer_tokens = {{ law = "lognormal", mean = 60, std = 40 }} }}

[[policies]]
use = "latency-first"
[[policies]]
use = "carbon-first"
[[policies]]
use = "spill"
"""


def inputs(folder: Path, *changes: tuple[str, str]) -> Inputs:
    """Return the resolved scenario with some texts, which must be there, replaced by others."""
    text = SCENARIO
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path = folder / "llm.toml"
    path.write_text(text, encoding="utf-8")
    return resolve(load(path))
