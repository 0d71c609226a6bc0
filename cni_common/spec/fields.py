# SPDX-License-Identifier: Apache-2.0
"""Values that occur in CNI documents, strict in what they take, as typed fields."""

from __future__ import annotations

import ipaddress

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

from cni_common.spec.characters import HEX, is_hex_groups
from cni_common.spec.typed import Annotated

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED_BITS = 96  # of an IPv4-mapped address that are not the IPv4 address
_MAC_FORMS = ((":", 6, 2), ("-", 6, 2), (".", 3, 4))


def address(text: object) -> IPAddress:
    """Return an IP address; an IPv4-mapped IPv6 address becomes IPv4, as in Go."""
    if isinstance(text, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return text
    try:
        if not isinstance(text, str):
            raise ValueError
        value = ipaddress.ip_address(text)
    except ValueError:
        msg = f"{text!r} is not an IP address"
        raise ValueError(msg) from None
    if isinstance(value, ipaddress.IPv6Address):
        if value.scope_id is not None:
            msg = f"{text!r} is not an IP address without a zone"
            raise ValueError(msg)
        return value.ipv4_mapped or value
    return value


def address_if_any(text: object) -> IPAddress | None:
    """Return an IP address; empty text is none, as in Go."""
    return None if text in ("", None) else address(text)


def cidr(text: object) -> IPInterface:
    """Return an address with its prefix length ("10.1.2.3/24"), the prefix required.

    An IPv4-mapped IPv6 address becomes IPv4, and so does its prefix, as in Go:
    "::ffff:10.1.2.3/120" is 10.1.2.3/24.
    """
    if isinstance(text, ipaddress.IPv4Interface | ipaddress.IPv6Interface):
        return text
    if isinstance(text, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return ipaddress.ip_interface(text)
    try:
        if not isinstance(text, str):
            raise ValueError
        host, slash, prefix = text.partition("/")
        if not slash or not prefix.isascii() or not prefix.isdigit():
            raise ValueError
        value = _of_family(address(host), ":" in host, prefix)
    except ValueError:
        msg = f"{text!r} is not an address in CIDR notation"
        raise ValueError(msg) from None
    return value


def _of_family(host: IPAddress, written_as_ipv6: bool, prefix: str) -> IPInterface:  # noqa: FBT001 - private, one caller
    if written_as_ipv6 and isinstance(host, ipaddress.IPv4Address):
        mapped = ipaddress.IPv6Interface(f"::ffff:{host}/{prefix}")
        prefix = str(max(mapped.network.prefixlen - _MAPPED_BITS, 0))
    return ipaddress.ip_interface(f"{host}/{prefix}")


def subnet(text: object) -> IPNetwork:
    """Return the network that contains the address of `text` ("10.1.2.0/24")."""
    if isinstance(text, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return text
    return cidr(text).network


def mac(text: object) -> str:
    """Return a 48 bit hardware address as lower-case "aa:bb:cc:dd:ee:ff"."""
    folded = text.lower() if isinstance(text, str) else ""
    if not any(is_hex_groups(folded, *form) for form in _MAC_FORMS):
        msg = f"{text!r} is not a MAC address"
        raise ValueError(msg)
    digits = "".join(each for each in folded if each in HEX)
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


Address = Annotated[IPAddress, PlainValidator(address), PlainSerializer(str)]
OptionalAddress = Annotated[
    IPAddress | None, PlainValidator(address_if_any), PlainSerializer(str)
]
Cidr = Annotated[IPInterface, PlainValidator(cidr), PlainSerializer(str)]
Subnet = Annotated[IPNetwork, PlainValidator(subnet), PlainSerializer(str)]
Mac = Annotated[str, BeforeValidator(mac)]

# What models take and verbs refuse, for DEL must pass over it: told to editors only.
Mtu = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": 65535})]
MacText = Annotated[
    str,
    Field(
        json_schema_extra={
            "pattern": "^([0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}"
            r"|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2})?$"
        }
    ),
]
CidrText = Field(
    json_schema_extra={"type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"}
)
AddressText = Field(
    json_schema_extra={"type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}
)
