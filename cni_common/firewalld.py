# SPDX-License-Identifier: Apache-2.0
"""firewalld through its D-Bus interface: which zone a source or a link belongs to.

The members of a zone are firewalld's runtime configuration: it forgets them when it is
reloaded or restarted (firewalld.dbus(5), interface org.fedoraproject.FirewallD1.zone).
"""

from __future__ import annotations

import ipaddress
import os

from cni_common import system_bus
from cni_common.spec.errors import CNIError, Code
from cni_common.system_bus import AbsentError, Bus, RefusedError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.spec.fields import IPAddress, IPNetwork

    Member = IPAddress | IPNetwork | str  # the last is a link's name

NAME = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
# firewalld serves one call after another, each for 10 ms and more, so that the last of
# many containers that start together waits; a reload takes half a second and more.
SECONDS = 5.0
# The bus itself answers at once, or not at all.
BUS_SECONDS = 2.0
# Answers of D-Bus that mean that firewalld does not run.
_GONE = frozenset(
    {
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",  # it ended while it was asked
    }
)


def is_running() -> bool:
    """Tell whether firewalld runs for our network namespace.

    One that runs in another namespace has no say over our packets, and its zones
    would not help. Raises Code.INTERNAL for a bus that does not answer.
    """
    if not system_bus.is_there():
        return False
    try:
        with Bus(BUS_SECONDS) as bus:
            pid = bus.owner_pid(NAME)
    except AbsentError:
        return False
    return pid is not None and _is_in_our_namespace(pid)


def await_answer() -> None:
    """Return when firewalld has answered; raises Code.INTERNAL if it hangs, or is gone.

    For a caller that is about to take a lock: who finds firewalld hanging with the
    lock in hand has everybody else wait as well.
    """
    try:
        with Bus(SECONDS) as bus:
            bus.call(NAME, PATH, "org.freedesktop.DBus.Peer.Ping")
    except CNIError as error:
        msg = f"ask firewalld: {error.msg}"
        raise CNIError(Code.INTERNAL, msg, error.details) from error


def add_member(zone: str, member: Member) -> None:
    """Ensure that `member` is a source or an interface of `zone`.

    Raises Code.INTERNAL with firewalld's words, such as INVALID_ZONE.
    """
    what = f"add {_told(member)} to firewalld zone {zone}"
    try:
        _call("add", zone, member, what)
    except RefusedError as error:
        if _reason(error) != "ZONE_ALREADY_SET":
            raise


def remove_member(zone: str, member: Member) -> None:
    """Remove `member` from `zone`.

    Success without firewalld and without the zone. In another zone it is somebody
    else's. Raises Code.INTERNAL with firewalld's words.
    """
    what = f"remove {_told(member)} from firewalld zone {zone}"
    try:
        _call("remove", zone, member, what)
    except AbsentError:
        return
    except RefusedError as error:
        absent = {"UNKNOWN_SOURCE", "UNKNOWN_INTERFACE", "ZONE_CONFLICT"}
        absent.add("INVALID_ZONE")
        if error.name not in _GONE and _reason(error) not in absent:
            raise


def has_member(zone: str, member: Member) -> bool:
    """Tell whether `member` is in `zone`; not so without firewalld.

    Raises Code.INTERNAL with firewalld's words, such as INVALID_ZONE.
    """
    what = f"look for {_told(member)} in firewalld zone {zone}"
    try:
        return bool(_call("query", zone, member, what)[0])
    except AbsentError:
        return False
    except RefusedError as error:
        if error.name in _GONE:
            return False
        raise


def kind_of(member: Member) -> str:
    """Return what firewalld calls a member of that type."""
    return "interface" if isinstance(member, str) else "source"


def _call(verb: str, zone: str, member: Member, what: str) -> tuple[Any, ...]:
    method = f"{NAME}.zone.{verb}{kind_of(member).capitalize()}"
    try:
        with Bus(SECONDS) as bus:
            return bus.call(NAME, PATH, method, zone, _written(member))
    except RefusedError as error:
        raise RefusedError(what, error.name, error.said) from error
    except AbsentError as error:
        raise AbsentError(error.code, f"{what}: {error.msg}") from error
    except CNIError as error:
        raise CNIError(Code.INTERNAL, f"{what}: {error.msg}", error.details) from error


def _told(member: Member) -> str:
    return f"{kind_of(member)} {_written(member)}"


def _written(member: Member) -> str:
    """Return it as firewalld reads it; an address as the reference writes it."""
    if isinstance(member, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return f"{member}/{member.max_prefixlen}"
    return str(member)


def _reason(error: RefusedError) -> str:
    """Return firewalld's own code, which stands before its words."""
    return error.said.partition(":")[0]


def _is_in_our_namespace(pid: int) -> bool:
    """Tell whether the process has our network namespace, as far as we may know.

    Seen from another PID namespace it may have another number, or none; then the
    owner of the name is believed.
    """
    try:
        there = os.stat(f"/proc/{pid}/ns/net")
    except OSError:
        return True
    here = os.stat("/proc/thread-self/ns/net")
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
