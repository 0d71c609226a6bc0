# SPDX-License-Identifier: Apache-2.0
"""vrf: the interface has its routes in the table of a VRF of the container."""

from __future__ import annotations

from cni_common import previous, routing_tables
from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.kernel import links, netns, saved_routes, vrfs
from cni_common.kernel.netlink import Netlink
from cni_common.parts.vrf_member import VrfMember
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from plugins import REGISTER, versions_of
from plugins.vrf.conf import VrfConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.chained import Parts
    from cni_common.attachment.node import Node
    from cni_common.kernel.saved_routes import SavedRoute
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request

NAME = "vrf"
_REFUSAL = "missing prevResult from earlier plugin"


@dataclass(frozen=True)
class Facts:
    """The index of the link, its routes, and the table of the VRF, be it to be made."""

    index: int
    routes: tuple[SavedRoute, ...]
    table: int


def wished(request: Request, conf: VrfConf) -> VrfConf:
    """Return what is asked for; raises Code.INVALID_CONFIG."""
    previous.required(request, _REFUSAL)
    conf.require_name()
    return conf


def facts(node: Node, request: Request, wanted: VrfConf, made: Parts) -> Facts:
    """Return what there is, or what an earlier ADD found and chose.

    Raises Code.INTERNAL for a VRF with another table, a link of its name that is none,
    and an interface that has another master.
    """
    inside, link = node.container, node.end(request.ifname)
    ours = [p for p in made if isinstance(p, VrfMember) and p.index == link.index]
    if request.command == "CHECK":
        if not ours:
            msg = f"check vrf {wanted.vrfname}: missing record of ADD"
            raise CNIError(Code.INTERNAL, msg)
        return Facts(link.index, ours[0].before, wanted.table or ours[0].vrf_table)
    routing_tables.take_turn(node)
    what, table = f"use vrf {wanted.vrfname}", vrfs.table_of(inside, wanted.vrfname)
    if table == 0:
        raise CNIError(Code.INTERNAL, f"{what}: the link of that name is no vrf")
    if table and wanted.table not in {0, table}:
        msg = f"{what}: it has table {table}, not {wanted.table}"
        raise CNIError(Code.INTERNAL, msg)
    master = links.by_index(inside, link.master) if link.master else None
    if master and master.name not in {wanted.vrfname, *(part.vrf for part in ours)}:
        msg = f"{what}: {link.name} has the master {master.name} already"
        raise CNIError(Code.INTERNAL, msg)
    if not table:
        known = [part.vrf_table for part in ours if part.vrf == wanted.vrfname]
        chosen = (wanted.table,) if wanted.table else tuple(known)
        (table,) = chosen or routing_tables.free(node, 1, first=1)
    found = saved_routes.of_link(inside, link)
    before = tuple(route for route in found if not route.is_link_local)
    return Facts(link.index, ours[0].before if ours else before, table)


def plan(attachment: Attachment, wanted: VrfConf, known: Facts) -> Parts:
    """Return the one part."""
    part = VrfMember(
        inside=attachment.ifname,
        index=known.index,
        vrf=wanted.vrfname,
        vrf_table=known.table,
        before=known.routes,
    )
    return (part,)


def ready(request: Request, conf: VrfConf) -> None:
    """Raise Code.NOT_AVAILABLE unless the kernel has VRFs, tried where nobody is."""
    del request
    conf.require_name()
    with netns.entered_new(), Netlink() as netlink:
        try:
            vrfs.add(netlink, "trial", 1, passing="passing")
        except CNIError as error:
            raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
        refusal=_REFUSAL,
    ),
    VrfConf,
    versions_of(NAME),
)
