# SPDX-License-Identifier: Apache-2.0
"""tuning: what is refused, with which words, and that nothing is changed by then."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from netns.tuning.helpers import (
    ARP_FILTER,
    BACKUPS,
    NAME,
    conf,
    link,
    notes,
    parameter,
    with_link,
)

from plugins.tuning import allowlist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Space


@pytest.fixture
def tuned(container: Space) -> Iterator[Space]:
    """A container with eth0, and no backup of an earlier test."""
    shutil.rmtree(BACKUPS, ignore_errors=True)
    yield with_link(container)
    shutil.rmtree(BACKUPS, ignore_errors=True)


def refused(cni: Cni, space: Space, wanted: Any, **options: Any) -> tuple[int, str]:
    """Return code and message of an ADD that must fail and change nothing."""
    before = (link(space), parameter(space, "net/core/somaxconn"), notes())
    error = cni.refused("tuning", "ADD", wanted, netns=space, **options)
    after = (link(space), parameter(space, "net/core/somaxconn"), notes())
    assert after == before
    return error["code"], error["msg"]


NETWORK = "parse network configuration"
BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"mtu": "1500"}, f"{NETWORK}: mtu: Input should be a valid integer"),
    ({"mtu": -1}, f"{NETWORK}: mtu: Input should be greater than or equal to 0"),
    (
        {"mtu": 2**31},
        f"{NETWORK}: mtu: Input should be less than or equal to 2147483647",
    ),
    ({"txQLen": -1}, f"{NETWORK}: txQLen: Input should be greater than or equal to 0"),
    ({"promisc": "yes"}, f"{NETWORK}: promisc: Input should be a valid boolean"),
    ({"allmulti": 1}, f"{NETWORK}: allmulti: Input should be a valid boolean"),
    ({"sysctl": []}, f"{NETWORK}: sysctl: Input should be a valid dictionary"),
    (
        {"sysctl": {"net.core.somaxconn": 500}},
        f"{NETWORK}: sysctl.net.core.somaxconn: Input should be a valid string",
    ),
    (
        {"args": {"cni": {"mtu": "x"}}},
        f"{NETWORK}: args.cni.mtu: Input should be a valid integer",
    ),
    (
        {"dataDir": "run/x"},
        f"{NETWORK}: dataDir: 'run/x' is not an absolute path without '..'",
    ),
    (
        {"dataDir": "/run/../etc"},
        f"{NETWORK}: dataDir: '/run/../etc' is not an absolute path without '..'",
    ),
    ({"mac": "word"}, "parse mac: 'word' is not a MAC address"),
    ({"mac": "02:00:00:00:00"}, "parse mac: '02:00:00:00:00' is not a MAC address"),
    (
        {"mac": "01:00:00:00:00:01"},
        "parse mac: 01:00:00:00:00:01 is not a unicast address",
    ),
    (
        {"runtimeConfig": {"mac": 7}},
        "parse runtimeConfig.mac: 7 is not a MAC address",
    ),
    ({"sysctl": {"net.core.somaxconn": ""}}, "parse sysctl: '' is no value for"),
    ({"sysctl": {"net.core.somaxconn": "1\0"}}, "parse sysctl: '1\\x00' is no value"),
    (
        {"sysctl": {"net.core.somaxconn": "1", "net/core/somaxconn": "2"}},
        "parse sysctl: net/core/somaxconn is there under another name too",
    ),
)


@pytest.mark.parametrize(("keys", "message"), BAD)
def test_bad_key(cni: Cni, tuned: Space, keys: dict[str, Any], message: str) -> None:
    """A bad value is code 7 with its key."""
    code, said = refused(cni, tuned, conf(tuned, **keys))
    assert (code, said[: len(message)]) == (7, message)


@pytest.mark.parametrize(
    "key",
    [
        "kernel.panic",
        "kernel/panic",
        "net",
        "net.",
        "/net/core/somaxconn",
        "/proc/sys/net/core/somaxconn",
        "net/../kernel/panic",
        "net/core/../../kernel/panic",
        "net...kernel.panic",
        "net./../kernel.panic",
        "net/./core/somaxconn",
        "net//core/somaxconn",
        "networks/core",
        "net/core/somaxconn\n",
        "net/core/ somaxconn",
        "net/core/somaxconn\0",
        "",
    ],
)
@pytest.mark.parametrize("place", ["sysctl", "args.cni.sysctl"])
def test_parameter_outside_net(cni: Cni, tuned: Space, key: str, place: str) -> None:
    """What is not below /proc/sys/net, by whatever path, is code 7."""
    named = {"net.core.somaxconn": "7", key: "1"}
    keys = (
        {"sysctl": named} if place == "sysctl" else {"args": {"cni": {"sysctl": named}}}
    )
    code, said = refused(cni, tuned, conf(tuned, **keys))
    assert (code, said) == (7, f"parse {place}: {key!r} is no parameter below net")


@pytest.mark.parametrize(
    ("place", "before", "after"),
    [
        ("sysctl", '"sysctl": {', "}"),
        ("sysctl", '"x": {"sysctl": {"net.core.somaxconn": "9"}}, "SysCtl": {', "}"),
        ("args.cni.sysctl", '"args": {"cni": {"sysctl": {', "}}}"),
    ],
)
def test_key_written_twice(
    cni: Cni, tuned: Space, place: str, before: str, after: str
) -> None:
    """A parameter that JSON has twice is refused, since nobody knows which is meant."""
    twice = '"net.core.somaxconn": "5", "net.core.somaxconn": "6"'
    text = json.dumps(conf(tuned))[:-1] + f", {before}{twice}{after}}}"
    code, said = refused(cni, tuned, text.encode())
    cause = "duplicated sysctl keys are not allowed: net.core.somaxconn"
    assert (code, said) == (7, f"parse {place}: {cause}")
    error = cni.refused("tuning", "CHECK", text.encode(), netns=tuned)
    assert error["code"] == 7


def test_args_may_repeat_a_key_of_the_configuration(cni: Cni, tuned: Space) -> None:
    """The same key in `sysctl` and in args.cni is no duplicate; null is absent."""
    asked = {"cni": {"sysctl": {"net.core.somaxconn": "6", "net.core.absent": None}}}
    wanted = conf(tuned, sysctl={"net.core.somaxconn": "5"}, args=asked)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    assert parameter(tuned, "net/core/somaxconn") == "6"


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_without_a_previous_result(cni: Cni, tuned: Space, command: str) -> None:
    """tuning stands behind another plugin: without prevResult it is code 7."""
    error = cni.refused("tuning", command, {**NAME, "mtu": 1400}, netns=tuned)
    assert (error["code"], error["msg"]) == (7, "required prevResult missing")
    assert link(tuned)["mtu"] == 1500


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"sysctl": {"net.core.absent": "1"}},
            "find sysctl net/core/absent: this kernel has no such parameter",
        ),
        (
            {"sysctl": {"net.core.somaxconn": "x"}},
            "set sysctl net/core/somaxconn to x: invalid argument",
        ),
        (
            {"sysctl": {"net.core.somaxconn": "9", "net.core": "1"}},
            "set sysctl net/core to 1: is a directory",
        ),
        (
            {"mac": "02:00:00:00:00:22", "mtu": 99999999},
            "set link eth0 mtu 99999999: mtu greater than device maximum",
        ),
    ],
)
def test_what_the_kernel_refuses(
    cni: Cni, tuned: Space, keys: dict[str, Any], message: str
) -> None:
    """The kernel's cause is in the message, and what was set before it is undone."""
    keys = {"promisc": True, **keys}
    assert refused(cni, tuned, conf(tuned, **keys)) == (999, message)


