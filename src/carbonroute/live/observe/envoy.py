"""Envoy's statistics by zone: ``envoy_cluster_zone_<from>_<to>_upstream_rq_completed``.

The zone of an Envoy is its origin, and the zone of an endpoint its region; both stand in the metric's name,
where characters other than letters, digits and underscores have become underscores. A workload is the label
``envoy_cluster_name``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from carbonroute.live.observe.preset import Preset, Quantity
from carbonroute.live.observe.scope import Scope, quoted

#: The label of origins in the answers, where the file names none.
ORIGIN_LABEL = "carbonroute_origin"


@dataclass(frozen=True)
class EnvoyPreset(Preset):
    """Counters whose names state the zones; the queries add them as labels."""

    def told_by(self, value: str) -> str:
        """Return a zone as it stands in a metric's name."""
        return re.sub(r"[^A-Za-z0-9_]", "_", value)

    def queries(self, scope: Scope) -> dict[Quantity, str]:
        """Return the queries of requests by origin and region, and of when they were sampled."""
        by = f" by ({scope.workload_label})" if scope.workload_label else ""
        requests, sampled = [], []
        for origin in scope.origins:
            for region in scope.regions:
                zones = f"{self.told_by(origin)}_{self.told_by(region)}"
                name = f"envoy_cluster_zone_{zones}_{self.requests}"
                selected = scope.selector(name)
                labels = {scope.region_label: region, scope.origin_label or ORIGIN_LABEL: origin}
                requests.append(_labelled(f"sum{by} (increase({selected}[{scope.range}]))", labels))
                sampled.append(_labelled(f"max (timestamp({selected}))", labels))
        newest = f"max by ({scope.region_label}) ({' or '.join(sampled)})"
        return {"sampled_at": newest, "requests": " or ".join(requests)}


def _labelled(query: str, labels: Mapping[str, str]) -> str:
    """Return a query whose answer has further labels."""
    for label, text in labels.items():
        query = f'label_replace({query}, "{label}", {quoted(text.replace("$", "$$"))}, "", "")'
    return query


PRESET = EnvoyPreset(
    requests="upstream_rq_completed", alive="upstream_rq_completed", origin_label=ORIGIN_LABEL
)
