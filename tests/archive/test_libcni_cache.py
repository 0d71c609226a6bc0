# SPDX-License-Identifier: Apache-2.0
"""What libcni attached cnipy detaches, and the other way round, by the one cache."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from packed_file import TOP

from cnipy.attachment import container_id_of
from tests.runtimes import libcni_client

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Space

CACHE = "/var/lib/cni"
CONFLIST = {
    "cniVersion": "1.0.0",
    "name": "n",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "br0",
            "isGateway": True,
            "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small Go program around libcni."""
    return libcni_client.build(tmp_path_factory.mktemp("libcni"))


@pytest.fixture
def env(plugin_dir: Path, tmp_path: Path) -> dict[str, str]:
    """One environment for both runtimes."""
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-n.conflist").write_text(json.dumps(CONFLIST))
    return {
        "PATH": os.environ["PATH"],
        "CNI_PATH": str(plugin_dir),
        "NETCONFPATH": str(tmp_path / "net.d"),
        "CNI_CACHE": CACHE,
        "CAP_ARGS": json.dumps(PORTS),
    }


def run(env: dict[str, str], *command: object) -> None:
    """Run a command, which must succeed."""
    words = [str(word) for word in command]
    ended = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def nft(*words: str) -> str:
    """Return what nft prints, which must succeed."""
    return subprocess.run(
        ["nft", *words], capture_output=True, text=True, check=True
    ).stdout


def libcni(
    env: dict[str, str], program: Path, operation: str, container: Space
) -> None:
    """Have libcni operate on the attachment that cnipy would name the same."""
    conflist = f"{env['NETCONFPATH']}/10-n.conflist"
    names = (container_id_of(container.path), container.path, "eth0")
    run(env, program, operation, conflist, *names)


def remains(container: Space) -> list[str]:
    """Return what is left of the attachment: cache, leases, link."""
    leases = [n for n in os.listdir(f"{CACHE}/networks/n") if n[0].isdigit()]
    links = [link["ifname"] for link in container.ip("link", "show")]
    return os.listdir(f"{CACHE}/results") + leases + [n for n in links if n == "eth0"]


def test_libcni_adds_and_cnipy_deletes(
    env: dict[str, str], program: Path, container: Space
) -> None:
    """The file that libcni wrote serves CHECK and DEL of cnipy."""
    libcni(env, program, "add", container)
    bare = {**env, "CAP_ARGS": ""}
    run(bare, TOP / "dist/bin/cnipy", "check", "n", container.path)
    run(bare, TOP / "dist/bin/cnipy", "del", "n", container.path)
    assert remains(container) == []


def test_cnipy_adds_and_libcni_deletes(
    env: dict[str, str], program: Path, container: Space
) -> None:
    """The file that cnipy wrote serves CHECK and DEL of libcni."""
    run(env, TOP / "dist/bin/cnipy", "add", "n", container.path)
    libcni(env, program, "check", container)
    libcni(env, program, "del", container)
    assert remains(container) == []


def test_libcni_goes_by_what_cnipy_has_changed(
    env: dict[str, str], program: Path, container: Space
) -> None:
    """By its own file libcni checks and deletes the ports that there are by now."""
    libcni(env, program, "add", container)
    cnipy = TOP / "dist/bin/cnipy"
    run(env, cnipy, "publish", container.path, "9090:81")
    run(env, cnipy, "unpublish", container.path, "8080")
    cached = {**env, "CAP_ARGS": "", "CNI_CACHED": "1"}
    libcni(cached, program, "check", container)
    element = ("inet", "cnipy_portmap", "hostports4", "{ tcp . 9090 }")
    nft("delete", "element", *element)
    with pytest.raises(AssertionError, match="9090"):
        libcni(cached, program, "check", container)
    run(env, cnipy, "repair")
    libcni(cached, program, "check", container)
    libcni(cached, program, "del", container)
    assert remains(container) == []
    assert "portmap" not in nft("list", "tables")