def test_link_that_is_not_there(cni: Cni, tuned: Space) -> None:
    """Without CNI_IFNAME in the container nothing is changed."""
    wanted = conf(tuned, sysctl={"net.core.somaxconn": "9"}, mtu=1400)
    said = refused(cni, tuned, wanted, ifname="eth9")
    assert said == (999, "find link eth9: no such device")


def test_bad_arguments(cni: Cni, tuned: Space) -> None:
    """CNI_ARGS with an unknown key is code 4, unless told to ignore it."""
    wanted = conf(tuned, mtu=1400)
    assert refused(cni, tuned, wanted, args="FOO=1")[0] == 4
    code, said = refused(cni, tuned, wanted, args="MAC=word")
    assert (code, said) == (7, "parse CNI_ARGS MAC: 'word' is not a MAC address")


def test_namespace_that_is_none(cni: Cni, tuned: Space) -> None:
    """A CNI_NETNS that does not exist is code 8, and nothing is written down."""
    error = cni.refused("tuning", "ADD", conf(tuned, mtu=1400), netns="/run/absent")
    assert (error["code"], notes()) == (8, {})


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the allowlist lies, for the time of the test."""
    path = tmp_path / "allowlist.conf"
    monkeypatch.setattr(allowlist, "PATH", str(path))
    return path


LINES = (
    ("^net\\.core\\.somaxconn$\n", "net.core.somaxconn", True),
    ("\n  ^net\\.core\\.somaxconn$  \r\n\n", "net.core.somaxconn", True),
    ("^net\\.core\\.somaxconn$", "net/core/somaxconn", False),
    ("somax", "net.core.somaxconn", True),
    ("^net\\.core\\.s[[:alpha:]_]+\\z", "net.core.somaxconn", True),
    ("^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$", ARP_FILTER, True),
    ("^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$", "net.ipv4.conf.eth0.arp_filter", False),
    ("arp\nfilter", ARP_FILTER, True),
    ("", ARP_FILTER, False),
)


@pytest.mark.parametrize(("lines", "key", "is_allowed"), LINES)
@pytest.mark.parametrize("place", ["sysctl", "args"])
def test_allowlist(  # noqa: PLR0917 - two fixtures and a row
    cni: Cni,
    tuned: Space,
    allowed: Path,
    lines: str,
    key: str,
    place: str,
    *,
    is_allowed: bool,
) -> None:
    """A key is allowed if an expression is found in it as it is written."""
    allowed.write_text(lines)
    named = {"sysctl": {key: "1"}}
    wanted = conf(tuned, **(named if place == "sysctl" else {"args": {"cni": named}}))
    if is_allowed:
        cni.ok("tuning", "ADD", wanted, netns=tuned)
        cni.ok("tuning", "CHECK", wanted, netns=tuned)
    else:
        message = f"set sysctl {key}: not allowed by {allowed}"
        assert refused(cni, tuned, wanted) == (7, message)
        error = cni.refused("tuning", "STATUS", {**NAME, **named})
        assert error["msg"] == message


def test_allowlist_is_not_asked_without_a_parameter(
    cni: Cni, tuned: Space, allowed: Path
) -> None:
    """A broken list hinders nobody who sets no parameter, and never DEL."""
    allowed.write_text("(")
    wanted = conf(tuned, mtu=1400)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    wanted["sysctl"] = {"net.core.somaxconn": "1"}
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert notes() == {}


@pytest.mark.parametrize("line", ["(", "[[:foo:]]", "a{2,1}", "\\Qx\\E"])
def test_allowlist_with_a_bad_line(
    cni: Cni, tuned: Space, allowed: Path, line: str
) -> None:
    """A line that is no expression allows nothing, and is named."""
    allowed.write_text(f".*\n{line}\n")
    wanted = conf(tuned, sysctl={"net.core.somaxconn": "1"})
    message = f"read allowlist {allowed}: {line!r} is no regular expression"
    assert refused(cni, tuned, wanted) == (999, message)


def test_allowlist_that_cannot_be_read(cni: Cni, tuned: Space, allowed: Path) -> None:
    """What lies in the place of the list and is none allows nothing."""
    allowed.mkdir()
    wanted = conf(tuned, sysctl={"net.core.somaxconn": "1"})
    message = f"read allowlist {allowed}: is a directory"
    assert refused(cni, tuned, wanted) == (999, message)


def test_directory_that_others_may_write(
    cni: Cni, tuned: Space, tmp_path: Path
) -> None:
    """A dataDir in which others could put files is refused."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o777)
    wanted = conf(tuned, mtu=1400, dataDir=str(place))
    message = f"use dataDir {place}: others may write in it"
    assert refused(cni, tuned, wanted) == (5, message)
    place.chmod(0o755)
    os.chown(place, 1000, 1000)
    assert refused(cni, tuned, wanted) == (5, message)
    cni.ok("tuning", "DEL", wanted, netns=tuned)


