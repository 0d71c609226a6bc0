# SPDX-License-Identifier: Apache-2.0
"""The example with tuning keeps what its row in the README promises."""

from tests.examples.lab import Lab
from tests.runtimes import web
from tests.runtimes.sandbox import need

EXAMPLE = "84-tuning.conflist"
MAC = "02:00:00:00:00:84"


def test_container_is_tuned(lab: Lab) -> None:
    """84: MTU, queue, MAC and parameters are as written, and the outside answers."""
    network = lab.network(EXAMPLE)
    web.serve_source(lab.sandbox, "client")
    with lab.attached(network, "c1", mac=MAC) as attached:
        show = ("ip", "-j", "-n", "c1", "link", "show", "eth0")
        link = lab.sandbox.json(*show)[0]
        names = ("net.core.somaxconn", "net.ipv4.ip_unprivileged_port_start")
        words = ("sysctl", "-n", *names, "net.ipv4.conf.eth0.send_redirects")
        values = lab.sandbox.run(*words, netns="c1").stdout.split()
        source = lab.page(f"http://{web.CLIENT}:8000/", "c1")
    assert (link["mtu"], link["txqlen"], link["address"]) == (1400, 2000, MAC)
    assert values == ["1024", "0", "0"]
    assert source == web.HOST
    assert attached.result["interfaces"][2]["mac"] == MAC
    assert lab.left(attached) == []


def test_everybody_may_use_low_ports(lab: Lab) -> None:
    """84: without privileges port 81 can be bound in the container, not elsewhere."""
    need("setpriv", "python3")
    bind = "import socket; socket.socket().bind(('', 81))"
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with lab.attached(lab.network(EXAMPLE), "c1"):
        ended = [
            lab.sandbox.run(*nobody, "python3", "-c", bind, netns=netns, check=False)
            for netns in ("c1", "client")
        ]
    assert [done.returncode for done in ended] == [0, 1]
    assert "PermissionError" in ended[1].stderr
