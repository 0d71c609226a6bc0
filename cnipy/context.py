# SPDX-License-Identifier: Apache-2.0
"""What a verb is given beside its own options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from cni_common.spec.errors import printed
from cni_common.spec.values import dataclass
from cnipy import network as networks
from cnipy.cache import Cache
from cnipy.places import CONF_DIRECTORY, PLUGIN_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnipy.attachment import Attachment
    from cnipy.network import Network
    from cnipy.runtime import Runtime
    from cnipy.suite import Suite


@dataclass(frozen=True)
class Context:
    """The path of the command, its environment, the suite, and whom it speaks to.

    tell: a line on stderr; json: whether a document is asked for, so that nothing else
    may be on stdout.
    """

    command: str
    env: Mapping[str, str]
    suite: Suite
    cache_directory: str
    stdout: BinaryIO
    tell: Callable[[str], None]
    json: bool = False

    def say(self, line: str) -> None:
        """Print a line as soon as there is one, unless a document is asked for."""
        if not self.json:
            self.stdout.write(f"{printed(line)}\n".encode())

    @property
    def conf_directory(self) -> str:
        """The directory of the configurations."""
        return self.env.get("NETCONFPATH") or CONF_DIRECTORY

    @property
    def plugin_path(self) -> tuple[str, ...]:
        """The directories of the plugins."""
        path = self.env.get("CNI_PATH") or PLUGIN_DIRECTORY
        return tuple(filter(None, path.split(":")))

    @property
    def own_directory(self) -> str:
        """The directory of the command, to which a link in PATH may lead."""
        return os.path.dirname(os.path.realpath(self.command))

    @property
    def cache(self) -> Cache:
        """The results of runtimes, and of this command."""
        return Cache(self.cache_directory)

    @property
    def runtime(self) -> Runtime:
        """Who calls plugins."""
        from cnipy.invoke import Invoker  # noqa: PLC0415 - most verbs call none
        from cnipy.runtime import Runtime  # noqa: PLC0415 - the same

        return Runtime(Invoker(self.plugin_path, self.env), self.cache)

    def network(self, name: str) -> Network:
        """Return the network `name`; raises CNIError as `load` does."""
        return networks.load(self.conf_directory, name)

    def files(self) -> dict[str, str]:
        """Return the file of each network by its name: of several the one taken."""
        listed = networks.listed(self.conf_directory)
        return dict(reversed(listed))

    def kept_network(self, name: str, attachment: Attachment) -> Network:
        """Return the network, or where its file is gone, as it was when added."""
        try:
            return self.network(name)
        except networks.NotFoundError:
            entry = self.cache.read(name, attachment)
            if entry is None:
                raise
            kept = os.path.join(self.conf_directory, "cached list")
            return networks.parse(entry.config, kept)

    def warn(self, network: Network, given: Mapping[str, object]) -> None:
        """Tell what an administrator probably did not mean (cnipy/doubts.py)."""
        from cnipy.doubts import doubts  # noqa: PLC0415 - for those who warn

        listed = networks.listed(self.conf_directory)
        for doubt in doubts(self.suite, network, listed, given):
            self.tell(f"warning: {doubt}")
