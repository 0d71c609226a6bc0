# SPDX-License-Identifier: Apache-2.0
"""What tests look and act with: the system's own tools, namespaces, plugin calls."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from cni_common.frame import skel
from cni_common.kernel import netns as network_namespaces
from cni_common.kernel import nft
from launcher.loading import Registered
from plugins import REGISTER, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


STRICT = os.environ.get("CNI_TESTS_STRICT") == "1"
# How much longer to wait for what is to happen, on a machine that is slow by nature.
PATIENCE = float(os.environ.get("CNI_TESTS_PATIENCE", "1"))


def need(tool: str) -> str:
    """Return the path of a tool; without it skip, or fail where strictness is asked."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/cni"
    found = shutil.which(tool, path=path)
    if found is None:
        lacking(f"{tool} is not installed")
    return str(found)


def lacking(what: str) -> None:
    """Skip the test for `what`, or fail it where strictness is asked."""
    if STRICT:
        pytest.fail(what)
    pytest.skip(what)


def run(*command: str, check: bool = True, **options: Any) -> str:
    """Run a command of the system and return what it prints."""
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    if check and ended.returncode != 0:
        msg = f"{' '.join(command)}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        raise AssertionError(msg)
    return ended.stdout


def ip(*command: str) -> Any:
    """Return what `ip -j` says, as values."""
    output = run("ip", "-j", "-d", *command)
    return json.loads(output) if output.strip() else []


def nft_objects(*command: str) -> list[dict[str, Any]]:
    """Return what `nft -j list ...` says, as values; an absent object gives none."""
    output = run("nft", "-j", "list", *command, check=False)
    listed = json.loads(output)["nftables"] if output.strip() else []
    return [item for item in listed if "metainfo" not in item]


def reaches(address: str) -> bool:
    """Tell whether an echo request to `address` is answered within a second."""
    seconds = f"-W{PATIENCE:.0f}"
    command = (need("busybox"), "ping", "-c1", seconds, address)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass
class Space:
    """A named network namespace, and running commands in it."""

    name: str

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return f"/run/netns/{self.name}"

    def run(self, *command: str, **options: Any) -> str:
        """Run a command inside."""
        return run("ip", "netns", "exec", self.name, *command, **options)

    def reaches(self, address: str) -> bool:
        """Tell whether an echo request to `address` is answered within a second."""
        with self.entered():
            return reaches(address)

    def ip(self, *command: str) -> Any:
        """Return what `ip -j` says inside."""
        return ip("-n", self.name, *command)

    def delete(self) -> None:
        """Unmount it, as a runtime does when a container is gone."""
        run("ip", "netns", "delete", self.name)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the test itself inside."""
        with network_namespaces.entered_path(self.path):
            yield


@dataclass
class Answer:
    """What a plugin answered."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


@dataclass
class Host:
    """A fresh network namespace that stands for a node, entered by the test."""

    spaces: list[Space] = field(default_factory=list)

    def space(self, prefix: str = "ctr") -> Space:
        """Return a new namespace; it is gone when the test ends."""
        space = Space(f"{prefix}-{uuid.uuid4().hex[:8]}")
        run("ip", "netns", "add", space.name)
        self.spaces.append(space)
        return space

    def outside(self, subnet: str = "198.51.100", ipv6: str = "2001:db8:99") -> Space:
        """Return a neighbour beyond an uplink: it is .2, the node is .1."""
        space = self.space("ext")
        # Or it asks for no neighbour of what it forwards for more than a second.
        space.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        run(
            "ip",
            "link",
            "add",
            "eth0",
            "type",
            "veth",
            "peer",
            "eth0",
            "netns",
            space.name,
        )
        for target, link, number in ((None, "eth0", 1), (space.name, "eth0", 2)):
            at = ["-n", target] if target else []
            run("ip", *at, "addr", "add", f"{subnet}.{number}/24", "dev", link)
            run("ip", *at, "addr", "add", f"{ipv6}::{number}/64", "dev", link, "nodad")
            run("ip", *at, "link", "set", link, "up")
        run("ip", "-n", space.name, "link", "set", "lo", "up")
        return space


def in_suite(path: str) -> Registered | None:
    """Take a plugin of the suite for what lies at `path`, as in the packed archive."""
    name = os.path.basename(path)
    return Registered(name) if name in REGISTER else None


class Cni:
    """Calls plugins in process, through the door of a real process."""

    def __init__(self, plugin_path: str) -> None:
        self.plugin_path = plugin_path
        self.stdout: Callable[[], io.BytesIO] = io.BytesIO

    def __call__(
        self,
        plugin: str,
        command: str,
        conf: Any,
        *,
        netns: str | Space = "",
        container_id: str = "c1",
        ifname: str = "eth0",
        args: str = "",
        path: str | None = None,
        env: dict[str, str] | None = None,
        in_process: bool = True,
    ) -> Answer:
        """Return the answer of `plugin`; `conf` is a document or the bytes of one."""
        space = netns.path if isinstance(netns, Space) else netns
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": space,
            "CNI_IFNAME": ifname,
            "CNI_ARGS": args,
            "CNI_PATH": self.plugin_path if path is None else path,
            **(env or {}),
        }
        stdin = conf if isinstance(conf, bytes) else json.dumps(conf).encode()
        stdout, stderr = self.stdout(), io.StringIO()
        status = skel.run(
            plugin,
            lambda: Registered(plugin),
            variables,
            io.BytesIO(stdin),
            stdout,
            stderr,
            ours=in_suite if in_process else None,
            versions=versions_of(plugin),
        )
        nft.release()
        return Answer(status, stdout.getvalue().decode(), stderr.getvalue())

    def ok(self, plugin: str, command: str, conf: Any, **options: Any) -> Any:
        """Return the document of a call that must succeed, or None without one."""
        answer = self(plugin, command, conf, **options)
        assert answer.status == 0, answer.stdout + answer.stderr
        return answer.document if answer.stdout else None

    def refused(self, plugin: str, command: str, conf: Any, **options: Any) -> Any:
        """Return the error document of a call that must fail."""
        answer = self(plugin, command, conf, **options)
        assert answer.status == 1, answer.stdout + answer.stderr
        return answer.document
