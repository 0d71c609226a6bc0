# SPDX-License-Identifier: Apache-2.0
"""The plugins of a list as doubts are about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.attachment import chained
from cni_common.spec import gojson
from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.spec.netconf import NetConf
    from cnipy.doubts.doubt import Path
    from cnipy.network import Network
    from cnipy.suite import Suite


@dataclass(frozen=True)
class Entry:
    """An entry of a list, at `path`: its type, its keys, what our plugin reads of them.

    `whole` has the list's name and version, too; `conf` is what any plugin reads where
    it is one of others.
    """

    kind: str
    document: Mapping[str, Any]
    whole: Mapping[str, Any]
    path: Path
    conf: NetConf
    is_ours: bool = False
    is_ipam: bool = False
    is_chained: bool = False

    @property
    def ipam(self) -> str:
        """The type of its IPAM plugin, empty for none."""
        return self.conf.ipam.type

    @property
    def makes_link(self) -> bool:
        """Whether it makes the interface, as far as that is known."""
        return self.is_ours and not (self.is_ipam or self.is_chained or self.is_lo)

    @property
    def is_lo(self) -> bool:
        """Whether it is about lo, which every container has."""
        return self.kind == "loopback"

    @property
    def declared(self) -> list[str]:
        """The capabilities that it asks for."""
        wanted = gojson.member(dict(self.document), "capabilities")
        found = wanted if isinstance(wanted, dict) else {}
        return [name for name, value in found.items() if value]


def entries(suite: Suite, network: Network) -> list[Entry]:
    """Return the plugins of a list, each with the list's name and version."""
    return [
        _entry(suite, network, plugin, ("plugins", number))
        for number, plugin in enumerate(network.plugins)
    ]


def _entry(
    suite: Suite, network: Network, plugin: Mapping[str, Any], path: Path
) -> Entry:
    kind = str(gojson.member(dict(plugin), "type"))
    whole = {**plugin, "name": network.name, "cniVersion": network.version}
    conf = suite.read(kind, whole)
    if kind not in suite.names:
        return Entry(kind, plugin, whole, path, conf)
    known = suite.plugin(kind)
    return Entry(
        kind,
        plugin,
        whole,
        path,
        conf,
        is_ours=True,
        is_ipam=known.is_ipam,
        is_chained=isinstance(known.scheme, chained.Scheme),
    )
