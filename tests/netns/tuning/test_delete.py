# SPDX-License-Identifier: Apache-2.0
"""tuning: DEL and GC put back what was, and leave nothing written down."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run
from netns.tuning.helpers import (
    BACKUPS,
    EVERYTHING,
    KEYS,
    MAC,
    NAME,
    RECORDS,
    conf,
    link,
    notes,
    parameter,
    with_link,
)

from cni_common.kernel.netlink import Netlink, NetlinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host, Space

FILTER, BACKLOG = "net/ipv4/conf/eth0/arp_filter", "net/core/somaxconn"


@pytest.fixture
def tuned(container: Space) -> Iterator[Space]:
    """A container with eth0, and no backup of an earlier test."""
    shutil.rmtree(BACKUPS, ignore_errors=True)
    yield with_link(container)
    shutil.rmtree(BACKUPS, ignore_errors=True)


def everything(space: Space) -> dict[str, Any]:
    """Return what EVERYTHING changes."""
    paths = {path: parameter(space, path) for path in (FILTER, BACKLOG)}
    return {**link(space), **paths}


@pytest.mark.parametrize(
    "missing", [(), ("prevResult",), tuple(EVERYTHING), ("prevResult", *EVERYTHING)]
)
@pytest.mark.parametrize("netns", ["there", "", "/run/netns/gone"])
def test_delete_puts_everything_back(
    cni: Cni, tuned: Space, missing: tuple[str, ...], netns: str
) -> None:
    """DEL needs neither prevResult, configuration nor CNI_NETNS; again it succeeds."""
    before = everything(tuned)
    wanted = conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    less = {key: value for key, value in wanted.items() if key not in missing}
    path = tuned.path if netns == "there" else netns
    for _ in range(2):
        cni.ok("tuning", "DEL", less, netns=path)
        assert (everything(tuned), notes()) == (before, {})


@pytest.mark.parametrize(
    "broken",
    [
        {"mtu": "1500", "sysctl": [], "mac": 7, "args": 7, "runtimeConfig": "x"},
        {"sysctl": {"kernel.panic": "1"}, "mac": "ff:ff:ff:ff:ff:ff"},
        {"dataDir": "../elsewhere"},
        {"dataDir": "/run/elsewhere"},
        {"dataDir": ["x"], "prevResult": {"interfaces": 7}},
    ],
)
def test_delete_with_another_configuration(
    cni: Cni, tuned: Space, broken: dict[str, Any]
) -> None:
    """A configuration that changed or broke since ADD does not keep DEL from it."""
    before = everything(tuned)
    wanted = conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "DEL", {**wanted, **broken}, netns=tuned, args="x;y")
    assert (everything(tuned), notes()) == (before, {})


def test_delete_when_the_namespace_is_gone(cni: Cni, tuned: Space) -> None:
    """Without the namespace DEL succeeds, and the files are gone."""
    wanted = conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    tuned.delete()
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert notes() == {}


def test_delete_when_the_link_is_gone(cni: Cni, tuned: Space) -> None:
    """Without the link DEL puts the parameters back and succeeds."""
    wanted = conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    run("ip", "link", "delete", "h0")
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert parameter(tuned, BACKLOG) == "4096"
    assert notes() == {}


def test_delete_spares_another_link_of_the_name(cni: Cni, tuned: Space) -> None:
    """A link that took the name since ADD is not the one that was changed."""
    wanted = conf(tuned, mtu=1400)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    run("ip", "link", "delete", "h0")
    run("ip", "link", "add", "spacer", "type", "bridge")  # no index comes again
    tuned.run("ip", "link", "add", "eth1", "type", "bridge")
    with_link(tuned)
    tuned.run("ip", "link", "set", "eth0", "mtu", "1300")
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert (link(tuned)["mtu"], notes()) == (1300, {})


def test_late_delete_spares_another_namespace(cni: Cni, host: Host) -> None:
    """A namespace at the path of an earlier one is left as it is."""
    first = with_link(host.space())
    cni.ok("tuning", "ADD", conf(first, **EVERYTHING), netns=first)
    second = with_link(host.space(), host="h1")
    second.run("ip", "link", "set", "eth0", "mtu", "1300")
    before = everything(second)
    run("umount", first.path)
    run("mount", "--bind", second.path, first.path)
    cni.ok("tuning", "DEL", conf(first, **EVERYTHING), netns=first)
    assert (everything(second), notes()) == (before, {})


def test_delete_of_the_unknown_creates_nothing(cni: Cni, tuned: Space) -> None:
    """DEL of a container that was never attached succeeds and changes nothing."""
    before = everything(tuned)
    cni.ok("tuning", "DEL", conf(tuned, **EVERYTHING), netns=tuned)
    assert everything(tuned) == before
    assert not os.path.exists(BACKUPS)


def test_delete_goes_on_past_what_cannot_be_put_back(
    cni: Cni, tuned: Space, tmp_path: Path
) -> None:
    """A value that the kernel refuses is a warning in the log, and the rest is done."""
    before = everything(tuned)
    wanted = conf(tuned, **EVERYTHING, logFile=str(tmp_path / "log"))
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    path = f"{RECORDS}/net/c1@eth0"
    with open(path) as file:
        record = json.load(file)
    parameters, settings = record["parts"]
    settings["before"]["mtu"] = 7
    parameters["before"] = {"net/core/absent": "1", **parameters["before"]}
    with open(path, "w") as file:
        json.dump(record, file)
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert (everything(tuned), notes()) == ({**before, "mtu": 1400}, {})
    told = (tmp_path / "log").read_text().splitlines()[-1]
    events = [event["text"] for event in json.loads(told)["events"]]
    assert events == [
        "put back: set link eth0 mtu 7: mtu less than device minimum",
        "put back: set sysctl net/core/absent to 1: no such file or directory",
    ]


OTHERS: dict[str, tuple[str, ...]] = {
    "mac": ("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"),
    "mtu": ("ip", "link", "set", "eth0", "mtu", "1350"),
    "txQLen": ("ip", "link", "set", "eth0", "txqueuelen", "99"),
    "promisc": ("ip", "link", "set", "eth0", "promisc", "off"),
    "allmulti": ("ip", "link", "set", "eth0", "allmulticast", "off"),
    FILTER: ("sysctl", "-w", "net.ipv4.conf.eth0.arp_filter=0"),
    BACKLOG: ("sysctl", "-w", "net.core.somaxconn=77"),
}


@pytest.mark.parametrize("verb", ["DEL", "ADD", "none"])
@pytest.mark.parametrize("key", OTHERS)
def test_what_somebody_else_has_changed_since_is_left_alone(
    cni: Cni, tuned: Space, key: str, verb: str
) -> None:
    """All goes back but that, with DEL and with an ADD that wants less or nothing."""
    before = everything(tuned)
    cni.ok("tuning", "ADD", conf(tuned, **EVERYTHING), netns=tuned)
    run("ip", "netns", "exec", tuned.name, *OTHERS[key])
    others = everything(tuned)[key]
    fewer = {"txQLen": 5} if key == "mtu" else {"mtu": 1350}
    wanted = conf(tuned, **{"ADD": fewer, "none": {}}.get(verb, EVERYTHING))
    cni.ok("tuning", "ADD" if verb == "none" else verb, wanted, netns=tuned)
    expected = before | {key: others} | (fewer if verb == "ADD" else {})
    assert everything(tuned) == expected
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert everything(tuned) == before | {key: others}
    assert notes() == {}


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EPERM])
def test_delete_that_cannot_look_at_the_link_is_told(
    cni: Cni, tuned: Space, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nothing is forgotten, so that the next one puts all back."""
    before, wanted = everything(tuned), conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    with monkeypatch.context() as patch:

        def answers(_: Netlink, requests: list[Any], __: Any) -> list[Any]:
            return [NetlinkError(number, os.strerror(number)) for _ in requests]

        patch.setattr(Netlink, "answers", answers)
        cni.refused("tuning", "DEL", wanted, netns=tuned)
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert (everything(tuned), notes()) == (before, {})


