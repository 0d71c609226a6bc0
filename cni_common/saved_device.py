# SPDX-License-Identifier: Apache-2.0
"""A device as it was on the host, to be like that again when it comes back."""

from __future__ import annotations

import ipaddress

from cni_common import shapes
from cni_common.frame.rollback import Gather
from cni_common.kernel import (
    addresses,
    identities,
    link_moves,
    link_settings,
    links,
    routes,
)
from cni_common.kernel.identities import Identity
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.shapes import Table

_ROUTE = shapes.table(
    {
        "dst": (shapes.network, shapes.REQUIRED),
        "gw": (lambda value: value == "" or shapes.address(value), ""),
        "priority": (shapes.bits(32), 0),
    }
)
_IDENTITY: Table = {
    "kind": (shapes.word, ""),
    "permanentMac": (shapes.mac, ""),
    "parent": (shapes.word, ""),
    "other": (shapes.bits(32), 0),
    "otherNetns": (lambda value: -1 if value == -1 else shapes.number(value), -1),
}
_IDENTITIES = ("host_identity", "identity")
_TOLD = (shapes.table(_IDENTITY), shapes.members({}, _IDENTITY))
_TABLE: Table = {
    "name": (shapes.link, ""),
    "mac": (shapes.mac, ""),
    "mtu": (shapes.bits(32), 0),
    "isUp": (shapes.flag, False),
    "isPromiscuous": (shapes.flag, False),
    "alias": (shapes.text, ""),
    "hostIndex": (shapes.bits(32), 0),
    "hostIdentity": _TOLD,
    "identity": _TOLD,
    "alternativeNames": (shapes.listed(shapes.word), ()),
    "index": (shapes.bits(32), 0),
    "master": (shapes.link, ""),
    "addresses": (shapes.listed(shapes.same(shapes.interface)), ()),
    "routes": (shapes.listed(shapes.same(_ROUTE)), ()),
}


