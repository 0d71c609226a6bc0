# SPDX-License-Identifier: Apache-2.0
"""An IPv6 address that a server leases (RFC 8415), kept by a dhcpcd of its own."""

from __future__ import annotations

import os
from ipaddress import IPv6Interface

from cni_common import attachments, shapes, state
from cni_common.kernel import netns, netns_identity, processes
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.spec.digests import sha256_hex
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP, Dns
from plugins.dhcp import dhcpcd, lease, listening

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv6Address

    from cni_common.kernel.processes import Process
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPInterface
    from cni_common.spec.request import Request

PLUGIN = lease.PLUGIN_IPV6
_ROOM = "dhcpcd"
_TABLE: Table = {"netnsIdentity": (shapes.text, "")}
_SIGALRM = 14  # for dhcpcd: give back, and end
_PATIENCE = 5.0  # seconds
_UUID = b"\0\4"  # of a DUID (RFC 6355)
_PREFIX = 128  # what is on the link, routers say


def leased(request: Request, seconds: float) -> tuple[IP, Dns]:
    """Return what a server leases within so many seconds; dhcpcd keeps it from then on.

    One that does so already is left alone. Raises Code.TRY_AGAIN_LATER and
    Code.INTERNAL.
    """
    owner = Attachment.of(request)
    directory = state.path(_ROOM, owner.digest())
    found = _held(owner, directory)
    if found is None:
        executable = dhcpcd.find(request.env)
        _end(owner)
        attachments.write(PLUGIN, owner, {})
        for each in ("run", "db"):
            state.ensure_directory(_ROOM, owner.digest(), each)
        dhcpcd.prepare(directory, _duid(owner), max(1, int(seconds)))
        with netns.entered_path(request.netns):
            with Netlink() as netlink:
                listening.ensure(netlink, request.ifname)
            dhcpcd.start(executable, directory, request.ifname)
        found = _held(owner, directory)
    if found is None:
        msg = f"lease IPv6 address for {owner.ifname}: dhcpcd has none"
        raise CNIError(Code.INTERNAL, msg)
    options = dhcpcd.lease(directory, owner.ifname)
    dns = Dns(nameservers=dhcpcd.name_servers(options), search=dhcpcd.search(options))
    return IP(address=IPv6Interface((found, _PREFIX))), dns


def check(request: Request, listed: Iterable[IPInterface]) -> None:
    """Raise Code.INTERNAL unless dhcpcd keeps the lease of a listed address."""
    owner = Attachment.of(request)
    found = _held(owner, state.path(_ROOM, owner.digest()))
    if found is None:
        msg = f"check IPv6 lease of {owner}: no dhcpcd keeps one"
        raise CNIError(Code.INTERNAL, msg)
    if found not in [each.ip for each in listed]:
        msg = f"check address {found}: not in prevResult"
        raise CNIError(Code.INTERNAL, msg)


def end(owner: Attachment) -> None:
    """The address is given back, and dhcpcd is gone with its files. Raises CNIError."""
    _end(owner)
    directory = state.path(_ROOM, owner.digest())
    for inner in (os.path.join(directory, "run"), os.path.join(directory, "db")):
        for name in state.names(inner):
            state.delete(inner, name)
        state.remove_if_empty(inner)
    state.delete(directory, "conf")
    state.remove_if_empty(directory)
    state.remove_if_empty(state.path(_ROOM))
    attachments.delete(PLUGIN, owner)


def _end(owner: Attachment) -> None:
    """End what keeps the lease, though record or files tell of nothing."""
    for number in dhcpcd.found(state.path(_ROOM, owner.digest())):
        with processes.opened(number) as process:
            if process is not None and process.name() == dhcpcd.NAME:
                process.send(_SIGALRM)
                if not process.wait_end(_PATIENCE):
                    process.end(_PATIENCE)


def _held(owner: Attachment, directory: str) -> IPv6Address | None:
    """Return the address that a living dhcpcd keeps."""
    with processes.opened(dhcpcd.pid(directory)) as process:
        if process is None or not _is_ours(process, owner):
            return None
    return dhcpcd.address(dhcpcd.lease(directory, owner.ifname))


def _is_ours(process: Process, owner: Attachment) -> bool:
    """Tell whether it is a dhcpcd in the namespace of the attachment."""
    record = attachments.read(PLUGIN, owner, _TABLE)
    if record is None or process.name() != dhcpcd.NAME or not process.is_alive():
        return False
    return netns_identity.lives(f"/proc/{process.pid}/ns/net", record["netnsIdentity"])


def _duid(owner: Attachment) -> bytes:
    """Return by what servers know the attachment, whatever its MAC is this time."""
    text = f"{owner.container_id}/{owner.network}/{owner.ifname}"
    return _UUID + bytes.fromhex(sha256_hex(text))[:16]
