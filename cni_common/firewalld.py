# SPDX-License-Identifier: Apache-2.0
"""firewalld through its D-Bus interface: which zone a source address belongs to.

The sources are firewalld's runtime configuration: it forgets them when it is
reloaded or restarted (firewalld.dbus(5), interface org.fedoraproject.FirewallD1.zone).
"""

from __future__ import annotations

import os

from cni_common import system_bus
from cni_common.spec.errors import CNIError, Code
from cni_common.system_bus import AbsentError, Bus, RefusedError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.spec.fields import IPAddress

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


def add_source(zone: str, address: IPAddress) -> None:
    """Ensure that `address` is a source of `zone`.

    Raises Code.INTERNAL with firewalld's words, such as INVALID_ZONE.
    """
    what = f"add source {_source(address)} to firewalld zone {zone}"
    try:
        _call("addSource", zone, address, what)
    except RefusedError as error:
        if _reason(error) != "ZONE_ALREADY_SET":
            raise


def remove_source(zone: str, address: IPAddress) -> None:
    """Remove `address` from the sources of `zone`.

    Success without firewalld and without the zone. In another zone the address is
    somebody else's. Raises Code.INTERNAL with firewalld's words.
    """
    what = f"remove source {_source(address)} from firewalld zone {zone}"
    try:
        _call("removeSource", zone, address, what)
    except AbsentError:
        return
    except RefusedError as error:
        absent = {"UNKNOWN_SOURCE", "ZONE_CONFLICT", "INVALID_ZONE"}
        if error.name not in _GONE and _reason(error) not in absent:
            raise


def has_source(zone: str, address: IPAddress) -> bool:
    """Tell whether `address` is a source of `zone`; not so without firewalld.

    Raises Code.INTERNAL with firewalld's words, such as INVALID_ZONE.
    """
    what = f"look for source {_source(address)} in firewalld zone {zone}"
    try:
        return bool(_call("querySource", zone, address, what)[0])
    except AbsentError:
        return False
    except RefusedError as error:
        if error.name in _GONE:
            return False
        raise


def _call(method: str, zone: str, address: IPAddress, what: str) -> tuple[Any, ...]:
    source = _source(address)
    try:
        with Bus(SECONDS) as bus:
            return bus.call(NAME, PATH, f"{NAME}.zone.{method}", zone, source)
    except RefusedError as error:
        raise RefusedError(what, error.name, error.said) from error
    except AbsentError as error:
        raise AbsentError(error.code, f"{what}: {error.msg}") from error
    except CNIError as error:
        raise CNIError(Code.INTERNAL, f"{what}: {error.msg}", error.details) from error


def _source(address: IPAddress) -> str:
    """Return the address as the reference writes it: with its whole length."""
    return f"{address}/{address.max_prefixlen}"


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
