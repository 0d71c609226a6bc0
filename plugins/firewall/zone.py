# SPDX-License-Identifier: Apache-2.0
"""The backend firewalld: the container's addresses are sources of a zone.

The sources are firewalld's runtime configuration, and go when firewalld is restarted.
"""

from __future__ import annotations

from ipaddress import ip_address

from cni_common.rollback import Gather
from cni_common.spec.errors import CNIError, Code
from plugins.firewall import holders

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress
    from plugins.firewall.protection import Protection

_PLACE = "firewalld"


def await_firewalld() -> None:
    """Return when firewalld answers, or does not run; raises code 999 if it hangs.

    To be called before the lock is taken, which nobody may hold while he waits.
    """
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    if firewalld.is_running():
        firewalld.await_answer()


def admit(wanted: Protection, attachment: Attachment) -> None:
    """Have the addresses as sources of the zone."""
    if not wanted.zone:
        return
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    holders.add(_PLACE, _entries(wanted), attachment)
    for address in wanted.addresses:
        firewalld.add_source(wanted.zone, address)


def is_forgotten(but: Attachment | None) -> bool:
    """Tell whether firewalld has lost its sources, by one that `but` does not need.

    It has all of them until it is reloaded or restarted, and then none.
    """
    entry = holders.any_of_others(_PLACE, but)
    if not entry:
        return False
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    name, _, address = entry.partition(" ")
    return not firewalld.has_source(name.replace(":", "/"), ip_address(address))


def withdraw(had: Protection, attachment: Attachment) -> None:
    """Have no address as a source that nobody else has by now."""
    if not had.zone:
        return
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    entries = _entries(had)
    unneeded = holders.unneeded(_PLACE, entries, attachment)
    # A firewalld that has ended took its runtime configuration along.
    running = bool(unneeded) and firewalld.is_running()
    with Gather() as each:
        for address, entry in zip(had.addresses, entries, strict=True):
            if running and entry in unneeded:
                each(firewalld.remove_source, had.zone, address)
        if not each.errors:
            holders.delete(_PLACE, entries, attachment)


def delete_unheld(name: str, addresses: Iterable[IPAddress]) -> None:
    """Have no address as a source of the zone that no attachment of ours has.

    For what the reference left.
    """
    from cni_common import firewalld  # noqa: PLC0415 - only without a record

    if firewalld.is_running():
        for address in addresses:
            if holders.is_unneeded(_PLACE, _entry(name, address)):
                firewalld.remove_source(name, address)


def check(had: Protection) -> None:
    """Raise code 999 unless firewalld runs and has the addresses in the zone."""
    if not had.zone:
        return
    from cni_common import firewalld  # noqa: PLC0415 - only where firewalld runs

    if not firewalld.is_running():
        msg = "check firewall: missing firewalld, it is not running"
        raise CNIError(Code.INTERNAL, msg)
    for address in had.addresses:
        if not firewalld.has_source(had.zone, address):
            msg = f"check firewall: missing source {address} of zone {had.zone}"
            raise CNIError(Code.INTERNAL, msg)


def _entries(had: Protection) -> list[str]:
    return [_entry(had.zone, address) for address in had.addresses]


def _entry(zone: str, address: IPAddress) -> str:
    # A zone's name may have one slash, which no name of a file has.
    return f"{zone.replace('/', ':')} {address}"
