# SPDX-License-Identifier: Apache-2.0
"""Containers attached to the networks of conf-examples."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runtimes import web
from tests.runtimes.sandbox import Sandbox, remains
from tests.runtimes.sandbox.chain import Attachment, Network, Plugins
from tests.runtimes.sandbox.requirements import REPOSITORY

EXAMPLES = REPOSITORY / "conf-examples"
FILES = tuple(sorted(path.name for path in EXAMPLES.glob("*.conflist")))
Document = dict[str, Any]


def conflist(name: str) -> Document:
    """Return an example by its file name."""
    document: Document = json.loads((EXAMPLES / name).read_text())
    return document


@dataclass(frozen=True)
class Attached:
    """One container in one network."""

    at: Attachment
    result: Document

    @property
    def name(self) -> str:
        """Name of the container and of its network namespace."""
        return self.at.container

    @property
    def addresses(self) -> list[str]:
        """Addresses in the order of the result, without prefix length."""
        return [ip["address"].split("/")[0] for ip in self.result.get("ips", [])]

    @property
    def address(self) -> str:
        """First address, in the form that a URL takes."""
        first = self.addresses[0]
        return f"[{first}]" if ":" in first else first


@dataclass(frozen=True)
class Lab:
    """A machine on which examples are run."""

    sandbox: Sandbox
    plugins: Plugins

    def network(self, name: str) -> Network:
        """Load an example."""
        return Network(self.plugins, conflist(name))

    @contextmanager
    def attached(
        self,
        network: Network,
        container: str,
        ifname: str = "eth0",
        **capabilities: Any,
    ) -> Iterator[Attached]:
        """Attach a container, CHECK it, serve a page in it; detach it afterwards."""
        path = Path("/run/netns") / container
        if not self.sandbox.path(str(path)).exists():
            self.sandbox.run("ip", "netns", "add", container)
        at = Attachment(container, str(path), ifname, capabilities=capabilities)
        try:
            result = network.add(at)
            network.check(at)
            web.serve_page(self.sandbox, container)
            yield Attached(at, result)
        finally:
            network.delete(at)

    def page(self, url: str, netns: str | None = None) -> str:
        """Return what the URL gives, or an empty string."""
        return web.fetch(self.sandbox, url, netns)

    def refused(self, url: str, netns: str | None = None) -> str:
        """Return the same as `page`, waiting less: nothing is expected there."""
        return web.fetch(self.sandbox, url, netns, seconds=1.5)

    def left(self, *attached: Attached) -> list[str]:
        """Return what is left of containers beside their own namespaces."""
        words = [word for one in attached for word in (one.name, *one.addresses)]
        names = {one.name for one in attached}
        found = remains.everything(self.sandbox, *words)
        return [line for line in found if line not in names]
