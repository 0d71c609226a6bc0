# SPDX-License-Identifier: Apache-2.0
"""Some of what lies below /run/cni/cnipy is lost while containers run."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import chains
import pytest
from chains import ALONE, ELSEWHERE, Container
from lab import need, run
from netns.dnsname import helpers as dnsname
from netns.firewall import helpers as firewall
from world import difference, rules, world

from cni_common.naming import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Answer, Cni, Host
    from world import World

STATE = "/run/cni/cnipy"
OTHER = Attachment("net", "c2", "eth0").digest()
# What a parameter was before, how a device was on the host, and whether a discipline
# was there, one file alone tells.
NOWHERE_ELSE = re.compile(
    r"/proc/sys/net/core/somaxconn|ens1.ifalias|- UP$"
    r"|guards/br0/qdisc: host (qdisc br0 ffff:fff1|filters: None -> '')"
)
PARAMETERS = (
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv4/conf/br0/route_localnet",
)
OF_PORTS = re.compile(r"portmap|table-samples")


def written() -> Iterator[str]:
    """Yield every file and directory that plugins have written, but for locks."""
    for directory, inside, names in os.walk(STATE):
        inside[:] = sorted(set(inside) - {"locks", "host-local"})
        yield from (os.path.join(directory, name) for name in (*inside, *names))


def lose(path: str) -> None:
    """Remove a file, or a directory with all that is in it."""
    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def clear() -> None:
    """Leave nothing that one loss has left to the next."""
    shutil.rmtree(STATE, ignore_errors=True)
    run("nft", "flush", "ruleset")
    for number in dnsname.pids():
        dnsname.kill(number)


class Isolated(Container):
    """A container whose firewall keeps it from its neighbours, too."""

    def call(self, verb: str, plugin: str, **keys: Any) -> Answer:
        """Return the answer of `plugin`."""
        if plugin == "firewall":
            keys["ingressPolicy"] = "isolated"
        return super().call(verb, plugin, **keys)


@pytest.fixture
def one(host: Host, cni: Cni) -> Iterator[Container]:
    """A container that is not attached yet."""
    need("dnsmasq")
    chains.prepare(host)
    yield Container(cni, host.space(), 1)
    clear()


def attach(one: Container, plugins: tuple[str, ...]) -> None:
    """Attach by plugins that may leave out some of the chain."""
    for plugin in plugins:
        before = one.before(plugin)
        if before and before not in one.results:
            one.results[before] = one.results[plugins[0]]
        one.add(plugin)


def is_of_ports(path: str, but: Container) -> bool:
    """Tell whether published ports are written down there, not those of `but` alone."""
    digest = Attachment("net", but.id, "eth0").digest()
    own = (digest, f"tcp-{8080 + but.number}", f"{but.id}@eth0")
    return bool(OF_PORTS.search(path)) and os.path.basename(path) not in own


def left(before: World, one: Container, lost: str) -> list[str]:
    """Return what is left of a container, and missing of others but for what is lost.

    What nothing else tells does not count.
    """
    found = difference(before, world(PARAMETERS, one.space)).splitlines()
    run("tc", "qdisc", "del", "dev", "br0", "clsact", check=False)
    lines = [f"{lost}: {line}" for line in found if not line.startswith(lost)]
    return [line for line in lines if not NOWHERE_ELSE.search(line)]


@pytest.mark.parametrize(
    "plugins",
    [
        ("bridge", "tuning", "bandwidth"),
        ("bridge", "portmap"),
        ("bridge", "dnsname"),
        ("ptp", "sbr"),
        *((each,) for each in ALONE),
        *(
            pytest.param(
                (*chains.earlier(each), each),
                marks=[pytest.mark.needs_kernel(feature), pytest.mark.thorough],
            )
            for each, feature in ELSEWHERE.items()
        ),
    ],
    ids="-".join,
)
def test_delete_leaves_nothing_whatever_was_lost(
    one: Container, plugins: tuple[str, ...]
) -> None:
    """DEL finds by the kernel what no file tells any more."""
    attach(one, plugins)
    one.delete(*plugins)  # a bridge, and forwarding, stay
    before = world(PARAMETERS, one.space)
    attach(one, plugins)
    findings: list[str] = []
    number = 0
    while number < len(paths := sorted(written())):
        path = paths[number]
        number += 1
        lose(path)
        one.delete(*plugins)
        more = left(before, one, path)
        findings += more
        if more:
            clear()
        attach(one, plugins)
    assert number > 2
    assert not findings, "\n".join(findings)


@pytest.fixture(params=["nftables", "iptables-nft", "iptables-legacy"])
def pair(host: Host, cni: Cni, request: Any) -> Iterator[tuple[Isolated, Isolated]]:
    """Two containers of one bridge, on a host that drops what it forwards or not."""
    _, is_iptables, variant = request.param.partition("-")
    if is_iptables:
        firewall.needs_variant(variant)
        firewall.drop_forwarded(variant)
    found = (Isolated(cni, host.space(), 1), Isolated(cni, host.space(), 2))
    for it in found:
        attach(it, ("bridge", "firewall"))
    yield found
    clear()


def delete_both(pair: tuple[Isolated, Isolated]) -> Answer:
    """Delete the one and the other; return what the other's CHECK says between."""
    pair[0].delete("firewall")
    told = pair[1].call("CHECK", "firewall")
    pair[1].delete("firewall")
    return told


