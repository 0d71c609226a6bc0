# SPDX-License-Identifier: Apache-2.0
"""Messages of DHCP for IPv4 (RFC 2131), with options of any length (RFC 3396)."""

from __future__ import annotations

import os
import struct
from ipaddress import IPv4Address

from cni_common.spec.values import IntEnum, dataclass, field
from cnipy.keeper.datagram import NOWHERE

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

REQUESTED, LEASE_TIME, OVERLOAD, KIND, SERVER_ID = 50, 51, 52, 53, 54
ASKED_FOR, TEXT, SIZE_MAX = 55, 56, 57
_PAD, _END = 0, 255
_COOKIE = bytes((99, 130, 83, 99))
_HEAD = struct.Struct(">BBBBIHH4s4s4s4s16s64s128s4s")
_ETHERNET = 1
_TO_EVERYBODY = 0x8000
_OPTION_MAX = 255
_SMALLEST = 300  # bytes, of BOOTP


def number() -> int:
    """Return a number by which the answer to a question is known."""
    return int.from_bytes(os.urandom(4), "big")


class Kind(IntEnum):
    """What a message is (RFC 2132, 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


@dataclass(frozen=True)
class Answer:
    """What a server said: `yours` is the address that it is about."""

    kind: Kind
    yours: IPv4Address
    options: Mapping[int, bytes]

    @property
    def server(self) -> IPv4Address:
        """Who said it, as renewals are addressed; 0.0.0.0 where it does not say."""
        return self.address(SERVER_ID) or NOWHERE

    @property
    def text(self) -> str:
        """What it says to people."""
        return self.options.get(TEXT, b"").decode("utf-8", "replace").strip("\0 ")

    def address(self, code: int) -> IPv4Address | None:
        """Return the (first) address of an option."""
        held = self.options.get(code, b"")[:4]
        return IPv4Address(held) if len(held) == 4 else None  # noqa: PLR2004 - IPv4

    def seconds(self, code: int) -> int | None:
        """Return the time in an option."""
        held = self.options.get(code, b"")
        return int.from_bytes(held, "big") if len(held) == 4 else None  # noqa: PLR2004


@dataclass(frozen=True)
class Question:
    """What a client says; `mine` is the address that it has configured."""

    kind: Kind
    number: int
    mac: bytes
    options: Mapping[int, bytes]
    mine: IPv4Address = NOWHERE
    broadcast: bool = False
    seconds: int = field(default=0)

    def packed(self) -> bytes:
        """Return the message."""
        head = _HEAD.pack(
            1,
            _ETHERNET,
            len(self.mac),
            0,
            self.number,
            min(self.seconds, 0xFFFF),
            _TO_EVERYBODY if self.broadcast else 0,
            self.mine.packed,
            *[NOWHERE.packed] * 3,
            self.mac,
            b"",
            b"",
            _COOKIE,
        )
        options = {KIND: bytes((self.kind,)), **self.options}
        body = b"".join(_packed(code, held) for code, held in options.items())
        return (head + body + bytes((_END,))).ljust(_SMALLEST, b"\0")

    def answered(self, content: bytes) -> Answer | None:
        """Return the answer that a message is, or None if it is another's.

        Raises ValueError for one that answers this question with garbage.
        """
        if len(content) < _HEAD.size:
            return None
        said = _HEAD.unpack_from(content)
        code, number, yours, mac, cookie = said[0], said[4], said[8], said[11], said[14]
        if code != 2 or number != self.number or cookie != _COOKIE:  # noqa: PLR2004 - BOOTREPLY
            return None
        if mac[: len(self.mac)] != self.mac:
            return None
        found = _options(content[_HEAD.size :])
        overloaded = found.get(OVERLOAD, b"\0")[-1:]
        for bit, place in ((1, said[13]), (2, said[12])):
            if overloaded and overloaded[0] & bit:
                for each, held in _options(place).items():
                    found[each] = found.get(each, b"") + held
        kind = found.get(KIND, b"")
        if len(kind) != 1 or kind[0] not in {Kind.OFFER, Kind.ACK, Kind.NAK}:
            raise ValueError(f"a message of no kind that answers ({kind.hex()!r:.20})")
        return Answer(Kind(kind[0]), IPv4Address(yours), found)


def _packed(code: int, held: bytes) -> bytes:
    """Return an option, in parts if it is long."""
    parts = [held[at : at + _OPTION_MAX] for at in range(0, len(held), _OPTION_MAX)]
    return b"".join(bytes((code, len(part))) + part for part in parts)


def _options(content: bytes) -> dict[int, bytes]:
    """Return options by their codes; those that come in parts are put together."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(content) and content[at] != _END:
        code = content[at]
        if code == _PAD:
            at += 1
            continue
        length = content[at + 1] if at + 1 < len(content) else len(content)
        held = content[at + 2 : at + 2 + length]
        if len(held) != length:
            raise ValueError(f"option {code} that is longer than the message")
        found[code] = found.get(code, b"") + held
        at += 2 + length
    return found
