# SPDX-License-Identifier: Apache-2.0
"""`cnipy demo`: two containers attached, talking and detached, where nobody is hurt."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

from cnipy import network as networks
from cnipy.demo import stage, story

if TYPE_CHECKING:
    from collections.abc import Mapping


def play(
    path: tuple[str, ...], conf: str | None, env: Mapping[str, str], *, quiet: bool
) -> tuple[list[Any], int]:
    """Play the demonstration with the plugins of `path`, printing it unless `quiet`.

    `conf` is a conflist of a bridge with portmap; what Podman writes if None. Returns
    what was seen, and 0 if all of that held. Raises CNIError when the list cannot be
    read.
    """
    network = networks.read(conf or stage.example())
    # The scene is another process's.
    report = os.memfd_create("cnipy-demo")

    def scene() -> int:
        with redirect_stdout(None) if quiet else nullcontext():
            checks = story.tell(path, network, env)
        os.write(report, json.dumps(checks.seen).encode())
        return 1 if checks.failed else 0

    try:
        status = stage.play(scene, path)
        text = os.pread(report, os.fstat(report).st_size, 0)
    finally:
        os.close(report)
    return json.loads(text or b"[]"), status
