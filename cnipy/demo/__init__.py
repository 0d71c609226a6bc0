# SPDX-License-Identifier: Apache-2.0
"""`cnipy demo`: two containers attached, talking and detached, where nobody is hurt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy import network as networks
from cnipy.demo import stage, story

if TYPE_CHECKING:
    from collections.abc import Mapping


def run(plugins: str, conf: str | None, env: Mapping[str, str]) -> int:
    """Play the demonstration with the plugins of a directory; 0 if all held.

    `conf` is a conflist of a bridge with portmap; what Podman writes if None. Raises
    CNIError when it cannot be read.
    """
    network = networks.read(conf or stage.example())
    path = tuple(filter(None, (env.get("CNI_PATH") or plugins).split(":")))
    return stage.play(lambda: story.tell(path, network, env), path)