@pytest.mark.parametrize(
    ("number", "is_told"), [(errno.ENOMEM, True), (errno.EOPNOTSUPP, False)]
)
def test_delete_is_to_be_repeated_where_the_kernel_is_short_of_something(
    cni: Cni,
    tuned: Space,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    *,
    is_told: bool,
) -> None:
    """Only what it refuses for good is passed over."""
    before, wanted = everything(tuned), conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    with monkeypatch.context() as patch:

        def outcomes(_: Netlink, requests: list[Any]) -> list[Any]:
            return [NetlinkError(number, os.strerror(number)) for _ in requests]

        patch.setattr(Netlink, "outcomes", outcomes)
        answer = cni("tuning", "DEL", wanted, netns=tuned)
    assert answer.status == is_told, answer.stdout
    assert bool(notes()) == is_told
    if is_told:
        cni.ok("tuning", "DEL", wanted, netns=tuned)
        assert (everything(tuned), notes()) == (before, {})


def test_mtu_below_that_of_ipv6(cni: Cni, tuned: Space) -> None:
    """Parameters that went with IPv6 are put back when the MTU has brought it back."""
    path = "net/ipv6/conf/eth0/accept_ra"
    sysctl = {"net.ipv6.conf.IFNAME.accept_ra": "0"}
    wanted = conf(tuned, mtu=1000, sysctl=sysctl)
    before = parameter(tuned, path)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert (link(tuned)["mtu"], parameter(tuned, path)) == (1500, before)


