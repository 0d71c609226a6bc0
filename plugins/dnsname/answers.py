# SPDX-License-Identifier: Apache-2.0
"""What a network's dnsmasq answers, asked from the host as a container would ask it.

dnsmasq learns of a new or removed file by inotify(7), before it takes the next
question. One that missed the event is told by SIGHUP to read all files again. That is
not done at once, since it answers nobody meanwhile: with 20,000 files for 3 seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from plugins.dnsname import server
from plugins.dnsname.question import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cni_common.spec.fields import IPAddress
    from plugins.dnsname.record import Record

PATIENCE = 10.0  # seconds; starting with 20,000 files takes 3
_MISSED = 0.2  # seconds after which an event must have been missed
_PAUSE = 0.01
_ONE_ANSWER = 1.0
# Asked for where a container has no name: any answer will do. It is not forwarded.
_NOBODY = "cnipy-nobody"


def await_added(network: str, record: Record, patience: float = PATIENCE) -> None:
    """Return when each server gives each address of `record` for its first name.

    Raises code 999 after `patience` seconds, telling what the server answered.
    """
    for at, name, address in _questions(record):

        def given(
            at: IPAddress = at, name: str = name, address: IPAddress = address
        ) -> bool:
            return address in (_asked(at, name, address) or ())

        if not _await(network, given, patience):
            _raise_lacking(network, at, name, address)
    if not record.names:
        for at in record.servers:
            _await_any(network, at, patience)


def await_removed(network: str, record: Record, patience: float = PATIENCE) -> bool:
    """Return when no server gives an address of `record` for its first name.

    One that does not answer gives nothing. False after `patience` seconds.
    """
    for at, name, address in _questions(record):

        def gone(
            at: IPAddress = at, name: str = name, address: IPAddress = address
        ) -> bool:
            return address not in (_asked(at, name, address) or ())

        if not _await(network, gone, patience):
            return False
    return True


def check(network: str, record: Record) -> None:
    """Raise code 999 unless each server gives each address for the first name."""
    await_added(network, record, _ONE_ANSWER)


def _questions(record: Record) -> Iterator[tuple[IPAddress, str, IPAddress]]:
    for at in record.servers:
        for name in record.names[:1]:
            for address in record.addresses:
                yield at, name, address


def _asked(at: IPAddress, name: str, address: IPAddress) -> set[IPAddress] | None:
    return ask(at, name, address.version, _ONE_ANSWER)


def _await(network: str, holds: Callable[[], bool], patience: float) -> bool:
    started = time.monotonic()
    reloaded = False
    while not holds():
        spent = time.monotonic() - started
        if spent > patience:
            return False
        if spent > _MISSED and not reloaded:
            server.reload(network)
            reloaded = True
        time.sleep(_PAUSE)
    return True


def _await_any(network: str, at: IPAddress, patience: float) -> None:
    def answers() -> bool:
        return ask(at, _NOBODY, at.version, _ONE_ANSWER) is not None

    if not _await(network, answers, patience):
        _raise_silent(at)


def _raise_lacking(network: str, at: IPAddress, name: str, address: IPAddress) -> None:
    found = _asked(at, name, address)
    if found is None:
        _raise_silent(at)
    given = ", ".join(sorted(map(str, found or ()))) or "nothing"
    msg = f"ask dnsmasq at {at} for {name}: it gives {given}, not {address}"
    details = f"its user must be able to read {server.hosts_directory(network)}"
    raise CNIError(Code.INTERNAL, msg, details)


def _raise_silent(at: IPAddress) -> None:
    msg = f"ask dnsmasq at {at}: no answer"
    details = "a firewall must let the host itself reach port 53 there"
    raise CNIError(Code.INTERNAL, msg, details)
