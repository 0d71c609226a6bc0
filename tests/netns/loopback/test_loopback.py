# SPDX-License-Identifier: Apache-2.0
"""loopback against the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import ip

if TYPE_CHECKING:
    from lab import Cni, Host, Space

CONF = {"cniVersion": "1.1.0", "name": "cni-loopback", "type": "loopback"}


def test_add_brings_lo_up(cni: Cni, container: Space) -> None:
    """After ADD the container's lo is up and the result has both its addresses."""
    result = cni.ok("loopback", "ADD", CONF, netns=container, ifname="lo")
    (lo,) = container.ip("link", "show", "lo")
    assert "UP" in lo["flags"]
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": container.path}
        ],
        "ips": [
            {"address": "127.0.0.1/8", "interface": 0},
            {"address": "::1/128", "interface": 0},
        ],
    }


@pytest.mark.parametrize("version", ("0.3.0", "0.3.1", "0.4.0"))
def test_result_has_families_before_1_0_0(
    cni: Cni, container: Space, version: str
) -> None:
    """Results of 0.3.0 to 0.4.0 say the family of each address and always have dns."""
    conf = CONF | {"cniVersion": version}
    result = cni.ok("loopback", "ADD", conf, netns=container, ifname="lo")
    assert [ip["version"] for ip in result["ips"]] == ["4", "6"]
    assert result["dns"] == {}


@pytest.mark.parametrize("version", (None, "", "0.1.0", "0.2.0"))
def test_result_is_legacy_before_0_3_0(
    cni: Cni, container: Space, version: str | None
) -> None:
    """Results of 0.1.0 and 0.2.0 have ip4 and ip6 and nothing later."""
    conf = CONF | {"cniVersion": version}
    result = cni.ok("loopback", "ADD", conf, netns=container, ifname="lo")
    assert result == {
        "cniVersion": version or "0.1.0",
        "ip4": {"ip": "127.0.0.1/8"},
        "ip6": {"ip": "::1/128"},
        "dns": {},
    }


def test_previous_result_passes_through(cni: Cni, container: Space) -> None:
    """As a chained plugin it hands on what came before it."""
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "sandbox": container.path, "mtu": 1400}],
        "ips": [{"address": "10.1.2.3/24"}],
    }
    conf = CONF | {"prevResult": previous}
    assert cni.ok("loopback", "ADD", conf, netns=container) == previous


def test_delete_takes_lo_down_and_may_be_repeated(cni: Cni, container: Space) -> None:
    """After DEL lo is down; DEL again, or without its namespace, succeeds."""
    cni.ok("loopback", "ADD", CONF, netns=container)
    for netns in (container.path, container.path, "", "/run/netns/vanished"):
        cni.ok("loopback", "DEL", CONF, netns=netns)
    (lo,) = container.ip("link", "show", "lo")
    assert "UP" not in lo["flags"]


def test_check_notices_that_lo_is_down(cni: Cni, container: Space) -> None:
    """CHECK passes after ADD, and fails when somebody takes lo down."""
    cni.ok("loopback", "ADD", CONF, netns=container)
    cni.ok("loopback", "CHECK", CONF, netns=container)
    container.run("ip", "link", "set", "lo", "down")
    error = cni.refused("loopback", "CHECK", CONF, netns=container)
    assert error["msg"] == "check link lo: loopback interface is down"


def test_foreign_address_on_lo_is_refused(cni: Cni, container: Space) -> None:
    """A non-loopback address makes ADD fail with it in the message, and lo is down."""
    container.run("ip", "addr", "add", "10.2.2.2/32", "dev", "lo")
    error = cni.refused("loopback", "ADD", CONF, netns=container)
    assert error["msg"].endswith("10.2.2.2/32")
    (lo,) = container.ip("link", "show", "lo")
    assert "UP" not in lo["flags"]


def test_gc_and_status_succeed(cni: Cni) -> None:
    """GC and STATUS have nothing to say."""
    assert cni.ok("loopback", "GC", CONF) is None
    assert cni.ok("loopback", "STATUS", CONF) is None


@pytest.mark.parametrize("version", ("1.0.0", "1.1.0"))
def test_result_of_1_0_0_has_no_family(
    cni: Cni, container: Space, version: str
) -> None:
    """From 1.0.0 on neither version nor an empty dns is in the result."""
    conf = CONF | {"cniVersion": version}
    result = cni.ok("loopback", "ADD", conf, netns=container, ifname="lo")
    assert set(result) == {"cniVersion", "interfaces", "ips"}
    assert all(set(ip) == {"address", "interface"} for ip in result["ips"])


def test_lo_of_the_own_namespace_is_not_touched(cni: Cni, host: Host) -> None:
    """With CNI_NETNS of the plugin itself, DEL does not take the host's lo down."""
    del host
    own = "/proc/thread-self/ns/net"
    assert cni.refused("loopback", "ADD", CONF, netns=own)["code"] == 8
    cni.ok("loopback", "DEL", CONF, netns=own)
    (lo,) = ip("link", "show", "lo")
    assert "UP" in lo["flags"]
    override = {"CNI_NETNS_OVERRIDE": "1"}
    cni.ok("loopback", "DEL", CONF, netns=own, env=override)
    (lo,) = ip("link", "show", "lo")
    assert "UP" not in lo["flags"]


@pytest.mark.parametrize("netns", ("/nowhere", "/etc/hostname", "/proc/self/ns/mnt"))
def test_what_is_no_namespace_is_code_8(cni: Cni, netns: str) -> None:
    """ADD and CHECK need a namespace; DEL takes its absence as success."""
    for command in ("ADD", "CHECK"):
        assert cni.refused("loopback", command, CONF, netns=netns)["code"] == 8
    assert cni.ok("loopback", "DEL", CONF, netns=netns) is None


def test_namespace_without_ipv6_has_one_address(cni: Cni, container: Space) -> None:
    """Where IPv6 is switched off, the result has the IPv4 address only."""
    container.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    result = cni.ok("loopback", "ADD", CONF, netns=container)
    assert [item["address"] for item in result["ips"]] == ["127.0.0.1/8"]


def test_malformed_previous_result_changes_nothing(cni: Cni, container: Space) -> None:
    """A prevResult that cannot be read is refused before lo is up."""
    for previous, code in (({"cniVersion": "1.0.0"}, 6), ({"ips": 7}, 7)):
        conf = CONF | {"prevResult": previous}
        assert cni.refused("loopback", "ADD", conf, netns=container)["code"] == code
    (lo,) = container.ip("link", "show", "lo")
    assert "UP" not in lo["flags"]
