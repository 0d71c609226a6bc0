# SPDX-License-Identifier: Apache-2.0
"""tap: the container gets an Ethernet link whose other end is a process there."""

from __future__ import annotations

from cni_common import leased, requested_mac
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.kernel import taps
from cni_common.parts.addresses import Addresses
from cni_common.parts.tap import Tap
from cni_common.spec.errors import CNIError, Code
from plugins.tap.conf import TapConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


def facts(node: Node, request: Request, conf: TapConf) -> str:
    """Return the MAC that is asked for, or nothing; raises Code.INVALID_CONFIG."""
    del node
    return requested_mac.before_key(request, conf, conf.mac)


def told(known: Told) -> str:
    """Return the MAC as prevResult tells it."""
    return known.end.mac.lower()


def plan(attachment: Attachment, conf: TapConf, result: Result, mac: str) -> Plan:
    """Return what the attachment consists of."""
    inside = attachment.ifname
    tap = Tap(
        inside=inside,
        multi_queue=conf.multi_queue,
        owner=taps.ANYBODY if conf.owner is None else conf.owner,
        group=taps.ANYBODY if conf.group is None else conf.group,
        selinux_context=conf.selinux_context,
        bridge=conf.bridge,
        mac=mac,
        mtu=conf.mtu,
    )
    addresses = Addresses(
        inside=inside, ips=tuple(result.ips), routes=tuple(result.routes)
    )
    return Plan((tap, addresses), ends=(inside,))


def ready(request: Request, conf: TapConf) -> None:
    """Raise Code.NOT_AVAILABLE where no tap can be made."""
    del request, conf
    try:
        taps.require()
    except CNIError as error:
        raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error


PLUGIN = engine.plugin(
    Scheme(
        "tap",
        facts=facts,
        told=told,
        settled=leased.settled,
        plan=plan,
        ready=ready,
    ),
    TapConf,
)
