# SPDX-License-Identifier: Apache-2.0
"""What ADD, DEL, CHECK, GC and STATUS do to the leases of a network."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Network

DUAL = ("10.2.0.0/29", "fd00::/64")


def test_files_are_the_reference_s_byte_for_byte(net: Network) -> None:
    """Names, contents and modes of lease, lock and last reserved address."""
    net.call("ADD", net.conf(*DUAL), "c1", "eth0")
    files = {
        path.name: (path.read_bytes(), oct(path.stat().st_mode & 0o7777))
        for path in net.directory.iterdir()
    }
    assert files == {
        "10.2.0.2": (b"c1\r\neth0", "0o600"),
        "fd00::2": (b"c1\r\neth0", "0o600"),
        "last_reserved_ip.0": (b"10.2.0.2", "0o600"),
        "last_reserved_ip.1": (b"fd00::2", "0o600"),
        "lock": (b"", "0o750"),
    }
    assert oct(net.directory.stat().st_mode & 0o7777) == "0o755"


def test_round_robin_does_not_reuse_what_was_just_released(net: Network) -> None:
    """A container that comes and goes sees every address before one comes again."""
    conf = net.conf("10.2.0.0/29")
    seen = []
    for _ in range(7):
        seen += net.call("ADD", conf).addresses
        assert net.call("DEL", conf).status == 0
    assert seen == [f"10.2.0.{n}" for n in (2, 3, 4, 5, 6, 2, 3)]


def test_repeated_add_is_refused_and_keeps_the_lease(net: Network) -> None:
    """The same container and interface cannot get a second address of a set."""
    conf = net.conf(*DUAL)
    net.call("ADD", conf)
    before = net.leases
    code, msg = net.call("ADD", conf).failure
    assert code == 999
    assert msg.startswith("allocate address for range set ")
    assert msg.endswith("has been allocated to c1, duplicate allocation is not allowed")
    assert net.leases == before


def test_repeated_add_with_a_request_is_refused_too(net: Network) -> None:
    """A requested address is no way around the duplicate rule."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    before = net.leases
    for asked in ("10.2.0.9", "10.2.0.2"):
        code, msg = net.call("ADD", conf, CNI_ARGS=f"IP={asked}").failure
        assert (code, "duplicate allocation" in msg) == (999, True)
    assert net.leases == before


def test_interfaces_of_one_container_have_leases_of_their_own(net: Network) -> None:
    """The owner is container and interface; DEL of one leaves the other."""
    conf = net.conf("10.2.0.0/24")
    assert net.call("ADD", conf, "c1", "eth0").addresses == ["10.2.0.2"]
    assert net.call("ADD", conf, "c1", "eth1").addresses == ["10.2.0.3"]
    net.call("DEL", conf, "c1", "eth0")
    assert net.leases == {"10.2.0.3": b"c1\r\neth1"}


def test_a_requested_address_in_use_is_refused(net: Network) -> None:
    """Code 11: the address may be free later."""
    conf = net.conf("10.2.0.0/29")
    net.call("ADD", conf, "c1")
    outcome = net.call("ADD", conf, "c2", CNI_ARGS="IP=10.2.0.2")
    assert outcome.failure == (
        11,
        (
            "allocate address for range set 0: requested IP address 10.2.0.2"
            " is not available in range set 10.2.0.1-10.2.0.6"
        ),
    )


def test_a_failed_add_leaves_every_file_as_it_was(net: Network) -> None:
    """When the second set is full, the first one's address is free again."""
    tiny = net.conf("fd00::/126")
    for n in range(2):
        net.call("ADD", tiny, f"c{n}")
    before = {path.name: path.read_bytes() for path in net.directory.iterdir()}
    conf = net.conf("10.2.0.0/24", "fd00::/126")
    code, msg = net.call("ADD", conf, "new").failure
    assert (code, msg) == (
        11,
        (
            "allocate address for range set 1:"
            " no IP addresses available in range set: fd00::1-fd00::3"
        ),
    )
    after = {path.name: path.read_bytes() for path in net.directory.iterdir()}
    assert after == before
    net.call("DEL", tiny, "c0")
    assert net.call("ADD", conf, "new").addresses == ["10.2.0.2", "fd00::2"]


