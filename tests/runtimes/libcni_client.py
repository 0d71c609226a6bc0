# SPDX-License-Identifier: Apache-2.0
"""The reference runtime library in a sandbox, by a small Go program around it."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.machine import Completed
from tests.runtimes.sandbox.requirements import need, unmet

SOURCE = Path(__file__).with_name("libcni") / "main.go"
GOPATH = Path("/usr/share/gocode")
LIBRARY = GOPATH / "src/github.com/containernetworking/cni/libcni"
INSIDE = "/run/lab/libcni"
# The library is compiled once, not for each module and worker; go locks it itself.
CACHE = Path(__file__).parents[2] / "dist/go-cache"


def build(directory: Path) -> Path:
    """Return the program, built from source into the directory."""
    need("go")
    if not LIBRARY.is_dir():
        unmet(f"{LIBRARY} is missing: golang-github-appc-cni-dev")
    program = directory / "libcni"
    env = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(CACHE),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    words = ["go", "build", "-o", str(program), str(SOURCE)]
    subprocess.run(words, env=env, check=True)
    return program


class LibCNI:
    """One network run by libcni, with its own result cache."""

    def __init__(self, plugins: Plugins, conflist: Mapping[str, Any]) -> None:
        self.sandbox, self.plugins = plugins.sandbox, plugins
        name = f"/run/lab/lists/{conflist['name']}.conflist"
        self.list = self.sandbox.write(name, json.dumps(conflist))

    def __call__(
        self,
        operation: str,
        container: str,
        *,
        ifname: str = "eth0",
        capabilities: Mapping[str, Any] | None = None,
        check: bool = True,
    ) -> Completed:
        """Run one operation; the network namespace is named like the container."""
        env = {
            "CNI_PATH": self.plugins.directory,
            "CNI_CACHE": "/var/lib/cni",
            "CAP_ARGS": json.dumps(capabilities or {}),
        }
        netns = f"/run/netns/{container}"
        words = (INSIDE, operation, self.list, container, netns, ifname)
        return self.sandbox.run(*words, env=env, check=check)

    def add(self, container: str, **capabilities: Any) -> Any:
        """Attach the container; return the result."""
        return json.loads(self("add", container, capabilities=capabilities).stdout)
