# SPDX-License-Identifier: Apache-2.0
"""What a start costs is what it imports; looked at in the tree of the packed file."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Imported = Callable[..., set[str]]


@pytest.fixture(scope="module")
def imported(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Return all modules that others bring with them, the interpreter's apart."""
    tree = tmp_path_factory.mktemp("tree")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tree)

    def found(*modules: str) -> set[str]:
        source = (
            f"import sys, json; sys.path.insert(0, {str(tree / 'site-packages')!r});"
            f"before = set(sys.modules); import {', '.join(modules)};"
            "print(json.dumps(sorted(set(sys.modules) - before)))"
        )
        words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", source]
        return set(json.loads(subprocess.check_output(words)))

    return found


MODELS = ("pydantic", "cni_common.compiled")
HEAVY = {"pydantic", "pyroute2", "nftables", "subprocess", "asyncio", "ctypes"}


def test_version_and_refusals_import_no_library(imported: Imported) -> None:
    """skel has neither libraries nor the dear modules of the standard library."""
    dear = {"typing", "dataclasses", "inspect", "ipaddress", "traceback", "hashlib"}
    assert imported("cni_common.skel") & (HEAVY | dear) == set()


def test_request_is_read_without_a_library(imported: Imported) -> None:
    """A malformed request is refused before a plugin is imported."""
    assert imported("cni_common.skel", "cni_common.spec.request") & HEAVY == set()


@pytest.mark.parametrize(
    ("plugin", "spared"),
    [
        ("host_local", {"pyroute2", "nftables", "subprocess", "asyncio"}),
        ("portmap", {"pyroute2", "nftables", "subprocess", "asyncio"}),
        ("dnsname", {"pyroute2", "nftables", "subprocess", "asyncio", "ctypes"}),
        ("firewall", {"pyroute2", "nftables", "subprocess", "asyncio", "jeepney"}),
        ("tuning", {"pyroute2", "nftables", "subprocess", "asyncio"}),
        ("static", {"pyroute2", "nftables", "subprocess", "asyncio"}),
        ("loopback", {"nftables", "subprocess", "asyncio"}),
        ("bridge", {"nftables", "subprocess", "asyncio"}),
        ("bandwidth", {"nftables", "subprocess", "asyncio"}),
        ("host_device", {"nftables", "subprocess", "asyncio"}),
        ("macvlan", {"nftables", "subprocess", "asyncio"}),
        ("ptp", {"nftables", "subprocess", "asyncio"}),
    ],
)
def test_plugin_imports_only_what_it_works_with(
    imported: Imported, plugin: str, spared: set[str]
) -> None:
    """host-local and portmap speak no netlink of pyroute2, and rules load late."""
    modules = imported(f"plugins.{plugin}.plugin")
    assert "pydantic" in modules
    assert modules & spared == set()


@pytest.mark.parametrize(
    "plugin",
    [
        "bandwidth",
        "bridge",
        "dnsname",
        "firewall",
        "host_device",
        "host_local",
        "macvlan",
        "portmap",
        "ptp",
        "static",
        "tuning",
    ],
)
def test_delete_of_what_is_recorded_imports_no_models(
    imported: Imported, plugin: str
) -> None:
    """DEL by the record needs no configuration, and so no models."""
    modules = imported("cni_common.skel", f"plugins.{plugin}.detach")
    assert not [name for name in modules if name.startswith(MODELS)]


def test_ports_are_published_and_withdrawn_without_what_is_rarely_needed(
    imported: Imported,
) -> None:
    """DEL of one port among many opens no rtnetlink socket, and starts no thread."""
    rare = {"plugins.portmap.iptables_words", "cni_common.kernel.processes"}
    assert imported("plugins.portmap.plugin") & rare == set()
    modules = imported("cni_common.skel", "plugins.portmap.detach")
    assert modules & {*rare, "cni_common.kernel.netlink", "threading"} == set()


def test_bus_library_is_not_imported_before_there_is_a_bus(imported: Imported) -> None:
    """A node without firewalld does not pay for D-Bus."""
    modules = imported("cni_common.firewalld")
    assert {name for name in modules if name.startswith("jeepney")} == set()
    assert modules & HEAVY == set()
