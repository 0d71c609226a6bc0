# SPDX-License-Identifier: Apache-2.0
"""The backend firewalld: the container's addresses are sources of a zone.

The sources are firewalld's runtime configuration, and go when firewalld is restarted.
"""

from __future__ import annotations

from ipaddress import ip_address

from cni_common.allowed import users
from cni_common.allowed.rules import ZONES, entries
from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.parts.allowed import Allowed


def await_firewalld() -> None:
    """Return when firewalld answers, or does not run; raises Code.INTERNAL if it hangs.

    To be called before the lock is taken, which nobody may hold while he waits.
    """
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    if firewalld.is_running():
        firewalld.await_answer()


def ensure(part: Allowed, attachment: Attachment) -> None:
    """Ensure that the addresses are sources of the zone."""
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    users.add(ZONES, entries(ZONES, part), attachment)
    for address in part.addresses:
        firewalld.add_source(part.zone, address)


def is_forgotten(but: Attachment | None) -> bool:
    """Tell whether firewalld has lost its sources, by one that `but` does not need.

    It has all of them until it is reloaded or restarted, and then none.
    """
    entry = users.any_of_others(ZONES, but)
    if not entry:
        return False
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    name, _, address = entry.partition(" ")
    return not firewalld.has_source(name.replace(":", "/"), ip_address(address))


def remove(part: Allowed, attachment: Attachment) -> None:
    """Remove the addresses as sources that nobody else has by now."""
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    needed = entries(ZONES, part)
    held = users.held(ZONES, part, attachment)
    unneeded = users.unneeded(ZONES, held, attachment)
    # A firewalld that has ended took its runtime configuration along.
    running = bool(unneeded) and firewalld.is_running()
    with Gather() as errors:
        for address, entry in zip(part.addresses, needed, strict=True):
            if running and entry in unneeded:
                errors.attempt(firewalld.remove_source, part.zone, address)
        if not errors.raised:
            users.delete(ZONES, needed, attachment)


def remove_unneeded(part: Allowed) -> None:
    """Remove the addresses as sources that no attachment of ours has.

    For what the reference left.
    """
    from cni_common import firewalld  # noqa: PLC0415 - only without a record

    if firewalld.is_running():
        pairs = zip(part.addresses, entries(ZONES, part), strict=True)
        for address, entry in pairs:
            if users.is_unneeded(ZONES, entry):
                firewalld.remove_source(part.zone, address)


def require(part: Allowed) -> None:
    """Raise Code.INTERNAL unless firewalld runs and has the addresses in the zone."""
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    if not firewalld.is_running():
        msg = "check firewall: missing firewalld, it is not running"
        raise CNIError(Code.INTERNAL, msg)
    for address in part.addresses:
        if not firewalld.has_source(part.zone, address):
            msg = f"check firewall: missing source {address} of zone {part.zone}"
            raise CNIError(Code.INTERNAL, msg)
