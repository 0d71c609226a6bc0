# SPDX-License-Identifier: Apache-2.0
"""gob, in which Go's net/rpc speaks: structs that describe themselves.

As much of it as structs of texts, bytes, numbers, lists and structs need
(https://pkg.go.dev/encoding/gob). Pointers are what they point to, and what is empty is
not sent.
"""

from __future__ import annotations

from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Kind = Any  # one of the numbers below, Struct or ListOf

BOOL, INT, UINT, BYTES, TEXT = 1, 2, 3, 5, 6
MESSAGE_MAX = 1 << 20  # bytes
_DEPTH_MAX = 16
_FIRST_ID = 65
_ONE_BYTE, _WIDEST = 0x80, 0xF8
_EMPTY: dict[int, Any] = {BOOL: False, INT: 0, UINT: 0, BYTES: b"", TEXT: ""}


@dataclass(frozen=True)
class Struct:
    """A struct of Go: the names of its fields in order, each with its kind."""

    name: str
    fields: tuple[tuple[str, Kind], ...]


@dataclass(frozen=True)
class ListOf:
    """A slice of Go."""

    kind: Kind


# What describes a type is a struct itself, by the numbers of its fields.
_COMMON = Struct("CommonType", (("Name", TEXT), ("Id", INT)))
_FIELD = Struct("fieldType", (("Name", TEXT), ("Id", INT)))
_ARRAY = Struct("arrayType", (("CommonType", _COMMON), ("Elem", INT), ("Len", INT)))
_SLICE = Struct("sliceType", (("CommonType", _COMMON), ("Elem", INT)))
_STRUCT = Struct("structType", (("CommonType", _COMMON), ("Field", ListOf(_FIELD))))
_MAP = Struct("mapType", (("CommonType", _COMMON), ("Key", INT), ("Elem", INT)))
_WIRE = Struct(
    "wireType",
    (("ArrayT", _ARRAY), ("SliceT", _SLICE), ("StructT", _STRUCT), ("MapT", _MAP)),
)


class Writer:
    """Encodes the values of one direction of a connection."""

    def __init__(self) -> None:
        self._ids: dict[Kind, int] = {}

    def message(self, kind: Struct, value: dict[str, Any]) -> bytes:
        """Return `value`, behind what has not been said of its type so far."""
        said: list[bytes] = []
        number = self._id(kind, said)
        said.append(_int(number) + _encoded(kind, value))
        return b"".join(_uint(len(each)) + each for each in said)

    def _id(self, kind: Kind, said: list[bytes]) -> int:
        if isinstance(kind, int):
            return kind
        if kind in self._ids:
            return self._ids[kind]
        number = self._ids[kind] = _FIRST_ID + len(self._ids)
        if isinstance(kind, ListOf):
            common = {"Name": "", "Id": number}
            wire = {"SliceT": {"CommonType": common, "Elem": self._id(kind.kind, said)}}
        else:
            common = {"Name": kind.name, "Id": number}
            fields = [{"Name": n, "Id": self._id(k, said)} for n, k in kind.fields]
            wire = {"StructT": {"CommonType": common, "Field": fields}}
        said.append(_int(-number) + _encoded(_WIRE, wire))
        return number


def _encoded(kind: Kind, value: Any) -> bytes:
    if kind == TEXT:
        text = value.encode("utf-8", "surrogateescape")
        return _uint(len(text)) + bytes(text)
    if kind == BYTES:
        return _uint(len(value)) + bytes(value)
    if kind == INT:
        return _int(value)
    if isinstance(kind, ListOf):
        return _uint(len(value)) + b"".join(_encoded(kind.kind, each) for each in value)
    if isinstance(kind, Struct):
        found, last = b"", -1
        for number, (name, inner) in enumerate(kind.fields):
            held = value.get(name)
            # A number may be 0 without being absent: where Go has a pointer to it.
            if held is None or held in ({}, [], "", b""):
                continue
            found += _uint(number - last) + _encoded(inner, held)
            last = number
        return found + b"\0"
    return _uint(int(value))


