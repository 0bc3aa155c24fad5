"""WattTime: version 3 of its interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from carbonroute.carbon import Accounting
from carbonroute.carbon.formats import labelled
from carbonroute.carbon.watttime import WattTime
from carbonroute.errors import Fault, InputError
from carbonroute.files.durations import Duration
from carbonroute.files.strict_json import parse_json
from carbonroute.live.clock import Clock
from carbonroute.live.http import Answer, Fetcher, FetchError, Request
from carbonroute.live.secrets import EnvName, note_secret
from carbonroute.live.signals.provider import (
    BaseUrl,
    Call,
    FormatProvider,
    ProviderContext,
    Session,
    utc,
)

#: A token is good for 30 min.
_RENEWED_AFTER_S = 25 * 60.0
_RECENT = timedelta(hours=3)


class LiveWattTime(FormatProvider):
    """WattTime, ``/v3/forecast``, whose first value is that of now, and ``/v3/historical``.

    A zone is one of WattTime's regions, such as ``"CAISO_NORTH"``. Its marginal signal can be truly 0, where
    renewable energy is turned down: then state ``zeros = "keep"``.

    Attributes
    ----------
    username_env, password_env
        Names of the environment variables that hold the user and the password.
    signal_type
        The marginal or the average signal.
    measured
        Whether the values of the last hours are asked for too.
    base_url
        Beginning of the addresses: that of the provider, or of a server that answers like it.
    accounting
        Accounting of the values, where the format does not say it.
    """

    per_minute: ClassVar[int] = 300

    kind: Literal["watttime"]
    username_env: EnvName
    password_env: EnvName
    base_url: BaseUrl = "https://api.watttime.org"
    signal_type: Literal["co2_moer", "co2_aoer"] = "co2_moer"
    accounting: Accounting = Accounting()
    measured: bool = True
    every: Duration = Duration.parse("5min")
    fresh: Duration = Duration.parse("15min")

    @model_validator(mode="after")
    def _labels_agree(self) -> LiveWattTime:
        labelled(self.accounting, WattTime.labels_of(self.signal_type))
        return self

    @property
    def reader(self) -> WattTime:
        """The source that reads an answer."""
        return WattTime(
            kind="watttime", path="answer.json", signal_type=self.signal_type, accounting=self.accounting
        )

    def session(self, around: ProviderContext) -> Session:
        """Return a session that logs in, again before a token ends, and once more where it is refused."""
        return _LoggedIn(self, around.fetch, around.clock)

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:
        """Return a question about each zone's forecast, and one about its last hours."""
        asked = []
        for zone in zones:
            asked.append(Call("forecast", (zone,), self.request("forecast", zone, {"horizon_hours": "24"})))
            if self.measured:
                times = {"start": utc(now - _RECENT), "end": utc(now)}
                asked.append(Call("latest", (zone,), self.request("historical", zone, times)))
        return tuple(asked)

    def request(self, endpoint: str, zone: str, params: dict[str, str]) -> Request:
        """Return the request of an endpoint about a region."""
        of_all = {"region": zone, "signal_type": self.signal_type}
        return Request(f"{self.base_url}/v3/{endpoint}", {**of_all, **params})


class _LoggedIn:
    """Sends requests with a token, and gets one where it has none that is good."""

    def __init__(self, settings: LiveWattTime, fetch: Fetcher, clock: Clock) -> None:
        self._settings, self._fetch, self._clock = settings, fetch, clock
        self._token = ""
        self._since_s = -float("inf")

    def __call__(self, request: Request) -> Answer:
        is_old = self._clock.monotonic_s() - self._since_s > _RENEWED_AFTER_S
        if is_old:
            self._log_in()
        try:
            return self._fetch(self._authorised(request))
        except FetchError as error:
            if error.status != 401 or is_old:
                raise
            self._log_in()
            return self._fetch(self._authorised(request))

    def _authorised(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "Authorization": f"Bearer {self._token}"})

    def _log_in(self) -> None:
        self._since_s = -float("inf")
        settings = self._settings
        who = settings.username_env.secret(), settings.password_env.secret()
        answer = self._fetch(Request(f"{settings.base_url}/login", auth=who))
        content: Any = parse_json(answer.content, "watttime (login)")
        token = content.get("token") if isinstance(content, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise InputError("watttime (login)", [Fault("token", "is missing", "check base_url")])
        note_secret(token)
        self._token, self._since_s = token, self._clock.monotonic_s()
