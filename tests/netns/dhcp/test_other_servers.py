# SPDX-License-Identifier: Apache-2.0
"""A server of another house: ISC's dhcpd, strict where dnsmasq is not."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import need, run
from netns.dhcp.helpers import CONF, Keeper, Lan, addresses, conf, recorded, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni

TEXT = """
authoritative;
ping-check false;
default-lease-time 3600;
subnet 10.77.0.0 netmask 255.255.255.0 {
  range 10.77.0.100 10.77.0.199;
  option routers 10.77.0.1;
  option domain-name-servers 10.77.0.5;
  option domain-search "lab.example.org", "example.org";
  option interface-mtu 1400;
}
"""


class Dhcpd:
    """The server at work in the server's namespace of a network."""

    def __init__(self, lan: Lan) -> None:
        self.leases = lan.directory / "dhcpd.leases"
        self.said = lan.directory / "dhcpd.log"
        text = lan.directory / "dhcpd.conf"
        text.write_text(TEXT)
        self.leases.write_text("")
        files = ("-cf", str(text), "-lf", str(self.leases), "-pf", "/dev/null")
        command = (need("dhcpd"), "-4", "-f", "-d", "--no-pid", *files, "eth0")
        with self.said.open("wb") as said:
            at = ("ip", "netns", "exec", lan.server.name)
            self.process = subprocess.Popen([*at, *command], stderr=said)
        until(lambda: "Server starting service" in self.log())

    def log(self) -> str:
        """Return what it has told."""
        return self.said.read_text(errors="replace")

    def states(self) -> dict[str, str]:
        """Return address -> state as it has them on record; the last entry counts."""
        pattern = r"lease (\S+) {.*?\n  binding state (\w+);"
        return dict(re.findall(pattern, self.leases.read_text(), re.DOTALL))


@pytest.fixture
def dhcpd(lan: Lan) -> Iterator[Dhcpd]:
    """ISC's server."""
    server = Dhcpd(lan)
    yield server
    server.process.kill()
    server.process.wait()


def test_lease_from_beginning_to_end(
    lan: Lan, dhcpd: Dhcpd, keeper: Keeper, cni: Cni
) -> None:
    """Leased, confirmed after the keeper was killed, renewed, given back."""
    space = lan.container()
    document = conf(provide=[{"option": "host-name", "value": "web"}])
    result = cni.ok("dhcp", "ADD", document, netns=space)
    (address,) = addresses(result)
    address = address.partition("/")[0]
    assert dhcpd.states() == {address: "active"}
    assert result["dns"]["search"] == ["lab.example.org", "example.org"]
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.77.0.1", "mtu": 1400}]
    assert 'client-hostname "web"' in dhcpd.leases.read_text()
    keeper.kill()
    before = dhcpd.log().count("DHCPACK")
    keeper.start()
    until(lambda: dhcpd.log().count("DHCPACK") > before)
    assert cni.ok("dhcp", "ADD", document, netns=space) == result
    cni.ok("dhcp", "DEL", document, netns=space)
    until(lambda: dhcpd.states() == {address: "free"})
    until(lambda: recorded() == [])


def test_lease_of_a_dead_namespace_is_given_back(
    lan: Lan, dhcpd: Dhcpd, keeper: Keeper, cni: Cni
) -> None:
    """It takes a RELEASE that came by the host's own route."""
    del keeper
    run("ip", "addr", "add", "10.77.0.2/24", "dev", "br0")
    space = lan.container()
    cni.ok("dhcp", "ADD", CONF, netns=space)
    space.delete()
    until(lambda: list(dhcpd.states().values()) == ["free"], 20)
