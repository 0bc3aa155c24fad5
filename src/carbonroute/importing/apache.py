"""Access logs of Apache by its LogFormat; without one, its common and combined formats are read as nginx's.

Directives: https://httpd.apache.org/docs/current/mod/mod_log_config.html.
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType

from carbonroute.files.text import refused
from carbonroute.importing.access_log import Layout
from carbonroute.importing.format import File
from carbonroute.importing.nginx import APACHE_COMBINED, NginxLog
from carbonroute.importing.settings import ImportSettings

#: ``%D``, ``%>s`` or ``%{X-Region}i``.
_DIRECTIVE = re.compile(r"%[<>!0-9,]*(?:\{([^}]*)\})?(\^t[io]|[a-zA-Z%])")
#: Variables of nginx that say the same; of others, the letter itself.
_VARIABLES = MappingProxyType(
    {
        "h": "remote_addr",
        "a": "client_addr",
        "l": "remote_ident",
        "u": "remote_user",
        "r": "request",
        "s": "status",
        "b": "body_bytes_sent",
        "B": "body_bytes_sent",
        "O": "bytes_sent",
        "I": "request_bytes",
        "U": "uri",
        "D": "duration_us",
        "T": "duration_s",
        "v": "server_name",
        "V": "host",
    }
)


class Apache(NginxLog):
    """Access logs of Apache; `--log-format` is the text of its ``LogFormat``."""

    name = "apache"
    example_format = APACHE_COMBINED + " %D"
    features = '--log-format with Apache\'s directives, such as: %h %l %u %t "%r" %>s %b %D'

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether the user states a format of Apache."""
        form = settings.log_format
        return form is not None and file.content == "text" and "$" not in form and "%START_TIME" not in form

    def layout(self, file: File, settings: ImportSettings) -> Layout:
        """Return the stated layout.

        Raises InputError if none is stated.
        """
        if settings.log_format is None:
            return super().layout(file, settings)
        return super().layout(file, replace(settings, log_format=as_nginx(settings.log_format)))


def as_nginx(text: str) -> str:
    """Return a ``LogFormat`` as a ``log_format`` of nginx; a header X-Region is ``$http_x_region``.

    >>> as_nginx('%h %t "%r" %>s %D %{X-Region}i')
    '$remote_addr [$time_local] "$request" $status $duration_us $http_x_region'
    """
    return _DIRECTIVE.sub(_variable, text.replace('\\"', '"'))


def _variable(match: re.Match[str]) -> str:
    argument, letter = match[1], match[2]
    name = re.sub(r"\W", "_", argument or "").lower()
    if letter == "t":
        return _time(argument)
    if letter == "T" and argument is not None:
        return "$duration_" + argument
    if letter == "%":
        return "%"
    if argument is not None:
        return {"i": "$http_", "o": "$sent_http_"}.get(letter, f"${letter}_") + name
    return "$" + _VARIABLES.get(letter, f"directive_{letter.strip('^')}")


def _time(form: str | None) -> str:
    """Return the variable of a time stamp in a form that can be read."""
    if form is None:
        return "[$time_local]"
    known = {
        "%Y-%m-%dT%H:%M:%S%z": "$time_iso8601",
        "%d/%b/%Y:%H:%M:%S %z": "$time_local",
        "sec": "$msec",
    }
    if form not in known:
        raise refused(
            "--log-format", f"its time %{{{form}}}t cannot be read", f"one of {', '.join(known)}, or %t"
        )
    return known[form]