def test_a_set_goes_on_in_its_next_range(net: Network) -> None:
    """The ranges of a set are one pool, in order."""
    pool = [{"subnet": "10.2.0.0/30"}, {"subnet": "10.3.0.0/30"}]
    conf = net.conf(pool)
    assert net.call("ADD", conf, "c1").document["ips"] == [
        {"address": "10.2.0.2/30", "gateway": "10.2.0.1"}
    ]
    assert net.call("ADD", conf, "c2").document["ips"] == [
        {"address": "10.3.0.2/30", "gateway": "10.3.0.1"}
    ]
    assert net.call("ADD", conf, "c3").failure[0] == 11


def test_many_taken_addresses_in_a_row_are_passed(net: Network) -> None:
    """A lost last_reserved_ip makes ADD look over hundreds of taken addresses."""
    conf = net.conf("10.2.0.0/22")
    net.call("ADD", conf, "first")
    for n in range(3, 256):
        (net.directory / f"10.2.0.{n}").write_bytes(f"c{n}\r\neth0".encode())
    (net.directory / "last_reserved_ip.0").unlink()
    assert net.call("ADD", conf, "next").addresses == ["10.2.1.0"]


def test_del_is_repeatable_and_leaves_no_mention(net: Network) -> None:
    """After DEL no file names the container, and DEL again succeeds."""
    conf = net.conf(*DUAL)
    net.call("ADD", conf, "c1")
    net.call("ADD", conf, "c2")
    for _ in range(2):
        assert net.call("DEL", conf, "c1").status == 0
    assert net.leases == {"10.2.0.3": b"c2\r\neth0", "fd00::3": b"c2\r\neth0"}
    assert not any("c1" in name for name in net.index)


def test_del_of_an_unknown_network_makes_nothing(net: Network) -> None:
    """There is no directory afterwards where none was."""
    assert net.call("DEL", net.conf("10.2.0.0/24")).status == 0
    assert not net.data_dir.exists()


@pytest.mark.parametrize(
    "broken",
    [
        {"ranges": []},
        {"ranges": "none"},
        {"ranges": [[{"subnet": "10.2.0.1/24"}]]},
        {"ranges": [[{"subnet": 5}]], "routes": {}},
        {"subnet": "rubbish", "resolvConf": "/absent"},
    ],
)
def test_del_releases_with_a_broken_configuration(
    net: Network, broken: dict[str, Any]
) -> None:
    """Only the name and dataDir count; whatever else has changed since ADD may."""
    net.call("ADD", net.conf(*DUAL))
    conf = net.conf(**broken) | {"args": 3, "runtimeConfig": [], "dns": "x"}
    assert net.call("DEL", conf).status == 0
    assert net.leases == {}


def test_del_releases_old_leases_without_an_interface(net: Network) -> None:
    """A file with only the container ID is released, if nothing names the interface."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf, "c1", "eth1")
    (net.directory / "10.2.0.9").write_bytes(b"c1")
    (net.directory / "10.2.0.10").write_bytes(b"c1\n")
    net.call("DEL", conf, "c1", "eth1")
    assert sorted(net.leases) == ["10.2.0.10", "10.2.0.9"]
    net.call("DEL", conf, "c1", "eth0")
    assert net.leases == {}


def test_old_leases_count_as_duplicates(net: Network) -> None:
    """A container with an old lease does not get another one."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf, "other")
    (net.directory / "10.2.0.9").write_bytes(b"c1")
    assert "10.2.0.9 has been allocated to c1" in net.call("ADD", conf, "c1").failure[1]


def checked(net: Network, conf: dict[str, Any], result: dict[str, Any]) -> Any:
    return net.call("CHECK", conf | {"prevResult": result})


