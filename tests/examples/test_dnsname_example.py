# SPDX-License-Identifier: Apache-2.0
"""The example with names does what its row in the README promises."""

from tests.examples.lab import Lab
from tests.runtimes.sandbox import need
from tests.runtimes.sandbox.chain import Attachment

NAMES = "86-names.conflist"


def looked_up(lab: Lab, container: str, name: str, server: str) -> list[str]:
    """Return the addresses that nslookup prints in a container, sorted."""
    words = ("busybox", "nslookup", name, server)
    shown = lab.sandbox.run(*words, netns=container, check=False).stdout
    _, _, answer = shown.partition("\n\n")
    lines = [line.split() for line in answer.splitlines()]
    return sorted(words[-1] for words in lines if words[:1] == ["Address:"])


def test_containers_find_each_other(lab: Lab) -> None:
    """86: by name and alias, by IPv4 and IPv6, and not any more when it is gone."""
    need("dnsmasq")
    network = lab.network(NAMES)
    those = {}
    for container, called in (("c1", "web"), ("c2", "db")):
        lab.sandbox.run("ip", "netns", "add", container)
        args = f"IgnoreUnknown=1;K8S_POD_NAME={called}"
        aliases = {"aliases": {"names": [f"{called}-alias"]}}
        path = f"/run/netns/{container}"
        those[called] = Attachment(container, path, "eth0", args, aliases)
    results = {called: network.add(at) for called, at in those.items()}
    for at in those.values():
        network.check(at)
    addresses = sorted(ip["address"].split("/")[0] for ip in results["db"]["ips"])
    servers = results["web"]["dns"]["nameservers"]
    names = ("db.names.internal", "db-alias.names.internal")
    found = [looked_up(lab, "c1", name, at) for name in names for at in servers]
    network.delete(those["db"])
    gone = looked_up(lab, "c1", names[0], servers[0])
    network.delete(those["web"])
    assert servers == ["10.86.0.1", "fd00:86::1"]
    assert results["web"]["dns"]["search"] == ["names.internal"]
    assert found == [addresses] * 4
    assert gone == []
    assert lab.sandbox.run("ss", "-Hlun", "sport", "=", ":53").stdout == ""
