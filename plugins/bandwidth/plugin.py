# SPDX-License-Identifier: Apache-2.0
"""bandwidth: what the container receives and sends is limited."""

from __future__ import annotations

from cni_common import limited_link, naming
from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.attachment.node import Node
from cni_common.kernel import ifbs, links, netns, qdiscs
from cni_common.limits import Limit, Limits
from cni_common.naming import Attachment
from cni_common.parts.egress_limit import EgressLimit
from cni_common.parts.ingress_limit import IngressLimit
from cni_common.previous import required
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import dataclass
from plugins import REGISTER, versions_of
from plugins.bandwidth.conf import BandwidthConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.attachment.chained import Parts
    from cni_common.attachment.part import Part
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.request import Request

NAME = "bandwidth"
_TRIAL = Limit(rate=8_000_000, burst=800_000)


@dataclass(frozen=True)
class Facts:
    """Name and index of the host's end of the veth, and the MAC of the ifb.

    `mtu` is that for which bursts are reckoned. `adds_ingress` tells whether nobody has
    a place for filters there.
    """

    link: str
    index: int
    mtu: int
    ifb_mac: str
    adds_ingress: bool = True


def wished(request: Request, conf: BandwidthConf) -> Limits | None:
    """Return what is to be limited; raises Code.INVALID_CONFIG."""
    del request
    return conf.validated()


def facts(node: Node, request: Request, limits: Limits, made: Parts) -> Facts:
    """Return what there is, and what an earlier ADD chose; raises Code.INTERNAL."""
    known = [each for each in made if isinstance(each, IngressLimit | EgressLimit)]
    if request.command == "CHECK" and not known:
        raise limited_link.failed("missing record of ADD")
    end = node.see(_host_end(node, request))
    if request.command == "CHECK":
        mtu = known[0].mtu
    else:
        mtu = end.mtu
        _warn_of_bursts(request, limits, end)
    ours = next((each for each in known if isinstance(each, EgressLimit)), None)
    if ours is not None and ours.index == end.index:
        adds_ingress = ours.adds_ingress
    else:
        adds_ingress = not limits.egress or not qdiscs.has_ingress(node.host, end)
    return Facts(
        link=end.name,
        index=end.index,
        mtu=mtu,
        ifb_mac=ours.ifb_mac if ours else naming.random_mac(),
        adds_ingress=adds_ingress,
    )


def plan(attachment: Attachment, limits: Limits, known: Facts) -> Parts:
    """Return what limits the attachment."""
    where: Any = {"link": known.link, "index": known.index, "mtu": known.mtu}
    which: Any = {"subnets": limits.subnets, "only": limits.only}
    parts: list[Part] = []
    if limits.ingress is not None:
        rate, burst = limits.ingress.rate, limits.ingress.burst
        parts.append(IngressLimit(**where, rate=rate, burst=burst, **which))
    if limits.egress is not None:
        parts.append(
            EgressLimit(
                **where,
                rate=limits.egress.rate,
                burst=limits.egress.burst,
                ifbs=naming.ifbs(attachment),
                ifb_mac=known.ifb_mac,
                **which,
                adds_ingress=known.adds_ingress,
            )
        )
    return tuple(parts)


def told(node: Node, limits: Limits, parts: Parts, result: Result) -> Result:
    """Return the result with the ifb behind its interfaces, as the reference has it."""
    del limits
    found = [each.ifb(node) for each in parts if isinstance(each, EgressLimit)]
    added = [Interface(name=ifb.name, mac=ifb.mac, mtu=ifb.mtu) for ifb in found if ifb]
    return result.model_copy(update={"interfaces": [*result.interfaces, *added]})


def ready(request: Request, conf: BandwidthConf) -> None:
    """Raise Code.INTERNAL unless the kernel can limit, tried where nobody else is."""
    limits = conf.validated() or Limits(_TRIAL, _TRIAL)
    attachment = Attachment(request.network, "status", "eth0")
    with netns.entered_new(), Node(attachment, NAME) as node:
        mac = naming.random_mac()
        ifbs.add(node.host, "trial", mac=mac, mtu=0)
        end = node.link("trial")
        for part in plan(attachment, limits, Facts(end.name, end.index, end.mtu, mac)):
            part.ensure(node)


def _host_end(node: Node, request: Request) -> Link:
    """Return the other end of CNI_IFNAME.

    The index of the other end alone could be that of a link in any namespace. Raises
    Code.INTERNAL unless prevResult lists it.
    """
    what = f"limit interface {request.ifname}"
    end = links.get(node.container, request.ifname)
    if end is None:
        msg = f"{what}: the container has no such interface"
        raise CNIError(Code.INTERNAL, msg, f"in {request.netns}")
    if end.kind != "veth":
        msg = f"{what}: it is {end.kind or 'a device'}, not veth"
        raise CNIError(Code.INTERNAL, msg)
    other = links.by_index(node.host, end.peer)
    if other is None or other.kind != "veth" or other.peer != end.index:
        msg = f"{what}: the other end of its veth is not on the host"
        raise CNIError(Code.INTERNAL, msg)
    for interface in required(request).interfaces:
        if interface.name == other.name and not interface.sandbox:
            return other
    msg = f"{what}: prevResult does not list {other.name}, the host's end of its veth"
    raise CNIError(Code.INTERNAL, msg)


def _warn_of_bursts(request: Request, limits: Limits, end: Link) -> None:
    for name, limit in (("ingress", limits.ingress), ("egress", limits.egress)):
        if limit is not None and limit.is_below_frame(end.mtu):
            request.log.warning(
                f"{name}Burst {limit.burst} is less than one frame of {end.name}, "
                "which is taken instead"
            )


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        told=told,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
        refusal="must be called as chained plugin",
    ),
    BandwidthConf,
    versions_of(NAME),
)
