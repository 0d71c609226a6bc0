# SPDX-License-Identifier: Apache-2.0
"""What addresses, pools and names of a network can be: shapes, and reasons why not."""

from __future__ import annotations

import binascii

from cni_common import shapes
from cni_common.leases.ranges import SPARE_BITS
from cni_common.names.host_names import is_host_name
from cni_common.spec.characters import DIGITS, HEX, LOWER, consists_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cni_common.shapes import Shape
    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import Pool

_LABEL_MAX = 63
_IDENTITY = 32  # digits
_KEY = 32  # bytes, of Curve25519


def contains(outer: IPNetwork, inner: IPNetwork) -> bool:
    """Tell whether `inner` lies within `outer`."""
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type] # of one version


def of_pools(pools: Sequence[Pool]) -> str:
    """Return why a network cannot have these pools, or nothing."""
    versions = {pool.network.version for pool in pools}
    if not versions or len(versions) < len(pools):
        return "pools: one a family, and one at least"
    for pool in pools:
        network = pool.network
        last = network.max_prefixlen - SPARE_BITS
        if not network.prefixlen <= pool.block <= last:
            sizes = f"/{network.prefixlen} to /{last}"
            return f"pools: blocks of {network} are {sizes}, not /{pool.block}"
        cause = _no_unicast(network.network_address) or _no_unicast(
            network.broadcast_address
        )
        if cause or not network.prefixlen:
            return (
                f"pools: {network} is not for containers: {cause or 'it is everything'}"
            )
    return ""


def of_underlay(
    address: IPAddress, ranges: Sequence[IPNetwork], pools: Iterable[IPNetwork]
) -> str:
    """Return why no node can be reached at `address`, or nothing.

    `ranges` are those in which nodes may be, anywhere if there are none; in `pools` are
    containers.
    """
    cause = _no_unicast(address)
    if cause:
        return f"{address} is no node's: {cause}"
    if ranges and not any(address in each for each in ranges):
        listed = ", ".join(str(each) for each in ranges)
        return f"{address} is outside of {listed}"
    for pool in pools:
        if address in pool:
            return f"{address} is in the pool {pool}"
    return ""


def _no_unicast(address: IPAddress) -> str:
    """Return why `address` is nobody's for other hosts, or nothing."""
    if address.is_multicast:
        return "it is multicast"
    if address.is_loopback:
        return "it is loopback"
    if address.is_link_local:
        return "it is link-local"
    if address.version == 4:  # noqa: PLR2004 - IPv4
        if address.packed[0] == 0 or address.packed == b"\xff" * 4:
            return "it is no unicast address"
    elif address.is_unspecified or address.ipv4_mapped:
        return "it is no unicast address"
    return ""


def label(value: object) -> str:
    """Return the name of a node or network."""
    name = shapes.text(value)
    characters = LOWER + DIGITS
    if (
        len(name) <= _LABEL_MAX
        and consists_of(name, characters + "-")
        and name[0] in characters
        and name[-1] in characters
    ):
        return name
    raise _unlike("a label of the DNS in lower case, of at most 63 characters", value)


def domain(value: object) -> str:
    """Return the name of a domain, or nothing."""
    if value == "" or is_host_name(shapes.text(value)):
        return str(value)
    raise _unlike("a domain", value)


def station(value: object) -> str:
    """Return the hardware address of one station, or nothing."""
    mac = shapes.mac(value)
    if mac and (int(mac[:2], 16) & 1 or not mac.strip("0:")):
        raise _unlike("a hardware address of one station", value)
    return mac


def public_key(value: object) -> str:
    """Return a public key of WireGuard as `wg` prints it, or nothing."""
    key = shapes.text(value)
    try:
        raw = binascii.a2b_base64(key, strict_mode=True)
    except ValueError:
        raw = b""
    if not key or (len(raw) == _KEY and any(raw) and _printed(raw) == key):
        return key
    raise _unlike("a public key of WireGuard", value)


def _printed(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def identity(value: object) -> str:
    """Return what a node or generation is told apart by."""
    if len(shapes.text(value)) == _IDENTITY and consists_of(str(value), HEX):
        return str(value)
    raise _unlike(f"{_IDENTITY} hexadecimal digits", value)


def one_of(choices: Collection[str]) -> Shape:
    """Return the shape of a text that is one of `choices`."""

    def read(value: object) -> str:
        if value in choices:
            return str(value)
        raise _unlike(f"one of {', '.join(choices)}", value)

    return read


def within(least: int, most: int) -> Shape:
    """Return the shape of a number between `least` and `most`."""

    def read(value: object) -> int:
        if least <= shapes.number(value) <= most:
            return shapes.number(value)
        raise _unlike(f"a number of {least} to {most}", value)

    return read


def _unlike(what: str, value: object) -> ValueError:
    return ValueError(f"{value!r:.80} is not {what}")
