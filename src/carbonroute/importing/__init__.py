"""Importing a user's own files: access logs, metrics, tables and traces become a scenario with its data.

One format, one file, and one line here.
"""

from __future__ import annotations

from carbonroute.importing.alb import Alb
from carbonroute.importing.apache import Apache
from carbonroute.importing.benchmarks import GuideLlm, VllmBench
from carbonroute.importing.envoy import Envoy
from carbonroute.importing.format import Format
from carbonroute.importing.haproxy import HaProxy
from carbonroute.importing.nginx import NginxLog
from carbonroute.importing.openmetrics import OpenMetrics
from carbonroute.importing.prometheus import PrometheusMatrix
from carbonroute.importing.table import RequestTable
from carbonroute.importing.trace import Trace
from carbonroute.importing.w3c import W3c

#: In the order in which they are asked: the first one that recognises a file reads it.
FORMATS: tuple[Format, ...] = (
    NginxLog(),
    Apache(),
    Envoy(),
    HaProxy(),
    Alb(),
    W3c(),
    PrometheusMatrix(),
    OpenMetrics(),
    GuideLlm(),
    VllmBench(),
    RequestTable(),
    Trace(),
)
NAMES: tuple[str, ...] = tuple(one.name for one in FORMATS)

__all__ = ["FORMATS", "NAMES", "Format"]