@pytest.mark.slow
def test_delete_leaves_no_rule_whatever_was_lost(
    pair: tuple[Isolated, Isolated],
) -> None:
    """The first leaves what the other needs, as its record tells; the last one nothing.

    A user of the other alone, which nobody misses, or its record, CHECK tells.
    """
    delete_both(pair)
    before = rules()
    for it in pair:
        it.add("firewall")
    others = f"firewall/net/c2@eth0$|firewall(/net)?$|{OTHER}"
    findings, number = [], 0
    while number < len(paths := sorted(p for p in written() if "firewall" in p)):
        path = paths[number]
        number += 1
        lose(path)
        told = delete_both(pair)
        if told.status and not re.search(others, path):
            findings.append(f"{path}: {told.stdout}")
        if rules() != before:
            findings.append(f"{path}: {difference({'': before}, {'': rules()})}")
        for it in pair:
            it.add("firewall")
    assert number > 10
    assert not findings, "\n".join(findings)


@pytest.mark.slow
def test_delete_leaves_others_their_ports_whatever_was_lost(
    host: Host, cni: Cni, one: Container
) -> None:
    """A neighbour has its ports to the end, and then nothing is left of it either."""
    other, plugins = Container(cni, host.space(), 2), ("bridge", "portmap")
    one.keys["portmap"] = {"conditionsV4": ["iifname", "!=", "up0"]}
    attach(other, plugins)
    one.delete(*plugins)
    other.delete(*plugins)
    nothing = world(PARAMETERS, one.space)
    findings: list[str] = []
    number, paths = 0, [""]
    while number < len(paths):
        attach(other, plugins)
        before = world(PARAMETERS, one.space)
        attach(one, plugins)
        paths = [path for path in sorted(written()) if is_of_ports(path, other)]
        lose(paths[number])
        one.delete(*plugins)
        more = left(before, one, paths[number])
        other.delete(*plugins)
        more += left(nothing, one, paths[number])
        findings += more
        if more:
            clear()
        number += 1
    assert number > 10
    assert not findings, "\n".join(findings)


def test_delete_without_any_file_leaves_no_rule(
    pair: tuple[Isolated, Isolated],
) -> None:
    """What is in the kernel says whose it is."""
    delete_both(pair)
    before = rules()
    for it in pair:
        it.add("firewall")
    for name in os.listdir(STATE):
        if "firewall" in name or "table" in name:
            lose(os.path.join(STATE, name))
    pair[0].delete("firewall")
    assert "10.1.2.3" in str(rules())
    pair[1].delete("firewall")
    assert rules() == before


def test_dnsmasq_ends_with_the_last_container_whose_names_were_lost(
    host: Host, cni: Cni, one: Container
) -> None:
    """As long as another is to be served it answers; its own names come with repair."""
    other, plugins = Container(cni, host.space(), 2), ("bridge", "dnsname")
    attach(one, plugins)
    attach(other, plugins)
    lose(dnsname.SERVERS)
    one.delete(*plugins)
    assert len(dnsname.pids()) == 1
    other.delete(*plugins)
    assert dnsname.pids() == []
