"""A program of the user's that carries weights: JSON in, JSON back, no shell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from carbonroute.errors import InputError, shortened
from carbonroute.files.strict_json import parse_json
from carbonroute.live.actuators.program import plain_environment, run_program
from carbonroute.live.actuators.target import OpenTarget, Target, TargetContext, TargetError
from carbonroute.live.secrets import EnvName

_MAX_SHOWN = 200


class Exec(Target):
    """A program of the user's.

    It reads one JSON object on standard input,
    ``{"schema": 1, "origin": …, "workload": …, "shares": {"eu": 0.9, "us": 0.1}}``, carries the shares to
    where they act, and writes on standard output what is held then, ``{"shares": {…}}``, with exit code 0.
    With ``"shares": null`` it changes nothing and only writes what is held. Another exit code means that it
    refused. It runs without a shell, in the folder of the live file.

    Attributes
    ----------
    kind
        ``"exec"``.
    command
        The program and its arguments.
    env
        Names of environment variables that it gets, besides PATH, HOME, LANG, LC_ALL and TMPDIR.
    timeout_s
        Time limit for a write with its reading back, s, however often the program runs for it; then it and
        its children are killed. After half of it, a write that is not read back is taken back.
    tolerance
        A share that is held may differ by so much from that asked for.
    """

    kind: Literal["exec"]
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    env: Annotated[tuple[EnvName, ...], Field(strict=False)] = ()
    timeout_s: float = Field(5.0, gt=0, le=60)
    tolerance: float = Field(0.005, ge=0, le=0.1)

    @property
    def label(self) -> str:
        """Its kind and the program, without arguments, which may hold secrets."""
        return f"exec {self.command[0]}"

    def open(self, context: TargetContext) -> OpenExec:
        """Return the program ready to run."""
        return OpenExec(self, context)


class OpenExec(OpenTarget):
    """A program in use."""

    def __init__(self, settings: Exec, context: TargetContext) -> None:
        super().__init__(context, settings.timeout_s)
        self.tolerance, self.verified_within = settings.tolerance, 0.5
        self._settings = settings
        self._answer: dict[str, float] | None = None

    def _rounded(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        return shares

    def _write(self, parts: Mapping[str, float]) -> None:
        self._answer = None
        self._answer = self._run(parts)

    def _read(self) -> dict[str, float]:
        answer, self._answer = self._answer, None
        return self._run(None) if answer is None else answer

    def _restore(self) -> None:
        self._answer = None
        if self.verified is not None:
            self._run(self.verified)

    def _run(self, shares: Mapping[str, float] | None) -> dict[str, float]:
        """Run the program once; return the shares that it says are held."""
        settings, left_s = self._settings, self.left_s()
        if left_s <= 0:
            raise TargetError("unverified", f"{settings.label}: no time is left to ask it")
        question = {"schema": 1, "origin": settings.origin, "workload": settings.workload, "shares": shares}
        secrets = {name.text: name.secret() for name in settings.env}
        done = run_program(
            settings.command,
            json.dumps(question).encode(),
            folder=self.context.folder,
            env=plain_environment() | secrets,
            timeout_s=left_s,
        )
        if done.code != 0:
            words = _hidden(done.errors, secrets.values())
            raise TargetError("rejected", f"{settings.label}: ended with code {done.code}{words}")
        return self._parsed(done.output)

    def _parsed(self, output: bytes) -> dict[str, float]:
        """Return the shares of an answer."""
        form = '{"shares": {region: share}} with numbers of at least 0'
        try:
            answer = parse_json(output, self._settings.label)
        except InputError as error:
            raise TargetError("unverified", str(error)) from error
        held = answer.get("shares") if isinstance(answer, dict) else None
        if not isinstance(held, dict) or not all(isinstance(s, float) and s >= 0 for s in held.values()):
            raise TargetError("unverified", f"{self._settings.label}: no answer of the form {form}")
        return held


def _hidden(errors: bytes, secrets: Iterable[str]) -> str:
    """Return the last line that a program wrote about an error, without secrets that it was given."""
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return ""
    line = lines[-1]
    for secret in secrets:
        line = line.replace(secret, "***")
    return f": {shortened(line, _MAX_SHOWN)}"
