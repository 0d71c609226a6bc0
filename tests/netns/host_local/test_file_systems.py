# SPDX-License-Identifier: Apache-2.0
"""host-local on file systems of every temper, and across a reboot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni

NETWORKS = Path("/var/lib/cni/networks")
DIRECTORY = NETWORKS / "net"
OLD = (978307200, 978307200)  # 2001-01-01, before any machine that runs this


def conf(subnet: str, **keys: Any) -> dict[str, Any]:
    """Return a configuration with one range and the default dataDir."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": subnet}]], **keys}
    return {"cniVersion": "1.1.0", "name": "net", "type": "bridge", "ipam": ipam}


def add(cni: Cni, configuration: dict[str, Any], cid: str) -> str:
    """Return the address that the container gets."""
    result = cni.ok(
        "host-local", "ADD", configuration, container_id=cid, netns="/run/netns/none"
    )
    address: str = result["ips"][0]["address"]
    return address.split("/", maxsplit=1)[0]


def refused(cni: Cni, verb: str, configuration: dict[str, Any], cid: str) -> Any:
    """Return code and message of a call that fails."""
    error = cni.refused(
        "host-local", verb, configuration, container_id=cid, netns="/run/netns/none"
    )
    return error["code"], error["msg"]


pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def mounted() -> Iterator[Any]:
    """Mount file systems over the default dataDir; they are gone after the test."""
    NETWORKS.mkdir(parents=True)

    def mount(*arguments: str, at: Path = NETWORKS) -> None:
        run("mount", *arguments, str(at))
        places.append(str(at))

    places: list[str] = []
    yield mount
    for place in reversed(places):
        run("umount", place)


def test_default_directory_is_the_reference_s(cni: Cni) -> None:
    """Without dataDir, leases lie in /var/lib/cni/networks."""
    assert add(cni, conf("10.2.0.0/24"), "c1") == "10.2.0.2"
    assert (DIRECTORY / "10.2.0.2").read_bytes() == b"c1\r\neth0"


def test_a_reboot_gives_the_addresses_back(
    cni: Cni, mounted: Any, tmp_path: Path
) -> None:
    """With another boot ID and an empty /run, a full range takes dead leases back."""
    configuration = conf("10.2.0.0/29")
    for n in range(5):
        add(cni, configuration, f"c{n}")
    assert refused(cni, "ADD", configuration, "new")[0] == 11
    (tmp_path / "id").write_text("00000000-0000-4000-8000-000000000000\n")
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    mounted("--bind", str(tmp_path / "id"), at=boot_id)
    mounted("-t", "tmpfs", "run", at=Path("/run"))
    cni.ok("host-local", "STATUS", configuration)
    found = [add(cni, configuration, f"new{n}") for n in range(5)]
    assert sorted(found) == [f"10.2.0.{n}" for n in range(2, 7)]
    assert refused(cni, "ADD", configuration, "more")[0] == 11


def test_a_file_system_without_attributes_leaves_the_time(
    cni: Cni, mounted: Any
) -> None:
    """On ramfs the file's time decides whether a lease is of this boot."""
    mounted("-t", "ramfs", "ramfs")
    configuration = conf("10.2.0.0/30")
    add(cni, configuration, "c1")
    assert os.listxattr(DIRECTORY / "10.2.0.2") == []
    assert refused(cni, "ADD", configuration, "new")[0] == 11
    os.utime(DIRECTORY / "10.2.0.2", OLD)
    assert add(cni, configuration, "new") == "10.2.0.2"


def test_a_full_disk_leaves_no_lease_behind(cni: Cni, mounted: Any) -> None:
    """Wherever the disk gets full, code 5 says so and no address is lost."""
    mounted("-t", "tmpfs", "-o", "nr_inodes=3", "full")
    configuration = conf("10.2.0.0/24")
    configuration["ipam"]["ranges"].append([{"subnet": "fd00::/64"}])
    expected = (5, f"use lease directory {DIRECTORY}: no space left on device")
    for inodes in range(3, 30):
        run("mount", "-o", f"remount,nr_inodes={inodes}", str(NETWORKS))
        answer = cni("host-local", "ADD", configuration, netns="/run/netns/none")
        if answer.status == 0:
            break
        assert (answer.document["code"], answer.document["msg"]) == expected
        names = os.listdir(DIRECTORY) if DIRECTORY.exists() else []
        assert [name for name in names if name[0] in "1f"] == []
    assert inodes > 6
    assert answer.document["ips"][0]["address"] == "10.2.0.2/24"


