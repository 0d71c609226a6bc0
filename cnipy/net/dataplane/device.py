# SPDX-License-Identifier: Apache-2.0
"""The network's device, `cnipy.<vni>`: what it is made as, and whether it still is.

Whichever the backend, it has the node's own address of the network; by host-gw that is
all it is there for, and it is a bridge without a port.
"""

from __future__ import annotations

import errno

from cni_common.kernel import (
    link_removal,
    link_settings,
    links,
    sysctl,
    vxlans,
    wireguards,
)
from cni_common.kernel.attributes import text
from cni_common.kernel.link_answer import IFF_UP, IFNAME
from cni_common.kernel.netlink import NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.kernel.vxlans import Vxlan
from cni_common.kernel.wireguards import Wireguard
from cni_common.spec.digests import sha256_hex
from cni_common.spec.errors import CNIError, Code, refused
from cni_common.spec.values import NamedTuple
from cnipy.net.dataplane import ground as grounds
from cnipy.net.records import GPE, HOST_GW, VXLAN, WIREGUARD

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cnipy.net.dataplane.ground import Ground
    from cnipy.net.records import NetworkConfig, NodeRecord

_KINDS = {HOST_GW: "bridge", VXLAN: "vxlan", GPE: "vxlan", WIREGUARD: "wireguard"}
_NO_LINK_LOCAL = "1"  # addr_gen_mode: IN6_ADDR_GEN_MODE_NONE


class Wanted(NamedTuple):
    """What the device of a network should be."""

    name: str
    alias: str
    kind: str
    mac: str
    mtu: int
    vxlan: Vxlan | None
    port: int
    key: bytes  # the private one of WireGuard


def wanted(
    config: NetworkConfig, own: NodeRecord, ground: Ground, key: bytes
) -> Wanted:
    """Return what the device should be. Raises Code.INVALID_CONFIG."""
    vxlan = None
    if config.backend == GPE:
        vxlan = Vxlan(config.vni, config.port)
    if config.backend == VXLAN:
        (uplink,) = ground.uplinks.values()
        vxlan = Vxlan(config.vni, config.port, uplink.address)
    return Wanted(
        ground.name,
        alias(config.name),
        _KINDS[config.backend],
        (own.mac or _mac(config, own)) if config.backend in {VXLAN, HOST_GW} else "",
        grounds.mtu(config, ground),
        vxlan,
        config.port,
        key,
    )


def alias(network: str) -> str:
    """Return what says whose the device is."""
    return f"cnipy network {network}"


def left_of(netlink: Netlink, network: str) -> Link | None:
    """Return the device of a network whatever it is called, or None.

    Raises Code.INTERNAL.
    """
    return _with_alias(netlink, alias(network))


def find(netlink: Netlink, config: NetworkConfig) -> Link | None:
    """Return the device of the network, or None.

    Raises Code.INTERNAL for a link of that name that is none of the network's.
    """
    link = links.get(netlink, grounds.device_name(config))
    if link is not None and link.alias != alias(config.name):
        msg = f"use link {link.name}: it is none of network {config.name}"
        raise CNIError(Code.INTERNAL, msg, "remove it, or give it another name")
    return link


def ensure(netlink: Netlink, link: Link | None, device: Wanted) -> list[str]:
    """Ensure the device as it should be, up; `link` is what is there.

    Returns what was done. Raises Code.INTERNAL.
    """
    if link is not None and not _is_so(netlink, link, device):
        link_removal.delete(link)
        _add(netlink, device)
        return [f"made link {device.name} anew: it was another"]
    if link is None:
        renamed = _with_alias(netlink, device.alias)
        if renamed is not None:  # or what a killed call left
            link_removal.delete(renamed)
        _add(netlink, device)
        return [f"add link {device.name} type {device.kind}"]
    done = []
    if link.mtu != device.mtu:
        link_settings.set_mtu(netlink, link.name, device.mtu)
        done.append(f"set mtu of {link.name} to {device.mtu}, from {link.mtu}")
    if device.mac and link.mac != device.mac:
        links.set_mac(netlink, link.name, device.mac)
        done.append(f"set address of {link.name} to {device.mac}, from {link.mac}")
    if not link.is_up:
        links.set_up(netlink, link.name)
        done.append(f"set {link.name} up")
    return done


def delete(netlink: Netlink, config: NetworkConfig) -> None:
    """Delete the device, and what was to become one. Raises Code.INTERNAL."""
    links.delete(netlink, _passing(grounds.device_name(config)))
    link = find(netlink, config)
    if link is not None:
        link_removal.delete(link)


def _with_alias(netlink: Netlink, wanted: str) -> Link | None:
    every = links.every(netlink)
    return next((link for link in every if link.alias == wanted), None)


def _add(netlink: Netlink, device: Wanted) -> None:
    """Add the device under a passing name: what has the right one is whole."""
    passing = _passing(device.name)
    links.delete(netlink, passing)
    try:
        _make(netlink, passing, device)
        # The only use of its own link-local address would be to ask for neighbours.
        sysctl.set_if_present(f"net/ipv6/conf/{passing}/addr_gen_mode", _NO_LINK_LOCAL)
        (link,) = links.mark(netlink, passing, device.alias)
    except NetlinkError as error:
        links.delete(netlink, passing)
        details = ""
        if error.errno == errno.EOPNOTSUPP:
            error.strerror = f"this kernel has no {device.kind}"
            details = "install that module, or take a network of another backend"
        raise refused(f"add link {device.name}", error, details) from error
    except CNIError:
        links.delete(netlink, passing)
        raise
    _finish(netlink, link, device)


def _finish(netlink: Netlink, link: Link, device: Wanted) -> None:
    """Give a link its name, and have it up; or there is none."""
    attributes = text(IFNAME, device.name)
    ready = LinkRequest(attributes, index=link.index, flags=IFF_UP, change=IFF_UP)
    try:
        netlink.act((ready, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        link_removal.delete(link)  # whichever name it has by now
        if error.errno == errno.EADDRINUSE:
            error.strerror = f"somebody else has all of port {device.port}"
        raise refused(f"add link {device.name}", error) from error


def _make(netlink: Netlink, name: str, device: Wanted) -> None:
    if device.vxlan is not None:
        vxlans.add(netlink, name, device.vxlan, mac=device.mac, mtu=device.mtu)
    elif device.kind == "wireguard":
        wireguards.add(netlink, name, mtu=device.mtu)
        with Wireguard() as wireguard:
            wireguard.set_up(name, device.key, device.port)
    else:
        mac, mtu = device.mac, device.mtu
        links.add(netlink, name, device.kind, mac=mac, mtu=mtu, up=False)


def _is_so(netlink: Netlink, link: Link, device: Wanted) -> bool:
    """Tell whether a link is of the right make, apart from what can be changed."""
    if link.kind != device.kind:
        return False
    if device.vxlan is not None:
        found = vxlans.of_link(netlink, link)
        unfiltered = device.vxlan._replace(vni=0)
        is_gpe = device.vxlan.local is None
        return found == device.vxlan or (is_gpe and found == unfiltered)
    if device.kind == "wireguard":
        with Wireguard() as wireguard:
            there = wireguard.device(link.name)
        return (there.private_key, there.port) == (device.key, device.port)
    return True


def _passing(name: str) -> str:
    return name.replace(".", "~")


def _mac(config: NetworkConfig, own: NodeRecord) -> str:
    """Return a locally administered address that is the node's in this network."""
    octets = bytearray.fromhex(sha256_hex(f"{config.name}\0{own.node}")[:12])
    octets[0] = (octets[0] & 0xFC) | 0x02
    return octets.hex(":")
