# SPDX-License-Identifier: Apache-2.0
"""Elements: what claims put into maps and sets."""

from __future__ import annotations

from dataclasses import replace

from cni_common.published import elements
from cni_common.published.claims import Claim, Port, Target
from cni_common.published.elements import scope

PORT = Port("tcp", 8080)
CLAIM = Claim(
    host_ip="",
    network="net",
    container_id="c1",
    ifname="eth0",
    netns="/run/netns/c1",
    identity="4:1",
    container_port=80,
    targets=(Target("10.1.0.2", "br0"), Target("fd01::2", "br0")),
)


def places(*claims: Claim) -> dict[str, str]:
    """Return "map key" -> value for claims on tcp port 8080."""
    found = elements.of_claims(PORT, claims)
    return {f"{p.name}: {p.key}": content.value for p, content in found.items()}


def test_wildcard_claim_has_elements_in_both_families() -> None:
    """A claim without host IP is looked up by port, and its sources are masqueraded."""
    assert places(CLAIM) == {
        "hostports4: tcp . 8080": "10.1.0.2 . 80",
        'hairpin4: tcp . 8080 . 10.1.0.2 . "br0"': "",
        "localhost4: tcp . 8080 . 10.1.0.2": "",
        "hostports6: tcp . 8080": "fd01::2 . 80",
        'hairpin6: tcp . 8080 . fd01::2 . "br0"': "",
    }


def test_host_address_is_part_of_the_key() -> None:
    """A claim on one address is looked up by that address; no other family has it."""
    found = places(replace(CLAIM, host_ip="2001:db8::1", snat=False))
    assert found == {"hostip_ports6: 2001:db8::1 . tcp . 8080": "fd01::2 . 80"}


def test_masq_all_stands_for_every_source() -> None:
    """masqAll needs neither hairpin nor localhost elements."""
    found = places(replace(CLAIM, host_ip="0.0.0.0", masq_all=True))
    assert found == {
        "hostports4: tcp . 8080": "10.1.0.2 . 80",
        "masq_all4: tcp . 8080 . 10.1.0.2": "",
    }


def test_first_of_equal_keys_holds() -> None:
    """A second network of the container has no elements while the first has the key."""
    second = replace(
        CLAIM, network="net2", targets=(Target("10.2.0.2", "br1"),), ifname="eth1"
    )
    assert places(CLAIM, second) == places(CLAIM)
    assert places(second, CLAIM)["hostports4: tcp . 8080"] == "10.2.0.2 . 80"


def test_conditions_have_maps_of_their_own() -> None:
    """A network with conditions is looked up beside the networks without."""
    bound = replace(
        CLAIM,
        network="bound",
        targets=(Target("10.2.0.2", "br1", "iifname eth0"),),
        snat=False,
    )
    digest = scope("bound", 4, "iifname eth0")
    found = places(replace(CLAIM, snat=False), bound)
    assert found[f"hostports4_{digest}: tcp . 8080"] == "10.2.0.2 . 80"
    assert found["hostports4: tcp . 8080"] == "10.1.0.2 . 80"


def test_scope_is_of_network_family_and_text() -> None:
    """Another network, family or text is another scope; no text is none."""
    found = {
        scope("net", 4, "iifname eth0"),
        scope("net2", 4, "iifname eth0"),
        scope("net", 6, "iifname eth0"),
        scope("net", 4, "iifname eth1"),
    }
    assert len(found) == 4
    assert scope("net", 4, "") == ""
