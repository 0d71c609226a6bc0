# SPDX-License-Identifier: Apache-2.0
"""dummy: the container gets a link that leads nowhere, to hold addresses."""

from __future__ import annotations

from cni_common import leased, naming
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.parts.addresses import Addresses
from cni_common.parts.dummy import Dummy
from cni_common.spec.values import dataclass
from plugins.dummy.conf import DummyConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of dummy needs to know: a MAC."""

    mac: str


def facts(node: Node, request: Request, conf: DummyConf) -> Facts:
    """Return a MAC; raises Code.INVALID_CONFIG."""
    del node, request
    return Facts(mac=conf.wanted_mac or naming.random_mac())


def told(known: Told) -> Facts:
    """Return the facts as prevResult tells them."""
    return Facts(mac=known.end.mac.lower())


def plan(attachment: Attachment, conf: DummyConf, result: Result, known: Facts) -> Plan:
    """Return what the attachment consists of."""
    inside = attachment.ifname
    dummy = Dummy(inside=inside, mac=known.mac, mtu=conf.mtu)
    addresses = Addresses(
        inside=inside, ips=tuple(result.ips), routes=tuple(result.routes)
    )
    return Plan((dummy, addresses), ends=(inside,))


def ready(request: Request, conf: DummyConf) -> None:
    """Raise nothing: a link that leads nowhere needs nothing."""
    del request, conf


PLUGIN = engine.plugin(
    Scheme(
        "dummy",
        facts=facts,
        told=told,
        settled=leased.settled,
        plan=plan,
        ready=ready,
    ),
    DummyConf,
)
