# SPDX-License-Identifier: Apache-2.0
"""Links of the container's own beside the reference's: result, container, switching."""

from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from tests.differential import state
from tests.differential.cases import CONTAINER, DEFAULT, Case, ipam
from tests.differential.pair import Attached, Side, attach, machines
from tests.runtimes import web
from tests.runtimes.sandbox import Sandbox, need
from tests.runtimes.sandbox.chain import Network, Plugins
from tests.runtimes.sandbox.requirements import (
    REFERENCE,
    plugin_directory,
    reference_directory,
    unmet,
)

Document = dict[str, Any]
MAC = "02:00:00:00:00:77"
UPLINK = [{"subnet": "10.99.0.0/24", "rangeStart": "10.99.0.100"}]
UPLINK6 = [{"subnet": "fd99::/64", "rangeStart": "fd99::100"}]
LEASE = ipam(UPLINK, routes=[DEFAULT])


def macvlan(**keys: Any) -> Document:
    """Return a macvlan on the uplink; an IPv4 range unless `ipam` is given."""
    return {"type": "macvlan", "master": "eth0", "ipam": LEASE, **keys}


# The uplink itself is the device: it exists on both machines.
LENT = {"type": "host-device", "device": "eth0", "ipam": LEASE}
VERSIONS = ("0.2.0", "0.4.0", "1.0.0")
MACVLANS = [
    *(Case(f"macvlan {v}", [macvlan()], version=v) for v in VERSIONS),
    Case("macvlan passthru", [macvlan(mode="passthru")]),
    Case("macvlan private, mtu", [macvlan(mode="private", mtu=1400)]),
    Case(
        "macvlan MAC in CNI_ARGS",
        [macvlan(mac="02:00:00:00:00:01")],
        args=f"IgnoreUnknown=1;MAC={MAC}",
    ),
    Case(
        "macvlan dual stack, dns",
        [macvlan(ipam=ipam(UPLINK, UPLINK6), dns={"nameservers": ["192.0.2.53"]})],
    ),
]
DEVICES = [
    *(Case(f"device {v}", [LENT], version=v) for v in VERSIONS),
    Case("device, layer 2", [{**LENT, "ipam": {}}], ifname="net1"),
    Case("device, dual stack", [{**LENT, "ipam": ipam(UPLINK, UPLINK6)}]),
]


def elsewhere(feature: str, case: Case, *, brief: bool = False) -> ParameterSet:
    """Return a case of what not every kernel has."""
    marks = [pytest.mark.needs_kernel(feature)]
    marks += [] if brief else [pytest.mark.thorough]
    return pytest.param(case, marks=marks, id=case.name)


VLAN = {"type": "vlan", "master": "eth0", "vlanId": 100, "ipam": LEASE}
VLANS = [
    elsewhere(
        "802.1q", Case("vlan 0.4.0, mtu", [VLAN | {"mtu": 1400}], version="0.4.0")
    ),
    elsewhere("802.1q", Case("vlan 0", [VLAN | {"vlanId": 0}])),
    elsewhere("802.1q", Case("vlan", [VLAN]), brief=True),
]
IPVLAN = {"type": "ipvlan", "master": "eth0", "ipam": LEASE}
IPVLANS = [
    elsewhere("ipvlan", Case("ipvlan 0.4.0", [IPVLAN], version="0.4.0")),
    elsewhere("ipvlan", Case("ipvlan l3, mtu", [IPVLAN | {"mode": "l3", "mtu": 1400}])),
    elsewhere("ipvlan", Case("ipvlan l3s", [IPVLAN | {"mode": "l3s"}])),
    elsewhere("ipvlan", Case("ipvlan", [IPVLAN]), brief=True),
]


@pytest.fixture(scope="module", autouse=True)
def reference_has_them() -> None:
    """The reference is installed with all of the plugins."""
    for name in ("macvlan", "host-device", "vlan", "ipvlan"):
        if not (REFERENCE / name).is_file():
            unmet(f"{REFERENCE} has no {name}: containernetworking-plugins")


@pytest.fixture(
    scope="module",
    params=[*MACVLANS, *DEVICES, *VLANS, *IPVLANS],
    ids=lambda case: case.name,
)
def attached(request: pytest.FixtureRequest) -> Iterator[Attached]:
    """Both machines after the ADD of each case in turn."""
    with machines() as pair:
        yield pair.attach(request.param)


def test_result_is_the_same(attached: Attached) -> None:
    """Both print the same result, MACs apart."""
    reference, ours = attached.both(lambda side: state.comparable(side.result))
    assert ours == reference


def test_container_looks_the_same(attached: Attached) -> None:
    """Link, addresses, routes and options in the container are the same.

    Of the sysctls arp_notify is ours for both; duplicate detection, which the
    reference leaves on, would delay IPv6.
    """

    def look(side: Side) -> Document:
        ifname = attached.case.ifname
        shown = state.container(side.sandbox, ifname)
        del shown["sysctls"]
        words = ("ip", "-j", "-d", "link", "show", "dev", ifname)
        link = side.sandbox.json(*words, netns=CONTAINER)[0]
        shown["options"] = link.get("linkinfo", {}).get("info_data")
        shown["MAC"] = link["address"] if link["address"] == MAC else ""
        return shown

    reference, ours = attached.both(look)
    assert ours == reference


def test_leases_are_the_same(attached: Attached) -> None:
    """host-local's files have the same names and the same bytes."""
    reference, ours = attached.both(lambda side: state.leases(side.sandbox))
    assert ours == reference


def test_traffic_is_the_same(attached: Attached) -> None:
    """The neighbour beyond the uplink is reached by both."""
    plugin = attached.case.plugins[0]
    if (
        plugin["type"] == "vlan"
        or not plugin["ipam"]
        or plugin.get("mode", "l2")[:2] == "l3"
    ):
        return
    for side in (attached.reference, attached.ours):
        web.serve_source(side.sandbox, "client")
    url = f"http://{web.CLIENT}:8000/"
    reference, ours = attached.both(
        lambda side: web.fetch(side.sandbox, url, CONTAINER)
    )
    assert ours == reference == "10.99.0.100"


@pytest.mark.parametrize(
    "case",
    [MACVLANS[1], DEVICES[1], VLANS[-1], IPVLANS[-1]],
    ids=lambda case: case.name,
)
@pytest.mark.parametrize("first", ["reference", "ours"])
def test_one_detaches_what_the_other_attached(case: Case, first: str) -> None:
    """DEL of either removes link and lease of the other's ADD, or brings eth0 back."""
    need("unshare", "nsenter", "ip", "nft", "curl", "busybox", "ss")
    with Sandbox(warm=False) as sandbox:
        theirs = Plugins(sandbox, reference_directory(), inside="/run/lab/reference")
        ours = Plugins(sandbox, plugin_directory(), inside="/run/lab/ours")
        links = ("ip", "-br", "link", "show")
        before = sorted(x.split()[0] for x in sandbox.run(*links).stdout.splitlines())
        one, other = (theirs, ours) if first == "reference" else (ours, theirs)
        side = attach(one, case)
        network = Network(other, case.conflist)
        network.results.update(side.network.results)
        network.delete(side.at)
        after = sorted(x.split()[0] for x in sandbox.run(*links).stdout.splitlines())
        inside = sandbox.run(*links, netns=CONTAINER).stdout.splitlines()
        assert after == before
        assert [line.split()[0] for line in inside] == ["lo"]
        assert not [name for name in state.leases(sandbox) if name.startswith("10.")]
        if one is ours:
            Network(ours, case.conflist).delete(side.at)
