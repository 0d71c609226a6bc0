# SPDX-License-Identifier: Apache-2.0
"""vrf: routes go with the interface and come back; VRFs with first and last one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import need
from netns.cnipy.helpers import Desk
from netns.sbr.helpers import attached, bridge, everything, of, reference, routes
from netns.vrf.helpers import NAME, RECORDS, conf, records, vrfs

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

pytestmark = pytest.mark.needs_kernel("vrf")
TABLE = [
    "10.1.0.0/24 net1",
    "default via 10.1.0.1 net1",
    "default via fd00:1::1 net1",
    "fd00:1::/64 net1",
]


def moved(cni: Cni, space: Space, number: int, **keys: Any) -> dict[str, Any]:
    """Attach by an uplink that is in a VRF; return the result."""
    result = attached(cni, space, number)
    assert cni.ok("vrf", "ADD", conf(result, **keys), **of(space, number)) == result
    return result


def ways(space: Space, table: int = 1) -> list[str]:
    """Return the routes of a table to other machines, not those of the links."""
    return [
        line
        for line in routes(space, table)
        if not line.startswith(("fe80", "ff00", "multicast"))
        and ("/" in line or "via" in line)
    ]


def test_routes_of_both_families_are_moved(cni: Cni, container: Space) -> None:
    """The default routes are in the VRF's table, and the addresses usable."""
    need("busybox")
    result = moved(cni, container, 1)
    assert vrfs(container) == {"blue": (1, ["net1"])}
    assert (ways(container), routes(container)) == (TABLE, [])
    for gateway in ("10.1.0.1", "fd00:1::1"):
        container.run(need("busybox"), "ping", "-c1", "-W2", "-I", "net1", gateway)
    cni.ok("vrf", "CHECK", conf(result), **of(container, 1))


@pytest.mark.thorough
def test_addresses_of_ipv6_that_the_kernel_drops_are_there(
    cni: Cni, container: Space
) -> None:
    """Without keep_addr_on_down, as other plugins leave it, nothing is lost."""
    result = attached(cni, container, 1)
    container.run("sysctl", "-qw", "net.ipv6.conf.net1.keep_addr_on_down=0")
    cni.ok("vrf", "ADD", conf(result), **of(container, 1))
    assert ways(container) == TABLE


@pytest.mark.parametrize("netns", ["there", ""])
def test_delete_puts_everything_back(cni: Cni, container: Space, netns: str) -> None:
    """Routes are in the main table again, and the VRF is gone; again it succeeds."""
    result = attached(cni, container, 1)
    before = everything(container)
    cni.ok("vrf", "ADD", conf(result), **of(container, 1))
    for _ in range(2):
        path = container.path if netns else ""
        cni.ok("vrf", "DEL", conf(result), netns=path, ifname="net1")
        assert (vrfs(container), records()) == ({}, [])
    kept = [each for each in everything(container) if "l3mdev" not in each]
    assert kept == before


def test_vrf_goes_with_the_last_interface(cni: Cni, container: Space) -> None:
    """Two interfaces share one; another name has another table."""
    results = [moved(cni, container, number) for number in (1, 2)]
    moved(cni, container, 3, vrfname="red")
    assert vrfs(container) == {"blue": (1, ["net1", "net2"]), "red": (2, ["net3"])}
    cni.ok("vrf", "DEL", conf(results[0]), **of(container, 1))
    assert vrfs(container)["blue"] == (1, ["net2"])
    cni.ok("vrf", "DEL", conf(results[1]), **of(container, 2))
    assert vrfs(container) == {"red": (2, ["net3"])}


