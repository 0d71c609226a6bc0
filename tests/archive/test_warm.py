# SPDX-License-Identifier: Apache-2.0
"""The warm server serves its own build, uid and namespaces, and nobody else."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import ip, nft_objects, run
from packed_file import call
from warm_server import (
    BRIDGE,
    LOOPBACK,
    SOCKET,
    answered,
    children,
    end,
    environment,
    wait_until,
    was_served,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host


def test_call_is_the_same_as_cold(
    warm: subprocess.Popen[bytes], packed: Path, plugin_dir: Path, host: Host
) -> None:
    """ADD through the server gives the container what a cold ADD gives it."""
    space = host.space()
    env = {**environment(space), "CNI_PATH": str(plugin_dir)}
    conf = json.dumps(BRIDGE).encode()
    added = call(plugin_dir / "bridge", "ADD", conf, **env)
    assert added.returncode == 0, added
    assert json.loads(added.stdout)["ips"][0]["address"] == "10.9.0.2/16"
    (end_of_veth,) = space.ip("addr", "show", "eth0")
    assert end_of_veth["addr_info"][0]["local"] == "10.9.0.2"
    deleted = call(plugin_dir / "bridge", "DEL", conf, **env)
    assert (deleted.returncode, deleted.stdout) == (0, b"")
    assert nft_objects("ruleset") == []
    assert warm.poll() is None
    assert packed.exists()


def test_quick_calls_are_not_repeated(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """A call that is over before its caller looks for the answer is not done again.

    A second time it would find its stdin empty.
    """
    conf = json.dumps(LOOPBACK).encode()
    for _ in range(300):
        ended = call(plugin_dir / "loopback", "GC", conf, CNI_PATH="/nowhere")
        assert (ended.returncode, ended.stdout) == (0, b"")
    assert warm.poll() is None


def test_result_that_nobody_reads_is_undone(
    warm: subprocess.Popen[bytes], plugin_dir: Path, host: Host
) -> None:
    """What stdout refuses is refused inside the call, as with a cold one."""
    space = host.space()
    env = {**environment(space), "CNI_PATH": str(plugin_dir), "CNI_COMMAND": "ADD"}
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [plugin_dir / "bridge"],
            input=json.dumps(BRIDGE).encode(),
            stdout=full,
            env=env,
            check=False,
        )
    assert ended.returncode == 1
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
    assert warm.poll() is None


def test_error_has_the_status_and_document_of_a_cold_one(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """An error comes back as one document and exit status 1."""
    conf = json.dumps(LOOPBACK).encode()
    ended = call(plugin_dir / "loopback", "ADD", conf, **environment("/nowhere"))
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["code"] == 8
    assert warm.poll() is None


def test_umask_directory_and_environment_are_the_callers(
    warm: subprocess.Popen[bytes], packed: Path, tmp_path: Path
) -> None:
    """A delegate executed by a warm call finds its caller's surroundings."""
    spy = tmp_path / "spy"
    words = '$TRACEPARENT "$TRACESTATE"'
    spy.write_text(f"#!/bin/sh\n{{ umask; pwd; echo {words}; }} >{tmp_path}/seen\n")
    spy.chmod(0o755)
    (tmp_path / "bridge").symlink_to(packed)
    conf = json.dumps({**BRIDGE, "ipam": {"type": "spy"}}).encode()
    trace = {"TRACEPARENT": "00-0af7-b7ad-01", "TRACESTATE": "vendor=1, other=2"}
    env = {**environment(""), "CNI_PATH": str(tmp_path), **trace}
    script = f"umask 027; cd /usr/lib; exec {tmp_path}/bridge"
    subprocess.run(
        ["sh", "-c", script],
        input=conf,
        env={"CNI_COMMAND": "DEL", "PATH": "/bin", **env},
        check=True,
    )
    given = "00-0af7-b7ad-01 vendor=1, other=2"
    assert (tmp_path / "seen").read_text() == f"0027\n/usr/lib\n{given}\n"
    assert warm.poll() is None


def test_call_reaches_the_server(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """A call of the same build, uid and namespaces is served by a child."""
    conf = json.dumps(LOOPBACK).encode()
    assert was_served(plugin_dir / "loopback", "DEL", conf, environment(""))
    end(warm)
    assert not was_served(plugin_dir / "loopback", "DEL", conf, environment(""))


def test_other_network_namespace_starts_cold(
    warm: subprocess.Popen[bytes], plugin_dir: Path, host: Host
) -> None:
    """A caller in another network namespace acts there, not where the server is."""
    other = host.space("other")
    container = host.space()
    env = {**environment(container), "CNI_PATH": str(plugin_dir), "CNI_COMMAND": "ADD"}
    words = ["ip", "netns", "exec", other.name, plugin_dir / "bridge"]
    conf = json.dumps(BRIDGE).encode()
    path = os.environ["PATH"]
    subprocess.run(
        words, input=conf, env={**env, "PATH": path}, check=True, capture_output=True
    )
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
    assert "br0" in [link["ifname"] for link in other.ip("link", "show")]
    assert warm.poll() is None


@pytest.mark.parametrize("namespace", ("--net", "--mount", "--user"))
def test_connection_from_another_namespace_is_refused(
    warm: subprocess.Popen[bytes], namespace: str
) -> None:
    """The server closes a connection from another namespace before it accepts."""
    assert warm.poll() is None
    script = (
        "import socket; s = socket.socket(socket.AF_UNIX); "
        f"s.connect({SOCKET!r}); print(s.recv(1))"
    )
    words = ["unshare", namespace, "/usr/bin/python3", "-c", script]
    assert run(*words) == "b''\n"


def test_another_uid_cannot_connect(warm: subprocess.Popen[bytes]) -> None:
    """The socket has mode 0600, and the kernel keeps others off."""
    assert warm.poll() is None
    assert os.stat(SOCKET).st_mode & 0o777 == 0o600
    script = (
        "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
        f"try: s.connect({SOCKET!r})\nexcept PermissionError: print('refused')"
    )
    assert run("/usr/bin/python3", "-c", script) == "refused\n"


def test_another_uid_with_a_descriptor_is_refused(
    warm: subprocess.Popen[bytes],
) -> None:
    """Even through a world-writable socket the server looks at the caller's uid."""
    assert warm.poll() is None
    os.chmod(SOCKET, 0o666)
    script = (
        "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.connect({SOCKET!r}); print(s.recv(1))"
    )
    assert run("/usr/bin/python3", "-c", script) == "b''\n"


def test_other_build_starts_cold(
    warm: subprocess.Popen[bytes], plugin_dir: Path, build: str
) -> None:
    """A server does not serve a build that is not its own."""
    for named, answer in ((build, b"A"), ("0" * 32, b""), (build, b"A")):
        assert answered(named, plugin_dir) == answer
    assert warm.poll() is None


def test_garbage_and_silence_do_not_harm_the_server(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """Connections that say nothing, or nonsense, cost a child each and no more."""
    import socket  # noqa: PLC0415 - here only

    silent = []
    for text in (b"", b"\0", b"\xff" * 5000, b"\0\0\0\2ab"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(SOCKET)
        connection.sendall(text)
        silent.append(connection)
    conf = json.dumps(LOOPBACK).encode()
    ended = call(plugin_dir / "loopback", "DEL", conf, **environment(""))
    assert ended.returncode == 0
    for connection in silent:
        connection.close()
    wait_until(lambda: not children(warm))