def test_check_compares_with_prev_result(net: Network) -> None:
    """Each address of ours in prevResult must be leased to this attachment."""
    conf = net.conf(*DUAL)
    result = net.call("ADD", conf).document
    assert checked(net, conf, result).status == 0
    (net.directory / "fd00::2").unlink()
    assert checked(net, conf, result).failure == (
        999,
        "check address fd00::2: not leased to container c1 interface eth0",
    )
    (net.directory / "fd00::2").write_bytes(b"other\r\neth0")
    assert checked(net, conf, result).status == 1


def test_check_tolerates_addresses_of_other_plugins(net: Network) -> None:
    """An address outside all ranges is not ours to judge, an old lease is."""
    conf = net.conf("10.2.0.0/24")
    result = net.call("ADD", conf).document
    result["ips"].append({"address": "192.0.2.7/24"})
    assert checked(net, conf, result).status == 0
    (net.directory / "10.2.0.2").write_bytes(b"c1")
    assert checked(net, conf, result).status == 0


def test_check_without_addresses_asks_for_any_lease(net: Network) -> None:
    """Without prevResult, or when the ranges changed, one lease is enough."""
    conf = net.conf("10.2.0.0/24")
    result = net.call("ADD", conf).document
    assert net.call("CHECK", conf).status == 0
    assert checked(net, net.conf("10.9.0.0/24"), result).status == 0
    net.call("DEL", conf)
    cause = "check addresses: Failed to find address added by container c1"
    assert net.call("CHECK", conf).failure == (999, cause)
    assert checked(net, net.conf("10.9.0.0/24"), result).failure == (999, cause)


def valid(*attachments: str) -> list[dict[str, str]]:
    pairs = [attachment.split("/") for attachment in attachments]
    return [{"containerID": cid, "ifname": ifname} for cid, ifname in pairs]


@pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
def test_gc_releases_what_is_not_valid(net: Network, key: str) -> None:
    """Leases of no valid attachment and empty files go; lock and the rest stay."""
    conf = net.conf(*DUAL)
    for cid in ("keep", "gone"):
        net.call("ADD", conf, cid)
    (net.directory / "10.2.0.4").write_bytes(b"keep")
    (net.directory / "10.2.0.5").write_bytes(b"gone")
    (net.directory / "10.2.0.6").touch()
    (net.directory / "10.2.0.7").write_bytes(b"what is this?\r\n\r\n")
    (net.directory / "README").write_bytes(b"gone\r\neth0")
    assert net.call("GC", net.conf() | {key: valid("keep/eth0")}).status == 0
    assert sorted(path.name for path in net.directory.iterdir()) == [
        "10.2.0.2",
        "10.2.0.4",
        "10.2.0.7",
        "README",
        "fd00::2",
        "last_reserved_ip.0",
        "last_reserved_ip.1",
        "lock",
    ]
    assert not any("gone" in name for name in net.index)


def test_gc_distinguishes_interfaces(net: Network) -> None:
    """A container that keeps one interface loses the lease of the other."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf, "c1", "eth0")
    net.call("ADD", conf, "c1", "eth1")
    net.call("GC", conf | {"cni.dev/valid-attachments": valid("c1/eth1")})
    assert net.leases == {"10.2.0.3": b"c1\r\neth1"}


def test_gc_without_a_list_keeps_all_and_with_an_empty_one_nothing(
    net: Network,
) -> None:
    """A missing key says nothing about what is valid; an empty list, or null, all."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    before = net.leases
    assert net.call("GC", conf).status == 0
    assert net.leases == before
    for nothing in ([], None):
        net.call("ADD", conf)
        assert net.call("GC", conf | {"cni.dev/valid-attachments": nothing}).status == 0
        assert net.leases == {}


