# SPDX-License-Identifier: Apache-2.0
"""The veth pair of an attachment: its two ends, and what the container's end has."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import addresses, bridges, links, netns, routes, sysctl
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, Code
from plugins.bridge import gateway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cni_common.kernel.links import Link
    from cni_common.kernel.netns import Namespace
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP, Route
    from plugins.bridge.conf import BridgeConf

_NAME_ATTEMPTS = 10


@dataclass(frozen=True)
class Pair:
    """Names and addresses of a pair, before it exists."""

    host: str
    container: str
    host_mac: str
    mac: str
    alias: str


@dataclass(frozen=True)
class Sides:
    """The two namespaces that a pair connects, with a netlink socket in each."""

    host: Netlink
    container: Netlink
    namespace: Namespace


@contextmanager
def sides(path: str) -> Iterator[Sides]:
    """Yield the host's side and that of the namespace at `path`; raises code 8."""
    with netns.open_path(path) as namespace, Netlink() as host:
        with netns.entered(namespace):
            container = Netlink()
        with container:
            yield Sides(host, container, namespace)


def plan(side: Sides, request: Request, mac: str) -> Pair:
    """Return a pair whose host name is derived from the attachment and free.

    A link of that name with this very owner is what a killed ADD left: it goes.
    Raises code 999 if the container has CNI_IFNAME already (spec section 2, ADD).
    """
    host = side.host
    owner = Attachment.of(request)
    if links.get(side.container, request.ifname) is not None:
        msg = f"add interface {request.ifname}: it already exists"
        raise CNIError(Code.INTERNAL, msg, f"in {request.netns}")
    alias = naming.alias(owner)
    for attempt in range(_NAME_ATTEMPTS):
        name = naming.host_veth(owner, attempt)
        present = links.get(host, name)
        if present is not None and present.alias == alias:
            links.delete(host, name)
            present = None
        if present is None:
            addresses_ = (naming.random_mac(), mac or naming.random_mac())
            return Pair(name, request.ifname, *addresses_, alias)
    msg = f"name host end of {request.ifname}: {_NAME_ATTEMPTS} names are taken"
    raise CNIError(Code.INTERNAL, msg)


def add(side: Sides, bridge: Link, pair: Pair, conf: BridgeConf) -> None:
    """Have the pair, its host end a port of `bridge` with the flags of `conf`."""
    try:
        links.add_veth(
            side.host,
            pair.host,
            pair.container,
            side.namespace,
            host_mac=pair.host_mac,
            peer_mac=pair.mac,
            mtu=conf.mtu,
            master=bridge,
            alias=pair.alias,
        )
    except NetlinkError as error:
        if error.errno == errno.EXFULL:
            error.strerror = "the bridge has no free port"
        what = f"veth {pair.host} to bridge {bridge.name}"
        raise links.refused("add", what, error) from error
    if conf.hairpin_mode or conf.port_isolation:
        hairpin, isolated = conf.hairpin_mode, conf.port_isolation
        bridges.set_port(side.host, pair.host, hairpin=hairpin, isolated=isolated)
    sysctl.set_if_present(f"net/ipv6/conf/{pair.host}/accept_ra", "0")


def configure(
    side: Sides,
    ifname: str,
    conf: BridgeConf,
    ips: Sequence[IP],
    result_routes: Sequence[Route],
) -> None:
    """Have the container's end up with `ips` and the routes, usable on return."""
    link = links.existing(side.container, ifname)
    has_ipv6 = any(ip.address.version == 6 for ip in ips)  # noqa: PLR2004 - the family
    with netns.entered(side.namespace):
        _set_sysctls(ifname, conf, has_ipv6=has_ipv6)
        links.set_up(side.container, ifname)
        held = [ip.address for ip in ips]
        addresses.add(side.container, link, held, detect_duplicates=conf.enabledad)
        if conf.enabledad and has_ipv6:
            addresses.wait_usable(side.container, link)
    for route in result_routes:
        routes.add(
            side.container,
            link,
            route.dst,
            gateway.next_hop(route, ips),
            mtu=route.mtu,
            advmss=route.advmss,
            priority=route.priority,
            table=route.table,
            scope=route.scope,
        )


def _set_sysctls(ifname: str, conf: BridgeConf, *, has_ipv6: bool) -> None:
    ipv6 = f"net/ipv6/conf/{ifname}"
    sysctl.set_if_present(f"net/ipv4/conf/{ifname}/arp_notify", "1")
    sysctl.set_if_present(f"{ipv6}/accept_dad", "1" if conf.enabledad else "0")
    if conf.enabledad:
        sysctl.set_if_present(f"{ipv6}/enhanced_dad", "1")
    if has_ipv6:
        # Runtimes disable IPv6 in containers; `lo` needs it for the own addresses.
        sysctl.set_value("net/ipv6/conf/lo/disable_ipv6", "0")
        sysctl.set_value(f"{ipv6}/disable_ipv6", "0")
        sysctl.set_if_present(f"{ipv6}/keep_addr_on_down", "1")