@pytest.mark.parametrize("key", KEYS)
def test_gc_releases_what_is_not_valid(cni: Cni, host: Host, key: str) -> None:
    """GC keeps the valid attachment and other networks, and releases the rest."""
    spaces = [with_link(host.space(), host=f"h{n}") for n in range(4)]
    before = [everything(space) for space in spaces]
    networks = ("net", "net", "net", "other")
    for number, (space, network) in enumerate(zip(spaces, networks, strict=True)):
        wanted = conf(space, **{**EVERYTHING, "name": network})
        cni.ok("tuning", "ADD", wanted, netns=space, container_id=f"c{number}")
    spaces[2].delete()
    valid = [{"containerID": "c0", "ifname": "eth0"}]
    cni.ok("tuning", "GC", {**NAME, key: valid})
    assert everything(spaces[1]) == before[1]
    for number in (0, 3):
        assert link(spaces[number])["mac"] == MAC
    assert sorted(notes()) == [
        f"{RECORDS}/net/c0@eth0",
        f"{RECORDS}/other/c3@eth0",
        f"{BACKUPS}/c0_eth0.json",
        f"{BACKUPS}/c3_eth0.json",
    ]


@pytest.mark.parametrize(
    ("listed", "status"), [({}, 0), ({KEYS[0]: "all"}, 1), ({KEYS[0]: [7]}, 1)]
)
def test_gc_without_a_list_changes_nothing(
    cni: Cni, tuned: Space, listed: dict[str, Any], status: int
) -> None:
    """GC with no list, or with what is none, leaves everything."""
    cni.ok("tuning", "ADD", conf(tuned, **EVERYTHING), netns=tuned)
    before = (everything(tuned), notes())
    assert cni("tuning", "GC", {**NAME, **listed}).status == status
    assert (everything(tuned), notes()) == before


class Reference:
    """The reference's plugin, called as a runtime would."""

    def __init__(self) -> None:
        self.path = need("tuning")

    def __call__(self, command: str, wanted: dict[str, Any], netns: str) -> None:
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": netns,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": os.path.dirname(self.path),
        }
        run(self.path, input=json.dumps(wanted), env=env)


OLD = {"cniVersion": "1.0.0"}
# What the reference 1.1.1 knows.
SHARED = {key: EVERYTHING[key] for key in ("mac", "mtu", "promisc", "allmulti")}


@pytest.mark.parametrize("directory", [{}, {"dataDir": "/run/lab/tuning/deeper"}])
def test_reference_puts_back_what_we_changed(
    cni: Cni, tuned: Space, directory: dict[str, str]
) -> None:
    """The reference's DEL restores the link from the backup that ours wrote."""
    reference = Reference()
    before = link(tuned)
    wanted = conf(tuned, **SHARED, **OLD, **directory)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    reference("DEL", wanted, tuned.path)
    assert link(tuned) == before
    assert not os.path.exists(f"{directory.get('dataDir', BACKUPS)}/c1_eth0.json")
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert notes() == {}


@pytest.mark.parametrize("directory", [{}, {"dataDir": "/run/lab/tuning/deeper"}])
def test_we_put_back_what_the_reference_changed(
    cni: Cni, tuned: Space, directory: dict[str, str]
) -> None:
    """Our DEL restores the link from the reference's backup, and removes that."""
    reference = Reference()
    before = link(tuned)
    wanted = conf(tuned, **SHARED, **OLD, **directory)
    reference("ADD", wanted, tuned.path)
    assert link(tuned) == {**SHARED, "txQLen": before["txQLen"]}
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert link(tuned) == before
    assert os.listdir(directory.get("dataDir", BACKUPS)) == []


def test_backup_of_the_reference_goes_with_the_namespace(
    cni: Cni, tuned: Space
) -> None:
    """Where the namespace is gone the reference's backup is removed too."""
    reference = Reference()
    wanted = conf(tuned, **SHARED, **OLD)
    reference("ADD", wanted, tuned.path)
    tuned.delete()
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert notes() == {}


def test_queue_length_of_later_references(cni: Cni, tuned: Space) -> None:
    """A backup with txQLen, as later references write it, is put back."""
    tuned.run("ip", "link", "set", "eth0", "txqueuelen", "77")
    os.makedirs(BACKUPS, 0o600)
    with open(f"{BACKUPS}/c1_eth0.json", "w") as file:
        json.dump({"txQLen": 1000, "mtu": -1, "mac": "none", "promisc": "x"}, file)
    cni.ok("tuning", "DEL", conf(tuned), netns=tuned)
    assert (link(tuned)["txQLen"], notes()) == (1000, {})
