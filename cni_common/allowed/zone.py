# SPDX-License-Identifier: Apache-2.0
"""The backend firewalld: the container's addresses are sources of a zone.

So are its network's on other nodes, or the zone has the link by which they come. All of
it is firewalld's runtime configuration, and goes when firewalld is restarted.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from cni_common.allowed import users
from cni_common.allowed.rules import ZONES, entries, in_zone
from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.parts.allowed import Allowed
    from cni_common.spec.fields import IPAddress, IPNetwork


def await_firewalld() -> None:
    """Return when firewalld answers, or does not run; raises Code.INTERNAL if it hangs.

    To be called before the lock is taken, which nobody may hold while he waits.
    """
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    if firewalld.is_running():
        firewalld.await_answer()


def ensure(part: Allowed, attachment: Attachment) -> None:
    """Ensure that the zone has the addresses, and who comes from other nodes."""
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    users.add(ZONES, entries(ZONES, part), attachment)
    for member in in_zone(part):
        firewalld.add_member(part.zone, member)


def is_forgotten(but: Attachment | None) -> bool:
    """Tell whether firewalld has lost its sources, by one that `but` does not need.

    It has all of them until it is reloaded or restarted, and then none.
    """
    entry = users.any_of_others(ZONES, but)
    if not entry:
        return False
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    name, _, member = entry.partition(" ")
    return not firewalld.has_member(name.replace(":", "/"), _member(member))


def _member(text: str) -> IPAddress | IPNetwork | str:
    """Return the address, the network or the link that an entry is about."""
    for read, written in ((ip_address, text), (ip_network, text.replace("_", "/"))):
        try:
            return read(written)
        except ValueError:
            continue
    return text


def remove(part: Allowed, attachment: Attachment) -> None:
    """Remove the addresses as sources that nobody else has by now."""
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    needed = entries(ZONES, part)
    held = users.held(ZONES, part, attachment)
    unneeded = users.unneeded(ZONES, held, attachment)
    # A firewalld that has ended took its runtime configuration along.
    running = bool(unneeded) and firewalld.is_running()
    with Gather() as errors:
        for member, entry in zip(in_zone(part), needed, strict=True):
            if running and entry in unneeded:
                errors.attempt(firewalld.remove_member, part.zone, member)
        if not errors.raised:
            users.delete(ZONES, needed, attachment)


def remove_unneeded(part: Allowed) -> None:
    """Remove the addresses as sources that no attachment of ours has.

    For what the reference left.
    """
    from cni_common import firewalld  # noqa: PLC0415 - only without a record

    if firewalld.is_running():
        pairs = zip(in_zone(part), entries(ZONES, part), strict=True)
        for member, entry in pairs:
            if users.is_unneeded(ZONES, entry):
                firewalld.remove_member(part.zone, member)


def require(part: Allowed) -> None:
    """Raise Code.INTERNAL unless firewalld runs and has the addresses in the zone."""
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    if not firewalld.is_running():
        msg = "check firewall: missing firewalld, it is not running"
        raise CNIError(Code.INTERNAL, msg)
    for member in in_zone(part):
        if not firewalld.has_member(part.zone, member):
            kind = firewalld.kind_of(member)
            msg = f"check firewall: missing {kind} {member} of zone {part.zone}"
            raise CNIError(Code.INTERNAL, msg)
