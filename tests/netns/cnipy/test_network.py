# SPDX-License-Identifier: Apache-2.0
"""`cnipy network create` and `rm`: what is written, what is refused, what is left."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, nft_objects, run
from netns.cnipy.helpers import Desk
from world import rules

from cnipy.attachment import container_id_of
from cnipy.lists.directory import file_name

if TYPE_CHECKING:
    from lab import Cni, Host, Space

BARE = "--no-names"
UNFINISHED = ".cnipy-unfinished"


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator of a node without any network."""
    return Desk(host, cni, tmp_path)


def files(desk: Desk) -> dict[str, str]:
    """Return every file of the directory of configurations."""
    return {path.name: path.read_text() for path in desk.conf_dir.iterdir()}


def create(desk: Desk, *words: str) -> dict[str, Any]:
    """Have a network created; return its list, as the file has it."""
    path = Path(desk.ok("network", "create", *words).strip())
    document: dict[str, Any] = json.loads(path.read_text())
    desk.lists[document["name"]] = document["plugins"]
    return document


def detach(desk: Desk, network: str, space: Space) -> None:
    """Have the container detached as a runtime would."""
    for conf in reversed(desk.lists[network]):
        whole = {"cniVersion": "1.1.0", "name": network, **conf}
        whole.pop("capabilities", None)
        container = container_id_of(space.path)
        desk.cni.ok(conf["type"], "DEL", whole, netns=space, container_id=container)


def statuses(desk: Desk, *names: str) -> list[int]:
    """Return the exit status of `create` for each name, all called at the same time."""
    children = []
    for name in names:
        child = os.fork()
        if child == 0:
            status = 99
            try:
                status, _, _ = desk("network", "create", name, BARE)
            finally:
                os._exit(status)
        children.append(child)
    ended = [os.waitpid(child, 0)[1] for child in children]
    return [os.waitstatus_to_exitcode(status) for status in ended]


def subnets(document: dict[str, Any]) -> list[str]:
    """Return the subnets of a list."""
    return [each[0]["subnet"] for each in document["plugins"][0]["ipam"]["ranges"]]


def link_names() -> set[str]:
    """Return the links of the host."""
    return {link["ifname"] for link in json.loads(run("ip", "-j", "link"))}


def tables() -> list[str]:
    """Return our tables in the kernel."""
    listed = json.loads(run("nft", "-j", "list", "tables"))["nftables"]
    named = [each["table"]["name"] for each in listed if "table" in each]
    return [name for name in named if name.startswith("cnipy_")]


def test_list_is_complete_and_valid(desk: Desk) -> None:
    """A list is written whole, readable by all, and nothing is wrong with it."""
    made = create(desk, "front", "--ipv6")
    kinds = [each["type"] for each in made["plugins"]]
    assert kinds == ["bridge", "portmap", "firewall", "dnsname"]
    assert made["plugins"][0]["bridge"] == "br-front"
    assert made["plugins"][0]["ipMasq"] is True
    assert made["plugins"][3]["domainName"] == "dns.internal"
    four, six = map(ipaddress.ip_network, subnets(made))
    assert four.prefixlen == 24
    assert four.is_private
    assert (six.version, six.prefixlen) == (6, 64)
    assert six.subnet_of(ipaddress.ip_network("fd00::/8"))
    assert list(files(desk)) == ["10-front.conflist"]
    found = (desk.conf_dir / "10-front.conflist").stat()
    assert stat.S_IMODE(found.st_mode) == 0o644
    assert desk("validate", "--no-plugins")[0] == 0


