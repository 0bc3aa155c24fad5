"""Secrets: they stand in environment variables, and a live file has these variables' names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self

from carbonroute.errors import CarbonrouteError
from carbonroute.spec import Spelled

#: Capitals alone: most tokens are no such name, and are not taken for one.
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,127}", re.ASCII)


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
                "found no name of an environment variable, in capitals; the name is expected, not the secret"
            )
        return cls(text)

    def secret(self) -> str:
        """Return the secret.

        Raises
        ------
        SecretError
            If the variable is not set, or empty.
        """
        secret = os.environ.get(self.text, "").strip()
        if not secret:
            raise SecretError(f"environment variable {self.text} is not set; export it before the start")
        return secret
