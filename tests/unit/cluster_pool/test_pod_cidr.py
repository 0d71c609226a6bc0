# SPDX-License-Identifier: Apache-2.0
"""Addresses of a node that a cluster hands over, without an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cni_common.pool import held

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Network

FLANNEL = """\
FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.1.1/24
FLANNEL_IPV6_NETWORK=fd00:244::/56
FLANNEL_IPV6_SUBNET=fd00:244:0:1::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
BOTH = ["10.244.1.2", "fd00:244:0:1::2"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "run" / "flannel" / "subnet.env"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_text_has_a_cidr_of_each_family(net: Network) -> None:
    """As the kubelet's --pod-cidr; no agent is asked, and its file is not read."""
    (net.room / "net" / "apps").mkdir(parents=True)
    (net.room / "net" / "apps" / "blocks").write_text("{")
    told = "10.244.1.0/24,fd00:244:0:1::/64"
    outcome = net.call("ADD", podCIDR=told)
    assert outcome.addresses == BOTH
    assert outcome.document["ips"][0]["gateway"] == "10.244.1.1"
    assert "routes" not in outcome.document
    assert net.call("STATUS", podCIDR=told).status == 0


@pytest.mark.parametrize(
    "text",
    [
        "10.244.1.0/24\nfd00:244:0:1::/64\n",
        "10.244.1.0/24 fd00:244:0:1::/64",
        "# of kubectl\n\n10.244.1.0/24,fd00:244:0:1::/64",
        "FLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_IPV6_SUBNET='fd00:244:0:1::1/64'\n",
    ],
)
def test_a_file_has_them_in_any_of_these_forms(
    net: Network, file: Path, text: str
) -> None:
    """Plain CIDRs, and flannel's variables."""
    write(file, text)
    assert net.call("ADD", podCIDRFile=str(file)).addresses == BOTH


def test_flannels_network_becomes_a_route(net: Network, file: Path) -> None:
    """Pods of other nodes are behind the gateway."""
    write(file, FLANNEL)
    result = net.call("ADD", podCIDRFile=str(file)).document
    assert result["routes"] == [{"dst": "10.244.0.0/16"}, {"dst": "fd00:244::/56"}]


def test_a_family_without_an_address_has_no_route(net: Network, file: Path) -> None:
    """The network of a family that the node has no CIDR of is none of ours."""
    write(file, FLANNEL.replace("FLANNEL_IPV6_SUBNET", "X"))
    result = net.call("ADD", podCIDRFile=str(file)).document
    assert result["routes"] == [{"dst": "10.244.0.0/16"}]


def test_the_runtime_may_send_them(net: Network) -> None:
    """The capability ipRanges, as containerd does; each family is one set."""
    ranges = [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00:244:0:1::/64"}]]
    excluded = ["10.244.1.2"]
    outcome = net.call("ADD", runtime={"ipRanges": ranges}, exclude=excluded)
    assert outcome.addresses == ["10.244.1.3", "fd00:244:0:1::2"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "FLANNEL_MTU=1450\n", None])
def test_a_node_without_a_cidr_yet_is_to_be_tried_again(
    net: Network, file: Path, text: str | None
) -> None:
    """Code 11, and 50 of STATUS, name the file."""
    if text is not None:
        write(file, text)
    codes = {}
    for verb in ("ADD", "STATUS"):
        error = net.call(verb, podCIDRFile=str(file)).error
        codes[verb] = error["code"]
        assert str(file) in error["msg"]
        assert error["details"]
    assert codes == {"ADD": 11, "STATUS": 50}


WRONG: dict[str, Any] = {
    "garbage": ("\x00\xff", 6),
    "a name": ("node-cidr", 6),
    "overlap": ("10.244.1.0/24 10.244.0.0/16", 7),
    "too small": ("10.244.1.0/31", 7),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_says_nonsense_is_refused(
    net: Network, file: Path, name: str
) -> None:
    """The file or the key is named, and nothing is leased."""
    text, code = WRONG[name]
    write(file, text)
    assert net.call("ADD", podCIDRFile=str(file)).error["code"] == code
    if code == 7:
        for verb in ("ADD", "STATUS", "CHECK"):
            assert net.call(verb, podCIDR=text).error["code"] == 7
    assert net.leases == set()


@pytest.mark.parametrize("way", ["writable", "a link", "a directory"])
def test_a_file_that_others_could_write_is_refused(
    net: Network, file: Path, way: str
) -> None:
    """Who writes it decides which addresses containers have."""
    write(file, FLANNEL)
    if way == "writable":
        file.chmod(0o646)
    else:
        file.rename(net.room / "there")
        if way == "a link":
            file.symlink_to(net.room / "there")
        else:
            file.mkdir()
    error = net.call("ADD", podCIDRFile=str(file)).error
    assert (error["code"], str(file) in error["msg"]) == (5, True)


def test_a_full_cidr_asks_nobody(net: Network) -> None:
    """There is no agent that could give more."""
    told = "10.244.1.0/30"
    net.fill(1, podCIDR=told)
    error = net.call("ADD", podCIDR=told).error
    assert error["code"] == 11
    assert "agent" not in error["msg"]
    assert net.call("STATUS", podCIDR=told).error["code"] == 50
    assert held.read("apps") is None
