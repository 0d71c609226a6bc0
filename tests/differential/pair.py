# SPDX-License-Identifier: Apache-2.0
"""The same call made to the reference and to ours."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.differential.cases import CONTAINER, Case
from tests.runtimes.sandbox import Sandbox, need
from tests.runtimes.sandbox.chain import Attachment, Network, Plugins
from tests.runtimes.sandbox.requirements import plugin_directory, reference_directory

T = TypeVar("T")


@dataclass(frozen=True)
class Side:
    """One of the two machines, with the network of the case on it."""

    plugins: Plugins
    network: Network
    at: Attachment
    result: dict[str, Any]

    @property
    def sandbox(self) -> Sandbox:
        """The machine."""
        return self.plugins.sandbox


@dataclass(frozen=True)
class Pair:
    """Plugin directories on two equal machines."""

    reference: Plugins
    ours: Plugins

    def attach(self, case: Case) -> "Attached":
        """Run the same ADD on both; the container's namespace is called c1."""
        return Attached(case, attach(self.reference, case), attach(self.ours, case))


@dataclass(frozen=True)
class Attached:
    """Both machines after the ADD of a case."""

    case: Case
    reference: Side
    ours: Side

    def both(self, look: Callable[[Side], T]) -> tuple[T, T]:
        """Return what the same look at both shows, the reference first.

        They look at the same time: where nothing answers, it takes them seconds.
        """
        with ThreadPoolExecutor(2) as pool:
            reference, ours = pool.map(look, (self.reference, self.ours))
        return reference, ours


def attach(plugins: Plugins, case: Case) -> Side:
    """Make the namespace and whatever the case needs, then run its list's ADD."""
    sandbox = plugins.sandbox
    sandbox.run("ip", "netns", "add", CONTAINER)
    for path, text in case.files.items():
        sandbox.write(path, text)
    network = Network(plugins, case.conflist)
    netns = f"/run/netns/{CONTAINER}"
    at = Attachment(CONTAINER, netns, case.ifname, case.args, case.capabilities)
    return Side(plugins, network, at, network.add(at))


@contextmanager
def machines() -> Iterator[Pair]:
    """Two fresh machines for the time of the block."""
    need("unshare", "nsenter", "ip", "bridge", "nft", "curl", "busybox", "ss")
    with Sandbox(warm=False) as first, Sandbox() as second:
        yield Pair(
            reference=Plugins(first, reference_directory()),
            ours=Plugins(second, plugin_directory()),
        )