def test_gc_with_a_malformed_list_is_refused(net: Network) -> None:
    """Nothing is released on the word of a list that cannot be read."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    for listed in ("all", [{"containerID": "c1"}], [3]):
        bad = conf | {"cni.dev/valid-attachments": listed}
        assert net.call("GC", bad).failure[0] == 7
    assert len(net.leases) == 1


def test_gc_of_an_unknown_network_succeeds(net: Network) -> None:
    """There is nothing to collect where nothing was leased."""
    conf = net.conf() | {"cni.dev/valid-attachments": []}
    assert net.call("GC", conf).status == 0
    assert not net.data_dir.exists()


def test_status_tells_exhaustion(net: Network) -> None:
    """Code 50 with the range once the last address is leased, and not before."""
    conf = net.conf("10.9.0.0/24", "10.2.0.0/30")
    assert net.call("STATUS", conf).status == 0
    assert not net.data_dir.exists()
    net.call("ADD", conf)
    assert net.call("STATUS", conf).failure == (
        50,
        (
            "allocate address for range set 1:"
            " no IP addresses available in range set: 10.2.0.1-10.2.0.2"
        ),
    )
    net.call("DEL", conf)
    assert net.call("STATUS", conf).status == 0


def test_full_range_is_ready_where_that_is_asked_for(net: Network) -> None:
    """Only STATUS reads the key, and the log tells what it did not say."""
    log = net.data_dir.parent / "log"
    wanted = net.conf("10.2.0.0/30", statusWhenFull="ready")
    conf = wanted | {"logFile": str(log)}
    net.call("ADD", wanted)
    assert net.call("STATUS", conf).status == 0
    (event,) = json.loads(log.read_text())["events"]
    assert event["level"] == "warning"
    assert "no IP addresses available in range set" in event["text"]
    assert net.call("ADD", wanted, "c2").failure[0] == 11
    unavailable = net.conf("10.2.0.0/30", statusWhenFull="unavailable")
    assert net.call("STATUS", unavailable).failure[0] == 50


def test_full_range_says_nothing_about_other_faults(net: Network) -> None:
    """A range that has no address at all, and another value of the key, are errors."""
    pool = {"subnet": "10.2.0.0/24", "exclude": ["10.2.0.0/24"]}
    conf = net.conf(pool, statusWhenFull="ready")
    assert net.call("STATUS", conf).failure[0] == 50
    failure = net.call("STATUS", net.conf("10.2.0.0/24", statusWhenFull="x")).failure
    assert failure[0] == 7
    assert "ipam.statusWhenFull" in failure[1]


def test_status_finds_the_last_free_address_of_many(net: Network) -> None:
    """A range with one address free far away is not exhausted."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    for n in range(3, 255):
        (net.directory / f"10.2.0.{n}").write_bytes(b"c\r\neth0")
    assert net.call("STATUS", conf).failure[0] == 50
    (net.directory / "10.2.0.200").unlink()
    assert net.call("STATUS", conf).status == 0


def test_status_of_a_range_without_addresses_is_an_error(net: Network) -> None:
    """Exclusions can take all there is."""
    pool = {"subnet": "10.2.0.0/24", "exclude": ["10.2.0.0/24"]}
    assert net.call("STATUS", net.conf(pool)).failure[0] == 50


def test_status_without_ranges_waits_for_the_runtime_s(net: Network) -> None:
    """With the capability ipRanges, ranges come with ADD; else they are missing."""
    assert net.call("STATUS", net.conf()).failure[0] == 7
    conf = net.conf() | {"capabilities": {"ipRanges": True}}
    assert net.call("STATUS", conf).status == 0


def test_status_needs_a_usable_data_dir(net: Network, tmp_path: Any) -> None:
    """A file where the directory should be is reported before ADD meets it."""
    (tmp_path / "file").touch()
    conf = net.conf("10.2.0.0/24", dataDir=str(tmp_path / "file"))
    assert net.call("STATUS", conf).failure[0] == 50


def test_leases_removed_by_hand_are_forgotten(net: Network) -> None:
    """After `rm -rf` of the network's directory, DEL leaves no mention in the index."""
    conf = net.conf("10.2.0.0/24")
    net.call("ADD", conf)
    shutil.rmtree(net.directory)
    assert net.call("DEL", conf).status == 0
    assert not net.directory.exists()
    assert net.index == {}
    assert net.call("ADD", conf).addresses == ["10.2.0.2"]
