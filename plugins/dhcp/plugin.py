# SPDX-License-Identifier: Apache-2.0
"""dhcp: gives an attachment the address that a DHCP server of its network leases.

A lease lives longer than a call: the keeper of leases, `cnipy dhcp`, holds it.
"""

from __future__ import annotations

import time

from cni_common import attachments, previous
from cni_common.frame.plugin import Plugin
from cni_common.frame.rollback import Gather, Rollback
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Dns, Result
from cni_common.spec.values import replace
from plugins.dhcp import lease, rpc, wire
from plugins.dhcp.call import call, listens
from plugins.dhcp.conf import DhcpConf
from plugins.dhcp.detach import detach

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

_LONGER = 10.0  # seconds that a keeper has to say that it was in vain
_PATIENCE = 10.0


def add(request: Request, conf: DhcpConf) -> Result:
    """The attachment has a lease, which is renewed until DEL, or an IPv6 address."""
    conf.validate_for(request)
    until = time.monotonic() + conf.ipam.timeout
    result = Result()
    with Rollback() as undo:
        if conf.ipam.ipv4 or conf.ipam.dhcpv6:
            undo(detach, request.as_verb("DEL"))
        if conf.ipam.ipv4:
            seconds = conf.ipam.timeout + _LONGER
            reply = call(conf.socket, wire.ALLOCATE, request, seconds, patient=True)
            result = _result(conf, reply)
        if conf.ipam.slaac:
            from plugins.dhcp import slaac  # noqa: PLC0415 - netlink is expensive

            left = until - time.monotonic()
            result.ips.append(slaac.awaited(request.netns, request.ifname, left))
        if conf.ipam.dhcpv6:
            from plugins.dhcp import dhcpv6  # noqa: PLC0415 - as above

            ip, dns = dhcpv6.leased(request, until - time.monotonic())
            result.ips.append(ip)
            result = result.model_copy(update={"dns": _joined(result.dns, dns)})
        return request.delivered(result)


def delete(request: Request, conf: DhcpConf) -> None:
    """No lease of the attachment is left, whatever became of the configuration."""
    del conf
    detach(request)


def check(request: Request, conf: DhcpConf) -> None:
    """Raise unless the attachment holds the lease of an address of prevResult.

    Whether the kernel has an IPv6 address still, the delegating plugin looks itself.
    """
    listed = previous.required(request).ips
    if conf.ipam.dhcpv6:
        from plugins.dhcp import dhcpv6  # noqa: PLC0415 - netlink is expensive

        dhcpv6.check(request, [each.address for each in listed])
    if not conf.ipam.ipv4:
        return
    try:
        reply = call(conf.socket, wire.CHECK, request, _PATIENCE)
    except CNIError as error:
        if "can't find method" not in error.msg:
            raise
        seconds = conf.ipam.timeout + _LONGER
        reply = call(conf.socket, wire.ALLOCATE, request, seconds)
    for ip in _result(conf, reply).ips:
        if ip.address not in [each.address for each in listed]:
            msg = f"check address {ip.address}: not in prevResult"
            raise CNIError(Code.INTERNAL, msg)


def gc(request: Request, conf: DhcpConf) -> None:
    """No lease is left whose owner is no valid attachment."""
    del conf
    valid = request.valid_attachments
    if valid is None:
        return
    with Gather() as errors:
        stale = [
            owner
            for records in (lease.PLUGIN, lease.PLUGIN_IPV6)
            for owner in attachments.stale(records, request.network, valid, errors)
        ]
        for owner in dict.fromkeys(stale):
            env = {
                **request.env,
                "CNI_CONTAINERID": owner.container_id,
                "CNI_IFNAME": owner.ifname,
            }
            errors.attempt(detach, replace(request.as_verb("DEL"), env=env))


def status(request: Request, conf: DhcpConf) -> None:
    """Raise Code.NOT_AVAILABLE unless who keeps leases of the families is there."""
    conf.require_a_family()
    try:
        if conf.ipam.ipv4:
            listens(conf.socket, _PATIENCE)
        if conf.ipam.dhcpv6:
            from plugins.dhcp import dhcpcd  # noqa: PLC0415 - rarely asked for

            dhcpcd.find(request.env)
    except CNIError as error:
        raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error


def _joined(first: Dns, second: Dns) -> Dns:
    """Return the name servers and domains of both, those of `first` first."""
    servers = [*(first.nameservers or ()), *(second.nameservers or ())]
    search = dict.fromkeys([*(first.search or ()), *(second.search or ())])
    update = {"nameservers": servers or None, "search": list(search) or None}
    return first.model_copy(update=update)


def _result(conf: DhcpConf, reply: dict[str, object]) -> Result:
    try:
        return rpc.to_result(reply)
    except ValueError as error:
        msg = f"call keeper of leases at {conf.socket}: it answered {error}"
        raise CNIError(Code.INTERNAL, msg) from error


PLUGIN = Plugin(
    "dhcp",
    conf=DhcpConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    is_ipam=True,
)
