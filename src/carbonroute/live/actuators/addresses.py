"""Addresses of endpoints: numbers and a port, in one spelling, so that repeats are seen."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Self, TypeAlias

from pydantic import Field

from carbonroute.spec import Spelled


@dataclass(frozen=True, eq=False, repr=False)
class Address(Spelled):
    """An IP address with a port, such as ``"10.0.0.7:8000"`` or ``"[2001:db8::7]:8000"``.

    `host`, `port`: the IP address without brackets; 1 to 65,535.
    """

    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that a text spells, in its shortest spelling.

        Raises ValueError if it is none; names are not looked up.

        >>> Address.parse("[2001:DB8:0::7]:08000")
        '[2001:db8::7]:8000'
        """
        host, _, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            address = None
        is_port = port.isascii() and port.isdecimal() and len(port) < 8 and 0 < int(port) < 65536
        if address is None or not is_port or (address.version == 6) != host.startswith("["):
            raise ValueError(
                f"found {text!r}; an IP address with a port is expected, such as '10.0.0.7:8000': names are "
                "not looked up"
            )
        shown = f"[{address}]" if address.version == 6 else f"{address}"
        return cls(f"{shown}:{int(port)}", str(address), int(port))


#: Addresses as a live file lists them.
Addresses: TypeAlias = Annotated[tuple[Address, ...], Field(strict=False)]