def test_directory_that_is_a_symbolic_link(
    cni: Cni, tuned: Space, tmp_path: Path
) -> None:
    """A dataDir that leads elsewhere is refused."""
    (tmp_path / "link").symlink_to(tmp_path)
    wanted = conf(tuned, mtu=1400, dataDir=f"{tmp_path}/link/")
    message = f"use dataDir {tmp_path}/link/: not a directory"
    assert refused(cni, tuned, wanted) == (5, message)


def test_backup_that_is_a_symbolic_link(cni: Cni, tuned: Space, tmp_path: Path) -> None:
    """What the backup's name leads to is neither written nor read nor removed."""
    victim = tmp_path / "victim"
    victim.write_text('{"mtu": 1300}')
    os.makedirs(BACKUPS, 0o700)
    for name in ("c1_eth0.json", ".c1_eth0.json"):
        os.symlink(victim, f"{BACKUPS}/{name}")
    cni.ok("tuning", "DEL", conf(tuned), netns=tuned)
    assert link(tuned)["mtu"] == 1500
    os.unlink(f"{BACKUPS}/.c1_eth0.json")
    cni.ok("tuning", "ADD", conf(tuned, mtu=1400), netns=tuned)
    assert not os.path.islink(f"{BACKUPS}/c1_eth0.json")
    cni.ok("tuning", "DEL", conf(tuned, mtu=1400), netns=tuned)
    assert victim.read_text() == '{"mtu": 1300}'
    assert os.listdir(BACKUPS) == []


def test_container_id_that_fits_no_file_name(cni: Cni, tuned: Space) -> None:
    """A container ID too long for the reference's file is attached and detached."""
    wanted = conf(tuned, mtu=1400)
    options: dict[str, Any] = {"netns": tuned, "container_id": "c" * 250}
    cni.ok("tuning", "ADD", wanted, **options)
    assert link(tuned)["mtu"] == 1400
    cni.ok("tuning", "DEL", wanted, **options)
    assert (link(tuned)["mtu"], notes()) == (1500, {})