def test_subnet_is_one_that_nobody_has(desk: Desk) -> None:
    """The first /24 that neither addresses, nor routes, nor lists have a part of."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", "10.89.0.77/32", "dev", "lo")
    run("ip", "route", "add", "unreachable", "10.89.1.128/25")
    run("ip", "route", "add", "blackhole", "10.89.3.0/24", "table", "77")
    assert subnets(create(desk, "one", BARE)) == ["10.89.2.0/24"]
    assert subnets(create(desk, "two", BARE)) == ["10.89.4.0/24"]
    run("ip", "route", "add", "unreachable", "10.0.0.0/8")
    assert subnets(create(desk, "three", BARE)) == ["172.17.0.0/24"]
    assert [*sorted(files(desk))] == [
        "10-one.conflist",
        "11-two.conflist",
        "12-three.conflist",
    ]


def test_words_are_in_the_list(desk: Desk) -> None:
    """Each option is a key of the plugin that it is about."""
    words = ["--subnet", "10.5.0.0/24", "--subnet", "fd05::/64", "--mtu", "1400"]
    words += ["--gateway", "10.5.0.254", "--ip-range", "10.5.0.128/25"]
    words += ["--ip-range", "fd05::10-fd05::1f", "--isolate", "--bandwidth"]
    made = create(desk, "n", *words, "--no-masquerade", "--bridge", "br7", BARE)
    bridge, _, firewall, bandwidth = made["plugins"]
    assert (bridge["bridge"], bridge["mtu"], bridge["ipMasq"]) == ("br7", 1400, False)
    first, second = (each[0] for each in bridge["ipam"]["ranges"])
    assert first == {
        "subnet": "10.5.0.0/24",
        "rangeStart": "10.5.0.128",
        "rangeEnd": "10.5.0.254",
        "gateway": "10.5.0.254",
    }
    assert (second["rangeStart"], second["rangeEnd"]) == ("fd05::10", "fd05::1f")
    assert firewall["ingressPolicy"] == "same-bridge"
    assert bandwidth["capabilities"] == {"bandwidth": True}
    inside = create(desk, "inside", "--internal", BARE)
    assert [each["type"] for each in inside["plugins"]] == ["bridge", "firewall"]
    assert "routes" not in inside["plugins"][0]["ipam"]
    assert inside["plugins"][0]["ipMasq"] is False


def test_other_drivers(desk: Desk) -> None:
    """On a link of the host the subnet is that link's; without one DHCP gives it."""
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "address", "add", "192.0.2.7/24", "dev", "up0")
    lan = create(
        desk,
        "lan",
        "--driver",
        "macvlan",
        "--parent",
        "up0",
        "--subnet",
        "192.0.2.0/24",
    )
    (macvlan,) = lan["plugins"]
    assert (macvlan["type"], macvlan["master"]) == ("macvlan", "up0")
    words = ["--driver", "ipvlan", "--parent", "up0", "--mode", "l3"]
    (ipvlan,) = create(desk, "leased", *words)["plugins"]
    assert (ipvlan["mode"], ipvlan["ipam"]) == ("l3", {"type": "dhcp"})
    alone = create(desk, "alone", "--driver", "ptp")
    assert [each["type"] for each in alone["plugins"]] == ["ptp", "portmap", "firewall"]


def test_dry_run_prints_what_would_be_written(desk: Desk) -> None:
    """The list is on stdout, and nothing in the directory."""
    text = desk.ok("network", "create", "n", BARE, "--dry-run")
    assert files(desk) == {}
    told = json.loads(desk.ok("network", "create", "n", BARE, "--dry-run", "--json"))
    assert told["list"] == json.loads(text)
    create(desk, "n", BARE)
    assert files(desk) == {"10-n.conflist": text}


BAD = {
    "../n": "create network '../n': no network can be called so: letters and digits",
    "n" * 300: "more than 200 bytes",
    "n --subnet nonsense": "--subnet nonsense: no subnet such as",
    "n --subnet 10.5.0.7/24": "is 10.5.0.0/24 meant?",
    "n --subnet 10.5.0.0/31": "/30 is the smallest",
    "n --subnet 127.5.0.0/24": "no host's",
    "n --subnet 10.5.0.0/24 --subnet 10.6.0.0/24": "is of the same family",
    "n --subnet 10.5.0.0/24 --gateway 10.6.0.1": "it is not in 10.5.0.0/24",
    "n --subnet 10.5.0.0/24 --gateway 10.5.0.255": "no host of 10.5.0.0/24 has it",
    "n --subnet 10.5.0.0/24 --gateway x": "--gateway x: no address",
    "n --subnet 10.5.0.0/24 --ip-range 10.6.0.0/25": "it is not in 10.5.0.0/24",
    "n --subnet 10.5.0.0/24 --ip-range 10.5.0.9-10.5.0.3": "not before the last",
    "n --mtu 20": "not between 68 and 65535",
    "n --mtu 1000 --ipv6": "IPv6 needs 1280",
    "n --bridge a/b": "no name of a link",
    "n --bridge lo": "bridge lo: a link of that name is no bridge",
    "n --driver ptp --bridge br0": "driver ptp has no --bridge",
    "n --driver macvlan --no-masquerade": "driver macvlan has no --no-masquerade",
    "n --driver macvlan --parent eth77": "there is no such link: there are: lo",
    "n --driver ipvlan --mode l9": "ipvlan has l2, l3, l3s",
    "n --driver macvlan --ipv6": "--ipv6 needs a --subnet",
    "n --dns-name a..b": "domainName",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_words_are_refused_with_nothing_changed(words: str, desk: Desk) -> None:
    """Each is told in one line that says what is wrong."""
    extra = [] if "macvlan" in words or "ipvlan" in words or "dns" in words else [BARE]
    assert BAD[words] in desk.refused("network", "create", *words.split(), *extra)
    assert files(desk) == {}


def test_name_that_no_network_can_have_is_not_removed(desk: Desk) -> None:
    """It is told with the verb and with what a name is, before a path is made of it."""
    said = "remove network '../n': no network can be called so: letters and digits"
    assert said in desk.refused("network", "rm", "../n")


def test_what_is_taken_is_refused_by_name(desk: Desk) -> None:
    """Name, bridge and subnet: the file, or the link, that has it is told."""
    create(desk, "n", "--subnet", "10.5.0.0/24", BARE)
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "address", "add", "10.7.0.7/16", "dev", "up0")
    run("ip", "link", "add", "br-idle", "type", "bridge")
    before = files(desk)
    file = desk.conf_dir / "10-n.conflist"

    def refused(*words: str) -> str:
        return desk.refused("network", "create", *words, BARE)

    assert f"{file} has the name" in refused("n")
    assert f"network n in {file} has it" in refused("m", "--bridge", "br-n")
    overlapping = refused("m", "--subnet", "10.5.0.128/25")
    assert f"network n in {file} has 10.5.0.0/24" in overlapping
    assert "up0 has 10.7.0.7/16" in refused("m", "--subnet", "10.7.9.0/24")
    assert "br-idle: it is there already" in refused("idle")
    assert files(desk) == before
    create(desk, "idle", "--bridge", "br-idle", BARE)


