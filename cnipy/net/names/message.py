# SPDX-License-Identifier: Apache-2.0
"""Questions to a name server and answers to them, as bytes (RFC 1035, RFC 6891).

What is answered here needs four kinds of records; docs/decisions/0064 has why that is
written by hand. Names of a question are compared without regard to case.
"""

from __future__ import annotations

import struct

from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.spec.fields import IPAddress

A, SOA, PTR, AAAA, OPT, ANY = 1, 6, 12, 28, 41, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
_IN = 1
_HEADER = struct.Struct(">HHHHHH")
_FIXED = struct.Struct(">HHLH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x0400, 0x0200
_OPCODE, _DESIRED = 0x7800, 0x0100
_PLAIN = 512  # bytes of a datagram to who does not say more
_OFFERED = 1232  # bytes that no usual path has to break up
_LABEL_MAX, _NAME_MAX = 63, 255
_TO_QUESTION = b"\xc0\x0c"  # where the name of the question stands
NEGATIVE = 1  # seconds for which it is believed that there is nothing
_TIMERS = (3600, 600, 86400)  # seconds, for servers that follow; there are none


class Question(NamedTuple):
    """What is asked: labels in lower case, and the kind of records.

    `limit` is what a datagram may have; `header` and `section` are repeated.
    """

    labels: tuple[str, ...]
    kind: int
    limit: int
    extended: bool
    header: tuple[int, int]
    section: bytes


class Record(NamedTuple):
    """A record about the name of the question; `ttl` is in seconds."""

    kind: int
    ttl: int
    content: bytes


class RefusedError(Exception):
    """A message that is answered without a look at what it asks for, or not at all."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("no question that has an answer")
        self.answer = answer


def question(message: bytes) -> Question:
    """Return the question that a message has; raises RefusedError."""
    if len(message) < _HEADER.size:
        raise RefusedError(b"")
    number, flags, questions, *others = _HEADER.unpack_from(message)
    if flags & _RESPONSE:
        raise RefusedError(b"")  # whoever answers answers starts a quarrel
    if flags & _OPCODE:
        raise _refused(number, flags, NOTIMP)
    try:
        if questions != 1 or others[:2] != [0, 0]:
            raise ValueError
        labels, end = _labels(message)
        kind, of_class = struct.unpack_from(">HH", message, end)
        end += 4
        offered, version = _extension(message, end, others[2])
    except (ValueError, IndexError, struct.error):
        raise _refused(number, flags, FORMERR) from None
    limit = max(_PLAIN, min(offered, _OFFERED))
    section = message[_HEADER.size : end]
    found = Question(labels, kind, limit, offered > 0, (number, flags), section)
    if version:
        raise RefusedError(answer(found, BADVERS))
    if of_class != _IN:
        raise RefusedError(answer(found, REFUSED))
    return found


def answer(
    asked: Question, code: int, records: Iterable[Record] = (), zone: str = ""
) -> bytes:
    """Return the answer; `zone`, if given, is told to be without more, for a second."""
    number, flags = asked.header
    found = list(records)
    written = b"".join(_record(_TO_QUESTION, each) for each in found)
    ending = [_soa(zone)] if zone and not found else []
    extension = [_option(code)] if asked.extended else []
    flags = _RESPONSE | (flags & _DESIRED) | (code & 0xF)
    flags |= _AUTHORITATIVE if code in {NOERROR, NXDOMAIN} else 0
    counts = (1, len(found), len(ending), len(extension))
    header = _HEADER.pack(number, flags, *counts)
    return b"".join([header, asked.section, written, *ending, *extension])


def truncated(asked: Question) -> bytes:
    """Return the answer that has who asked by a datagram ask again by TCP."""
    whole = answer(asked, NOERROR)
    number, flags = struct.unpack_from(">HH", whole)
    return struct.pack(">HH", number, flags | _TRUNCATED) + whole[4:]


def address(found: IPAddress, ttl: int) -> Record:
    """Return the record that a name has an address."""
    return Record(A if found.version == 4 else AAAA, ttl, found.packed)  # noqa: PLR2004 - IPv4


def pointer(name: str, ttl: int) -> Record:
    """Return the record that an address has a name."""
    return Record(PTR, ttl, _name(name))


def _labels(message: bytes) -> tuple[tuple[str, ...], int]:
    """Return the labels of the question and where they end; raises ValueError."""
    labels, at = [], _HEADER.size
    while (length := message[at]) != 0:
        end = at + 1 + length
        if length > _LABEL_MAX or end - _HEADER.size >= _NAME_MAX or end > len(message):
            raise ValueError
        labels.append(message[at + 1 : end].decode("latin-1").lower())
        at = end
    return tuple(labels), at + 1


def _extension(message: bytes, at: int, count: int) -> tuple[int, int]:
    """Return how long an answer may be and the version of EDNS, 0 where it is none."""
    if not count or message[at] != 0:
        return 0, 0
    kind, size, ttl, _ = _FIXED.unpack_from(message, at + 1)
    return (max(size, _PLAIN), ttl >> 16 & 0xFF) if kind == OPT else (0, 0)


def _refused(number: int, flags: int, code: int) -> RefusedError:
    kept = _RESPONSE | (flags & (_OPCODE | _DESIRED)) | code
    return RefusedError(_HEADER.pack(number, kept, 0, 0, 0, 0))


def _record(owner: bytes, record: Record) -> bytes:
    kind, ttl, content = record
    return owner + _FIXED.pack(kind, _IN, ttl, len(content)) + content


def _option(code: int) -> bytes:
    return b"\0" + _FIXED.pack(OPT, _OFFERED, code >> 4 << 24, 0)


def _soa(zone: str) -> bytes:
    """Return what says for how long it can be believed that there is nothing."""
    content = _name(zone) * 2 + struct.pack(">LLLLL", 1, *_TIMERS, NEGATIVE)
    return _record(_name(zone), Record(SOA, NEGATIVE, content))


def _name(name: str) -> bytes:
    labels = (label.encode("latin-1") for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
