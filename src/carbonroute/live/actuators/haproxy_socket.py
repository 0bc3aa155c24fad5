"""HAProxy's stats socket: one command to a connection, and the states of servers that it answers."""

from __future__ import annotations

import errno
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import Field

from carbonroute.errors import shortened
from carbonroute.live.actuators.target import TargetError
from carbonroute.spec import Spelled

#: Highest weight of a server.
MAX_WEIGHT = 256
_MAX_ANSWER_BYTES = 2**22
_CHUNK = 2**16
_NAME = r"[A-Za-z0-9_.:-]+"
_SERVER = re.compile(rf"({_NAME})/({_NAME})", re.ASCII)


@dataclass(frozen=True, eq=False, repr=False)
class HaproxyServer(Spelled):
    """A server of HAProxy's, as ``"backend/server"``."""

    backend: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the server that a text names.

        Raises ValueError if it is no name: nothing but letters, digits and ``_.:-`` reaches the socket.
        """
        match = _SERVER.fullmatch(text)
        if not match:
            raise ValueError(f"found {shortened(text)!r}; 'backend/server' is expected")
        return cls(text, match[1], match[2])


#: Servers as a live file lists them.
Servers: TypeAlias = Annotated[tuple[HaproxyServer, ...], Field(strict=False)]


@dataclass(frozen=True)
class Held:
    """The state of a server.

    `weight`: 0 to 256.
    `is_idle`: whether it is in maintenance or drain, and takes no traffic whatever its weight.
    """

    weight: int
    is_idle: bool

    @property
    def traffic(self) -> int:
        """The weight with which it takes traffic."""
        return 0 if self.is_idle else self.weight


class StatsSocket:
    """The stats socket at a path.

    `timeout_s`: time limit for an exchange, s.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def ask(self, command: str) -> str:
        """Return the answer to one command.

        Raises OSError if there is none; TargetError if it is too long.
        """
        answer, end_s = bytearray(), time.monotonic() + self._timeout_s
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout_s)
            connection.connect(str(self._path))
            connection.sendall(f"{command}\n".encode("ascii"))
            while part := connection.recv(_CHUNK):
                answer += part
                if (left_s := end_s - time.monotonic()) <= 0:
                    raise TimeoutError(errno.ETIMEDOUT, "the answer does not end")
                connection.settimeout(left_s)
                if len(answer) > _MAX_ANSWER_BYTES:
                    raise TargetError("unreachable", f"{self._path}: answers without end")
        return answer.decode("utf-8", "replace").strip()

    def refuse_words(self, command: str) -> None:
        """Send a command that is answered by nothing where it was obeyed.

        Raises TargetError with HAProxy's words, if it was not; OSError if there is no answer.
        """
        words = self.ask(command)
        if words:
            raise TargetError("rejected", f"HAProxy, asked to {command}: {shortened(words.splitlines()[0])}")

    def servers(self, backend: str) -> dict[HaproxyServer, Held]:
        """Return the states of a backend's servers.

        Raises TargetError if there is no such backend, or the answer is of another form; OSError if there is
        no answer.
        """
        lines = self.ask(f"show servers state {backend}").splitlines()
        if len(lines) < 2 or not lines[1].startswith("# "):
            words = shortened(lines[0]) if lines else "nothing"
            raise TargetError("rejected", f"HAProxy, asked for the servers of {backend!r}: {words}")
        header = lines[1].removeprefix("# ").split()
        states = {}
        try:
            for line in lines[2:]:
                row = dict(zip(header, line.split(), strict=False))
                server = HaproxyServer.parse(f"{row['be_name']}/{row['srv_name']}")
                states[server] = Held(int(row["srv_uweight"]), int(row["srv_admin_state"]) != 0)
        except (KeyError, ValueError) as error:
            problem = "HAProxy's answer to 'show servers state' has another form"
            raise TargetError("unreachable", problem) from error
        return states
