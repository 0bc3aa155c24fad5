"""Programs run within limits: of time and of output, without a shell, and with their children."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from carbonroute.errors import described
from carbonroute.live.actuators.target import TargetError

_MAX_OUTPUT_BYTES = 2**20
_MAX_ERRORS_BYTES = 2**14
_CHUNK = 2**16
#: What a program gets of the environment, whether it is named or not.
_PLAIN = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Done:
    """A program that has ended.

    `code`: exit code; negative where a signal ended it.
    `output`, `errors`: what it wrote on standard output and, as far as it is kept, on standard error.
    """

    code: int
    output: bytes
    errors: bytes


def plain_environment() -> dict[str, str]:
    """Return the variables of the environment that every program gets: none that holds a secret."""
    return {name: os.environ[name] for name in _PLAIN if name in os.environ}


def run_program(
    command: Sequence[str], question: bytes, *, folder: Path, env: Mapping[str, str], timeout_s: float
) -> Done:
    """Run a program to its end, and kill it with all of its children where it takes too long.

    `timeout_s`: time limit, s.
    Raises TargetError if it cannot be started, takes too long, or writes more than 1 MiB on standard output.
    """
    program = command[0]
    try:
        child = subprocess.Popen(  # noqa: S603  the command of the user's file, without a shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(env),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise TargetError("unreachable", f"{program}: cannot be started ({described(error)})") from error
    with child:
        try:
            return _communicated(child, program, question, time.monotonic() + timeout_s)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            if isinstance(error, TimeoutError):
                problem = f"{program}: not done in {timeout_s:g} s; it was killed"
                raise TargetError("unverified", problem) from error
            raise


def _communicated(child: subprocess.Popen[bytes], program: str, question: bytes, end_s: float) -> Done:
    """Hand over the question and gather the answer."""
    kept = {"output": bytearray(), "errors": bytearray()}
    rest, stdin = memoryview(question), child.stdin
    if stdin is None or child.stdout is None or child.stderr is None:
        raise ValueError("all three streams of the program must be pipes")
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE, "question")
        selector.register(child.stdout, selectors.EVENT_READ, "output")
        selector.register(child.stderr, selectors.EVENT_READ, "errors")
        while selector.get_map():
            for key, _ in selector.select(max(end_s - time.monotonic(), 0.0)):
                if key.data == "question":
                    rest = _handed(key.fd, rest)
                    if not rest:
                        selector.unregister(key.fileobj)
                        with suppress(BrokenPipeError):
                            stdin.close()
                elif part := os.read(key.fd, _CHUNK):
                    kept[key.data] += part
                else:
                    selector.unregister(key.fileobj)
            del kept["errors"][:-_MAX_ERRORS_BYTES]
            if len(kept["output"]) > _MAX_OUTPUT_BYTES:
                raise TargetError("unverified", f"{program}: wrote more than {_MAX_OUTPUT_BYTES:,} bytes")
            if time.monotonic() > end_s:
                raise TimeoutError
    try:
        code = child.wait(max(end_s - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    return Done(code, bytes(kept["output"]), bytes(kept["errors"]))


def _handed(pipe: int, rest: memoryview) -> memoryview:
    """Write a part of the question; return the rest: nothing where the program has closed its input."""
    try:
        return rest[os.write(pipe, rest[:4096]) :]
    except BrokenPipeError:
        return rest[:0]
