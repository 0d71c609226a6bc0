# SPDX-License-Identifier: Apache-2.0
"""bridge: what its keys accept, and how they hang together."""

from __future__ import annotations

from typing import Any

import pytest

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.model import parse
from cni_common.spec.request import Request
from plugins.bridge.conf import BridgeConf


def conf(**keys: Any) -> BridgeConf:
    """Return the configuration that consists of `keys`."""
    return parse(BridgeConf, {"name": "net", **keys}, "network configuration")


def request(version: str = "1.1.0") -> Request:
    """Return an ADD in the version."""
    return Request("ADD", {}, b"", {}, "net", version)


def refusal(**keys: Any) -> str:
    """Return the message with which the configuration is refused."""
    with pytest.raises(CNIError) as refused:
        conf(**keys).validate_for(request())
    assert refused.value.code == Code.INVALID_CONFIG
    return refused.value.msg


@pytest.mark.parametrize("vlan", [-1, 4095])
def test_vlan_out_of_range(vlan: int) -> None:
    """A VLAN ID is between 0 and 4094."""
    assert refusal(vlan=vlan) == (
        f"parse vlan: invalid VLAN ID {vlan} (must be between 0 and 4094)"
    )


@pytest.mark.parametrize("vlan", [0, 1, 4094])
def test_vlan_in_range(vlan: int) -> None:
    """The ends of the range belong to it."""
    conf(vlan=vlan).validate_for(request())


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        ({"id": 0}, "incorrect trunk id parameter 0"),
        ({"id": 4095}, "incorrect trunk id parameter 4095"),
        ({"minID": 0, "maxID": 5}, "incorrect trunk minID parameter 0"),
        ({"minID": 1, "maxID": 4095}, "incorrect trunk maxID parameter 4095"),
        (
            {"minID": 6, "maxID": 5},
            "minID is greater than maxID in trunk parameter",
        ),
        (
            {"minID": 6},
            "minID and maxID should be configured simultaneously, maxID is missing",
        ),
        (
            {"maxID": 6},
            "minID and maxID should be configured simultaneously, minID is missing",
        ),
    ],
)
def test_bad_trunk(part: dict[str, int], cause: str) -> None:
    """What is no set of VLANs is refused with the reference's words."""
    assert refusal(vlanTrunk=[part]) == f"parse vlanTrunk: {cause}"


def test_trunk_is_the_union_of_its_parts() -> None:
    """A part may be a range, one VLAN, or both at once."""
    trunk = [{"minID": 10, "maxID": 12, "id": 5}, {"id": 11}, {"id": 20}]
    assert conf(vlanTrunk=trunk).trunk() == {5, 10, 11, 12, 20}


@pytest.mark.parametrize(
    ("keys", "filtering"),
    [({}, False), ({"vlan": 5}, True), ({"vlanTrunk": []}, True)],
)
def test_vlans_turn_filtering_on(keys: dict[str, Any], *, filtering: bool) -> None:
    """Either key does, an empty trunk too."""
    assert conf(**keys).vlan_filtering == filtering


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"vlan": 5}, (5, set())),
        (
            {"vlan": 5, "vlanTrunk": [{"minID": 4, "maxID": 6}]},
            (5, {4, 6}),
        ),
        # A trunk alone keeps VLAN 1 for frames without a tag.
        (
            {"vlanTrunk": [{"id": 7}]},
            (1, {7}),
        ),
        (
            {"vlanTrunk": [{"id": 7}], "preserveDefaultVlan": True},
            (0, {7}),
        ),
    ],
)
def test_vlans_of_a_port(keys: dict[str, Any], expected: tuple[int, set[int]]) -> None:
    """vlan is untagged and the port's own, the trunk is tagged."""
    read = conf(**keys)
    assert (read.pvid, read.tagged) == expected


@pytest.mark.parametrize(
    ("keys", "named"),
    [({}, False), ({"vlan": 5}, True), ({"vlanTrunk": []}, False)],
)
def test_empty_trunk_names_no_vlan(keys: dict[str, Any], *, named: bool) -> None:
    """The VLANs of a port are left alone unless the configuration names some."""
    assert conf(**keys).has_vlans == named


def test_name_of_the_gateway_s_link_may_be_too_long() -> None:
    """A bridge and a VLAN whose common name no link can have are refused."""
    keys = {"bridge": "twelveletter", "vlan": 100}
    wanted = conf(**keys, isGateway=True)
    with pytest.raises(CNIError) as refused:
        wanted.called("twelveletter")
    assert refused.value.msg.startswith("parse bridge: interface name is too long")
    conf(**keys).called("twelveletter")
    wanted.validate_for(request())
    assert wanted.called("br0").bridge == "br0"


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_layer2_needs_a_version_that_can_say_it(version: str) -> None:
    """A result without addresses has no shape before 0.3.0."""
    with pytest.raises(CNIError) as refused:
        conf().validate_for(request(version))
    assert refused.value.msg == f"parse ipam: a result of {version} needs an IP address"
    conf(ipam={"type": "host-local"}).validate_for(request(version))
