# SPDX-License-Identifier: Apache-2.0
"""`cnipy validate`: what is wrong with files before a runtime reads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cni_common.frame.delegate import find
from cni_common.spec.environment import validate_network_name
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, field, replace
from cni_common.spec.versions import OLDEST
from cnipy import doubts
from cnipy import network as networks
from cnipy.doubts import between
from cnipy.doubts.doubt import ERROR, NOTE, WARNING, Doubt, dotted, near
from cnipy.doubts.entries import entries
from cnipy.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnipy.doubts.doubt import Path
    from cnipy.invoke import Invoker
    from cnipy.network import Network
    from cnipy.suite import Suite


@dataclass(frozen=True)
class Found:
    """A doubt, and where in which file it is, lines and columns counted from 1."""

    doubt: Doubt
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}:{self.column}"
        return f"{at}: {self.doubt.level}: {self.doubt.text}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "level": self.doubt.level,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "key": dotted(self.doubt.path),
            "text": self.doubt.text,
        }


@dataclass(frozen=True)
class Report:
    """Which files were looked at, and what was found."""

    files: Sequence[str]
    found: Sequence[Found]

    @property
    def status(self) -> int:
        """1 if something is wrong; what others do not know is not."""
        return int(any(each.doubt.level != NOTE for each in self.found))

    def lines(self) -> Iterator[str]:
        """Yield what was found, and a last line that counts it."""
        yield from map(str, self.found)
        counted = {
            level: sum(each.doubt.level == level for each in self.found)
            for level in (ERROR, WARNING, NOTE)
        }
        words = [f"{n} {level}{'s' * (n > 1)}" for level, n in counted.items() if n]
        files = f"{len(self.files)} file{'s' * (len(self.files) != 1)}"
        yield f"{files}: {', '.join(words) or 'nothing wrong'}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        found = [each.document() for each in self.found]
        return {"files": list(self.files), "found": found}


@dataclass(frozen=True)
class Plugins:
    """The plugins of this host, if they are to be asked, and what they answered."""

    suite: Suite
    invoker: Invoker | None
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def doubts(self, network: Network, kind: str, path: Path) -> Iterator[Doubt]:
        """Yield that a plugin is not there, or does not speak the list's version."""
        if kind not in self.versions:
            try:
                self.versions[kind] = self._versions(kind)
            except CNIError as error:
                meant = near(kind, self.suite.names)
                yield Doubt(ERROR, f"{error}{meant}", path)
                return
        known, version = self.versions[kind], network.version or OLDEST
        if known and version not in known:
            text = f"{kind}: it does not speak version {version}, but {' '.join(known)}"
            yield Doubt(ERROR, text, ("cniVersion",))

    def _versions(self, kind: str) -> tuple[str, ...]:
        if self.invoker is not None:
            find(kind, self.invoker.path)
            return tuple(self.invoker.versions(kind))
        return self.suite.plugin(kind).versions if kind in self.suite.names else ()


def validate(suite: Suite, named: Sequence[str], invoker: Invoker | None) -> Report:
    """Return what is wrong with files, and with all that directories have of them.

    Plugins are looked for, and asked for their versions, by `invoker` if there is one.
    Raises Code.IO_FAILURE for a file that cannot be read.
    """
    files = list(dict.fromkeys(file for name in named for file in _files(name)))
    plugins = Plugins(suite, invoker)
    found: list[Found] = []
    before: list[between.Member] = []
    for file in files:
        if file not in named and networks.is_strange(file):
            found.append(Found(Doubt(ERROR, networks.STRANGE), file, 1, 1))
            continue
        places = Positions(networks.content(file).decode(errors="replace"))
        for each in _of_file(plugins, file, places, before):
            line, column = places.line_and_column(each.path, of_key=each.of_key)
            found.append(Found(each, file, line, column))
    found.sort(key=lambda each: (files.index(each.file), each.line, each.column))
    return Report(files, found)


def _files(name: str) -> list[str]:
    """Return a file, or those of a directory that runtimes read, in their order."""
    if not os.path.isdir(name):
        return [name]
    paths = [os.path.join(name, each) for each in sorted(os.listdir(name))]
    endings = (*networks.LISTS, *networks.SINGLE)
    return [p for p in paths if p.endswith(endings) and not os.path.isdir(p)]


def _of_file(
    plugins: Plugins, file: str, places: Positions, before: list[between.Member]
) -> Iterator[Doubt]:
    """Yield each doubt about a file, which stands among those `before` afterwards."""
    for path in places.again:
        yield Doubt(WARNING, f"{path[-1]!r} is written twice", path, of_key=True)
    single = file.endswith(networks.SINGLE)
    try:
        network = networks.read_single(file) if single else networks.read(file)
        validate_network_name(network.name)
    except CNIError as error:
        yield Doubt(ERROR, str(error))
        return
    for each in _of_network(plugins, network, file, before):
        # What holds a single plugin was made a list of it.
        inside = single and each.path[:2] == ("plugins", 0)
        yield replace(each, path=each.path[2:]) if inside else each


def _of_network(
    plugins: Plugins, network: Network, file: str, before: list[between.Member]
) -> Iterator[Doubt]:
    suite = plugins.suite
    listed = entries(suite, network)
    for entry in listed:
        yield from plugins.doubts(network, entry.kind, (*entry.path, "type"))
        if entry.ipam and not entry.is_ipam:
            path = (*entry.path, "ipam", "type")
            yield from plugins.doubts(network, entry.ipam, path)
    yield from doubts.of_network(suite, network)
    member = between.Member(network.name, file, listed)
    yield from between.of_files(suite, member, before)
    before.append(member)
