"""Access logs of AWS's Application Load Balancer.

Fields: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html.
"""

from __future__ import annotations

import re

from carbonroute.importing.access_log import AccessLog, Layout, iso_time
from carbonroute.importing.format import File
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.template import Template

_FIELDS = (
    "type time elb client target request_processing_time target_processing_time response_processing_time "
    'elb_status_code target_status_code received_bytes sent_bytes "request" "user_agent" ssl_cipher '
    "ssl_protocol target_group_arn"
)
_LINE = re.compile(r"(https?|h2|grpcs|wss?) \d{4}-\d\d-\d\dT[0-9:.]+Z app/")


class Alb(AccessLog):
    """Access logs of an Application Load Balancer: the region is that of the target group."""

    name = "alb"
    features = "lines such as: https 2026-11-01T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 …"

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether most of the first lines begin as a load balancer's."""
        if settings.log_format is not None:
            return False
        return file.mostly(_LINE)

    def layout(self, _file: File, settings: ImportSettings) -> Layout:
        """Return the layout; further fields may follow, and more of them from one month to the next."""
        parts: list[str | tuple[str]] = []
        for place, word in enumerate(_FIELDS.split(" ")):
            quote = '"' if word.startswith('"') else ""
            parts += [(" " if place else "") + quote, (word.strip('"'),), quote]
        chosen = settings.fields
        region = chosen.get("region") or (None if settings.region else "target_group_arn")
        return Layout(
            Template(tuple(part for part in parts if part), goes_on=True),
            time="time",
            time_of=iso_time("time"),
            status="elb_status_code",
            request="request",
            service=chosen.get("service", "target_processing_time"),
            region=region,
            origin=chosen.get("origin"),
            patterns={"target_group_arn": r"^arn:[^:]*:elasticloadbalancing:([^:]+):"},
        )
