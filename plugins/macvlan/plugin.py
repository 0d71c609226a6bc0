# SPDX-License-Identifier: Apache-2.0
"""macvlan: the container gets a link with a MAC of its own on a link of the host."""

from __future__ import annotations

from cni_common import leased, masters, naming, requested_mac
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.parts.addresses import Addresses
from cni_common.parts.announced import Announced
from cni_common.parts.macvlan import Macvlan
from cni_common.spec.values import dataclass
from plugins.macvlan.conf import MacvlanConf, Mode

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of macvlan needs to know: the master's name, a MAC.

    `asked` tells that somebody wants this one.
    """

    master: str
    mac: str = ""
    asked: bool = False


def facts(node: Node, request: Request, conf: MacvlanConf) -> Facts:
    """Return the master, and a MAC; raises Code.INVALID_CONFIG or Code.INTERNAL."""
    asked = requested_mac.before_key(request, conf, conf.mac)
    lower = masters.find(node, conf)
    mac = asked or naming.random_mac()
    return Facts(master=lower.name, mac=mac, asked=bool(asked))


def told(known: Told) -> Facts:
    """Return the facts as prevResult tells them, with the master that ADD found."""
    return Facts(master=masters.told(known, "macvlan"), mac=known.end.mac.lower())


def plan(
    attachment: Attachment, conf: MacvlanConf, result: Result, known: Facts
) -> Plan:
    """Return what the attachment consists of."""
    inside = attachment.ifname
    macvlan = Macvlan(
        inside=inside,
        master=known.master,
        master_inside=conf.link_in_container,
        mode=conf.kernel_mode,
        mac=known.mac,
        keeps_mac=known.asked and conf.kernel_mode == Mode.PASSTHRU,
        mtu=conf.mtu,
        bcqueuelen=conf.bcqueuelen,
    )
    addresses = Addresses(
        inside=inside,
        ips=tuple(result.ips),
        routes=tuple(result.routes),
        on_macvlan=True,
    )
    return Plan((macvlan, addresses, Announced(inside=inside)), ends=(inside,))


PLUGIN = engine.plugin(
    Scheme(
        "macvlan",
        facts=facts,
        told=told,
        settled=leased.settled,
        plan=plan,
        ready=masters.ready,
    ),
    MacvlanConf,
)