@dataclass(frozen=True)
class SavedDevice:
    """What a device is, and what it had on the host.

    `master`, `addresses` and `routes` are the host's network configuration rather
    than the device's state: they come back if ADD fails, and otherwise are for those
    who configured the host. `host_index` and `host_identity` are those on the host;
    `index` and `identity` those in the container as soon as the index is not 0.
    """

    name: str
    mac: str
    mtu: int
    is_up: bool
    is_promiscuous: bool
    alias: str
    host_index: int
    host_identity: Identity
    identity: Identity
    alternative_names: tuple[str, ...] = ()
    index: int = 0
    master: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[dict[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as a record has it."""
        document = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(self).items()
        }
        told = {key: _camel(vars(getattr(self, key))) for key in _IDENTITIES}
        return _camel({**document, **told})

    def is_this(self, link: Link, identity: Identity) -> bool:
        """Tell whether `link` with `identity`, found in the container, is the device.

        Hardware is known by itself. A virtual link has the index that it had, and
        leads to the same link of the same namespace: neither can be had again by who
        deletes it and makes another one. Before ADD was complete its alias or MAC
        must do.
        """
        if identity.is_hardware or self.identity.is_hardware:
            same = (identity.kind, identity.permanent_mac, identity.parent)
            known = self.identity
            return same == (known.kind, known.permanent_mac, known.parent)
        if self.index:
            return link.index == self.index and identity == self.identity
        if identity.kind != self.identity.kind:
            return False
        return link.alias == self.name or (bool(self.mac) and link.mac == self.mac)

    def is_home(self, link: Link, identity: Identity) -> bool:
        """Tell whether `link` with `identity`, on the host, is the device.

        By its index there it is not: another link may have had that meanwhile.
        """
        own = (self.name, self.mac, self.alias)
        same = (link.name, link.mac, link.alias) == own
        return same and identity == self.host_identity

    def is_same(self, other: SavedDevice) -> bool:
        """Tell whether `other` is a loan of the same device of the host."""
        own = (self.name, self.mac, self.host_identity)
        return (other.name, other.mac, other.host_identity) == own


def read(value: object) -> SavedDevice:
    """Return the device that a record has; raises ValueError for what is none."""
    found = _fields(SavedDevice, shapes.members(shapes.mapping(value), _TABLE))
    told = {key: Identity(**_fields(Identity, found[key])) for key in _IDENTITIES}
    return SavedDevice(**{**found, **told})


def read_of_before(value: object) -> SavedDevice | None:
    """Return the device of a record whose keys are Python's; None if it has none."""
    document = _camel(shapes.mapping(value))
    for key in map(shapes.camel, _IDENTITIES):
        if key in document:
            document[key] = _camel(shapes.mapping(document[key]))
    return read(document) if document else None


def _fields(kind: type, found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[shapes.camel(name)] for name in kind.__annotations__}


def _camel(document: dict[str, Any]) -> dict[str, Any]:
    return {shapes.camel(key): value for key, value in document.items()}


def moved(device: SavedDevice, inside: Netlink, link: Link) -> SavedDevice:
    """Return `device` with what tells it, now that it is `link` in the container."""
    identity = identities.read(inside, link)
    return replace(device, index=link.index, identity=identity)


def save(host: Netlink, link: Link) -> SavedDevice:
    """Return how `link` is now."""
    master = links.by_index(host, link.master) if link.master else None
    held = [
        str(item.address)
        for item in addresses.of_link(host, link)
        if not item.address.ip.is_link_local
    ]
    # Who has no address has hardly a route; the tables of a host are long.
    through = routes.of_link(host, link) if held and link.is_up else []
    identity = identities.read(host, link)
    return SavedDevice(
        link.name,
        link.mac,
        link.mtu,
        link.is_up,
        link.is_promiscuous,
        link.alias,
        link.index,
        identity,
        identity,
        identities.alternative_names(host, link),
        master=master.name if master else "",
        addresses=tuple(held),
        routes=tuple(
            {"dst": str(r.dst), "gw": str(r.gw or ""), "priority": r.priority}
            for r in through
            if not r.dst.is_link_local and not r.dst.is_multicast
        ),
    )


def restore(host: Netlink, device: SavedDevice, *, whole: bool) -> list[str]:
    """Restore the device on the host as it was there; return what was refused.

    `whole`: with its master, addresses and routes. Raises what another call may mend.
    """
    errors = Gather()
    link = links.existing(host, device.name)
    if device.mac and link.mac != device.mac:
        errors.attempt(links.set_mac, host, link.name, device.mac)
    if device.mtu and link.mtu != device.mtu:
        errors.attempt(link_settings.set_mtu, host, link.name, device.mtu)
    if link.is_promiscuous != device.is_promiscuous:
        errors.attempt(links.set_promiscuous, host, link.name, on=device.is_promiscuous)
    errors.attempt(_restore_names, host, link, device)
    master = links.get(host, device.master) if whole and device.master else None
    if master is not None:
        errors.attempt(link_moves.enslave, host, link, master)
    if device.is_up:
        errors.attempt(links.set_up, host, link.name)
    if whole:
        for address in device.addresses:
            errors.attempt(
                addresses.ensure, host, link, ipaddress.ip_interface(address)
            )
        for route in device.routes:
            errors.attempt(_add_route, host, link, route)
    errors.retry()
    # Last: as long as it is the name, a DEL that was killed is known for unfinished.
    if link.alias != device.alias:
        errors.attempt(links.set_alias, host, link.name, device.alias)
        errors.retry()
    return [str(error) for error in errors.raised]


def _restore_names(host: Netlink, link: Link, device: SavedDevice) -> None:
    missing = set(device.alternative_names)
    if missing:
        missing -= set(identities.alternative_names(host, link))
    for name in sorted(missing):
        identities.add_name(host, link, name)


def _add_route(host: Netlink, link: Link, route: dict[str, Any]) -> None:
    gw = ipaddress.ip_address(route["gw"]) if route["gw"] else None
    dst = ipaddress.ip_network(route["dst"])
    host.carry_out(routes.addition(link, dst, gw, priority=route["priority"]))
