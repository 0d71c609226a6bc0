# SPDX-License-Identifier: Apache-2.0
"""macvlan: the container gets a link with a MAC of its own on a link of the host."""

from __future__ import annotations

from cni_common import (
    attached,
    attachments,
    delegate,
    layer3,
    leased,
    naming,
    previous,
)
from cni_common.kernel import link_moves, links, macvlans
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.sides import refuse_existing, sides
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import replace
from plugins.macvlan import busy, checks, master, release
from plugins.macvlan.conf import MacvlanConf, Mode, wanted_mac
from plugins.macvlan.detach import detach

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides
    from cni_common.spec.request import Request


def add(request: Request, conf: MacvlanConf) -> Result:
    """The container has CNI_IFNAME on the master, with its addresses and routes."""
    conf.validate_for(request)
    mac = wanted_mac(request, conf) or naming.random_mac()
    owner = Attachment.of(request)
    with sides(request.netns) as side, Rollback() as undo:
        attached.delete_remains(release.PLUGIN, side, request, detach)
        refuse_existing(side, request)
        where = side.container if conf.link_in_container else side.host
        lower = master.find(where, conf)
        conf.validate_on(lower)
        own = {"master": lower.name, "mac": mac, "inside": conf.link_in_container}
        noted = attached.starting(side, conf.ipam.type, own)
        undo(attachments.delete, release.PLUGIN, owner)
        attached.write(release.PLUGIN, owner, noted)
        undo(release.link, side.container, owner)
        _add_link(side, request, conf, lower, noted)
        request.log.step("link")
        result = leased.add(request, conf, undo)
        request.log.step("ipam")
        with busy.named(owner, noted, lower):
            layer3.configure(side, request.ifname, result)
        link = links.existing(side.container, request.ifname)
        links.announce(side.container, link)
        request.log.step("addresses")
        noted = replace(noted, own={**own, "mac": link.mac, "index": link.index})
        attached.write(release.PLUGIN, owner, attached.complete(noted, result))
        end = Interface(
            name=link.name, mac=link.mac, mtu=link.mtu, sandbox=request.netns
        )
        return request.delivered(result.model_copy(update={"interfaces": [end]}))


def delete(request: Request, conf: MacvlanConf) -> None:
    """Nothing of the attachment is left: link, lease."""
    if detach(request):
        return
    owner = Attachment.of(request)
    with Gather() as each:
        mac = previous.mac_inside(request)
        each(release.link_in, owner, request.netns, mac=mac)
        if conf.ipam.type:
            each(delegate.delete, conf.ipam.type, request)
        # A killed ADD may have left a record that is unfinished, or it is damaged.
        if not each.errors:
            each(attachments.delete, release.PLUGIN, owner)


def check(request: Request, conf: MacvlanConf) -> None:
    """Raise unless all that ADD did is still there, as prevResult says."""
    conf.validate_for(request)
    if conf.ipam.type:
        delegate.check(conf.ipam.type, request)
    checks.attachment(request, conf)


def gc(request: Request, conf: MacvlanConf) -> None:
    """What belongs to this network and to no valid attachment is gone."""
    valid = request.valid_attachments
    with Gather() as each:
        if valid is not None:
            for stale in attachments.stale(
                release.PLUGIN, request.network, valid, each
            ):
                each(release.stale, stale)
        if conf.ipam.type:
            each(delegate.gc, conf.ipam.type, request)


def status(request: Request, conf: MacvlanConf) -> None:
    """Raise unless ADD could do its work: a master, addresses."""
    conf.validate_for(request)
    if not conf.link_in_container:
        try:
            with Netlink() as host:
                conf.validate_on(master.find(host, conf))
        except CNIError as error:
            raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error
    if conf.ipam.type:
        delegate.status(conf.ipam.type, request)


def _add_link(
    side: Sides, request: Request, conf: MacvlanConf, lower: Link, noted: Attached
) -> None:
    """Have the macvlan in the container, with its MAC and its owner as alias."""
    owner = Attachment.of(request)
    mac = str(noted.own["mac"])
    inside = conf.link_in_container
    macvlans.add(
        side.container if inside else side.host,
        owner.ifname,
        lower,
        passing=naming.passing(owner),
        mode=conf.kernel_mode,
        mac=mac,
        mtu=conf.mtu,
        bc_queue_len=conf.bcqueuelen,
        namespace=None if inside else side.namespace,
    )
    link = links.existing(side.container, naming.passing(owner))
    alias = naming.alias(owner)
    if not link_moves.rename(side.container, link, owner.ifname, alias=alias):
        refuse_existing(side, request)
    if wanted_mac(request, conf) and conf.kernel_mode == Mode.PASSTHRU:
        # The kernel has given it the master's, and will give the master's back.
        links.set_mac(side.container, owner.ifname, mac)


PLUGIN = Plugin(
    release.PLUGIN,
    conf=MacvlanConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
