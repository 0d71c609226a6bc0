# SPDX-License-Identifier: Apache-2.0
"""host-device: the container has a device of the host until DEL brings it back."""

from __future__ import annotations

from cni_common import attached, attachments, delegate, layer3, leased
from cni_common.kernel import link_moves, links
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.rollback import Gather, Rollback
from cni_common.sides import refuse_existing, sides
from cni_common.skel import Plugin
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import replace
from plugins.host_device import checks, choice, lent, release, unrecorded
from plugins.host_device.conf import HostDeviceConf
from plugins.host_device.detach import detach

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides
    from cni_common.spec.request import Request
    from plugins.host_device.lent import Lent


def add(request: Request, conf: HostDeviceConf) -> Result:
    """The container has the device as CNI_IFNAME, with addresses and routes."""
    conf.validate_for(request)
    owner = Attachment.of(request)
    with sides(request.netns) as side, Rollback() as undo:
        attached.delete_remains(release.PLUGIN, side, request, detach)
        refuse_existing(side, request)
        chosen = choice.of(conf)
        device = None if chosen.without_link else choice.link(side.host, chosen)
        loan = lent.of_link(side.host, device) if device else None
        noted = attached.starting(side, conf.ipam.type, _document(loan))
        undo(_forget, owner, noted, request)
        attached.write(release.PLUGIN, owner, noted)
        if device:
            _move_in(side, device, request.ifname)
        request.log.step("link")
        result = leased.add(request, conf, undo)
        request.log.step("ipam")
        end = Interface(name=request.ifname, sandbox=request.netns)
        if loan:
            layer3.configure(side, request.ifname, result)
            link = links.existing(side.container, request.ifname)
            link_moves.announce(side.container, link)
            loan = lent.moved(loan, side.container, link)
            end = end.model_copy(update={"mac": link.mac, "mtu": link.mtu})
        request.log.step("addresses")
        noted = attached.complete(replace(noted, own=_document(loan)), result)
        attached.write(release.PLUGIN, owner, noted)
        end = end.model_copy(update={"pci_id": chosen.pci_id})
        return request.delivered(result.model_copy(update={"interfaces": [end]}))


def delete(request: Request, conf: HostDeviceConf) -> None:
    """The device is on the host as it was, and nothing of the attachment is left."""
    if detach(request):
        return
    owner = Attachment.of(request)
    with Gather() as each:
        each(unrecorded.release, owner, request.netns, conf)
        if conf.ipam.type:
            each(delegate.delete, conf.ipam.type, request)
        # A killed ADD may have left a record that is unfinished, or it is damaged.
        if not each.errors:
            each(attachments.delete, release.PLUGIN, owner)


def check(request: Request, conf: HostDeviceConf) -> None:
    """Raise unless all that ADD did is still there, as prevResult says."""
    conf.validate_for(request)
    if conf.ipam.type:
        delegate.check(conf.ipam.type, request)
    checks.attachment(request, conf)


def gc(request: Request, conf: HostDeviceConf) -> None:
    """What belongs to this network and to no valid attachment is gone."""
    valid = request.valid_attachments
    with Gather() as each:
        if valid is not None:
            for stale in attachments.stale(
                release.PLUGIN, request.network, valid, each
            ):
                each(release.stale, stale, request.log)
        if conf.ipam.type:
            each(delegate.gc, conf.ipam.type, request)


def status(request: Request, conf: HostDeviceConf) -> None:
    """Raise unless ADD could do its work: the device is here, and addresses.

    Which device a runtime will name is not known before ADD.
    """
    capabilities = gojson.member(request.document, "capabilities")
    later = isinstance(capabilities, dict) and gojson.member(capabilities, "deviceID")
    if conf.names_device or not later:
        conf.validate_for(request)
        try:
            chosen = choice.of(conf)
            if not chosen.without_link:
                with Netlink() as host:
                    choice.link(host, chosen)
        except CNIError as error:
            raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error
    if conf.ipam.type:
        delegate.status(conf.ipam.type, request)


def _move_in(side: Sides, device: Link, ifname: str) -> None:
    """Have the device in the container as `ifname`; its alias is its name here.

    The reference plugin's DEL, and people, find the name there.
    """
    link_moves.move(side.host, device, side.namespace, ifname, alias=device.name)


def _document(loan: Lent | None) -> dict[str, Any]:
    return loan.document() if loan else {}


def _forget(owner: Attachment, noted: Attached, request: Request) -> None:
    """Have the device back, and then no record; what failed can be tried again."""
    release.recorded(owner, noted, request.log)
    attachments.delete(release.PLUGIN, owner)


PLUGIN = Plugin(
    release.PLUGIN,
    conf=HostDeviceConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
