"""Versions of installed packages."""

from __future__ import annotations

from importlib.metadata import distribution


def version(package: str) -> str:
    """Return the version of an installed package.

    `importlib.metadata.version` parses all of a package's description as an e-mail for it.

    Raises importlib.metadata.PackageNotFoundError if it is not installed.

    >>> version("carbonroute") == __import__("importlib.metadata").metadata.version("carbonroute")
    True
    """
    installed = distribution(package)
    lines = (installed.read_text("METADATA") or "").splitlines()
    stated = (line.partition(": ")[2] for line in lines if line.startswith("Version: "))
    return next(stated, None) or installed.version
