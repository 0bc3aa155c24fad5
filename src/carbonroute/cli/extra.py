"""Commands whose packages come with the extra ``carbonroute[live]``."""

from __future__ import annotations

from importlib.util import find_spec

from carbonroute.errors import Fault, InputError

_PACKAGES = ("httpx2", "prometheus_client", "starlette", "uvicorn")


def require_extra(command: str) -> None:
    """Refuse a command whose packages are not installed.

    Raises InputError with the extra that brings them.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        remedy = "install them: pip install 'carbonroute[live]'"
        raise InputError(command, [Fault("", f"needs the packages {', '.join(missing)}", remedy)])
