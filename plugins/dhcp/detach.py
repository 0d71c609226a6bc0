# SPDX-License-Identifier: Apache-2.0
"""DEL: leases are given back, or will be when a keeper is there again."""

from __future__ import annotations

from cni_common import attachments
from cni_common.frame.rollback import Gather
from cni_common.naming import Attachment
from cni_common.spec import gojson
from cni_common.spec.values import replace
from plugins.dhcp import lease, wire
from plugins.dhcp.call import AbsentError, call
from plugins.dhcp.lease import State

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

_PATIENCE = 30.0  # seconds


def detach(request: Request) -> bool:
    """Give the leases back; true, since nothing is left to do then.

    The keeper that has it is asked, whatever the configuration says by now. One that is
    away will give it back when it comes.
    """
    owner = Attachment.of(request)
    with Gather() as errors:
        is_recorded = attachments.exists(lease.PLUGIN_IPV6, owner)
        if is_recorded or _key(request, "dhcpv6") is True:
            from plugins.dhcp import dhcpv6  # noqa: PLC0415 - processes are expensive

            errors.attempt(dhcpv6.end, owner)
        errors.attempt(_release, request, owner)
    return True


def _release(request: Request, owner: Attachment) -> None:
    held = lease.read(owner)
    if held is None and _key(request, "ipv4") is False:
        return
    path = held.socket if held else configured(request)
    try:
        call(path, wire.RELEASE, request, _PATIENCE)
    except AbsentError as absence:
        held = lease.read(owner)  # one that ended meanwhile may have done it
        if held is None:
            request.log.warning(str(absence))
            return
        lease.write(replace(owner, netns=""), replace(held, state=State.ENDING))
        try:  # one that came meanwhile may have read what was there before
            call(path, wire.RELEASE, request, _PATIENCE)
        except AbsentError:
            request.log.warning(f"{absence.msg}: it will release the lease later")


def configured(request: Request) -> str:
    """Return where the configuration says that the keeper listens."""
    found = _key(request, "daemonSocketPath")
    return found if isinstance(found, str) and found.startswith("/") else wire.SOCKET


def _key(request: Request, name: str) -> object:
    """Return what the configuration has of a key of `ipam`, whatever that is."""
    ipam = gojson.member(request.document, "ipam")
    return gojson.member(ipam, name) if isinstance(ipam, dict) else None