def test_two_at_once_do_not_take_the_same(desk: Desk) -> None:
    """Of two with one name one is refused; two names get two subnets."""
    assert sorted(statuses(desk, "n", "n")) == [0, 1]
    assert statuses(desk, "m1", "m2", "m3", "m4") == [0] * 4
    every = [subnets(json.loads(text))[0] for text in files(desk).values()]
    assert len(set(every)) == len(every) == 5


def test_rest_of_a_killed_call_is_no_obstacle(desk: Desk) -> None:
    """What an unfinished create left is replaced, be it a link that leads away."""
    victim = desk.conf_dir.parent / "victim"
    victim.write_text("precious")
    (desk.conf_dir / UNFINISHED).symlink_to(victim)
    create(desk, "n", BARE)
    assert victim.read_text() == "precious"
    assert list(files(desk)) == ["10-n.conflist"]


def test_directory_that_everybody_may_write_is_refused(desk: Desk) -> None:
    """Whoever writes lists has root do what they say."""
    desk.conf_dir.chmod(0o777)
    assert "writable by everybody" in desk.refused("network", "create", "n", BARE)


def test_first_file_stays_the_first() -> None:
    """A new network never becomes the node's default in another's place."""
    assert file_name("n", []) == "10-n.conflist"
    assert file_name("n", ["10-a.conflist", "99-z.conflist"]) == "990-n.conflist"
    assert file_name("n", ["cbr0.conflist"]) == "n.conflist"
    assert file_name("a", ["cbr0.conflist"]) == "zz-a.conflist"
    for there in (["99-z.conf"], ["zzz.conflist"], ["7-a.json", "x.conf"]):
        assert min([*there, file_name("n", there)]) == min(there)


def test_removal_leaves_nothing(desk: Desk, host: Host) -> None:
    """After the last container list, bridge, tables and host-local's directory go."""
    create(desk, "n", "--isolate", BARE)
    before = link_names()
    space = host.space()
    desk.attach("n", space, ports=[8080])
    assert link_names() - before > {"br-n"}
    assert tables() != []
    words = desk.refused("network", "rm", "n")
    assert "it is used by 1: cnitool-" in words
    assert "br-n" in link_names()
    assert "10-n.conflist" in files(desk)
    detach(desk, "n", space)
    told = desk.ok("network", "rm", "n").splitlines()
    assert told == [
        f"removed list {desk.conf_dir}/10-n.conflist",
        "removed bridge br-n",
        "removed leases /var/lib/cni/networks/n",
    ]
    assert (link_names(), tables(), files(desk)) == (before, [], {})
    assert not Path("/var/lib/cni/networks/n").exists()
    assert "configuration of that name" in desk.refused("network", "rm", "n")


def end(host: Host, space: Space, link: str) -> None:
    """Have a container end without DEL, and its link with it."""
    space.delete()
    host.spaces.remove(space)
    until = time.monotonic() + 10 * PATIENCE
    while link in link_names():
        assert time.monotonic() < until
        time.sleep(0.01)


def veth_of(result: dict[str, Any]) -> str:
    """Return the host's end of a veth pair."""
    return str(result["interfaces"][1]["name"])


