# SPDX-License-Identifier: Apache-2.0
"""portmap: who listens on the host, at a port that a container takes over, is told."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from netns.portmap.helpers import NODE, NODE6, Node, elements, mapping, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host

PORT = 8080


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def kept() -> Iterator[ExitStack]:
    """What is closed when the test ends."""
    with ExitStack() as stack:
        yield stack


def listen(
    kept: ExitStack, at: str, protocol: str = "tcp", *, dual: bool = True
) -> None:
    """Have this process listen at an address of the host."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    listener = kept.enter_context(socket.socket(family, kind))
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
    listener.bind((at, PORT))
    if protocol == "tcp":
        listener.listen()


def warning(at: str, protocol: str = "tcp") -> str:
    """Return what stderr gets for a listener of this very process."""
    with open("/proc/self/comm") as file:
        name = file.read().strip()
    who = f"process {os.getpid()} ({name})"
    return f"portmap: {protocol} port {PORT} leads past {who}, which listens at {at}\n"


def add(node: Node, *mappings: dict[str, Any], **keys: Any) -> str:
    """Call ADD, which must publish; return what it said on stderr."""
    conf, options = request(node.container(2), 2, *mappings, **keys)
    answer = node.cni("portmap", "ADD", conf, **options)
    assert answer.status == 0, answer.stdout
    assert answer.document["ips"]
    return answer.stderr


@pytest.mark.parametrize(
    ("at", "wanted"),
    (
        ("0.0.0.0", {}),
        ("127.0.0.1", {}),
        (NODE, {"hostIP": "0.0.0.0"}),
        (NODE, {"hostIP": NODE}),
        ("0.0.0.0", {"hostIP": NODE}),
        ("::", {"hostIP": NODE}),
        (f"::ffff:{NODE}", {"hostIP": NODE}),
        ("::", {"hostIP": "::"}),
        ("::1", {}),
        (NODE6, {"hostIP": NODE6}),
    ),
)
def test_process_that_loses_the_port_is_named(
    node: Node, kept: ExitStack, tmp_path: Path, at: str, wanted: dict[str, str]
) -> None:
    """ADD publishes, and names the process in its log and on stderr."""
    listen(kept, at)
    log = tmp_path / "log"
    said = add(node, mapping(PORT, **wanted), mapping(81), logFile=str(log))
    assert said == warning(at.removeprefix("::ffff:"))
    assert said.removeprefix("portmap: ").strip() in log.read_text()


@pytest.mark.parametrize(
    ("at", "dual", "wanted"),
    (
        ("10.1.0.1", True, {"hostIP": NODE}),
        ("0.0.0.0", True, {"hostIP": "::"}),
        ("::", False, {"hostIP": "0.0.0.0"}),
        ("::1", True, {"hostIP": "0.0.0.0"}),
        ("0.0.0.0", True, {"protocol": "udp"}),
        ("0.0.0.0", True, {"hostPort": PORT + 1}),
    ),
)
def test_process_that_keeps_its_port_is_not_named(
    node: Node, kept: ExitStack, at: str, wanted: dict[str, Any], *, dual: bool
) -> None:
    """Another address, family, protocol or number is nobody's loss."""
    listen(kept, at, dual=dual)
    assert add(node, {**mapping(PORT), **wanted}) == ""


def test_udp_socket_is_named(node: Node, kept: ExitStack) -> None:
    """A UDP service loses its port as well."""
    listen(kept, "::", "udp")
    assert add(node, mapping(PORT, protocol="udp")) == warning("::", "udp")


def test_port_kept_for_the_container_is_no_loss(node: Node, kept: ExitStack) -> None:
    """Podman's monitor of the container itself holds its ports, and is not named."""
    container = "8f0d5c2e9b7a"
    listener = kept.enter_context(socket.create_server(("0.0.0.0", PORT)))
    child = os.fork()
    if child == 0:
        os.set_inheritable(listener.fileno(), True)
        os.execlp("sh", "conmon", "-c", "kill -STOP $$", "-c", container)
    kept.callback(os.waitpid, child, 0)
    kept.callback(os.kill, child, signal.SIGKILL)
    os.waitpid(child, os.WUNTRACED)
    listener.close()
    assert add(node, mapping(PORT), container_id=container) == ""
    assert elements("hostports4") == {f"tcp . {PORT}": "10.1.0.2 . 80"}


def test_failed_add_names_nobody(node: Node, kept: ExitStack) -> None:
    """Who keeps the port because ADD failed is not told that it is lost."""
    node.publish(node.container(3), 3, mapping(PORT))
    listen(kept, "0.0.0.0")
    conf, options = request(node.container(2), 2, mapping(PORT))
    answer = node.cni("portmap", "ADD", conf, **options)
    assert (answer.status, answer.stderr) == (1, "")
