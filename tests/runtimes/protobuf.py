# SPDX-License-Identifier: Apache-2.0
"""Just enough of the protobuf wire format for the CRI messages used here."""

from collections.abc import Iterator

VARINT, BYTES = 0, 2


def varint(number: int) -> bytes:
    """Return a base 128 varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: str | bytes | int) -> bytes:
    """Return one field: a varint for an integer, else length and bytes."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | BYTES) + varint(len(raw)) + raw


def read_varint(raw: bytes, offset: int) -> tuple[int, int]:
    """Return the number at the offset and the offset behind it."""
    number = shift = 0
    while raw[offset] > 0x7F:
        number |= (raw[offset] & 0x7F) << shift
        shift += 7
        offset += 1
    return number | raw[offset] << shift, offset + 1


def fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each varint and bytes field of a message."""
    offset = 0
    while offset < len(raw):
        key, offset = read_varint(raw, offset)
        value, offset = read_varint(raw, offset)
        if key & 7 == BYTES:
            yield key >> 3, raw[offset : offset + value]
            offset += value
        else:
            yield key >> 3, value


def text(raw: bytes, number: int) -> str:
    """Return the string in the first field of this number; empty when absent."""
    found = (v for n, v in fields(raw) if n == number and isinstance(v, bytes))
    return next(found, b"").decode()
