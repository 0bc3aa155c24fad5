"""The tables of one run, from which figures, files and reports are made."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from carbonroute.metrics.agreement import SCHEMA as AGREEMENT
from carbonroute.metrics.herd import SCHEMA as HERD
from carbonroute.metrics.intervals import SCHEMA as INTERVALS
from carbonroute.metrics.latency_cdf import SCHEMA as LATENCY_CDF
from carbonroute.metrics.objectives import SCHEMA as OBJECTIVES
from carbonroute.metrics.pools import POOLS, UTILISATION
from carbonroute.metrics.serving import REPLICAS, TOKENS
from carbonroute.metrics.wait_cdf import SCHEMA as WAIT_CDF


@dataclass(frozen=True)
class Tables:
    """Results of one run, at full precision.

    Policies, regions, origins and workloads keep the scenario's order in every table; `best_first` has them
    as readers want them. A table describes
    itself: limits and labels that a reader needs stand in columns of their own.

    Attributes
    ----------
    policies
        One row per policy: ``policy`` (label), ``clairvoyant`` (bool), ``requests``, ``avg_latency_ms``,
        ``p95_latency_ms``, ``slo_violation_pct``, ``avg_carbon_g_per_kwh``, ``carbon_reduction_pct``
        (null where the baseline's carbon is 0), ``baseline`` (label of the policy that reductions refer to;
        where requests queue, that is without limits on capacity),
        ``baseline_carbon_g_per_kwh``,
        ``max_violation_pct`` (the limit behind ``viable``), ``viable`` (bool), ``dominated_by`` (label of the
        first policy at least as good in carbon, violations and average latency and better in one; or null;
        carbon is ``emissions_g_per_request`` where energies are stated).
        In grams of CO2e, null where the scenario states no energies: ``emissions_g_per_request`` (per
        *served* request) and its parts ``operational_g_per_request``, ``network_g_per_request`` and
        ``embodied_g_per_request``; ``total_kg`` of all requests (of several replications: their mean);
        ``emissions_reduction_pct`` (of grams per served request). Where
        a policy decides on old, forecast or missing carbon: ``fresh_carbon_g_per_kwh`` and
        ``fresh_total_kg``, its figures on perfectly fresh data, and ``extra_vs_fresh_pct``, how much more
        it emits (without energies: how much higher its mean carbon intensity is); null where its data are
        fresh.
        Where requests queue, and null elsewhere: ``rejected`` and ``rejected_pct`` (of all requests; they
        count as violations, and have neither latency nor grams), ``avg_wait_ms`` and ``p95_wait_ms`` (of
        served requests), ``hours_over_capacity`` (hours in which a pool was sent more than it can carry; of
        the pool that has most of them), ``flips_per_day`` (how often a cell's main region changes),
        ``idle_g_per_request`` (electricity of switched-on servers beyond that of requests; null where
        their power is not stated); and the policy's figures without limits on capacity:
        ``unlimited_carbon_g_per_kwh``, ``unlimited_carbon_reduction_pct``, ``unlimited_slo_violation_pct``,
        ``unlimited_total_kg``, ``unlimited_emissions_reduction_pct``, and ``survives_pct``, how much of that
        reduction (of grams, where energies are stated) is left: 0 where emissions rise instead, null where
        nothing is possible, or the policy is not viable. Against Latency-First on the same capacity, whose
        label is ``same_capacity_baseline``: ``same_capacity_carbon_reduction_pct`` and
        ``same_capacity_emissions_reduction_pct``. Last come ``worst_workload`` (name of the workload of most
        violations) and ``worst_violations_pct``, ``limit_per`` (``"workload"`` where the limit holds for
        every workload by itself and there are several, else ``"all"``),
        ``unlimited_worst_violations_pct``, and ``worst_p95_latency_ms`` of the worst workload.
    routing
        One row per policy × region: ``policy``, ``clairvoyant``, ``region``, ``requests``, ``share`` (0…1).
    workloads
        One row per policy × workload: ``policy``, ``clairvoyant``, ``workload`` (id), ``name``, ``requests``,
        ``avg_latency_ms``, ``p95_latency_ms``, ``slo_ms``, ``slo_violation_pct`` (null where there was no
        request).
    latency_cdf
        Quantiles of latency per policy: ``policy``, ``clairvoyant``, ``share`` (0…1, ascending),
        ``latency_ms``.
    carbon
        One row per hour × region: ``hour`` (0…), ``time`` (UTC datetime, or null without a calendar),
        ``region``, ``carbon_g_per_kwh``.
    rtt
        One row per origin × region: ``origin``, ``origin_share``, ``region``, ``rtt_ms``.
    saving
        Decomposition of the saving, a row per step: ``step``, ``policy``,
        ``clairvoyant``, ``total_kg``, ``saved_pct`` (of the first step's emissions per served request),
        ``slo_violation_pct``, ``worst_workload``, ``worst_violations_pct``. Empty where the scenario states
        no energies. Where requests queue, all steps
        are on the same capacity.
    overview
        One row: ``scenario``, ``workloads`` (models in words), ``regions`` (in words), ``hours``,
        ``finding`` (one sentence), ``notes`` (assumptions, filled values, omissions, and the cost of
        old data; a list), ``accounting`` (labels of the carbon values), ``source`` (of the carbon values),
        ``traffic_source``, ``synthetic_geography`` (whether origins were drawn for real requests).
    intervals
        Confidence intervals, a row each: ``policy``, ``workload`` (null: all), ``figure`` (a column
        of `policies` or `workloads`; ``share_<region>``; or a difference from the baseline, such as
        ``avg_latency_ms_difference``), ``value``, ``low``, ``high``, ``method`` (in words), ``n`` (requests
        or replications), ``confidence`` (0…1). Empty where nothing is sampled.
    objectives
        A row per objective of the scenario: ``policy``, ``figure``, ``bound`` (as stated), ``value``,
        ``low``, ``high`` (null without interval), ``margin`` (in the figure's unit, negative where it
        is missed), ``met``, ``beyond_doubt`` (whether the whole interval is on one side; null without),
        ``against`` (label of the policy that a reduction refers to; null for other figures).
    agreement
        Sampled against exact, a row per figure: ``policy``, ``workload``, ``figure``, ``sampled``, ``exact``,
        ``standard_error``, ``z``. Empty where one engine alone was asked.
    pools
        Where requests queue, a row per policy and pool of servers: ``policy``, ``clairvoyant``, ``region``,
        ``pool`` (label), ``servers`` (switched on, mean), ``utilisation_pct`` (share of their time in use),
        ``peak_utilisation_pct`` (of the busiest hour), ``avg_waiting`` (requests), ``rejected``,
        ``hours_over_capacity``, ``server_worth_g_per_h`` (saving of one more server in the region, or
        null). Servers and utilisation are null where nothing limits them. This table and the next three are
        empty where capacity plays no part.
    utilisation
        A row per policy × hour × region: ``policy``, ``clairvoyant``, ``hour``, ``region``, ``utilisation``
        (0…1, pools weighed by their servers), ``servers``, ``waiting`` (requests, mean), ``offered`` (work
        that was sent there, in servers). Null where nothing limits them.
    wait_cdf
        Quantiles of time in a queue per policy: ``policy``, ``clairvoyant``, ``share`` (of served requests,
        0…1, ascending), ``wait_ms``.
    herd
        Of policies with several routers, a row per slot of time and region: ``policy``, ``clairvoyant``,
        ``hour`` (with fractions), ``region``, ``share`` (of the work sent, 0…1), ``utilisation`` (of its
        fullest pool), and for the policy ``flips_per_day``, ``hours_over_capacity``,
        ``avg_carbon_g_per_kwh``, ``extra_pct`` (more grams, or without energies more carbon intensity, than
        under the first of them, %; null for that), ``emissions_g_per_request``.
    latency_cdf_unlimited
        As `latency_cdf`, of the same policies where no capacity has an end.
    tokens
        Where pools batch continuously, a row per policy × workload that they serve: ``policy``,
        ``clairvoyant``, ``workload``, ``name``, ``requests`` (served); mean, median, 95th and 99th percentile
        of the time to the first token (``avg_ttft_ms`` …), per further token (``avg_tpot_ms`` …) and end to
        end (``avg_latency_ms`` …); the limits ``ttft_slo_ms``, ``tpot_slo_ms`` (null where there is none) and
        ``slo_ms``; ``ttft_violation_pct`` and ``tpot_violation_pct`` (of served requests),
        ``slo_violation_pct`` (over any limit, or rejected); ``goodput_per_s`` (requests within all limits),
        ``prompt_tokens_per_s`` and ``answer_tokens_per_s``. This table and the next are empty elsewhere.
    replicas
        A row per policy × such pool: ``policy``, ``clairvoyant``, ``region``, ``pool``, ``replicas``
        (switched on, mean), ``avg_running`` (sequences in their batches), ``avg_waiting``, ``kv_use_pct`` and
        ``peak_kv_use_pct`` (of the cache's tokens; of the fullest slot), ``preemptions``,
        ``prompt_tokens_per_s`` (computed, those computed again too), ``answer_tokens_per_s``, ``energy_kwh``
        (IT energy, idle included, as grams count it: without the warm-up) and ``j_per_answer_token``; both
        null where no power is stated. The other figures are of the horizon, warm-up included.
    """

    policies: pl.DataFrame
    routing: pl.DataFrame
    workloads: pl.DataFrame
    latency_cdf: pl.DataFrame
    carbon: pl.DataFrame
    rtt: pl.DataFrame
    saving: pl.DataFrame
    overview: pl.DataFrame
    intervals: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=INTERVALS))
    objectives: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OBJECTIVES))
    agreement: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=AGREEMENT))
    pools: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=POOLS))
    utilisation: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UTILISATION))
    wait_cdf: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WAIT_CDF))
    herd: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=HERD))
    latency_cdf_unlimited: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LATENCY_CDF))
    tokens: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TOKENS))
    replicas: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REPLICAS))
