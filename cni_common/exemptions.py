# SPDX-License-Identifier: Apache-2.0
"""ipMasqExcept: what is reached from a subnet without masquerading, and who asked.

A network exempts a destination for as long as it has an attachment of a subnet; of
several networks that share the subnet each gets what it asked for. Its users are in
/run/cni/cnipy/masquerade-except/<subnet>/<destination>/<attachment>.
Whoever calls holds the lock of masquerading.
"""

from __future__ import annotations

import ipaddress

from cni_common import state
from cni_common.attachment import shared

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cni_common.spec.fields import IPNetwork

_ROOM = "masquerade-except"


def of_family(exempt: Iterable[IPNetwork], subnet: IPNetwork) -> list[IPNetwork]:
    """Return those of `exempt` that can be reached from `subnet`."""
    return [network for network in exempt if network.version == subnet.version]


def add(subnet: IPNetwork, exempt: Iterable[IPNetwork], member: str) -> None:
    """Exempt `exempt`, as far as it is of its family, for `subnet`."""
    for network in of_family(exempt, subnet):
        shared.hold(_thing(subnet, network), member)


def of_subnet(subnet: IPNetwork, but: Collection[str] = ()) -> list[IPNetwork]:
    """Return what is exempted for `subnet` by others than the members in `but`."""
    return [
        network
        for network in networks_in(_of(subnet))
        if shared.is_used(_thing(subnet, network), but)
    ]


def delete(subnet: IPNetwork, member: str) -> None:
    """Exempt nothing any more for `subnet` on behalf of `member`."""
    for network in networks_in(_of(subnet)):
        shared.let_go(_thing(subnet, network), member)


def name_of(network: IPNetwork) -> str:
    """Return what a thing in a directory is called after `network`."""
    return str(network).replace("/", "_")


def networks_in(directory: str) -> list[IPNetwork]:
    """Return the networks after which things in `directory` are called."""
    found = []
    for name in state.names(state.path(directory)):
        try:
            found.append(ipaddress.ip_network(name.replace("_", "/")))
        except ValueError:
            state.distrust(state.path(directory), name, "it is no network")
    return found


def _of(subnet: IPNetwork) -> str:
    return f"{_ROOM}/{name_of(subnet)}"


def _thing(subnet: IPNetwork, network: IPNetwork) -> str:
    return f"{_of(subnet)}/{name_of(network)}"
