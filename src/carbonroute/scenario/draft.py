"""A complete scenario of cloud regions and models of the catalogue, as text; every figure has its source."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from statistics import NormalDist

from carbonroute.catalogue import CloudRegion, Model, Zone, cloud_regions, models, zones
from carbonroute.files.toml import value

#: Std over mean of an answer's length.
_ANSWER_SPREAD = 163 / 211
_SPREAD_SOURCE = (
    "spread of an answer's length, 163 of 211 tokens: Azure trace of conversations, Splitwise (ISCA 2024), "
    "CC-BY-4.0"
)
#: Added to the 99th percentile of the service time for a latency limit, ms.
SLO_ALLOWANCE_MS = 100.0
_SLO_QUANTILE = 0.99
DEFAULT_MODEL = "llama-3.1-8b"
_WIDTH = 110

_HEAD = """\
# Written by carbonroute init from its catalogue of regions and models (docs/catalogue.md).
# Every figure has its source, or is marked "assumed": replace those by your own first.
# Check it:  carbonroute validate FILE        Run it:  carbonroute simulate FILE
schema = 1
name = {name}

[horizon]
hours = 8784                            # all of 2024, the year that the grids' statistics are of
start = 2024-01-01T00:00:00Z

[sampling]
seed = 42                               # of all random numbers

[information]
service_time = "mean"                   # a router knows the law, not the request
carbon_age = "1h"                       # assumed: age of the carbon values that a router has

[traffic]
kind = "fixed-rate"
requests_per_hour = 100                 # assumed

[carbon]
# Series with the mean, day, season, weather and correlations that each grid had in 2024 (the regions below).
# For hourly values of your own: kind = "file", or that of a provider (docs/model.md).
kind = "synthetic"
accounting = {{ rate = "average", scope = "lifecycle", boundary = "consumption" }}   # as the catalogue counts

[network]
# Round trips are estimated by distance and continents: half lie within 11 % of what was measured, nine tenths
# within 32 % (docs/catalogue.md). For measured ones state rtt_ms or rtt_file instead.
missing = "great-circle"
jitter_std_ms = 10                      # assumed

[sources]
hardware_factor = "assumed: 1, the same hardware everywhere"
energy_j_per_gb = "not counted"
payload_mb = "not counted"
embodied_g = "not counted"

