"""Access logs of Envoy, as text.

Operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage.
"""

from __future__ import annotations

import re
from typing import Literal

from carbonroute.errors import did_you_mean
from carbonroute.files.text import refused
from carbonroute.importing.access_log import AccessLog, Layout, iso_time
from carbonroute.importing.format import File
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.template import Template

#: Envoy's own, where its configuration states none.
DEFAULT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
#: Istio's own.
ISTIO = DEFAULT.replace(
    "%RESPONSE_FLAGS% ",
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" ',
) + (
    " %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%"
)
_LINE = re.compile(r'\[\d{4}-\d\d-\d\dT[0-9:.]+Z\] "')
_OPERATOR = re.compile(r"%([A-Z_0-9]+(?:\([^)]*\))?(?::\d+)?)%")
_PATHS = ("REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", "REQ(:PATH)", "PATH")
_SERVICE = ("RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)", "DURATION")


class Envoy(AccessLog):
    """Access logs of Envoy; `--log-format` is the text of its ``text_format``."""

    name = "envoy"
    example_format = DEFAULT
    features = 'lines such as: [2026-11-01T00:42:36.310Z] "POST /v1/chat HTTP/2" 200 - 154 0 226 100 …'

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether the user states a format of Envoy, or most of the first lines begin as Envoy's own."""
        if settings.log_format is not None:
            return file.content == "text" and "%START_TIME" in settings.log_format
        return file.mostly(_LINE)

    def layout(self, file: File, settings: ImportSettings) -> Layout:
        """Return the stated layout, or Envoy's own."""
        template = _parsed(settings.log_format or DEFAULT)
        first_line = next(filter(_LINE.match, file.lines), "").encode()
        if settings.log_format is None and not template.pattern.fullmatch(first_line):
            template = _parsed(ISTIO)
        names = template.variables
        fields = {role: self._operator(name, names, file) for role, name in settings.fields.items()}
        if "START_TIME" not in names:
            raise refused("--log-format", "states no %START_TIME% of its own form", "times in ISO 8601")
        first: Literal["path", "service"]
        chosen = dict(fields)
        for first, candidates in (("path", _PATHS), ("service", _SERVICE)):
            if first not in chosen and (name := next(filter(names.__contains__, candidates), None)):
                chosen[first] = name
        return Layout(
            template,
            time="START_TIME",
            time_of=iso_time("START_TIME"),
            status=chosen.get("status") or ("RESPONSE_CODE" if "RESPONSE_CODE" in names else None),
            path=chosen.get("path"),
            service=chosen.get("service"),
            service_unit="ms",
            region=chosen.get("region"),
            origin=chosen.get("origin"),
            workload=chosen.get("workload"),
        )

    def _operator(self, name: str, names: tuple[str, ...], file: File) -> str:
        """Return the operator that a name means: itself, or the one of that header."""
        header = name.strip("%").upper()
        for operator in names:
            if operator == header or header in re.split(r"[()?]", operator):
                return operator
        raise refused(file.name, f"there is no operator {name!r}", did_you_mean(name, names))


def _parsed(text: str) -> Template:
    """Return a ``text_format`` as a template."""
    parts = _OPERATOR.split(text.rstrip("\n"))
    return Template(tuple((p,) if i % 2 else p for i, p in enumerate(parts) if i % 2 or p))
