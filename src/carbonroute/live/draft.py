"""A live file to start from, for a scenario: a shadow that moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from carbonroute.control.site import Site
from carbonroute.errors import Fault, InputError
from carbonroute.files.toml import value
from carbonroute.scenario import Candidate
from carbonroute.scenario.written.sections import Region

_TEXT = """\
# Written by carbonroute live init. A shadow: it decides and records, and moves nothing.
# Check it:  carbonroute live check {file}        Run it:  carbonroute live run {file}
schema = 1
scenario = {scenario}
policy = {policy}                       # the label of one of its policies

[live]
mode = "shadow"                         # then "canary:5%", then "live"
journal = "journal"                     # folder of the decision records; carbonroute live savings reads it
kill_file = "KILL"                      # while this file is there, all traffic follows the baseline
baseline = {{ kind = "nearest" }}         # the weights without carbonroute: nearest, even, or
# baseline = {{ kind = "static", weights = {{ {weights} }} }}
switchback = 0.0                        # 0.1: a tenth of the intervals on the baseline, to measure the saving
listen = "127.0.0.1:9909"               # status page, /metrics, /healthz

[live.carbon]
max_age = "3h"                          # older values are not used

[[live.carbon.sources]]
kind = "electricity-maps"               # zones: {zones}
token_env = "ELECTRICITY_MAPS_TOKEN"    # the name of the environment variable, never the token

# Measurements, from Prometheus: without them the scenario's expected traffic stands for them.
# [live.observe]
# prometheus = "http://127.0.0.1:9090"
# engine = "vllm"                       # sglang, tgi, triton, envoy
# region_label = "region"
# max_age = "30s"

# What carries the weights: one table for each origin and workload, or one without these keys for all.
# [[live.actuators]]
# kind = "haproxy"                      # envoy-file, haproxy-agent, httproute, gauge, exec, nginx
"""


def draft(regions: Sequence[Region], policy: str, scenario: str, file: str) -> str:
    """Return the text of a live file.

    `policy`: the label of the policy that is to run.
    `scenario`, `file`: the scenario's file as the live file names it, and the live file's own name.
    """
    share = round(1 / len(regions), 2)
    shares = [*[share] * (len(regions) - 1), round(1 - share * (len(regions) - 1), 2)]
    weights = ", ".join(f"{value(r.name)} = {share:g}" for r, share in zip(regions, shares, strict=True))
    return _TEXT.format(
        file=file,
        scenario=value(scenario),
        policy=value(policy),
        weights=weights,
        zones=", ".join(region.zone or region.name for region in regions),
    )


def runnable(scenario: str, candidates: Iterable[Candidate], site: Site) -> Candidate:
    """Return a policy that can run live: before others, one that goes by carbon and by the latency limits.

    Raises InputError if none of the scenario's policies can.
    """
    able = [
        candidate for candidate in candidates if not (candidate.clairvoyant or candidate.by_request(site))
    ]
    if not able:
        problem = "none of its policies can run live: they are clairvoyant, or decide on single requests"
        remedy = "add one that decides for whole cells, such as use = 'optimal'"
        raise InputError(scenario, [Fault("policies", problem, remedy)])
    by_limits = ("carbon_g_per_kwh", "slo_ms", "violation_share")
    return max(able, key=lambda candidate: sum(map(candidate.reads, by_limits)))