def test_a_read_only_disk_is_reported(cni: Cni, mounted: Any) -> None:
    """ADD and DEL fail with code 5, since a retry may find it writable again."""
    mounted("-t", "tmpfs", "disk")
    configuration = conf("10.2.0.0/24")
    add(cni, configuration, "c1")
    run("mount", "-o", "remount,ro", str(NETWORKS))
    expected = (5, f"use lease directory {DIRECTORY}: read-only file system")
    assert refused(cni, "ADD", configuration, "c2") == expected
    assert refused(cni, "DEL", configuration, "c1") == expected
    assert refused(cni, "STATUS", configuration, "c1")[0] == 50
    run("mount", "-o", "remount,rw", str(NETWORKS))
    cni.ok("host-local", "DEL", configuration, container_id="c1")


def test_rough_timestamps_hide_no_lease_of_others(
    cni: Cni, mounted: Any, tmp_path: Path
) -> None:
    """Where times have full seconds, a lease made in the same second is seen."""
    mke2fs = need("mke2fs")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    run(mke2fs, "-q", "-I", "128", "-t", "ext2", str(image))
    mounted("-o", "loop", str(image))
    configuration = conf("10.2.0.0/24")
    for n in range(5):
        add(cni, configuration, f"c{n}")
        (DIRECTORY / f"10.2.0.{100 + n}").write_bytes(f"other{n}\r\neth0".encode())
        cni.ok("host-local", "DEL", configuration, container_id=f"other{n}")
        assert not (DIRECTORY / f"10.2.0.{100 + n}").exists()


def test_a_lease_outlives_a_failed_container_of_another(cni: Cni) -> None:
    """A delegating plugin that calls DEL after a refused ADD takes nobody's lease."""
    configuration = conf("10.2.0.0/30")
    add(cni, configuration, "c1")
    refused(cni, "ADD", configuration, "c2")
    cni.ok("host-local", "DEL", configuration, container_id="c2")
    assert (DIRECTORY / "10.2.0.2").read_bytes() == b"c1\r\neth0"


def test_full_range_says_who_has_its_addresses(cni: Cni) -> None:
    """Who is refused an address learns of the holders, and how some come free."""
    add(cni, conf("10.9.0.0/30"), "c1")
    options = {"container_id": "c2", "netns": "/run/netns/none"}
    error = cni.refused("host-local", "ADD", conf("10.9.0.0/30"), **options)
    way_out = "`cnipy gc` frees those of containers that are gone"
    assert error["code"] == 11
    assert error["details"] == f"leased: 10.9.0.2 to c1 eth0; {way_out}"


def test_taken_address_says_who_has_it(cni: Cni) -> None:
    """An address that is asked for and leased names its holder alone."""
    add(cni, conf("10.9.0.0/24"), "c1")
    asked = conf("10.9.0.0/24") | {"args": {"cni": {"ips": ["10.9.0.2"]}}}
    options = {"container_id": "c2", "netns": "/run/netns/none"}
    error = cni.refused("host-local", "ADD", asked, **options)
    assert (error["code"], error["details"]) == (11, "it is leased to c1 eth0")


def test_address_outside_says_which_ranges_there_are(cni: Cni) -> None:
    """An address that no range has is refused with the ranges."""
    asked = conf("10.9.0.0/24") | {"args": {"cni": {"ips": ["10.8.0.2"]}}}
    error = cni.refused("host-local", "ADD", asked, netns="/run/netns/none")
    assert (error["code"], error["details"]) == (
        7,
        "each of the ranges gives one address: 10.9.0.1-10.9.0.254",
    )
