"""Access logs of nginx, and the common and combined formats of other servers.

Variables: https://nginx.org/en/docs/http/ngx_http_log_module.html.
"""

from __future__ import annotations

import re
from dataclasses import replace

from carbonroute.errors import did_you_mean
from carbonroute.files.text import refused
from carbonroute.importing.access_log import AccessLog, Layout, common_time, epoch_time, iso_time
from carbonroute.importing.format import File
from carbonroute.importing.settings import ImportSettings, Role
from carbonroute.importing.template import Template

COMMON = '$remote_addr $remote_ident $remote_user [$time_local] "$request" $status $body_bytes_sent'
COMBINED = COMMON + ' "$http_referer" "$http_user_agent"'
APACHE_COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
_REMEDY = (
    "state the server's own format. nginx: --log-format '{nginx} $request_time'; Apache: --log-format "
    "'{apache} %D', where %D is µs and %T is s"
)
_COMMON_LINE = re.compile(r'(?P<host>\S+ )?\S+ \S+ \S+ \[[^\]]+\] "(?:[^"\\]|\\.)*" \d{3} \S+')
_COMBINED_LINE = re.compile(_COMMON_LINE.pattern + r' "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"')
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_PAIR = re.compile(r'(?<![\w.-])([A-Za-z_][\w.-]*)=("?)((?<=")[^"]*(?=")|[^\s"]*)\2')
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|-")

#: Variables, and the keys that commonly hold them, with a value for each server that was tried.
_LISTS = re.compile(r"upstream_\w+|u[cht]t|urt")

#: Variables, or keys behind a combined line, by role; the first one that is there is taken.
_NAMES: dict[Role, re.Pattern[str]] = {
    "service": re.compile(
        r"upstream_response_time|urt|uht|request_time|rt|duration(_s|_ms|_us)?|latency|response_time|time_taken",
        re.I,
    ),
    "region": re.compile(r"(?!.*(client|geoip|user))(.*_)?(region|dc|datacenter|zone|pop|az|site)", re.I),
    "origin": re.compile(r"(.*_)?(origin|country|country_code|ipcountry|client_region|continent|geo)", re.I),
    "workload": re.compile(r"(.*_)?(model|workload)", re.I),
}


class NginxLog(AccessLog):
    """Access logs of nginx; `--log-format` is the text of its ``log_format``."""

    name = "nginx"
    example_format = COMBINED + " $request_time"
    features = 'lines such as: 10.0.0.1 - - [01/Nov/2026:00:42:36 +0000] "POST /v1/chat HTTP/1.1" 200 512'

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether the user states a format of nginx, or most of the first lines are in the common format."""
        if settings.log_format is not None:
            return file.content == "text" and "$" in settings.log_format
        return file.mostly(_COMMON_LINE)

    def layout(self, file: File, settings: ImportSettings) -> Layout:
        """Return the stated layout, or the combined or common one with the keys that stand behind it."""
        text = settings.log_format or _layout_of(file)
        template = parsed(text)
        names = template.variables
        layout = _timed(template, names)
        chosen: dict[Role, str | None] = {
            role: settings.fields.get(role) or next(filter(pattern.fullmatch, names), None)
            for role, pattern in _NAMES.items()
        }
        for role in ("region", "origin", "workload", "service", "path", "status"):
            if (name := settings.fields.get(role)) is not None and name not in names:
                raise refused(file.name, f"there is no variable {name!r}", did_you_mean(name, names))
        # nginx's own order: what the servers behind it took is nearer to the service time than the whole.
        if settings.fields.get("service") is None and "upstream_response_time" in names:
            chosen["service"] = "upstream_response_time"
        return replace(
            layout,
            status=settings.fields.get("status") or ("status" if "status" in names else None),
            request="request" if "request" in names and "path" not in settings.fields else None,
            path=settings.fields.get("path")
            or next(filter({"uri", "request_uri", "document_uri"}.__contains__, names), None),
            service=chosen["service"],
            service_unit=_unit(
                file, template, chosen["service"], stated_format=settings.log_format is not None
            ),
            region=chosen["region"],
            origin=chosen["origin"],
            workload=chosen["workload"],
        )


def parsed(text: str) -> Template:
    """Return a ``log_format`` as a template.

    >>> parsed("$status ${request_time}s").parts
    (('status',), ' ', ('request_time',), 's')
    """
    parts: list[str | tuple[str]] = []
    place = 0
    for match in _VARIABLE.finditer(text):
        if match.start() > place:
            parts.append(text[place : match.start()])
        parts.append((match[1] or match[2],))
        place = match.end()
    if place < len(text):
        parts.append(text[place:])
    names = [part[0] for part in parts if isinstance(part, tuple)]
    return Template(tuple(parts), frozenset({"time_local"}), frozenset(filter(_LISTS.fullmatch, names)))


def _timed(template: Template, names: tuple[str, ...]) -> Layout:
    for name, reader in (("time_local", common_time), ("time_iso8601", iso_time), ("msec", epoch_time)):
        if name in names:
            return Layout(template, time=name, time_of=reader(name))
    raise refused("--log-format", "states no time", "one of $time_local, $time_iso8601 and $msec is expected")


def _unit(file: File, template: Template, service: str | None, *, stated_format: bool) -> str:
    """Return the unit of service times: nginx has seconds with decimals; whole numbers alone are ms."""
    if service is None or (stated_format and service in {"request_time", "upstream_response_time"}):
        return "s"
    if (stated := re.search(r"_(s|ms|us)$", service)) is not None:
        return stated[1]
    sample = "\n".join(file.lines[:200]).encode()
    texts = template.read(sample, [service]).table[service].drop_nulls().to_list()
    whole = [text for text in texts if text.isdigit()]
    return "ms" if texts and len(whole) == len(texts) else "s"


def _layout_of(file: File) -> str:
    """Return the log_format of lines in the common or combined format, with ``key=value`` pairs behind it."""
    line = next(filter(_COMMON_LINE.match, file.lines), None)
    if line is None:
        problem = f"no line is in the common format; the first is {file.first_line!r}"
        raise refused(file.name, problem, _REMEDY.format(nginx=COMBINED, apache=APACHE_COMBINED))
    combined = _COMBINED_LINE.match(line)
    known = combined or _COMMON_LINE.match(line)
    tail = line[known.end() :] if known else ""
    text = ("$host " if known and known["host"] else "") + (COMBINED if combined else COMMON)
    keys_text = _PAIR.sub(lambda match: f"{match[1]}={match[2]}${{{match[1]}}}{match[2]}", tail)
    if tail.strip() and (keys_text == tail or _PAIR.sub("", tail).strip()):
        problem = f"{tail.strip()!r} stands behind the {'combined' if combined else 'common'} format"
        raise refused(file.name, problem, _REMEDY.format(nginx=text, apache=APACHE_COMBINED))
    return text + keys_text.rstrip()
