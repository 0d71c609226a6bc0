# SPDX-License-Identifier: Apache-2.0
"""`cnipy ls`: the networks of the node, their files and plugins, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.frame.delegate import find
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, field
from cnipy import network as networks
from cnipy.doubts import doubts
from cnipy.node import builds
from cnipy.packed import build_of
from cnipy.paper import columns
from cnipy.verb import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnipy.context import Context
    from cnipy.network import Network
    from cnipy.paper import Paper


@dataclass
class Listed:
    """A network: its file, the version of its list, plugins, and what is wrong.

    `attached` is how many attachments are on record.
    """

    name: str
    file: str = ""
    version: str = ""
    plugins: list[str] = field(default_factory=list)
    attached: int = 0
    faults: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self)}


class Inventory(Answer):
    """Networks, plugin directories with names by build, and files without network."""

    def __init__(self, context: Context, attached: Mapping[str, int]) -> None:
        """`attached` has how many attachments to each network are on record."""
        directory, suite = context.conf_directory, context.suite
        self.directory = directory
        self.networks = list(_networks(context, attached))
        self.plugins = {each: builds(each, suite.names) for each in context.plugin_path}
        self.faults = networks.faults(directory)

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield a table of the networks, and what is wrong below each."""
        rows = [("NETWORK", "VERSION", "ATTACHED", "PLUGINS", "FILE")]
        for each in self.networks:
            plugins = ", ".join(each.plugins)
            number = str(each.attached)
            row = (each.name, each.version, number, plugins, each.file or "none")
            rows.append(row)
        head, *lines = columns(rows)
        if lines:
            yield paper.tint(paper.cut(head), "bold")
        else:
            yield f"no network in {self.directory}"
        for each, line in zip(self.networks, lines, strict=True):
            yield paper.cut(line)
            for fault in each.faults:
                yield paper.tint(paper.cut(f"  ! {fault}"), "red")
        for fault in self.faults:
            yield paper.tint(paper.cut(f"! no network: {fault}"), "red")
        yield from (paper.cut(line) for line in self._plugins())

    def _plugins(self) -> Iterator[str]:
        for directory, of_build in self.plugins.items():
            for build, names in of_build.items():
                what = f"build {build}" if build else "not of this suite"
                yield f"plugins in {directory}, {what}: {' '.join(names)}"
            if not of_build:
                yield f"plugins in {directory}: none of this suite's names"

    def document(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "networks": [each.document() for each in self.networks],
            "faults": self.faults,
            "plugins": [
                {"directory": directory, "build": build, "names": names}
                for directory, of_build in self.plugins.items()
                for build, names in of_build.items()
            ],
        }


def _networks(context: Context, attached: Mapping[str, int]) -> Iterator[Listed]:
    listed = networks.listed(context.conf_directory)
    first: dict[str, str] = {}
    for name, file in listed:
        told = Listed(name, file)
        if first.setdefault(name, file) != file:
            told.faults.append(f"it is not taken: {first[name]} has the name")
        else:
            told.attached = attached.get(name, 0)
            _read(context, told, listed)
        yield told
    for name in sorted(attached.keys() - first.keys()):
        text = "no file has it any more; containers keep what they were attached by"
        yield Listed(name, attached=attached[name], faults=[text])


def _read(context: Context, told: Listed, listed: list[tuple[str, str]]) -> None:
    """Have in `told` what its list says, and what is wrong with it."""
    try:
        network = context.network(told.name)
    except CNIError as error:
        told.faults.append(str(error))
        return
    told.version = network.version
    told.plugins = [_named(conf) for conf in network.plugins]
    told.faults += doubts(context.suite, network, listed[:1], {})
    kinds = [kind for conf in network.plugins for kind in _kinds(conf)]
    for kind in dict.fromkeys(kinds):
        told.faults += _missing(context, network, kind)


def _missing(context: Context, network: Network, kind: str) -> Iterator[str]:
    """Yield why a plugin cannot serve a list, if so."""
    try:
        path = find(kind, context.plugin_path)
        if kind in context.suite.names and build_of(path):
            versions = list(context.suite.versions(kind))
        else:
            versions = context.runtime.invoker.versions(kind)
    except CNIError as error:
        yield str(error)
        return
    if network.version and network.version not in versions:
        newest = versions[-1] if versions else "none"
        yield f"{kind} does not speak {network.version}, but {newest}"


def _kinds(conf: Mapping[str, Any]) -> list[str]:
    """Return the type of a plugin, and that of its IPAM plugin."""
    ipam = gojson.member(dict(conf), "ipam")
    leasing = gojson.member(ipam, "type") if isinstance(ipam, dict) else None
    return [str(each) for each in (gojson.member(dict(conf), "type"), leasing) if each]


def _named(conf: Mapping[str, Any]) -> str:
    kind, *leasing = _kinds(conf)
    return f"{kind} ({leasing[0]})" if leasing else kind