def _uint(number: int) -> bytes:
    if number < _ONE_BYTE:
        return bytes((number,))
    text = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes((0x100 - len(text),)) + text


def _int(number: int) -> bytes:
    return _uint(~number << 1 | 1 if number < 0 else number << 1)


def width(first: int) -> int:
    """Return how many bytes of a length follow its first one, which is told if none.

    Raises ValueError for what begins no length.
    """
    if first < _ONE_BYTE:
        return 0
    if first < _WIDEST:
        raise ValueError("a number that is none")
    return 0x100 - first


def length(first: int, rest: bytes) -> int:
    """Return the length of a message; raises ValueError for one that is too long."""
    found = int.from_bytes(rest, "big") if rest else first
    if found > MESSAGE_MAX:
        raise ValueError(f"a message of {found} bytes")
    return found


class Reader:
    """Decodes the messages of one direction of a connection."""

    def __init__(self) -> None:
        self._types: dict[int, dict[str, Any]] = {}

    def value(self, message: bytes) -> dict[str, Any] | None:
        """Return the struct in a message, without what it has not, or None.

        There is none if the message is about a type. Raises ValueError.
        """
        text = _Text(message)
        number = text.signed()
        if number < 0:
            self._types[-number] = _struct(_WIRE.fields, text, self._told, 0)
            return None
        found = self._decoded(number, text, 0)
        if not isinstance(found, dict):
            raise ValueError("a value that is no struct")
        return found

    def _told(self, kind: Kind, text: _Text, depth: int) -> Any:
        """Decode a value of a kind that is known beforehand."""
        if isinstance(kind, Struct):
            return _struct(kind.fields, text, self._told, depth + 1)
        if isinstance(kind, ListOf):
            count = text.count()
            return [self._told(kind.kind, text, depth + 1) for _ in range(count)]
        return _basic(kind, text)

    def _decoded(self, number: int, text: _Text, depth: int) -> Any:
        """Decode a value of the type that the other side calls `number`."""
        if depth > _DEPTH_MAX:
            raise ValueError("a value nested too deeply")
        if number in _EMPTY:
            return _basic(number, text)
        told = self._types.get(number)
        if told is None:
            raise ValueError(f"a value of the unknown type {number}")
        if "StructT" in told:
            listed = told["StructT"].get("Field", [])
            fields = [(each.get("Name", ""), each.get("Id", 0)) for each in listed]
            return _struct(fields, text, self._decoded, depth + 1)
        if "SliceT" in told or "ArrayT" in told:
            inner = (told.get("SliceT") or told["ArrayT"]).get("Elem", 0)
            count = text.count()
            return [self._decoded(inner, text, depth + 1) for _ in range(count)]
        raise ValueError("a value of a type that no call has")


class _Text:
    """What is left of a message."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, count: int) -> bytes:
        found = self._content[self._at : self._at + count]
        if len(found) != count:
            raise ValueError("a message that is cut short")
        self._at += count
        return found

    def uint(self) -> int:
        (first,) = self.take(1)
        size = width(first)
        return int.from_bytes(self.take(size), "big") if size else first

    def signed(self) -> int:
        number = self.uint()
        return ~(number >> 1) if number & 1 else number >> 1

    def count(self) -> int:
        """Return the length of a list, each member of which has a byte at least."""
        count = self.uint()
        if count > len(self._content) - self._at:
            raise ValueError("a list that is cut short")
        return count


def _basic(kind: int, text: _Text) -> Any:
    if kind == TEXT:
        return text.take(text.count()).decode("utf-8", "replace")
    if kind == BYTES:
        return text.take(text.count())
    if kind == INT:
        return text.signed()
    return bool(text.uint()) if kind == BOOL else text.uint()


def _struct(
    fields: Any, text: _Text, decode: Callable[[Any, _Text, int], Any], depth: int
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    number = -1
    while step := text.uint():
        number += step
        if number >= len(fields):
            raise ValueError("a field that the type does not have")
        name, kind = fields[number]
        found[name] = decode(kind, text, depth)
    return found
