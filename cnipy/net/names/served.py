# SPDX-License-Identifier: Apache-2.0
"""The names that this node's dnsmasq serves for a network, as its files have them."""

from __future__ import annotations

import ipaddress
import os
import time

from cni_common import state
from cni_common.names import server
from cni_common.spec.errors import is_absence
from cni_common.spec.values import NamedTuple
from cnipy.net.names.entries import MANY, in_pools

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cni_common.spec.fields import IPAddress
    from cnipy.net.records import NetworkConfig

# What is as young may be followed by another change at the same tick of the clock.
_YOUNG = 2.0  # seconds


class Known(NamedTuple):
    """Addresses by name, names by address; a name is in lower case, with the domain."""

    by_name: Mapping[str, tuple[IPAddress, ...]]
    by_address: Mapping[IPAddress, tuple[str, ...]]


class Served:
    """What is served for one network; may be asked by several threads."""

    def __init__(self, config: NetworkConfig) -> None:
        self._config = config
        self._seen: tuple[int, Known] = (-1, Known({}, {}))

    def known(self) -> Known:
        """Return what is served now; files are read only where there are others.

        Raises CNIError for files that cannot be read.
        """
        directory = server.hosts_directory(self._config.name)
        try:
            stamp = os.stat(directory).st_mtime_ns
        except OSError as error:
            if not is_absence(error):
                raise
            return Known({}, {})
        seen, known = self._seen
        if stamp != seen:
            known = self._read(directory)
            is_old = time.time() - stamp / 1e9 > _YOUNG
            self._seen = (stamp if is_old else -1, known)
        return known

    def _read(self, directory: str) -> Known:
        by_name: dict[str, dict[IPAddress, None]] = {}
        by_address: dict[IPAddress, dict[str, None]] = {}
        for address, names in _lines(directory):
            if not in_pools(address, self._config):
                continue
            for name in names:
                if name.endswith(f".{self._config.domain.lower()}"):
                    by_name.setdefault(name, {})[address] = None
                    by_address.setdefault(address, {})[name] = None
        return Known(
            {name: tuple(found)[:MANY] for name, found in by_name.items()},
            {address: tuple(found)[:MANY] for address, found in by_address.items()},
        )


def _lines(directory: str) -> Iterator[tuple[IPAddress, list[str]]]:
    """Yield address and names of each line of the files, in the format of hosts(5)."""
    for file in state.names(directory):
        content = state.read_bytes(directory, file) or b""
        for line in content.decode("utf-8", "replace").splitlines():
            words = line.partition("#")[0].lower().split()
            try:
                yield ipaddress.ip_address(words[0] if words else ""), words[1:]
            except ValueError:
                continue
