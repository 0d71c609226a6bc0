# SPDX-License-Identifier: Apache-2.0
"""Leases of host-local, which the reference's format says no namespace of."""

from __future__ import annotations

import os
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.naming import Attachment

DIRECTORY = "/var/lib/cni/networks"
_CONTENT_MAX = 1 << 12
_SHOWN = 3


def unknown(known: Collection[Attachment]) -> Iterator[str]:
    """Yield a line for each network that leases to containers nobody knows of.

    `known` are the attachments that there is a record or a cached result of.
    """
    owners = {(each.network, each.container_id) for each in known}
    for network, held in sorted(_held().items()):
        strange = {a: c for a, c in held.items() if (network, c) not in owners}
        if strange:
            shown = ", ".join(f"{a} ({c})" for a, c in [*strange.items()][:_SHOWN])
            more = ", ..." if len(strange) > _SHOWN else ""
            leases = os.path.join(DIRECTORY, network)
            yield (
                f"kept leases in {leases}: nothing says whether their containers live: "
                f"{shown}{more}; `cnipy gc {network}` or removing the files frees them"
            )


def _held() -> dict[str, dict[str, str]]:
    """Return network -> address -> container ID."""
    found: dict[str, dict[str, str]] = {}
    for network in _names(DIRECTORY):
        leases = os.path.join(DIRECTORY, network)
        for name in _names(leases):
            with suppress(ValueError, OSError):
                ip_address(name)
                found.setdefault(network, {})[name] = _owner(os.path.join(leases, name))
    return found


def _owner(path: str) -> str:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        text = file.read(_CONTENT_MAX).decode(errors="replace")
    return text.partition("\r\n")[0].strip()


def _names(leases: str) -> list[str]:
    try:
        return sorted(os.listdir(leases))
    except (FileNotFoundError, NotADirectoryError):
        return []
