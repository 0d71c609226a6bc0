# SPDX-License-Identifier: Apache-2.0
"""Which questions are about a network: names of its domain, addresses of its pools."""

from __future__ import annotations

import ipaddress
import math

from cni_common.names.host_names import is_host_name
from cni_common.spec.characters import DIGITS, HEX, consists_of
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import NetworkConfig

# IP version, and bits that a label has.
_ARPA = {"in-addr.arpa": (4, 8), "ip6.arpa": (6, 4)}


class Place(NamedTuple):
    """What a question is about: a name or an address of a network, of the zone `zone`.

    With neither, the zone itself or a part of it, which exists and has no records.
    """

    config: NetworkConfig
    zone: str
    name: str = ""
    address: IPAddress | None = None
    exists: bool = True


def find(labels: Sequence[str], configs: Iterable[NetworkConfig]) -> Place | None:
    """Return what is asked for; None where that is no network's.

    Of two networks of one domain the first is asked.
    """
    reverse = _ARPA.get(".".join(labels[-2:]))
    for config in configs:
        if reverse:
            place = _in_pools(labels[:-2], config, *reverse)
        else:
            place = _in_domain(labels, config)
        if place is not None:
            return place
    return None


def _in_domain(labels: Sequence[str], config: NetworkConfig) -> Place | None:
    zone = config.domain.lower()
    own = zone.split(".")
    if not zone or list(labels[-len(own) :]) != own:
        return None
    inner = labels[: -len(own)]
    if not inner:
        return Place(config, zone)
    name = ".".join([*inner, zone])
    # A label may have a dot inside, or any other byte: nobody is called so.
    known = not any("." in label for label in inner) and is_host_name(name)
    return Place(config, zone, name) if known else Place(config, zone, exists=False)


def _in_pools(
    labels: Sequence[str], config: NetworkConfig, version: int, bits: int
) -> Place | None:
    pool = config.pool(version)
    if pool is None:
        return None
    length = pool.network.max_prefixlen
    asked = _network(labels[::-1], version, bits)
    if asked is None or not asked.subnet_of(pool.network):  # type: ignore[arg-type]  # of one version
        return None
    # The zone is what a whole label tells of the pool, so a part of it perhaps.
    kept = math.ceil(pool.network.prefixlen / bits)
    suffix = "in-addr.arpa" if version == 4 else "ip6.arpa"  # noqa: PLR2004 - IPv4
    zone = ".".join([*labels[len(labels) - kept :], suffix])
    if asked.prefixlen < length:
        return Place(config, zone)
    return Place(config, zone, address=asked.network_address)


def _network(labels: Sequence[str], version: int, bits: int) -> IPNetwork | None:
    """Return what the labels are about, the widest first; None for no numbers."""
    whole = 32 if version == 4 else 128  # noqa: PLR2004 - IPv4
    digits, base = (DIGITS, 10) if version == 4 else (HEX, 16)  # noqa: PLR2004 - IPv4
    number = 0
    if not labels or len(labels) * bits > whole:
        return None
    for label in labels:
        if not consists_of(label, digits) or len(label) > (3 if base == 10 else 1):  # noqa: PLR2004 - digits
            return None
        value = int(label, base)
        if value >> bits or (str(value) != label and base == 10):  # noqa: PLR2004 - as above
            return None
        number = number << bits | value
    length = len(labels) * bits
    of_version = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network  # noqa: PLR2004 - IPv4
    return of_version((number << (whole - length), length))
