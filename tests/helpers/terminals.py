"""Commands on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence


def on_terminal(command: Sequence[str], **environment: str) -> str:
    """Run a command on a pseudo-terminal and return all that it shows."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=terminal, stderr=terminal)
    os.close(terminal)
    output = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # Linux: the other side is closed
            break
        if not part:
            break
        output += part
    os.close(controller)
    assert process.wait() == 0
    return output.decode()