# Users are near the regions, in equal numbers: assumed.
"""

_POLICIES = """
# Policies to compare; `carbonroute policies` lists all.
[[policies]]
use = "latency-first"
[[policies]]
use = "carbon-first"
[[policies]]
use = "static-greenest"
[[policies]]
use = "constrained-hybrid"
max_violation = 0.05                    # assumed: 5 % late requests may be risked
"""


def draft(name: str, regions: Sequence[CloudRegion], served: Sequence[Model], *, chosen: bool) -> str:
    """Return the text of a scenario that runs as it is.

    `regions`, `served`: regions that serve, whose surroundings also send the requests; models that are asked
    for.
    `chosen`: whether the user named the models.
    """
    lines = [_HEAD.format(name=value(name)).rstrip("\n")]
    for region, share in zip(regions, _equal(len(regions)), strict=True):
        lines += ["[[origins]]", f'from = "{region.id}"', _behind(f"share = {share}", "assumed")]
    lines += ["", "# Regions: `from` fills in the figures below it; state a key to have another value."]
    for region in regions:
        lines += _region(region)
    lines += [""]
    if not chosen:
        lines += _comment(
            f"No model was named: {DEFAULT_MODEL} is assumed; `--models` takes {', '.join(models())}."
        )
    for model, share in zip(served, _equal(len(served)), strict=True):
        lines += _workload(model, share)
    return "\n".join(lines) + "\n" + _POLICIES


def _equal(count: int) -> list[str]:
    """Return equal shares of four digits that sum to 1, as text."""
    whole = 10_000
    least, more = divmod(whole, count)
    return [f"{(least + (place < more)) / whole:g}" for place in range(count)]


def _behind(line: str, comment: str) -> str:
    return f"{line:<39} # {comment}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _region(region: CloudRegion) -> list[str]:
    zone = zones()[region.zone]
    lines = ["[[regions]]", _behind(f'from = "{region.id}"', f"{region.place}, {region.country}")]
    if region.pue is None:
        fleet = next(
            one for one in cloud_regions().values() if one.provider == region.provider and one.pue_is_fleet
        )
        lines.append(
            _behind(f"pue = {fleet.pue:g}", "assumed: the provider's mean; this region has no figure")
        )
    else:
        assumed = "assumed: " if region.pue_is_fleet else ""
        lines += _comment(f"pue = {region.pue:g}: {assumed}{region.pue_source}")
    place = f"latitude = {region.latitude:g}, longitude = {region.longitude:g}"
    lines += _comment(f"{place}: {region.location_source}")
    return lines + _carbon(region, zone)


def _carbon(region: CloudRegion, zone: Zone) -> list[str]:
    mean = f'zone = "{zone.zone}", carbon_g_per_kwh = {zone.mean_g_per_kwh:g}'
    lines = _comment(f"{mean}, {zone.year}: {zone.source}")
    if zone.statistics is None:
        lines += _comment("assumed: constant, as the catalogue has but the annual mean of this grid")
    else:
        shape = ", ".join(f"{key} = {entry:g}" for key, entry in zone.profile().items() if key != "grid")
        lines += _comment(f"carbon_profile: {shape}; the same source")
    if region.other_zone is not None:
        lines += _comment(f"assumed: zone {zone.zone}; {region.other_zone} is plausible too")
    return lines


def _workload(model: Model, share: str) -> list[str]:
    mean_ms, std_ms, energy_j, law, sources = _figures(model)
    name = model.full_name.rpartition("/")[2].partition(" (")[0]
    lines = [
        "[[workloads]]",
        f'id = "{model.model}"',
        f"name = {value(name)}",
        f"model = {value(model.full_name)}",
    ]
    lines.append(_behind(f"share = {share}", "assumed"))
    for source in sources:
        lines += _comment(source)
    floor = ", floor = 1" if law == "normal" else ""
    lines.append(f'service_ms = {{ law = "{law}", mean = {mean_ms:g}, std = {std_ms:g}{floor} }}')
    quantile = _lognormal_quantile if law == "lognormal" else _normal_quantile
    slo_ms = _rounded_up(quantile(mean_ms, std_ms) + SLO_ALLOWANCE_MS)
    words = f"assumed: 99th percentile of service_ms + {SLO_ALLOWANCE_MS:g} ms, rounded up"
    lines.append(_behind(f"slo_ms = {slo_ms:g}", words))
    lines.append(f"energy_j = {energy_j:g}")
    of_energy = model.source.rpartition("energy: ")[2]
    lines.append(f"energy_source = {value(of_energy)}")
    return lines


def _figures(model: Model) -> tuple[float, float, float, str, list[str]]:
    """Return mean and std of the service time, ms, energy, J, the law, and comments with their sources."""
    measured = f"{model.hardware}: {model.source}"
    note = [f"assumed: {model.note}"] if model.note else []
    if model.answer_tokens and model.ms_per_answer_token and model.j_per_answer_token:
        tokens, ms, joules = model.answer_tokens, model.ms_per_answer_token, model.j_per_answer_token
        mean_ms = float(f"{tokens * ms:.4g}")
        words = [
            f"service_ms: mean of {tokens:g} tokens × {ms:.4g} ms; energy_j: × {joules:g} J; {measured}",
            f"std of service_ms: assumed, {_SPREAD_SOURCE}",
        ]
        return (
            mean_ms,
            float(f"{mean_ms * _ANSWER_SPREAD:.4g}"),
            float(f"{tokens * joules:.4g}"),
            "lognormal",
            words + note,
        )
    known = model.service_mean_ms or 0.0, model.service_std_ms or 0.0, model.energy_j or 0.0
    return (*known, "normal", [f"service_ms, energy_j: {measured}", *note])


def _lognormal_quantile(mean: float, std: float) -> float:
    variance = math.log1p((std / mean) ** 2)
    z = NormalDist().inv_cdf(_SLO_QUANTILE)
    return mean * math.exp(math.sqrt(variance) * z - variance / 2)


def _normal_quantile(mean: float, std: float) -> float:
    return NormalDist(mean, std).inv_cdf(_SLO_QUANTILE)


def _rounded_up(ms: float) -> float:
    """Return the least number of two significant digits that is not below a time."""
    unit = 10.0 ** (math.floor(math.log10(ms)) - 1)
    return math.ceil(ms / unit - 1e-9) * unit
