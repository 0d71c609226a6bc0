# SPDX-License-Identifier: Apache-2.0
"""vlan: the container gets a VLAN of a link of the host, to itself."""

from __future__ import annotations

from cni_common import leased, masters
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.parts.addresses import Addresses
from cni_common.parts.announced import Announced
from cni_common.parts.vlan import Vlan
from cni_common.spec.errors import invalid_key
from cni_common.spec.values import dataclass
from plugins.vlan.conf import VlanConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of vlan needs to know: the master's name, and the MAC if known."""

    master: str
    mac: str = ""


def facts(node: Node, request: Request, conf: VlanConf) -> Facts:
    """Return the master; raises Code.INVALID_CONFIG or Code.INTERNAL."""
    if not conf.master and request.prev_result is None:
        cause = "it is empty: name the link that carries the VLAN"
        raise invalid_key("master", cause)
    return Facts(master=masters.find(node, conf, request.prev_result).name)


def told(known: Told) -> Facts:
    """Return the facts as prevResult tells them, with the master that ADD found."""
    return Facts(master=masters.told(known, "vlan"), mac=known.end.mac.lower())


def plan(attachment: Attachment, conf: VlanConf, result: Result, known: Facts) -> Plan:
    """Return what the attachment consists of."""
    inside = conf.name_on(known.master, attachment.ifname)
    vlan = Vlan(
        inside=inside,
        master=known.master,
        master_inside=conf.link_in_container,
        vlan_id=conf.vlan_id,
        mac=known.mac,
        mtu=conf.mtu,
    )
    addresses = Addresses(
        inside=inside, ips=tuple(result.ips), routes=tuple(result.routes)
    )
    return Plan((vlan, addresses, Announced(inside=inside)), ends=(inside,))


def beside(request: Request, conf: VlanConf) -> str:
    """Return what the VLAN is called beside its master, where that is CNI_IFNAME.

    Without `master` that is CNI_IFNAME if an earlier plugin has made it, and on CHECK
    if the VLAN is beside it.
    """
    result, own = request.prev_result, request.ifname
    name = conf.name_on(conf.master or own, own)
    if name == own or conf.master:
        return "" if name == own else name
    told = {i.name for i in result.interfaces if i.sandbox} if result else set()
    is_made = own in told and (request.command == "ADD" or name in told)
    return name if is_made else ""


PLUGIN = engine.plugin(
    Scheme(
        "vlan",
        facts=facts,
        told=told,
        settled=leased.settled_or_previous,
        plan=plan,
        ready=masters.ready_if_named,
        beside=beside,
    ),
    VlanConf,
)
