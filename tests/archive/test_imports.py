# SPDX-License-Identifier: Apache-2.0
"""What a start costs is what it imports; looked at in the tree of the packed file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import chains
import pytest
from lab import Answer, Space, need
from netns.dhcp import helpers as dhcp

from plugins import REGISTER, module_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import Host

    Imported = Callable[..., set[str]]


@pytest.fixture(scope="module")
def tree(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the packed file, as the first call extracts them."""
    tree = tmp_path_factory.mktemp("tree")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tree)
    return tree


@pytest.fixture(scope="module")
def imported(tree: Path) -> Imported:
    """Return all modules that others bring with them, the interpreter's apart."""

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
    """skel has neither libraries nor the expensive modules of the standard library."""
    expensive = {
        "typing",
        "dataclasses",
        "inspect",
        "ipaddress",
        "traceback",
        "hashlib",
    }
    assert imported("cni_common.frame.skel") & (HEAVY | expensive) == set()


def test_request_is_read_without_a_library(imported: Imported) -> None:
    """A malformed request is refused before a plugin is imported."""
    assert imported("cni_common.frame.skel", "cni_common.spec.request") & HEAVY == set()


DELETIONS = [
    module_of(name, "detach") for name in REGISTER if REGISTER[name].get("detach")
]


@pytest.mark.parametrize("module", [*DELETIONS, "cni_common.attachment.deletion"])
def test_delete_of_what_is_recorded_imports_no_models(
    imported: Imported, module: str
) -> None:
    """DEL by the record needs no configuration, and so no models."""
    modules = imported("cni_common.frame.skel", module)
    assert not [name for name in modules if name.startswith(MODELS)]


def test_ports_are_published_and_withdrawn_without_what_is_rarely_needed(
    imported: Imported,
) -> None:
    """DEL of one port among many opens no rtnetlink socket, and starts no thread."""
    rare = {"plugins.portmap.iptables_words", "cni_common.kernel.processes"}
    assert imported("plugins.portmap.plugin") & rare == set()
    parts = ("cni_common.attachment.deletion", "cni_common.parts.published_ports")
    modules = imported("cni_common.frame.skel", *parts)
    assert modules & {*rare, "cni_common.kernel.netlink", "threading"} == set()


def test_limits_are_taken_away_without_what_addresses_need(imported: Imported) -> None:
    """DEL of limits without subnets has no address to read."""
    parts = (f"cni_common.parts.{way}_limit" for way in ("ingress", "egress"))
    modules = imported("cni_common.attachment.deletion", *parts)
    assert modules & {"ipaddress", "cni_common.spec.fields"} == set()


def test_bus_library_is_not_imported_before_there_is_a_bus(imported: Imported) -> None:
    """A node without firewalld does not pay for D-Bus."""
    modules = imported("cni_common.firewalld")
    assert {name for name in modules if name.startswith("jeepney")} == set()
    assert modules & HEAVY == set()


# A call as main.py serves it; what it has imported is written to the last argument.
CALL = """
import io, os, sys
site, archive, report = sys.argv[1:]
sys.path.append(site)
before = set(sys.modules)
from launcher import main
out = io.BytesIO()
status = main.main([archive], os.environ, sys.stdin.buffer, out, sys.stderr)
sys.stdout.buffer.write(out.getvalue())
sys.stdout.flush()
with open(report, "w") as file:
    file.write(" ".join(set(sys.modules) - before))
os._exit(status)
"""
OWN = {"cni_common", "cnipy", "launcher", "plugins"}

LEASING = {
    "loopback": {},
    "host-local": {"ipam": {"type": "host-local", "subnet": "10.5.0.0/24"}},
    "cluster-pool": {"ipam": {"type": "cluster-pool", "podCIDR": "10.6.0.0/24"}},
    "static": {"ipam": {"type": "static", "addresses": [{"address": "10.5.0.2/24"}]}},
}


# What every call may import of the standard library and of others, and what one verb
# of a plugin may beside that. What is not here is expensive, or not needed: see its
# cost by `valgrind --tool=callgrind python3 -I -S -c "import …"` before it is added.
# Modules whose names begin with "_" are compiled into the interpreter, or nearly.
EVERY = {
    *("collections", "contextlib", "errno", "fcntl", "functools", "gc"),
    *("ipaddress", "itertools", "keyword", "operator", "reprlib", "select", "struct"),
    "types",
}
RULES = {"nftables"}
NAMES = {"binascii"}
WORDS = {"copyreg", "enum", "re"}
SOCKETS = {"array", "enum", "math", "selectors", "socket"}
PROGRAMS = {*WORDS, *SOCKETS, "locale", "signal", "subprocess", "threading", "warnings"}
BY_PLUGIN: dict[str, tuple[set[str], set[str], set[str]]] = {  # ADD, DEL, STATUS
    "bandwidth": (set(), set(), set()),
    "bridge": ({*NAMES, *RULES}, {*NAMES, *RULES}, {*NAMES, *RULES}),
    "cluster-pool": (NAMES, NAMES, NAMES),
    "dnsname": ({*PROGRAMS, "pwd"}, set(), PROGRAMS),
    "dummy": (NAMES, NAMES, NAMES),
    "firewall": ({"encodings", *RULES}, RULES, {"encodings", *RULES}),
    "host-device": (NAMES, NAMES, NAMES),
    "host-local": (NAMES, NAMES, NAMES),
    "ipvlan": (NAMES, NAMES, NAMES),
    "loopback": (set(), {"pydantic"}, set()),
    "macvlan": (NAMES, NAMES, NAMES),
    "portmap": (RULES, RULES, RULES),
    "ptp": ({*NAMES, *RULES}, {*NAMES, *RULES}, {*NAMES, *RULES}),
    "sbr": (set(), set(), set()),
    "static": (set(), set(), set()),
    "tap": (NAMES, NAMES, NAMES),
    "tuning": (set(), set(), set()),
    "vlan": (NAMES, NAMES, NAMES),
    "vrf": (set(), set(), set()),
}
ALLOWED = {
    (plugin, verb): {*EVERY, *names, *(set() if verb == "DEL" else {"pydantic"})}
    for plugin, verbs in BY_PLUGIN.items()
    for verb, names in zip(("ADD", "DEL", "STATUS"), verbs, strict=True)
}


