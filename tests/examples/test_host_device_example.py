# SPDX-License-Identifier: Apache-2.0
"""81: a device of the host goes to a container and comes back."""

from tests.examples.lab import Lab
from tests.examples.surroundings import wire
from tests.runtimes import web

NAME = "81-host-device.conflist"


def test_container_has_the_device_and_gives_it_back(lab: Lab) -> None:
    """81: container and rack reach each other; then the host has eth1 again."""
    wire(lab)
    network = lab.network(NAME)
    before = lab.sandbox.run("ip", "-d", "link", "show", "dev", "eth1").stdout
    with lab.attached(network, "c1") as attached:
        gone = lab.sandbox.run("ip", "link", "show", "dev", "eth1", check=False)
        pages = [lab.page("http://10.81.0.1/", "c1")]
        pages.append(lab.page(f"http://{attached.address}/", "rack"))
    assert gone.returncode != 0
    assert pages == [web.PAGE] * 2
    assert lab.sandbox.run("ip", "-d", "link", "show", "dev", "eth1").stdout == before
    assert lab.left(attached) == ["eth1", "rack"]


def test_next_container_gets_the_device(lab: Lab) -> None:
    """81: one container after the other has the same device and the same address."""
    wire(lab)
    network = lab.network(NAME)
    addresses = []
    for name in ("c1", "c2"):
        with lab.attached(network, name) as attached:
            addresses.append(attached.address)
    assert addresses == ["10.81.0.10"] * 2
