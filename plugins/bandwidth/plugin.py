# SPDX-License-Identifier: Apache-2.0
"""bandwidth: what the container receives and sends is limited."""

from __future__ import annotations

from cni_common import attachments, naming
from cni_common.kernel import ifbs, netns, qdiscs
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.previous import required
from cni_common.rollback import Gather, Rollback
from cni_common.sides import sides
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import replace
from plugins import versions_of
from plugins.bandwidth import checks, host_end, names, record, shaping
from plugins.bandwidth.conf import BandwidthConf
from plugins.bandwidth.detach import detach, recorded
from plugins.bandwidth.limits import Limit, Limits
from plugins.bandwidth.record import Record

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.request import Request

NAME = record.PLUGIN
_CHAINED = "must be called as chained plugin"
_TRIAL = Limit(rate=8_000_000, burst=800_000)


def add(request: Request, conf: BandwidthConf) -> Result:
    """The limits asked for are in force, and no others; the result has the ifb too."""
    limits = conf.validated()
    previous = required(request, _CHAINED)
    owner = Attachment.of(request)
    earlier = record.read(owner)
    if limits is None:
        if earlier is not None:
            recorded(owner)
        return previous
    with sides(request.netns) as side, Rollback() as undo:
        veth = host_end.find(side, request, previous)
        if earlier is None:
            undo(record.delete, owner)
        else:
            undo(_restore, side.host, owner, earlier)
            shaping.release(side.host, earlier)
        noted = _planned(owner, veth, limits)
        if limits.egress is not None and qdiscs.has_ingress(side.host, veth):
            noted = replace(noted, adds_ingress=False)
        _warn_of_bursts(request, noted)
        record.write(owner, noted)
        request.log.step("record")
        ifb = shaping.ensure(side.host, owner, noted, undo)
        request.log.step("limits")
        result = previous if ifb is None else _with_ifb(previous, ifb)
        return request.delivered(result)


def delete(request: Request, conf: BandwidthConf) -> None:
    """The attachment has no limits, whatever the configuration says by now."""
    del conf
    if not detach(request):
        from plugins.bandwidth import unrecorded  # noqa: PLC0415 - rare

        unrecorded.release(Attachment.of(request), request.netns)


def check(request: Request, conf: BandwidthConf) -> None:
    """Raise, naming what is missing, unless the limits are in force."""
    limits = conf.validated()
    previous = required(request, _CHAINED)
    if limits is None:
        return
    noted = record.read(Attachment.of(request))
    if noted is None:
        raise CNIError(Code.INTERNAL, "check limits: missing record of ADD")
    with sides(request.netns) as side:
        veth = host_end.find(side, request, previous)
        checks.limited(side.host, veth, noted, limits)


def gc(request: Request, conf: BandwidthConf) -> None:
    """No limits are left of an attachment to this network that is not valid."""
    del conf
    valid = request.valid_attachments
    if valid is None:
        return
    from plugins.bandwidth import unrecorded  # noqa: PLC0415 - rare

    with Gather() as each:
        for owner in attachments.stale(NAME, request.network, valid, each):
            each(_release, owner)
        each(unrecorded.collect, request.network, valid)


def _release(owner: Attachment) -> None:
    if not recorded(owner):
        from plugins.bandwidth import unrecorded  # noqa: PLC0415 - rare

        unrecorded.release(owner, "")


def status(request: Request, conf: BandwidthConf) -> None:
    """Raise unless the kernel can limit, which is tried where nobody else is."""
    limits = conf.validated() or Limits(_TRIAL, _TRIAL)
    owner = Attachment(request.network, "status", "eth0")
    try:
        with netns.entered_new(), Netlink() as host, Rollback() as undo:
            ifbs.add(host, "trial", mac=naming.random_mac(), mtu=0)
            link = ifbs.get(host, "trial")
            assert link is not None
            shaping.ensure(host, owner, _planned(owner, link, limits), undo)
    except CNIError as error:
        raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error


def _planned(owner: Attachment, veth: Link, limits: Limits) -> Record:
    mac = naming.random_mac()
    found = names.ifbs(owner)
    return Record(veth.name, veth.index, veth.mtu, found, mac, limits)


def _warn_of_bursts(request: Request, noted: Record) -> None:
    limits = {"ingress": noted.limits.ingress, "egress": noted.limits.egress}
    for name, limit in limits.items():
        if limit is not None and limit.is_below_frame(noted.mtu):
            request.log.warning(
                f"{name}Burst {limit.burst} is less than one frame of {noted.veth}, "
                "which is taken instead"
            )


def _restore(host: Netlink, owner: Attachment, earlier: Record) -> None:
    """Have the limits of the ADD before, which the failed one took away."""
    record.write(owner, earlier)
    shaping.release(host, earlier)  # what is left of them, if it failed while releasing
    if shaping.host_end(host, earlier) is not None:
        with Rollback() as undo:
            shaping.ensure(host, owner, earlier, undo)


def _with_ifb(previous: Result, ifb: Link) -> Result:
    """Return the result with the ifb behind its interfaces, as the reference has it."""
    added = Interface(name=ifb.name, mac=ifb.mac, mtu=ifb.mtu)
    return previous.model_copy(update={"interfaces": [*previous.interfaces, added]})


PLUGIN = Plugin(
    NAME,
    conf=BandwidthConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    versions=versions_of(NAME),
)
