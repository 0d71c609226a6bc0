# SPDX-License-Identifier: Apache-2.0
"""Keys and values of elements as the kernel has them, from nft's words and back.

Parts that are joined by " . " are padded to four bytes each, a single one is not. A
network is asked for by its first address, which the kernel finds in its interval.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}  # IANA protocol numbers
_IFNAMSIZ = 16
_ENCODED: dict[str, Callable[[str], bytes]] = {
    "ifname": lambda name: os.fsencode(name.strip('"')).ljust(_IFNAMSIZ, b"\0"),
    "ether_addr": lambda mac: bytes.fromhex(mac.replace(":", "")),
    "inet_proto": lambda name: bytes([PROTOCOLS[name]]),
    "inet_service": lambda number: int(number).to_bytes(2, "big"),
    "ipv4_addr": lambda address: inet_pton(AF_INET, address.partition("/")[0]),
    "ipv6_addr": lambda address: inet_pton(AF_INET6, address.partition("/")[0]),
}


def encoded(types: str, words: str) -> bytes:
    """Return the bytes of `words`, which are of the types "ifname . ether_addr"."""
    pairs = zip(types.split(" . "), words.split(" . "), strict=True)
    parts = [_ENCODED[kind](part) for kind, part in pairs]
    if len(parts) == 1:
        return parts[0]
    return b"".join(part + b"\0" * (-len(part) % 4) for part in parts)


def decoded(raw: bytes) -> str:
    """Return the words of a value that is an address and a port."""
    address, port = raw[:-4], raw[-4:-2]
    family = AF_INET if len(address) == 4 else AF_INET6  # noqa: PLR2004 - its bytes
    return f"{inet_ntop(family, address)} . {int.from_bytes(port, 'big')}"