@pytest.mark.thorough
def test_vrf_of_somebody_else(cni: Cni, container: Space) -> None:
    """It is used, with its table, and stays; another table is refused."""
    words = ("ip", "link", "add", "blue", "up", "type", "vrf", "table", "77")
    container.run(*words)
    result = attached(cni, container, 1)
    error = cni.refused("vrf", "ADD", conf(result, table=78), **of(container, 1))
    assert error["msg"] == "use vrf blue: it has table 77, not 78"
    cni.ok("vrf", "ADD", conf(result), **of(container, 1))
    assert (vrfs(container), ways(container, 77)) == ({"blue": (77, ["net1"])}, TABLE)
    cni.ok("vrf", "DEL", conf(result), **of(container, 1))
    assert vrfs(container) == {"blue": (77, [])}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        ({"vrfname": ""}, "a valid vrf name"),
        ({"vrfname": "a/b"}, "vrfname"),
        ({"vrfname": "x" * 16}, "vrfname"),
        ({"table": -1}, "table"),
        ({"table": 1 << 32}, "table"),
        ({"vrfname": "lo"}, "is no vrf"),
    ],
)
def test_refused(cni: Cni, container: Space, keys: dict[str, Any], cause: str) -> None:
    """What is no configuration is told, and nothing is done."""
    result = attached(cni, container, 1)
    before = everything(container)
    error = cni.refused("vrf", "ADD", conf(result, **keys), **of(container, 1))
    assert cause in error["msg"]
    assert (everything(container), records()) == (before, [])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            ("ip", "link", "set", "net1", "nomaster"),
            "check link net1: it is not in vrf",
        ),
        (("ip", "link", "delete", "blue"), "check vrf blue: there is none, not 1"),
        (
            ("ip", "route", "del", "default", "table", "1"),
            "check route 0.0.0.0/0 via 10.1.0.1: missing in table 1",
        ),
    ],
)
def test_check_and_the_same_add(
    cni: Cni, container: Space, harm: tuple[str, ...], message: str
) -> None:
    """CHECK names what is missing, and the same ADD puts that back."""
    result = moved(cni, container, 1)
    container.run(*harm)
    error = cni.refused("vrf", "CHECK", conf(result), **of(container, 1))
    assert error["msg"].startswith(message)
    cni.ok("vrf", "ADD", conf(result), **of(container, 1))
    cni.ok("vrf", "CHECK", conf(result), **of(container, 1))
    assert ways(container) == TABLE


@pytest.mark.thorough
@pytest.mark.parametrize(
    "harm",
    [
        "ip link set eth0 nomaster",
        "ip link delete blue",
        "ip route del default table 1; ip -6 route del default table 1",
    ],
)
def test_repair(cni: Cni, host: Host, tmp_path: Path, harm: str) -> None:
    """`cnipy repair` puts back what was lost, and then finds nothing to do."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", bridge(1), {"type": "vrf", "vrfname": "blue"})
    space = host.space()
    desk.attach("n", space)
    before = ways(space)
    space.run("sh", "-c", harm)
    assert ways(space) != before
    desk.ok("repair")
    assert (vrfs(space), ways(space)) == ({"blue": (1, ["eth0"])}, before)
    assert desk.ok("repair") == ""


@pytest.mark.thorough
def test_another_name_of_the_vrf(cni: Cni, container: Space) -> None:
    """ADD with another vrfname has the interface in that one; the first goes."""
    result = moved(cni, container, 1)
    cni.ok("vrf", "ADD", conf(result, vrfname="red"), **of(container, 1))
    ((name, (table, ports)),) = vrfs(container).items()
    assert (name, ports, ways(container, table)) == ("red", ["net1"], TABLE)
    cni.ok("vrf", "DEL", conf(result), **of(container, 1))
    assert (vrfs(container), routes(container)) == ({}, TABLE)


@pytest.mark.thorough
def test_gc_status_and_a_namespace_that_is_gone(cni: Cni, host: Host) -> None:
    """What is not in the list goes; without the namespace DEL succeeds."""
    spaces = [host.space() for _ in range(2)]
    results = [moved(cni, spaces[0], 1)]
    cni.ok("vrf", "STATUS", NAME)
    cni.ok("vrf", "GC", {**NAME, "cni.dev/valid-attachments": []})
    assert (vrfs(spaces[0]), records()) == ({}, [])
    results.append(moved(cni, spaces[1], 2))
    spaces[1].delete()
    cni.ok("vrf", "DEL", conf(results[1]), **of(spaces[1], 2))
    assert records() == []


@pytest.mark.thorough
def test_the_reference_before_and_after_us(cni: Cni, container: Space) -> None:
    """Each deletes what the other made; the tables are the same."""
    result = attached(cni, container, 1)
    reference(container, "ADD", conf(result))
    theirs = vrfs(container)
    cni.ok("vrf", "DEL", conf(result), **of(container, 1))
    assert vrfs(container) == {}
    cni.ok("vrf", "ADD", conf(result), **of(container, 1))
    assert vrfs(container) == theirs
    reference(container, "DEL", conf(result))
    assert vrfs(container) == {}
    cni.ok("vrf", "DEL", conf(result), **of(container, 1))
    shutil.rmtree(RECORDS, ignore_errors=True)
