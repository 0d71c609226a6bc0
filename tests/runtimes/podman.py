# SPDX-License-Identifier: Apache-2.0
"""Podman 4 with the CNI backend, in a sandbox, on a plugin directory of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.image import write_image
from tests.runtimes.sandbox.machine import Completed, Sandbox, wait_for

IMAGE = "localhost/web:latest"
NETWORKS = "/run/lab/net.d"
CONTAINERS_CONF = """
[containers]
log_driver = "k8s-file"
default_sysctls = []
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "/run/lab/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "/run/lab/graph"
runroot = "/run/lab/runroot"
"""


class Podman:
    """The podman command with its own configuration, storage and networks."""

    def __init__(
        self, sandbox: Sandbox, plugins: Plugins, conflists: dict[str, str]
    ) -> None:
        self.sandbox = sandbox
        conf = CONTAINERS_CONF.format(plugins=plugins.directory)
        self.env = {
            "CONTAINERS_CONF": sandbox.write("/run/lab/containers.conf", conf),
            "CONTAINERS_STORAGE_CONF": sandbox.write(
                "/run/lab/storage.conf", STORAGE_CONF
            ),
        }
        for name, text in conflists.items():
            sandbox.write(f"{NETWORKS}/{name}", text)
        write_image(sandbox.path("/run/lab/web.tar"), IMAGE)
        self("load", "-q", "-i", "/run/lab/web.tar")

    def __call__(self, *words: str, check: bool = True) -> Completed:
        """Run one podman command."""
        return self.sandbox.run("podman", *words, env=self.env, check=check)

    def run(self, name: str, *options: str) -> str:
        """Start a web server on port 80; return the container's ID."""
        words = ["run", "-d", "--name", name, "--cgroup-parent", self.cgroup_parent]
        done = self(*words, *options, IMAGE)
        self.wait_until_serving(name)
        return done.stdout.strip()

    def remove(self, *names: str) -> None:
        """Stop and remove the containers at once; absent ones are no error."""
        self("rm", "-f", "-i", "-t", "0", *names)

    @contextmanager
    def container(self, name: str, *options: str) -> Iterator[str]:
        """Run a web server for the time of a test; yield the container's ID."""
        try:
            yield self.run(name, *options)
        finally:
            self.remove(name)

    def fetch(self, container: str, url: str) -> str:
        """Return the page that the container itself gets."""
        # This busybox crashes on `wget -T`, so timeout(1) limits it.
        words = ["timeout", "5", "/bin/wget", "-q", "-O-", url]
        return self("exec", container, "/bin/busybox", *words, check=False).stdout

    def inspect(self, container: str) -> Any:
        """Return what podman knows about the container."""
        return json.loads(self("inspect", container).stdout)[0]

    def address(self, container: str, network: str) -> str:
        """Return the IPv4 address in one network."""
        networks = self.inspect(container)["NetworkSettings"]["Networks"]
        return str(networks[network]["IPAddress"])

    def netns(self, container: str) -> str:
        """Return the name of the container's network namespace."""
        path = self.inspect(container)["NetworkSettings"]["SandboxKey"]
        return str(path).split("/")[-1]

    def wait_until_serving(self, container: str) -> None:
        """Its httpd listens on port 80."""
        netns = self.netns(container)
        command = ["ss", "-Hltn", "sport", "=", ":80"]

        def listening() -> bool:
            return bool(self.sandbox.run(*command, netns=netns, check=False).stdout)

        wait_for(listening, f"{container} to listen on port 80")

    @property
    def cgroup_parent(self) -> str:
        """Control group below which all of this sandbox's containers are."""
        return f"/{self.sandbox.cgroup}"
