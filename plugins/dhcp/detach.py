# SPDX-License-Identifier: Apache-2.0
"""DEL: the lease is given back, or will be when a keeper is there again."""

from __future__ import annotations

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
    """Give the lease back; true, since nothing is left to do then.

    The keeper that has it is asked, whatever the configuration says by now. One that is
    away will give it back when it comes.
    """
    owner = Attachment.of(request)
    held = lease.read(owner)
    path = held.socket if held else configured(request)
    try:
        call(path, wire.RELEASE, request, _PATIENCE)
    except AbsentError as absence:
        held = lease.read(owner)  # one that ended meanwhile may have done it
        if held is None:
            request.log.warning(str(absence))
            return True
        lease.write(replace(owner, netns=""), replace(held, state=State.ENDING))
        try:  # one that came meanwhile may have read what was there before
            call(path, wire.RELEASE, request, _PATIENCE)
        except AbsentError:
            request.log.warning(f"{absence.msg}: it will release the lease later")
    return True


def configured(request: Request) -> str:
    """Return where the configuration says that the keeper listens."""
    ipam = gojson.member(request.document, "ipam")
    found = gojson.member(ipam, "daemonSocketPath") if isinstance(ipam, dict) else None
    return found if isinstance(found, str) and found.startswith("/") else wire.SOCKET
