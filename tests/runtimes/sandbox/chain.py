# SPDX-License-Identifier: Apache-2.0
"""CNI plugins called inside a sandbox, alone or as the chain of a network."""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.runtimes.sandbox.machine import Sandbox
from tests.runtimes.sandbox.requirements import OURS, REFERENCE

Document = dict[str, Any]


@dataclass(frozen=True)
class Attachment:
    """What identifies one attachment, and what the runtime passes along with it."""

    container: str
    netns: str
    ifname: str = "eth0"
    args: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Exit status and output of one plugin call."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Document:
        """The only JSON document on stdout; empty when there is none."""
        return json.loads(self.stdout) if self.stdout.strip() else {}


class Plugins:
    """A plugin directory inside the sandbox with the chosen files of another only.

    `names` that `source` does not have are left out. Names of one file are names of
    one copy. The reference, which is 40 MB of files, is linked.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        source: Path,
        names: Iterable[str] = OURS,
        inside: str = "/run/lab/bin",
    ) -> None:
        self.sandbox, self.directory = sandbox, inside
        sandbox.path(inside).mkdir(parents=True, exist_ok=True)
        copies: dict[Path, Path] = {}
        for name in names:
            original, copy = (source / name).resolve(), sandbox.path(inside) / name
            if original in copies:
                copy.hardlink_to(copies[original])
            elif source == REFERENCE and original.is_file():
                copy.symlink_to(original)
            elif original.is_file():
                copies[original] = Path(shutil.copy(original, copy))

    def __contains__(self, name: str) -> bool:
        return (self.sandbox.path(self.directory) / name).is_file()

    def call(
        self, command: str, document: Document | str, at: Attachment, type_: str = ""
    ) -> Answer:
        """Execute one plugin with this stdin, in the environment a runtime gives."""
        stdin = document if isinstance(document, str) else json.dumps(document)
        name = type_ or json.loads(stdin)["type"]
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": at.container,
            "CNI_NETNS": at.netns,
            "CNI_IFNAME": at.ifname,
            "CNI_ARGS": at.args,
            "CNI_PATH": self.directory,
        }
        path = f"{self.directory}/{name}"
        done = self.sandbox.run(path, stdin=stdin, env=env, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)


class PluginError(AssertionError):
    """A plugin of the chain failed; carries its error document."""

    def __init__(self, name: str, command: str, answer: Answer) -> None:
        super().__init__(f"{name} {command}: {answer}")
        self.answer = answer


class Network:
    """One configuration list, run in the order and with the stdin of libcni."""

    def __init__(self, plugins: Plugins, conflist: Document) -> None:
        self.plugins, self.conflist = plugins, conflist
        self.results: dict[tuple[str, str], Document] = {}

    def _document(self, plugin: Document, at: Attachment, prev: Document | None) -> str:
        """Return what libcni writes to the plugin's stdin."""
        document = {**plugin, "name": self.conflist["name"]}
        document["cniVersion"] = self.conflist["cniVersion"]
        wanted = [k for k, on in plugin.get("capabilities", {}).items() if on]
        given = {k: at.capabilities[k] for k in wanted if k in at.capabilities}
        if given:
            document["runtimeConfig"] = given
        if prev is not None:
            document["prevResult"] = prev
        return json.dumps(document, sort_keys=True)

    def _call(
        self, command: str, plugin: Document, at: Attachment, prev: Document | None
    ) -> Document:
        answer = self.plugins.call(command, self._document(plugin, at, prev), at)
        if answer.status:
            raise PluginError(plugin["type"], command, answer)
        return answer.document

    def add(self, at: Attachment) -> Document:
        """Attach the container; return the last plugin's result and remember it."""
        result: Document | None = None
        for plugin in self.conflist["plugins"]:
            result = self._call("ADD", plugin, at, result)
        assert result is not None
        self.results[at.container, at.ifname] = result
        return result

    def check(self, at: Attachment) -> None:
        """Every plugin of the list accepts CHECK with the remembered result."""
        for plugin in self.conflist["plugins"]:
            self._call("CHECK", plugin, at, self.results[at.container, at.ifname])

    def delete(self, at: Attachment) -> None:
        """Detach the container, plugins in reverse order."""
        prev = self.results.get((at.container, at.ifname))
        for plugin in reversed(self.conflist["plugins"]):
            self._call("DEL", plugin, at, prev)
        self.results.pop((at.container, at.ifname), None)
