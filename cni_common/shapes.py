# SPDX-License-Identifier: Apache-2.0
"""What the values of a record may be: tables of members, each with a shape.

A record describes what stands in the kernel, and DEL acts on it as root. So it is
believed as a whole or not at all; and it is read without a library of models, which
would cost DEL more than its work. A shape takes a value of JSON and returns it as a
value of Python, or raises ValueError saying what it is not.
"""

from __future__ import annotations

from functools import lru_cache

from cni_common.spec.characters import is_directory, is_mac

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import (
        IPv4Address,
        IPv4Interface,
        IPv4Network,
        IPv6Address,
        IPv6Interface,
        IPv6Network,
    )
    from typing import Any

    Shape = Callable[[object], Any]
    Setting = str | int | bool
    # Key -> shape, and what an absent member stands for.
    Table = Mapping[str, tuple[Shape, Any]]

REQUIRED = object()  # in place of what an absent member stands for
_TEXT_MAX = 1 << 18  # what an environment variable can hold, and more
_LINK_MAX = 15  # IFNAMSIZ
_NUMBER_MAX = 2**63


def text(value: object) -> str:
    """Return a text without the byte that ends one in the kernel."""
    if isinstance(value, str) and "\0" not in value and len(value) <= _TEXT_MAX:
        if not value.isascii():
            value.encode("utf-8", "surrogateescape")  # a ValueError for what is none
        return value
    raise _unlike("a text", value)


def word(value: object) -> str:
    """Return a text without white space, and so without the end of a line."""
    found = text(value)
    if found.isascii() and found.isprintable() and " " not in found:
        return found  # as nearly every one is
    if any(each.isspace() or each < " " or each == "\x7f" for each in found):
        raise _unlike("a word", value)
    return found


def link(value: object) -> str:
    """Return a link's name, or nothing."""
    name = word(value)
    if len(name.encode("utf-8", "surrogateescape")) > _LINK_MAX or "/" in name:
        raise _unlike("the name of a link", value)
    if name in {".", ".."}:
        raise _unlike("the name of a link", value)
    return name


def mac(value: object) -> str:
    """Return a hardware address, or nothing."""
    if value == "" or is_mac(text(value)):
        return str(value)
    raise _unlike("a hardware address", value)


def directory(value: object) -> str:
    """Return the absolute path of a directory."""
    if is_directory(text(value)):
        return str(value)
    raise _unlike("a directory", value)


def parameter(value: object) -> str:
    """Return the path of a kernel parameter below /proc/sys."""
    name = text(value)
    if name.startswith("net/") and ".." not in name.split("/"):
        return name
    raise _unlike("a parameter", value)


def number(value: object) -> int:
    """Return a whole number that is not negative."""
    if type(value) is int and 0 <= value < _NUMBER_MAX:
        return value
    raise _unlike("a number", value)


def version(value: object) -> int:
    """Return an IP version."""
    if type(value) is int and value in {4, 6}:
        return value
    raise _unlike("an IP version", value)


def bits(count: int) -> Shape:
    """Return the shape of a number that `count` bits of netlink can hold."""

    def read(value: object) -> int:
        if number(value) >> count:
            raise _unlike(f"a number of {count} bits", value)
        return number(value)

    return read


def mapping(value: object) -> dict[str, Any]:
    """Return an object, whatever its members are."""
    if isinstance(value, dict):
        return value
    raise _unlike("an object", value)


def flag(value: object) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise _unlike("true or false", value)


def address(value: object) -> IPv4Address | IPv6Address:
    """Return an IP address."""
    return _address(text(value))


def interface(value: object) -> IPv4Interface | IPv6Interface:
    """Return an IP address with its prefix length."""
    return _interface(text(value))


# A record has the same addresses in several parts, and many have the same gateway.
@lru_cache
def _address(value: str) -> IPv4Address | IPv6Address:
    from ipaddress import ip_address  # noqa: PLC0415 - many a record has none

    return ip_address(value)


@lru_cache
def _interface(value: str) -> IPv4Interface | IPv6Interface:
    from ipaddress import ip_interface  # noqa: PLC0415 - as above

    return ip_interface(value)


def network(value: object) -> IPv4Network | IPv6Network:
    """Return an IP network."""
    from ipaddress import ip_network  # noqa: PLC0415 - as above

    return ip_network(text(value))


def same(shape: Shape) -> Shape:
    """Return the shape of a value that is kept as JSON has it."""

    def checked(value: object) -> object:
        shape(value)
        return value

    return checked


def optional(shape: Shape) -> Shape:
    """Return the shape of a value that may be null."""
    return lambda value: None if value is None else shape(value)


def listed(shape: Shape) -> Shape:
    """Return the shape of a list, read as a tuple."""

    def read(value: object) -> tuple[Any, ...]:
        if isinstance(value, list):
            return tuple(shape(item) for item in value)
        raise _unlike("a list", value)

    return read


def mapped(key: Shape, shape: Shape) -> Shape:
    """Return the shape of an object whose keys are not known beforehand."""

    def read(value: object) -> dict[str, Any]:
        return {key(name): shape(item) for name, item in mapping(value).items()}

    return read


def table(wanted: Table) -> Shape:
    """Return the shape of an object that has the members of `wanted`, and no others."""

    def read(value: object) -> dict[str, Any]:
        return members(mapping(value), wanted)

    return read


def members(document: Mapping[str, Any], wanted: Table) -> dict[str, Any]:
    """Return what `wanted` names of `document`; raises ValueError naming the first
    member that has another shape.
    """
    found = {}
    for key, (shape, default) in wanted.items():
        try:
            if default is REQUIRED and key not in document:
                raise ValueError("it is missing")
            found[key] = shape(document[key]) if key in document else default
        except ValueError as error:
            msg = f"{key}: {error}"
            raise ValueError(msg) from error
    return found


def settings(value: object) -> dict[str, Setting]:
    """Return settings of a link, by keys of SETTINGS."""
    found = {}
    for key, setting in mapping(value).items():
        if key not in SETTINGS:
            raise _unlike("a setting", key)
        found[key] = SETTINGS[key](setting)
    return found


def _given_mac(value: object) -> str:
    if value == "":
        raise _unlike("a hardware address", value)
    return mac(value)


def _mtu(value: object) -> int:
    if value == 0:
        raise _unlike("an MTU", value)
    return int(bits(32)(value))


# Settings of a link, in the words of tuning's configuration.
SETTINGS: dict[str, Shape] = {
    "mac": _given_mac,
    "mtu": _mtu,
    "txQLen": bits(32),
    "promisc": flag,
    "allmulti": flag,
}


def camel(name: str) -> str:
    """Return the key of a field: host_mac -> hostMac."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# A route of a result, kept as the result has it.
ROUTE = same(
    table(
        {
            "dst": (interface, REQUIRED),
            "gw": (optional(address), None),
            **dict.fromkeys(("mtu", "advmss", "priority"), (bits(32), 0)),
            "table": (optional(bits(32)), None),
            "scope": (optional(bits(8)), None),
        }
    )
)


def _unlike(what: str, value: object) -> ValueError:
    return ValueError(f"{value!r:.40} is not {what}")
