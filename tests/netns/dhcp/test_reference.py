# SPDX-License-Identifier: Apache-2.0
"""The reference's plugin asks our keeper, and ours its daemon."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run
from netns.dhcp.helpers import SOCKET, Keeper, Lan, addresses, listens, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Space

CONF: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "lan",
    "type": "bridge",
    "ipam": {"type": "dhcp"},
}


@pytest.fixture
def daemon(lan: Lan) -> Iterator[subprocess.Popen[bytes]]:
    """The reference's daemon, at its usual place."""
    del lan
    os.makedirs("/run/cni", exist_ok=True)
    command = [need("/usr/lib/cni/dhcp"), "daemon", "-timeout", "2s"]
    with subprocess.Popen(command) as process:
        until(lambda: listens(SOCKET))
        yield process
        process.kill()
    os.unlink(SOCKET)


def reference(verb: str, space: Space, conf: dict[str, Any]) -> Any:
    """Return the document that the reference's plugin prints, if any."""
    env = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": space.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/usr/lib/cni",
    }
    printed = run(need("/usr/lib/cni/dhcp"), input=json.dumps(conf), env=env)
    return json.loads(printed) if printed else None


def serve(lan: Lan) -> None:
    """Have the server give what results differ by."""
    lan.serve(
        "--dhcp-option=option:router,10.77.0.1",
        "--dhcp-option=33,10.90.0.0,10.77.0.3",
    )


def without_dns(result: dict[str, Any]) -> dict[str, Any]:
    """Return what the reference tells as well."""
    return {key: value for key, value in result.items() if key != "dns"}


def test_keeper_serves_the_plugin_of_the_reference(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """It gets what ours gets, and can check and give back."""
    del keeper
    serve(lan)
    space = lan.container()
    ours = cni.ok("dhcp", "ADD", CONF, netns=space)
    theirs = reference("ADD", space, CONF)
    assert without_dns(theirs) == without_dns(ours)
    reference("CHECK", space, {**CONF, "prevResult": theirs})
    assert list(lan.leased()) == [addresses(ours)[0].partition("/")[0]]
    reference("DEL", space, CONF)
    until(lambda: not lan.leased())


def test_keeper_tells_the_plugin_of_the_reference_why_not(
    lan: Lan, keeper: Keeper
) -> None:
    """An error arrives in words."""
    del keeper
    conf = {**CONF, "ipam": {"type": "dhcp", "timeout": 1}}
    with pytest.raises(AssertionError, match="no server answered"):
        reference("ADD", lan.container(), conf)


def test_daemon_of_the_reference_serves_our_plugin(
    lan: Lan, daemon: subprocess.Popen[bytes], cni: Cni
) -> None:
    """It is asked in its own words, and CHECK goes without what is ours alone."""
    del daemon
    serve(lan)
    space = lan.container()
    result = cni.ok("dhcp", "ADD", CONF, netns=space)
    assert list(lan.leased()) == [addresses(result)[0].partition("/")[0]]
    assert without_dns(reference("ADD", space, CONF)) == without_dns(result)
    cni.ok("dhcp", "CHECK", {**CONF, "prevResult": result}, netns=space)
    cni.ok("dhcp", "DEL", CONF, netns=space)
    until(lambda: not lan.leased())


def test_address_is_the_same_behind_either(
    lan: Lan, daemon: subprocess.Popen[bytes], cni: Cni, tmp_path: Any
) -> None:
    """Servers know a container by the same name, whoever keeps its lease."""
    from netns.dhcp.helpers import keeper_at  # noqa: PLC0415 - after the daemon

    serve(lan)
    space = lan.container()
    before = reference("ADD", space, CONF)
    daemon.kill()
    daemon.wait()
    with keeper_at(tmp_path / "keeper.log"):
        after = cni.ok("dhcp", "ADD", CONF, netns=space)
    assert addresses(after) == addresses(before)
    assert len(lan.leased()) == 1
    open(SOCKET, "w").close()  # for the fixture, which removes it
