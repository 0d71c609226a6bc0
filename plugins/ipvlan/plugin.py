# SPDX-License-Identifier: Apache-2.0
"""ipvlan: the container gets addresses on a link of the host, with its MAC."""

from __future__ import annotations

from cni_common import leased, masters
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.parts.addresses import Addresses
from cni_common.parts.ipvlan import Ipvlan
from cni_common.spec.values import dataclass
from plugins.ipvlan.conf import IpvlanConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of ipvlan needs to know: the master's name."""

    master: str


def facts(node: Node, request: Request, conf: IpvlanConf) -> Facts:
    """Return the master; raises Code.INVALID_CONFIG or Code.INTERNAL."""
    return Facts(master=masters.find(node, conf, request.prev_result).name)


def told(known: Told) -> Facts:
    """Return the facts as prevResult tells them, with the master that ADD found."""
    return Facts(master=masters.told(known, "ipvlan"))


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
    return Plan((ipvlan, addresses), ends=(inside,))


PLUGIN = engine.plugin(
    Scheme(
        "ipvlan",
        facts=facts,
        told=told,
        settled=leased.settled_or_previous,
        plan=plan,
        ready=masters.ready_if_named,
    ),
    IpvlanConf,
)
