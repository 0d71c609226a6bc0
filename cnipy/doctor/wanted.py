# SPDX-License-Identifier: Apache-2.0
"""What a list of plugins asks of the node, as far as the findings need to know.

Lists are read as plugins read them, but for values that no plugin would take: those are
for `validate` to tell, and count as absent here.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cni_common.spec import gojson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.spec.fields import IPNetwork
    from cnipy.network import Network

_BRIDGE = "cni0"


def member(document: object, key: str) -> Any:
    """Return a value of an object, None where there is no object."""
    return gojson.member(document, key) if isinstance(document, dict) else None


def types(network: Network) -> list[str]:
    """Return the types of the plugins, those of IPAM behind their own."""
    found = []
    for plugin in network.plugins:
        ipam = member(member(plugin, "ipam"), "type")
        found += [kind for kind in (member(plugin, "type"), ipam) if kind]
    return list(dict.fromkeys(map(str, found)))


def plugin(network: Network, *kinds: str) -> dict[str, Any] | None:
    """Return the first plugin of one of these types, None without any."""
    found = (each for each in network.plugins if member(each, "type") in kinds)
    return next(found, None)


def bridge(network: Network) -> str:
    """Return the name of the bridge, empty for a network without."""
    found = plugin(network, "bridge")
    return "" if found is None else str(member(found, "bridge") or _BRIDGE)


def is_forwarded(network: Network) -> bool:
    """Tell whether the host is to forward what its containers send and get."""
    found = plugin(network, "bridge")
    if found is not None:
        return any(member(found, k) is True for k in ("isGateway", "isDefaultGateway"))
    return plugin(network, "ptp") is not None


def subnets(network: Network) -> list[IPNetwork]:
    """Return the subnets that its containers have addresses of."""
    found = dict.fromkeys(_subnets(network))
    return list(found)


def _subnets(network: Network) -> Iterator[IPNetwork]:
    for each in network.plugins:
        ipam = member(each, "ipam")
        written = [member(ipam, "subnet")]
        for of_set in _list(member(ipam, "ranges")):
            written += [member(one, "subnet") for one in _list(of_set)]
        written += [member(one, "address") for one in _list(member(ipam, "addresses"))]
        for text in written:
            with suppress(ValueError):
                if isinstance(text, str):
                    yield ipaddress.ip_network(text, strict=False)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
