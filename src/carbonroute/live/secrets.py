"""Secrets: they stand in environment variables, and a live file has these variables' names.

A server can repeat in its answers what it was sent, and a message can quote an answer: texts for people,
records and pages go through `hidden`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import quote

from carbonroute.errors import CarbonrouteError, InputError
from carbonroute.spec import Spelled

#: As POSIX has it. A token can look like that, too: names with small letters are not repeated in messages.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
#: Shorter secrets, and shorter beginnings of one that a message cuts, are too common to be looked for.
_LEAST = 4
_HIDDEN = "***"
#: All secrets that this process has used, as they can stand in texts.
_USED: set[str] = set()


class SecretError(CarbonrouteError):
    """An environment variable that a live file names is not set."""


@dataclass(frozen=True, eq=False, repr=False)
class EnvName(Spelled):
    """The name of an environment variable that holds a secret."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name that a text spells; the text is not repeated: it might be the secret itself."""
        if not _NAME.fullmatch(text):
            raise ValueError(
                "found no name of an environment variable (letters, digits and _, no digit first); the name "
                "is expected, not the secret"
            )
        return cls(text)

    def secret(self) -> str:
        """Return the secret.

        Raises SecretError if the variable is not set, or empty.
        """
        secret = os.environ.get(self.text, "").strip()
        if not secret:
            hint = "that is named (not repeated here: small letters could be the secret itself)"
            name = self.text if self.text.isupper() else hint
            raise SecretError(f"environment variable {name} is not set; export it before the start")
        note_secret(secret)
        return secret


def note_secret(secret: str) -> None:
    """Have a secret hidden in all texts from now on."""
    if len(secret) >= _LEAST:
        _USED.update((secret, repr(secret)[1:-1], quote(secret, safe="")))


def hidden(text: str) -> str:
    """Return a text without the secrets that were used so far, and without beginnings that it was cut at.

    >>> note_secret("example-secret")
    >>> hidden("found 'example-secret' and 'example-s…'")
    "found '***' and '***…'"
    """
    for secret in sorted(_USED, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
        if "…" in text:
            for end in range(len(secret) - 1, _LEAST - 1, -1):
                text = text.replace(f"{secret[:end]}…", f"{_HIDDEN}…")
    return text


def without_secrets(error: InputError) -> InputError:
    """Return the same error without the secrets that were used so far."""
    faults = [
        replace(one, where=hidden(one.where), found=hidden(one.found), remedy=hidden(one.remedy))
        for one in error.faults
    ]
    return InputError(hidden(error.source), faults)
