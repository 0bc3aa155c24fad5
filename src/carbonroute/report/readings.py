"""How each figure is headed and read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Reading(NamedTuple):
    """Words about a figure that are the same for every run: what it is of, and how to read it."""

    heading: str
    text: str


READINGS: Mapping[str, Reading] = MappingProxyType(
    {
        "regional_carbon_latency": Reading(
            "Carbon and distance",
            "Bars are each region's mean carbon intensity, the line its round-trip time from the largest "
            "origin: a low bar under a high line is clean, but far away.",
        ),
        "tradeoff_curve": Reading(
            "What each policy saves and risks",
            "Each mark is a policy. Further right saves more carbon, further down breaks fewer latency "
            "limits; the shaded band holds those within the limit on violations.",
        ),
        "routing_distribution": Reading(
            "Where requests go",
            "Each bar is all requests of a policy, its parts the regions that serve them.",
        ),
        "workload_slo_violations": Reading(
            "Whose requests are late",
            "A bar is the share of a workload's requests over its latency limit, under one policy.",
        ),
        "carbon_traces": Reading(
            "Carbon over time",
            "A line is a region's grid. Routing by the hour pays where lines cross, or come close.",
        ),
        "saving_steps": Reading(
            "Where the saving comes from",
            "From no knowledge of carbon to all of it: what each step emits, and what it takes off the step "
            "before.",
        ),
        "utilisation": Reading(
            "How busy servers are",
            "A panel is a policy, a line a region's servers in use; what is shaded beyond 100 % was sent "
            "there, and had to wait or was turned away.",
        ),
        "wait_cdf": Reading(
            "How long requests wait",
            "A line says which share of requests waits at most so long for a server, and what that does to "
            "latency: further left is shorter.",
        ),
        "herd": Reading(
            "What many routers do together",
            "A panel is a policy, its areas the shares of traffic that each region gets over time: spikes "
            "are routers that all move at once.",
        ),
        "prior_work_comparison": Reading(
            "Beside related work",
            "Other systems with their own workloads and baselines, and this run in the last row; their "
            "figures are not comparable one to one.",
        ),
        "carbon_heatmap": Reading(
            "Carbon by hour of the day",
            "A row is a region, a column an hour of the day: the colour is the mean carbon intensity then.",
        ),
        "radar_policy_comparison": Reading(
            "Policies on several scales",
            "A small radar per policy, each quality scaled over the policies: further out is better.",
        ),
        "latency_cdf": Reading(
            "How long requests take",
            "A line says which share of requests takes at most so long; the dotted uprights are the latency "
            "limits.",
        ),
        "bubble_tradeoff": Reading(
            "Saving, risk and latency at once",
            "As above, with average latency as the area of a bubble: the best are low, far right and small.",
        ),
        "carbon_savings_bar": Reading(
            "Saving beside violations",
            "The upper or left bars are what each policy saves, the others its violations beside the limit.",
        ),
    }
)
