# SPDX-License-Identifier: Apache-2.0
"""ipvlan: the container gets addresses on a link of the host, with its MAC."""

from __future__ import annotations

from cni_common import leased, masters, reach_link
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink
from cni_common.parts.addresses import Addresses
from cni_common.parts.announced import Announced
from cni_common.parts.ipvlan import Ipvlan
from cni_common.spec.values import dataclass
from plugins.ipvlan.conf import IpvlanConf, Mode

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of ipvlan needs to know: the master's name.

    `reach` is the name of the host's own link on it, if one is wanted.
    """

    master: str
    reach: str = ""


def facts(node: Node, request: Request, conf: IpvlanConf) -> Facts:
    """Return the master; raises Code.INVALID_CONFIG or Code.INTERNAL."""
    master = masters.find(node, conf, request.prev_result)
    if conf.host_reach:
        reach_link.require_possible(node.host, master, conf.kernel_mode)
    return Facts(master=master.name, reach=_reach(conf, master.name))


def told(known: Told) -> Facts:
    """Return the facts as prevResult tells them, with the master that ADD found."""
    master, recorded = masters.told(known, "ipvlan"), known.part("host_reach")
    return Facts(
        master=master, reach=recorded.link if recorded else _reach(known.conf, master)
    )


def _reach(conf: IpvlanConf, master: str) -> str:
    return reach_link.name_on(master) if conf.host_reach else ""


def plan(
    attachment: Attachment, conf: IpvlanConf, result: Result, known: Facts
) -> Plan:
    """Return what the attachment consists of."""
    inside = attachment.ifname
    ipvlan = Ipvlan(
        inside=inside,
        master=known.master,
        master_inside=conf.link_in_container,
        mode=conf.kernel_mode,
        mtu=conf.mtu,
    )
    addresses = Addresses(
        inside=inside, ips=tuple(result.ips), routes=tuple(result.routes)
    )
    parts: list[Part] = [ipvlan, addresses]
    ips = tuple(ip.address for ip in result.ips)
    if ips and conf.kernel_mode == Mode.L2:
        parts.append(Announced(inside=inside, ips=tuple(each.ip for each in ips)))
    if ips and known.reach:
        from cni_common.parts.host_reach import HostReach  # noqa: PLC0415 - for who asks

        reach = HostReach(
            inside=inside,
            master=known.master,
            link=known.reach,
            mode=conf.kernel_mode,
            ips=ips,
            mtu=conf.mtu,
        )
        parts.append(reach)
    return Plan(tuple(parts), ends=(inside,))


def ready(request: Request, conf: IpvlanConf) -> None:
    """Raise Code.NOT_AVAILABLE or Code.INTERNAL unless ADD could do its work.

    A master that is not named prevResult of ADD may name.
    """
    masters.ready_if_named(request, conf)
    if conf.host_reach and conf.master:
        with Netlink() as host:
            master = links.existing(host, conf.master)
            reach_link.require_possible(host, master, conf.kernel_mode)


PLUGIN = engine.plugin(
    Scheme(
        "ipvlan",
        facts=facts,
        told=told,
        settled=leased.settled_or_previous,
        plan=plan,
        ready=ready,
        unrecorded=("host_reach", "ipvlan"),
    ),
    IpvlanConf,
)
