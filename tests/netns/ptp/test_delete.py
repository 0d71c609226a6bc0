# SPDX-License-Identifier: Apache-2.0
"""ptp: after DEL nothing is left, whatever was lost meanwhile."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects, run
from netns.ptp.helpers import DUAL, NOTHING, conf, leases, left, links, with_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host, Space

WANTED = conf(ipMasq=True, ipam=DUAL)
RECORDS = "/run/cni/cnipy/ptp"


def delete(cni: Cni, wanted: Any = WANTED, **options: Any) -> None:
    """DEL of ptp, which must succeed and print nothing."""
    assert cni.ok("ptp", "DEL", wanted, **options) is None


def without_netns(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """DEL says nothing about the namespace, which lives."""
    delete(cni)


def with_netns_gone(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The namespace was deleted before."""
    space.delete()
    delete(cni, netns=space)


def with_plain_file(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The namespace was unmounted, its mount point is a plain file."""
    run("umount", space.path)
    delete(cni, netns=space)


def with_prev_result(cni: Cni, space: Space, result: Any) -> None:
    """The runtime remembers the result."""
    delete(cni, with_result(WANTED, result), netns=space)


def with_wrong_prev_result(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The runtime's memory is broken."""
    delete(cni, with_result(WANTED, {"ips": 5}), netns=space)


def with_unknown_args(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """CNI_ARGS has what ADD would refuse."""
    delete(cni, netns=space, args="X=1;;Y")


def with_broken_keys(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The configuration would be refused by ADD, and ipam is gone."""
    broken = conf(mtu="x", ipMasq=5, ipMasqBackend="none", ipam=[])
    delete(cni, broken, netns=space)


def without_masquerading(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The administrator took ipMasq away."""
    delete(cni, conf(ipam=DUAL), netns=space)


def with_record_lost(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Our own memory of the attachment is gone."""
    shutil.rmtree(RECORDS)
    delete(cni, netns=space)


def with_record_unreadable(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """The record was cut off."""
    os.truncate(f"{RECORDS}/net/c1@eth0", 20)
    delete(cni, netns=space)


def with_record_and_netns_lost(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Neither the namespace nor our memory is there."""
    shutil.rmtree(RECORDS)
    space.delete()
    delete(cni, netns=space)


def with_link_gone(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Somebody deleted the container's link."""
    space.run("ip", "link", "del", "eth0")
    delete(cni, netns=space)


def with_rules_gone(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """Somebody flushed the ruleset."""
    run("nft", "flush", "ruleset")
    delete(cni, netns=space)


def with_host_end_renamed(cni: Cni, space: Space, result: Any) -> None:
    """Somebody renamed the host's end."""
    name = result["interfaces"][0]["name"]
    run("ip", "link", "set", name, "down")
    run("ip", "link", "set", name, "name", "renamed0")
    delete(cni, netns=space)


def twice(cni: Cni, space: Space, result: Any) -> None:  # noqa: ARG001 - as its kind
    """DEL is repeated, with and without the namespace."""
    delete(cni, netns=space)
    delete(cni, netns=space)
    delete(cni)


@pytest.mark.parametrize(
    "circumstance",
    [
        without_netns,
        with_netns_gone,
        with_plain_file,
        with_prev_result,
        with_wrong_prev_result,
        with_unknown_args,
        with_broken_keys,
        without_masquerading,
        with_record_lost,
        with_record_unreadable,
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
    result = cni.ok("ptp", "ADD", WANTED, netns=container)
    assert len(leases()) == 2
    circumstance(cni, container, result)
    assert left() == NOTHING


def test_delete_of_what_never_was(cni: Cni, container: Space) -> None:
    """DEL of an unknown attachment succeeds and makes nothing."""
    delete(cni, netns=container)
    assert left(container) == NOTHING


def test_late_delete_spares_the_new_owner_of_the_path(
    cni: Cni, container: Space
) -> None:
    """A repeated DEL of an old container spares the new one at the same path."""
    cni.ok("ptp", "ADD", WANTED, netns=container, container_id="old")
    container.delete()
    run("ip", "netns", "add", container.name)
    cni.ok("ptp", "ADD", WANTED, netns=container, container_id="new")
    for _ in range(2):
        delete(cni, netns=container, container_id="old")
    assert container.reaches("10.1.2.1")
    assert len(leases()) == 2
    assert nft_objects("table", "inet", "cnipy_masquerade") != []


def test_delete_spares_the_container_s_other_interface(
    cni: Cni, container: Space
) -> None:
    """Of two interfaces in one network, DEL of one leaves the other whole."""
    wanted = conf(ipMasq=True, ipam={**DUAL, "routes": []})
    for ifname in ("eth0", "eth1"):
        cni.ok("ptp", "ADD", wanted, netns=container, ifname=ifname)
    delete(cni, netns=container, ifname="eth0")
    names = [link["ifname"] for link in container.ip("link", "show")]
    assert names == ["lo", "eth1"]
    assert len(leases()) == 2
    assert len(ip("route", "show")) == 1
    assert container.reaches("10.1.2.1")


def test_delete_spares_the_neighbours(cni: Cni, host: Host) -> None:
    """The shared gateway address of a neighbour goes on answering, both families."""
    one, two = host.space(), host.space()
    cni.ok("ptp", "ADD", WANTED, netns=one, container_id="one")
    cni.ok("ptp", "ADD", WANTED, netns=two, container_id="two")
    delete(cni, netns=one, container_id="one")
    assert two.reaches("10.1.2.1")
    assert two.reaches("fd00:1::1")
    assert len(links()) == 2
    assert nft_objects("table", "inet", "cnipy_masquerade") != []


def test_lease_is_released_last(
    cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the lease is given back, no link and no route of the container is left."""
    cni.ok("ptp", "ADD", WANTED, netns=container)
    seen = []

    def look(*_: object) -> None:
        seen.append((links(), ip("route", "show")))

    monkeypatch.setattr("cni_common.frame.delegate.delete", look)
    delete(cni, netns=container)
    assert seen == [(["lo"], [])]


def test_record_is_private_and_no_link_is_followed(
    cni: Cni, container: Space, tmp_path: Any
) -> None:
    """The record is 0600 in 0700; a symbolic link in its place is no record."""
    cni.ok("ptp", "ADD", WANTED, netns=container)
    path = f"{RECORDS}/net/c1@eth0"
    modes = [oct(os.stat(p).st_mode & 0o777) for p in (path, os.path.dirname(path))]
    assert modes == ["0o600", "0o700"]
    shutil.move(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    delete(cni, netns=container)
    assert (tmp_path / "elsewhere").exists()
    assert left(container) == NOTHING