class Watched:
    """Calls plugins of a tree, each in a process, and notes what they import."""

    def __init__(self, tree: Path, plugins: Path, report: Path) -> None:
        self._words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", CALL]
        self._site = tree / "site-packages"
        self._plugins = plugins
        self._report = report
        self.seen: dict[tuple[str, str], set[str]] = {}

    def __call__(
        self,
        plugin: str,
        verb: str,
        conf: Any,
        *,
        netns: Space | None = None,
        container_id: str = "c1",
        ifname: str = "eth0",
    ) -> Answer:
        """Return the answer of `plugin`."""
        env = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container_id,
            "CNI_IFNAME": ifname,
            "CNI_NETNS": netns.path if netns else "",
            "CNI_PATH": str(self._plugins),
            "PATH": os.environ["PATH"],
        }
        ended = subprocess.run(
            [*self._words, self._site, self._plugins / plugin, self._report],
            input=json.dumps(conf),
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        names = {name.partition(".")[0] for name in self._report.read_text().split()}
        self.seen[plugin, verb] = {n for n in names - OWN if n[0] != "_"}
        return Answer(ended.returncode, ended.stdout, ended.stderr)


def check_imports(watched: Watched, *plugins: str) -> None:
    """Nothing but what is allowed was imported by the calls of `plugins`."""
    beyond = {call: names - ALLOWED[call] for call, names in watched.seen.items()}
    assert {call: names for call, names in beyond.items() if names} == {}
    assert {call for call in ALLOWED if call[0] in plugins} == set(watched.seen)


@pytest.mark.parametrize(
    "plugins",
    [
        pytest.param((*chains.CHAIN, *chains.ALONE, "sbr"), id="of every kernel"),
        # What a plugin imports does not depend on the kernel that it runs on.
        pytest.param(
            ("macvlan", *chains.ELSEWHERE),
            marks=pytest.mark.needs_kernel(*chains.ELSEWHERE.values()),
            id="of some kernels",
        ),
    ],
)
def test_calls_import_only_what_they_need(
    host: Host, tree: Path, plugin_dir: Path, plugins: tuple[str, ...]
) -> None:
    """The calls of a plugin, for a node's first container and for another one."""
    need("dnsmasq")
    chains.prepare(host)
    watched = Watched(tree, plugin_dir, plugin_dir / "report")
    cni: Any = watched
    for number in (1, 2):
        container = chains.Container(cni, host.space(), number)
        for plugin in plugins:
            assert container.call("STATUS", plugin).status == 0
            container.add(plugin)
        container.delete(*plugins)
    check_imports(watched, *plugins)


def test_calls_without_a_link_import_only_what_they_need(
    host: Host, tree: Path, plugin_dir: Path
) -> None:
    """Those of IPAM plugins, and of loopback."""
    watched = Watched(tree, plugin_dir, plugin_dir / "report")
    space = host.space()
    for _ in range(2):
        for plugin, keys in LEASING.items():
            conf = {"cniVersion": "1.1.0", "name": "n", "type": plugin, **keys}
            for verb in ("STATUS", "ADD", "DEL"):
                answer = watched(plugin, verb, conf, netns=space)
                assert answer.status == 0, (plugin, verb, answer)
    check_imports(watched, *LEASING)


def test_imports_of_every_plugin_are_looked_at() -> None:
    """A plugin of the register is among those above, or this fails."""
    assert {*chains.ALL, *LEASING, "dhcp"} == set(REGISTER)
    assert {plugin for plugin, _ in ALLOWED} == {*chains.ALL, *LEASING}


def test_calls_of_dhcp_import_only_what_they_need(
    host: Host, tree: Path, plugin_dir: Path
) -> None:
    """It speaks gob, waits and reads a record with what every call has anyway."""
    watched = Watched(tree, plugin_dir, plugin_dir / "report")
    space = host.space()
    ipam = {"type": "dhcp", "daemonSocketPath": dhcp.APART}
    conf = {"cniVersion": "1.1.0", "name": "n", "type": "dhcp", "ipam": ipam}
    dhcp.work(host)
    try:
        for verb in ("STATUS", "ADD", "DEL"):
            answer = watched("dhcp", verb, conf, netns=space)
            assert answer.status == 0, (verb, answer)
    finally:
        dhcp.rest()
    allowed = {"ADD": {"pydantic"}, "STATUS": {"pydantic"}, "DEL": set[str]()}
    for verb, more in allowed.items():
        assert watched.seen["dhcp", verb] <= EVERY | more, verb
