# SPDX-License-Identifier: Apache-2.0
"""The two ends of the pair: links, addresses, and the host's route to the container."""

from __future__ import annotations

from cni_common import layer3
from cni_common.kernel import addresses, ipv6, links, netns, route_get, sysctl
from cni_common.kernel.routes import TakenError
from plugins.ptp import hops, record, release

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides
    from cni_common.spec.result import IP, Result
    from cni_common.veth_pair import Pair
    from plugins.ptp.conf import PtpConf


def add(side: Sides, pair: Pair, conf: PtpConf, *, has_ipv6: bool) -> None:
    """Have the pair, its host end up and ready for addresses."""
    links.add_veth(
        side.host,
        pair.host,
        pair.container,
        side.namespace,
        host_mac=pair.host_mac,
        peer_mac=pair.mac,
        mtu=conf.mtu,
        alias=pair.alias,
    )
    # The other end is down still, so that the kernel has done nothing with IPv6 yet.
    # It asks for neighbours from the link-local address, which must not wait for
    # duplicate detection: nobody else can have its MAC.
    sysctl.set_if_present(f"net/ipv6/conf/{pair.host}/accept_ra", "0")
    sysctl.set_if_present(f"net/ipv6/conf/{pair.host}/accept_dad", "0")
    if has_ipv6:
        ipv6.enable(pair.host)


def configure(side: Sides, pair: Pair, result: Result) -> None:
    """Have both ends up, with addresses and routes; they are usable on return.

    Raises code 999.
    """
    ips = result.ips
    without_routes = result.model_copy(update={"routes": []})
    layer3.configure(side, pair.container, without_routes, prefix_routes=False)
    inside = links.existing(side.container, pair.container)
    hops.add(side.container, inside, hops.of_container(ips))
    layer3.add_routes(side.container, inside, result.routes, ips)
    outside = links.existing(side.host, pair.host)
    addresses.add(side.host, outside, hops.gateways(ips), prefix_routes=False)
    for ip in ips:
        _route_to_container(side, outside, ip)
    links.wait_operational(side.host, pair.host)


def _route_to_container(side: Sides, link: Link, ip: IP) -> None:
    """Have the host send what is for `ip` through `link`.

    An address that somebody else has is an error, unless that container is gone:
    then what is left of it goes too.
    """
    wanted = hops.of_host([ip])
    try:
        hops.add(side.host, link, wanted, exclusive=True)
    except TakenError as error:
        present = route_get.link_towards(ip.address.ip)
        found = record.holder_of(present)
        if found is None or netns.lives(found[1].netns, found[1].netns_identity):
            owner = f" of {found[0]}" if found else ""
            error.details = f"it leads through {present}{owner}"
            raise
        release.stale(found[0])
        hops.add(side.host, link, wanted, exclusive=True)
