# SPDX-License-Identifier: Apache-2.0
"""The veth pair of an attachment: its two ends, and what the container's end has."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import addresses, bridges, links, netns, routes, sysctl
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code
from plugins.bridge import gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
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


def refuse_existing(side: Sides, request: Request) -> None:
    """Raise code 999 if the container has CNI_IFNAME already (section 2, ADD)."""
    if links.get(side.container, request.ifname) is not None:
        msg = f"add interface {request.ifname}: it already exists"
        raise CNIError(Code.INTERNAL, msg, f"in {request.netns}")


def plan(host: Netlink, owner: Attachment, mac: str) -> Pair:
    """Return a pair for `owner` whose host name is derived from it and free."""
    for attempt in range(_NAME_ATTEMPTS):
        name = naming.host_veth(owner, attempt)
        if links.get(host, name) is None:
            macs = (naming.random_mac(), mac or naming.random_mac())
            return Pair(name, owner.ifname, *macs, naming.alias(owner))
    msg = f"name host end of {owner.ifname}: {_NAME_ATTEMPTS} names are taken"
    raise CNIError(Code.INTERNAL, msg)


def add(side: Sides, bridge: Link, pair: Pair, conf: BridgeConf) -> None:
    """Have the pair, its host end a port of `bridge` with the flags of `conf`."""
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
    if conf.hairpin_mode or conf.port_isolation:
        hairpin, isolated = conf.hairpin_mode, conf.port_isolation
        bridges.set_port(side.host, pair.host, hairpin=hairpin, isolated=isolated)
    sysctl.set_if_present(f"net/ipv6/conf/{pair.host}/accept_ra", "0")


def configure(side: Sides, pair: Pair, conf: BridgeConf, result: Result) -> None:
    """Have the container's end up with the addresses and routes of `result`.

    They are usable on return.
    """
    ifname, ips = pair.container, result.ips
    link = links.existing(side.container, ifname)
    has_ipv6 = any(ip.address.version == 6 for ip in ips)  # noqa: PLR2004 - the family
    if ips:
        with netns.entered(side.namespace):
            _set_sysctls(ifname, conf, has_ipv6=has_ipv6)
    links.set_up(side.container, ifname)
    if conf.enabledad:
        # A question for duplicates that finds no port open is not asked again.
        links.wait_port_enabled(side.host, pair.host)
    held = [ip.address for ip in ips]
    addresses.add(side.container, link, held, detect_duplicates=conf.enabledad)
    if conf.enabledad and has_ipv6:
        with netns.entered(side.namespace):
            addresses.wait_usable(side.container, link)
    for route in result.routes:
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


def announce(side: Sides, pair: Pair) -> None:
    """Have the port open, and the neighbours know who has the addresses now.

    An address may have belonged to another container a moment ago, whose MAC the
    neighbours remember.
    """
    links.wait_port_enabled(side.host, pair.host)
    links.announce(side.container, links.existing(side.container, pair.container))


def _set_sysctls(ifname: str, conf: BridgeConf, *, has_ipv6: bool) -> None:
    ipv6 = f"net/ipv6/conf/{ifname}"
    sysctl.set_if_present(f"net/ipv4/conf/{ifname}/arp_notify", "1")
    sysctl.set_if_present(f"{ipv6}/ndisc_notify", "1")
    sysctl.set_if_present(f"{ipv6}/accept_dad", "1" if conf.enabledad else "0")
    if conf.enabledad:
        sysctl.set_if_present(f"{ipv6}/enhanced_dad", "1")
    if has_ipv6:
        # Runtimes disable IPv6 in containers; `lo` needs it for the own addresses.
        sysctl.set_value("net/ipv6/conf/lo/disable_ipv6", "0")
        sysctl.set_value(f"{ipv6}/disable_ipv6", "0")
        sysctl.set_if_present(f"{ipv6}/keep_addr_on_down", "1")
