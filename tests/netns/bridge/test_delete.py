# SPDX-License-Identifier: Apache-2.0
"""bridge: after DEL nothing is left, whatever was lost meanwhile."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects, run
from netns.bridge.helpers import DUAL, conf, layer2, with_result

from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host, Space

EVERYTHING = conf(ipMasq=True, macspoofchk=True, ipam=DUAL)
RECORDS = "/run/cni/cnipy/bridge"
LEASES = "/var/lib/cni/networks/net"


def leases() -> list[str]:
    """Return the addresses that host-local has given away."""
    return sorted(name for name in os.listdir(LEASES) if name[0] in "1f")


def remains() -> dict[str, Any]:
    """Return what there still is of any attachment; the bridge may stay."""
    kept = {"lo", "br0"}
    top = "/run/cni/cnipy"
    return {
        "links": [i["ifname"] for i in ip("link", "show") if i["ifname"] not in kept],
        "rules": nft_objects("ruleset"),
        "leases": leases(),
        "files": [
            os.path.join(directory, name)
            for directory, _, names in os.walk(top)
            for name in names
            if not directory.startswith((f"{top}/locks", f"{top}/host-local"))
        ],
    }


NOTHING: dict[str, Any] = {"links": [], "rules": [], "leases": [], "files": []}


def test_delete_leaves_nothing_but_the_bridge(cni: Cni, container: Space) -> None:
    """After DEL there is no link, rule, lease or record; the bridge stays."""
    cni.ok("bridge", "ADD", EVERYTHING, netns=container)
    assert remains() != NOTHING
    cni.ok("bridge", "DEL", EVERYTHING, netns=container)
    assert remains() == NOTHING
    assert [link["ifname"] for link in container.ip("link", "show")] == ["lo"]
    assert ip("link", "show", "br0") != []


def without_netns(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """DEL says nothing about the namespace, which lives."""
    cni.ok("bridge", "DEL", EVERYTHING)


def with_netns_gone(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The namespace was deleted before."""
    space.delete()
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def with_plain_file(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The namespace was unmounted, its mount point is a plain file."""
    run("umount", space.path)
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def with_prev_result(cni: Cni, space: Space, result: Any) -> None:
    """The runtime remembers the result."""
    cni.ok("bridge", "DEL", with_result(EVERYTHING, result), netns=space)


def with_wrong_prev_result(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The runtime's memory is broken."""
    cni.ok("bridge", "DEL", with_result(EVERYTHING, {"ips": 5}), netns=space)


def with_unknown_args(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """CNI_ARGS has what ADD would refuse."""
    cni.ok("bridge", "DEL", EVERYTHING, netns=space, args="X=1;;Y")


def with_other_keys(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The administrator changed everything but the name."""
    changed = conf(bridge="br9", ipMasq=False, macspoofchk=False, mtu=9000)
    cni.ok("bridge", "DEL", changed, netns=space)


def with_broken_keys(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The configuration would be refused by ADD."""
    broken = conf(mtu="x", vlan=9999, hairpinMode=5, ipMasqBackend="none", ipam=[])
    cni.ok("bridge", "DEL", broken, netns=space)


def without_ipam(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The ipam key is gone from the configuration."""
    cni.ok("bridge", "DEL", conf(ipam=None), netns=space)


def with_record_lost(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Our own memory of the attachment is gone."""
    shutil.rmtree(RECORDS)
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def with_record_and_netns_lost(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Neither the namespace nor our memory is there."""
    shutil.rmtree(RECORDS)
    space.delete()
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def with_link_gone(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Somebody deleted the container's link."""
    space.run("ip", "link", "del", "eth0")
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def with_rules_gone(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Somebody flushed the ruleset."""
    run("nft", "flush", "ruleset")
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def with_host_end_renamed(cni: Cni, space: Space, result: Any) -> None:
    """Somebody renamed the host's end."""
    name = result["interfaces"][1]["name"]
    run("ip", "link", "set", name, "down")
    run("ip", "link", "set", name, "name", "renamed0")
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)


def twice(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """DEL is repeated, with and without the namespace."""
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)
    cni.ok("bridge", "DEL", EVERYTHING, netns=space)
    cni.ok("bridge", "DEL", EVERYTHING)


@pytest.mark.parametrize(
    "circumstance",
    [
        without_netns,
        with_netns_gone,
        with_plain_file,
        with_prev_result,
        with_wrong_prev_result,
        with_unknown_args,
        with_other_keys,
        with_broken_keys,
        without_ipam,
        with_record_lost,
        with_record_and_netns_lost,
        with_link_gone,
        with_rules_gone,
        with_host_end_renamed,
        twice,
    ],
)
def test_delete_is_complete(
    cni: Cni, container: Space, circumstance: Callable[[Cni, Space, Any], None]
) -> None:
    """Whatever is missing, gone or changed, DEL succeeds and leaves nothing."""
    result = cni.ok("bridge", "ADD", EVERYTHING, netns=container)
    circumstance(cni, container, result)
    assert remains() == NOTHING


def test_delete_of_what_never_was(cni: Cni, container: Space) -> None:
    """DEL of an unknown attachment succeeds and makes nothing."""
    cni.ok("bridge", "DEL", EVERYTHING, netns=container)
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]
    assert nft_objects("ruleset") == []


def test_late_delete_spares_the_new_owner_of_the_path(
    cni: Cni, container: Space
) -> None:
    """A repeated DEL of an old container spares the new one at the same path."""
    cni.ok("bridge", "ADD", EVERYTHING, netns=container, container_id="old")
    container.delete()
    run("ip", "netns", "add", container.name)
    result = cni.ok("bridge", "ADD", EVERYTHING, netns=container, container_id="new")
    rules = nft_objects("ruleset")
    for _ in range(2):
        cni.ok("bridge", "DEL", EVERYTHING, netns=container, container_id="old")
    name = result["interfaces"][1]["name"]
    assert ip("link", "show", name)[0]["master"] == "br0"
    assert container.reaches("10.1.2.1")
    assert len(leases()) == 2
    assert [item for item in rules if "rule" in item] == [
        item for item in nft_objects("ruleset") if "rule" in item
    ]


def test_delete_spares_the_container_s_other_interface(
    cni: Cni, container: Space
) -> None:
    """Of two interfaces in one network, DEL of one leaves the other whole."""
    for ifname in ("eth0", "eth1"):
        wanted = conf(ipMasq=True, ipam={**DUAL, "routes": []})
        cni.ok("bridge", "ADD", wanted, netns=container, ifname=ifname)
    cni.ok("bridge", "DEL", EVERYTHING, netns=container, ifname="eth0")
    names = [link["ifname"] for link in container.ip("link", "show")]
    assert names == ["lo", "eth1"]
    assert len(leases()) == 2
    rules = nft_objects("chain", "inet", "cnipy_masquerade", "postrouting")
    comments = [item["rule"].get("comment") for item in rules if "rule" in item]
    assert comments == [None, None, "subnet 10.1.2.0/24", "subnet fd00:1::/64"]


def refuse(*_: object) -> None:
    raise CNIError(Code.INTERNAL, "refused by the test")


def test_rules_that_nft_would_not_delete_are_deleted_later(
    cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused transaction makes DEL fail, and the repeated DEL deletes the rules."""
    cni.ok("bridge", "ADD", EVERYTHING, netns=container)
    with monkeypatch.context() as patch:
        patch.setattr("cni_common.kernel.nft.run", refuse)
        cni.refused("bridge", "DEL", EVERYTHING, netns=container)
    assert nft_objects("ruleset") != []
    cni.ok("bridge", "DEL", EVERYTHING, netns=container)
    assert remains() == NOTHING


def test_layer2_is_deleted(cni: Cni, container: Space) -> None:
    """DEL of a network without ipam needs no IPAM plugin."""
    cni.ok("bridge", "ADD", layer2(), netns=container)
    cni.ok("bridge", "DEL", layer2(), netns=container)
    assert [link["ifname"] for link in ip("link", "show")] == ["lo", "br0"]


def test_other_link_in_the_container_stays(cni: Cni, host: Host) -> None:
    """DEL touches no link of the container but CNI_IFNAME."""
    container = host.space()
    container.run("ip", "link", "add", "own0", "type", "bridge")
    cni.ok("bridge", "ADD", conf(), netns=container)
    cni.ok("bridge", "DEL", conf(), netns=container)
    names = [link["ifname"] for link in container.ip("link", "show")]
    assert names == ["lo", "own0"]