@pytest.mark.parametrize("what", ["elements", "rules"])
def test_tables_of_nobody_go(desk: Desk, host: Host, what: str) -> None:
    """Those with elements of containers that are gone, and those with none."""
    create(desk, "n", "--isolate", BARE)
    space = host.space()
    end(host, space, veth_of(desk.attach("n", space, ports=[8080])))
    for directory in ("/run/cni", "/var/lib/cni/networks"):
        shutil.rmtree(directory)
    for item in nft_objects("ruleset") if what == "rules" else ():
        for kind, each in item.items():
            if kind in {"set", "map"}:
                run("nft", "flush", kind, each["family"], each["table"], each["name"])
    assert len(tables()) == 3
    told = desk.ok("network", "rm", "n").splitlines()
    assert tables() == []
    for name in ("masquerade", "portmap", "firewall"):
        assert f"removed table inet cnipy_{name}" in told


def test_tables_of_others_stay(desk: Desk, host: Host) -> None:
    """What the living of another network have in them stays, to the last element."""
    create(desk, "n", "--isolate", BARE)
    create(desk, "m", "--isolate", BARE)
    gone, living = host.space(), host.space()
    desk.attach("m", living, ports=[9090])
    before = rules()
    end(host, gone, veth_of(desk.attach("n", gone, ports=[8080])))
    for directory in ("/run/cni", "/var/lib/cni/networks/n"):
        shutil.rmtree(directory)
    assert not {*before} <= {*rules()}
    desk.ok("network", "rm", "n")
    assert {*before} <= {*rules()}
    assert container_id_of(gone.path) not in run("nft", "list", "ruleset")


def test_lease_of_a_stranger_is_a_use(desk: Desk) -> None:
    """What another runtime attached, of which there is no record, is named."""
    create(desk, "n", BARE)
    lease = Path("/var/lib/cni/networks/n/10.89.0.9")
    lease.parent.mkdir(parents=True)
    lease.write_text("stranger\r\neth0")
    assert "stranger with a lease of 10.89.0.9" in desk.refused("network", "rm", "n")
    assert lease.exists()
    lease.unlink()
    (lease.parent / "notes").write_text("mine")
    told = desk.ok("network", "rm", "n")
    assert "kept /var/lib/cni/networks/n: there is notes in it" in told
    assert (lease.parent / "notes").read_text() == "mine"


def test_bridge_of_others_stays(desk: Desk, host: Host) -> None:
    """One that no plugin made, one with an uplink, and one of two networks."""
    run("ip", "link", "add", "br-own", "type", "bridge")
    create(desk, "own", "--bridge", "br-own", BARE)
    assert "kept bridge br-own: no plugin" in desk.ok("network", "rm", "own")
    create(desk, "n", BARE)
    space = host.space()
    desk.attach("n", space)
    detach(desk, "n", space)
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "link", "set", "up0", "master", "br-n")
    assert "port up0 of br-n" in desk.refused("network", "rm", "n")
    run("ip", "link", "del", "up0")
    run("ip", "address", "add", "192.0.2.9/24", "dev", "br-n")
    told = desk.ok("network", "rm", "n")
    assert "kept bridge br-n: it has 192.0.2.9/24" in told
    assert {"br-own", "br-n"} <= link_names()


def test_removal_that_was_killed_is_finished(
    desk: Desk, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeat finds what is left; until then the name is not given again."""
    create(desk, "n", BARE)
    space = host.space()
    desk.attach("n", space)
    detach(desk, "n", space)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cni_common.kernel.link_removal.delete", killed)
        with pytest.raises(KeyboardInterrupt):
            desk("network", "rm", "n")
    assert "br-n" in link_names()
    assert "n" not in desk.ok("ls").split()
    assert "has not ended" in desk.refused("network", "create", "n", BARE)
    assert "removed bridge br-n" in desk.ok("network", "rm", "n")
    assert "br-n" not in link_names()
    assert files(desk) == {}


def test_link_in_the_place_of_a_file_is_refused(desk: Desk) -> None:
    """A list that is kept elsewhere is removed there."""
    create(desk, "n", BARE)
    kept = desk.conf_dir.parent / "kept"
    os.rename(desk.conf_dir / "10-n.conflist", kept)
    (desk.conf_dir / "10-n.conflist").symlink_to(kept)
    assert f"it is a link to {kept}" in desk.refused("network", "rm", "n")
    assert kept.exists()


def test_users_of_other_commands_find_their_words(desk: Desk) -> None:
    """`network ls` and `inspect` answer as `ls` and `show` do."""
    create(desk, "n", BARE)
    assert desk.ok("network", "ls") == desk.ok("ls")
    assert desk.ok("network", "inspect", "n", "--json") == desk.ok(
        "show", "n", "--json"
    )
