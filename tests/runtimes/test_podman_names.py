# SPDX-License-Identifier: Apache-2.0
"""Podman's containers find each other by name and alias through dnsname."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from page_blocks import TOP

from tests.runtimes import web
from tests.runtimes.podman import IMAGE, Podman
from tests.runtimes.sandbox import Sandbox, need_podman, remains
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.machine import wait_for

# As `podman network create` writes it, without the plugins that have no part in this.
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "named",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni-podman7",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "routes": [{"dst": "0.0.0.0/0"}],
                "ranges": [[{"subnet": "10.97.0.0/24", "gateway": "10.97.0.1"}]],
            },
            "capabilities": {"ips": True},
        },
        {
            "type": "dnsname",
            "domainName": "dns.podman",
            "capabilities": {"aliases": True},
        },
    ],
}


@pytest.fixture(scope="module")
def podman(sandbox: Sandbox, plugins: Plugins) -> Podman:
    """Podman with a network that has names."""
    need_podman("runc", "dnsmasq")
    return Podman(sandbox, plugins, {"named.conflist": json.dumps(NETWORK)})


@pytest.fixture
def server(podman: Podman) -> Iterator[str]:
    """A web server with an alias."""
    options = ("--network", "named", "--network-alias", "shop")
    with podman.container("server", *options):
        yield "server"


def test_containers_find_each_other(podman: Podman, server: str) -> None:
    """Each fetches the other's page by name, and by alias, with and without domain."""
    with podman.container("client", "--network", "named"):
        names = (server, "shop", "server.dns.podman", "shop.dns.podman")
        pages = [podman.fetch("client", f"http://{name}/") for name in names]
        back = podman.fetch(server, "http://client/")
    assert (pages, back) == ([web.PAGE] * 4, web.PAGE)


def test_resolv_conf_is_written(podman: Podman, server: str) -> None:
    """Podman puts the network's name server and domain into resolv.conf."""
    text = podman("exec", server, "/bin/cat", "/etc/resolv.conf").stdout
    assert "search dns.podman" in text
    assert text.count("nameserver 10.97.0.1") == 1


def test_identity_is_an_alias(podman: Podman, server: str) -> None:
    """A container is found by the first digits of its ID, as Podman promises."""
    identity = podman.inspect(server)["Id"][:12]
    with podman.container("client", "--network", "named"):
        assert podman.fetch("client", f"http://{identity}/") == web.PAGE


def test_cnipy_knows_containers_by_podmans_names(podman: Podman, server: str) -> None:
    """By name, ID and beginning; who joined the server's namespace is the server."""
    identity = podman.inspect(server)["Id"]

    def container_of(word: str) -> str:
        words = (f"{TOP}/dist/bin/cnipy", "show", "--json", "named", word)
        (shown,) = json.loads(podman.sandbox.run(*words, env=podman.env).stdout)
        return str(shown["containerID"])

    with podman.container("side", "--network", f"container:{server}"):
        beside = podman.inspect("side")["Id"]
        names = (server, identity, identity[:12], "side", beside[:9])
        found = {container_of(name) for name in names}
    assert found == {identity}


def test_restarted_container_is_found_again(podman: Podman, server: str) -> None:
    """Between stop and start the name is gone; afterwards it leads to the new place."""
    with podman.container("client", "--network", "named"):
        podman("stop", "-t", "0", server)
        assert podman.fetch("client", f"http://{server}/") == ""
        podman("start", server)
        podman.wait_until_serving(server)
        assert podman.fetch("client", f"http://{server}/") == web.PAGE


def test_connected_container_is_found_by_its_alias(podman: Podman, server: str) -> None:
    """`podman network connect --alias` gives a name there until the disconnect."""
    podman("network", "create", "--subnet", "10.98.0.0/24", "second")
    try:
        with podman.container("client", "--network", "second"):
            podman("network", "connect", "--alias", "late", "second", server)
            urls = [f"http://{name}/" for name in (server, "late")]
            connected = [podman.fetch("client", url) for url in urls]
            podman("network", "disconnect", "second", server)
            apart = [podman.fetch("client", url) for url in urls]
    finally:
        podman("network", "rm", "-f", "-t", "0", "second")
    assert (connected, apart) == ([web.PAGE] * 2, ["", ""])


