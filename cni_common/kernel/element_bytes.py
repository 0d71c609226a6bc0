# SPDX-License-Identifier: Apache-2.0
"""Keys and values of elements as the kernel has them, from nft's words and back.

Parts that are joined by " . " are padded to four bytes each, a single one is not.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}  # IANA protocol numbers
_IFNAMSIZ = 16
_ENCODED: dict[str, Callable[[str], bytes]] = {
    "ifname": lambda name: os.fsencode(name.strip('"')).ljust(_IFNAMSIZ, b"\0"),
    "ether_addr": lambda mac: bytes.fromhex(mac.replace(":", "")),
    "inet_proto": lambda name: bytes([PROTOCOLS[name]]),
    "inet_service": lambda number: int(number).to_bytes(2, "big"),
    "ipv4_addr": lambda address: inet_pton(AF_INET, address),
    "ipv6_addr": lambda address: inet_pton(AF_INET6, address),
}
_DECODED: dict[str, tuple[int, Callable[[bytes], str]]] = {
    "inet_service": (2, lambda raw: str(int.from_bytes(raw, "big"))),
    "ipv4_addr": (4, lambda raw: inet_ntop(AF_INET, raw)),
    "ipv6_addr": (16, lambda raw: inet_ntop(AF_INET6, raw)),
}


def encoded(types: str, words: str) -> bytes:
    """Return the bytes of `words`, which are of the types "ifname . ether_addr"."""
    pairs = zip(types.split(" . "), words.split(" . "), strict=True)
    parts = [_ENCODED[kind](part) for kind, part in pairs]
    if len(parts) == 1:
        return parts[0]
    return b"".join(part + b"\0" * (-len(part) % 4) for part in parts)


def decoded(types: str, raw: bytes) -> str:
    """Return in nft's words a value of these types, which are those of addresses."""
    words = []
    for kind in types.split(" . "):
        length, word = _DECODED[kind]
        words.append(word(raw[:length]))
        raw = raw[(length + 3) & ~3 :]
    return " . ".join(words)