def test_container_in_two_networks_is_found_in_both(podman: Podman) -> None:
    """Neighbours of either network find it; itself it asks one network's server.

    Which, Podman leaves to chance: it writes the servers in no fixed order.
    """
    podman("network", "create", "--subnet", "10.98.0.0/24", "second")
    try:
        with (
            podman.container("one", "--network", "named"),
            podman.container("two", "--network", "second"),
            podman.container("both", "--network", "named,second"),
        ):
            pages = [podman.fetch(name, "http://both/") for name in ("one", "two")]
            conf = podman("exec", "both", "/bin/busybox", "cat", "/etc/resolv.conf")
            server = conf.stdout.partition("nameserver ")[2]
            near = "two" if server.startswith("10.98.0.1\n") else "one"
            first = podman.fetch("both", f"http://{near}/")
    finally:
        podman("network", "rm", "-f", "-t", "0", "second")
    assert [*pages, first] == [web.PAGE] * 3


def test_eight_at_once_share_an_alias(podman: Podman) -> None:
    """Eight containers that come at once are all found by the alias they share."""
    names = [f"many{number}" for number in range(8)]
    options = ("--network", "named", "--network-alias", "pool")
    look = ("/bin/busybox", "nslookup", "pool.dns.podman", "10.97.0.1")
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: podman.run(name, *options), names))
        found = podman("exec", names[0], *look, check=False).stdout.split()
        missing = [n for n in names if podman.address(n, "named") not in found]
    finally:
        podman.remove(*names)
    assert missing == []


def test_host_without_dnsmasq_is_told(podman: Podman) -> None:
    """`podman run` says what to install, and nothing of the container is left."""
    program, nothing = shutil.which("dnsmasq") or "", "/run/lab/nothing"
    podman.sandbox.write(nothing, "")
    podman.sandbox.run("mount", "--bind", nothing, program)
    try:
        words = ("--name", "one", "--cgroup-parent", podman.cgroup_parent)
        words += ("--network", "named", IMAGE)
        refused = podman("run", "-d", *words, check=False)
    finally:
        podman.sandbox.run("umount", program)
        podman.remove("one")
    assert refused.returncode != 0
    assert "dnsmasq: not installed: install the package" in refused.stderr
    assert remains.leases(podman.sandbox) == []
    assert remains.attachments(podman.sandbox) == []
    assert not podman.sandbox.path("/run/cni/cnipy/dnsname-servers").exists()


def test_killed_dnsmasq_is_started_by_reload(podman: Podman, server: str) -> None:
    """`podman network reload` brings back the names of a dnsmasq that was killed."""
    path = podman.sandbox.path("/run/cni/cnipy/dnsname-servers/named/pid")
    with podman.container("client", "--network", "named"):
        podman.sandbox.run("kill", "-9", path.read_text().strip())
        podman("network", "reload", "--all")
        assert podman.fetch("client", f"http://{server}/") == web.PAGE


def test_last_container_takes_dnsmasq_along(podman: Podman) -> None:
    """With the last container nothing listens any more, and no file is left."""
    with podman.container("last", "--network", "named") as identity:
        listening = podman.sandbox.run("ss", "-Hlun", "sport", "=", ":53").stdout
        assert "10.97.0.1" in listening
    quiet = ("ss", "-Hlun", "sport", "=", ":53")
    wait_for(lambda: not podman.sandbox.run(*quiet).stdout, "dnsmasq to end")
    assert remains.records(podman.sandbox, identity, "last") == []
    assert not podman.sandbox.path("/run/cni/cnipy/dnsname-servers").exists()
