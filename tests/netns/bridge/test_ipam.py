# SPDX-License-Identifier: Apache-2.0
"""bridge with an IPAM plugin of somebody else: a script in CNI_PATH."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip
from netns.bridge.helpers import conf, held, with_result

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Answer, Cni, Host, Space

SCRIPT = """#!/bin/sh
cat > "$CALLS/$CNI_COMMAND.stdin"
env > "$CALLS/$CNI_COMMAND.env"
echo "$CNI_COMMAND" >> "$CALLS/verbs"
echo "words of $CNI_COMMAND" >&2
[ -f "$CALLS/$CNI_COMMAND.stdout" ] && cat "$CALLS/$CNI_COMMAND.stdout"
[ ! -f "$CALLS/$CNI_COMMAND.fails" ]
"""
GIVEN = {
    "cniVersion": "1.1.0",
    "ips": [{"address": "10.4.0.9/24", "gateway": "10.4.0.1"}],
    "routes": [{"dst": "0.0.0.0/0"}],
    "dns": {"nameservers": ["192.0.2.53"]},
}
ERROR = {"cniVersion": "1.1.0", "code": 123, "msg": "no luck", "details": "at all"}
WANTED = conf(ipam={"type": "foreign", "own": {"Key": [1, 2.50]}})


class Foreign:
    """A plugin that notes how it was called and answers what the test says."""

    def __init__(self, directory: Path, cni: Cni) -> None:
        self.directory = directory
        self.cni = cni
        executable = directory / "foreign"
        executable.write_text(SCRIPT)
        executable.chmod(0o755)
        self.answers("ADD", GIVEN)

    def answers(self, verb: str, document: Any, *, fails: bool = False) -> None:
        """Have the plugin print `document` on `verb`."""
        text = "" if document is None else json.dumps(document)
        (self.directory / f"{verb}.stdout").write_text(text)
        if fails:
            (self.directory / f"{verb}.fails").write_text("")

    def call(self, verb: str, wanted: Any = WANTED, **options: Any) -> Answer:
        """Call bridge, with the plugin beside the suite's own in CNI_PATH."""
        path = f"/nowhere:{self.cni.plugin_path}:{self.directory}"
        env = {**os.environ, "CALLS": str(self.directory), "MARK": "here"}
        return self.cni("bridge", verb, wanted, path=path, env=env, **options)

    @property
    def verbs(self) -> list[str]:
        """How the plugin was called so far."""
        noted = self.directory / "verbs"
        return noted.read_text().split() if noted.exists() else []

    def stdin(self, verb: str) -> bytes:
        """What the plugin read on `verb`."""
        return (self.directory / f"{verb}.stdin").read_bytes()

    def env(self, verb: str) -> dict[str, str]:
        """The environment of the plugin on `verb`."""
        lines = (self.directory / f"{verb}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture
def foreign(tmp_path: Path, cni: Cni) -> Foreign:
    """An executable IPAM plugin that is not of the suite."""
    return Foreign(tmp_path, cni)


def test_foreign_ipam_is_executed_with_the_same_bytes(
    foreign: Foreign, container: Space
) -> None:
    """The delegate gets stdin byte for byte, and the environment with its own verb."""
    text = json.dumps(WANTED, indent=3).encode() + b"\n \n"
    answer = foreign.call("ADD", text, netns=container, args="IgnoreUnknown=1;A=b")
    assert answer.status == 0, answer.stdout
    assert foreign.stdin("ADD") == text
    env = foreign.env("ADD")
    assert env["CNI_COMMAND"] == "ADD"
    assert env["CNI_CONTAINERID"] == "c1"
    assert env["CNI_NETNS"] == container.path
    assert env["CNI_IFNAME"] == "eth0"
    assert env["CNI_ARGS"] == "IgnoreUnknown=1;A=b"
    assert env["CNI_PATH"].startswith("/nowhere:")
    assert env["MARK"] == "here"


def test_result_of_foreign_ipam_is_applied(foreign: Foreign, container: Space) -> None:
    """Its address, gateway, route and name servers are what the container has."""
    result = foreign.call("ADD", netns=container).document
    assert held(container) == ["10.4.0.9/24"]
    assert container.ip("route", "show", "default")[0]["gateway"] == "10.4.0.1"
    assert result["ips"] == [{**GIVEN["ips"][0], "interface": 2}]  # type: ignore[index] # a literal above
    assert result["dns"] == GIVEN["dns"]


def test_older_result_of_foreign_ipam_is_understood(
    foreign: Foreign, container: Space
) -> None:
    """A delegate may answer in the shape of 0.2.0 if it says so."""
    older = {"cniVersion": "0.2.0", "ip4": {"ip": "10.4.0.8/24"}}
    foreign.answers("ADD", older)
    assert foreign.call("ADD", netns=container).status == 0
    assert held(container) == ["10.4.0.8/24"]


def test_every_verb_reaches_foreign_ipam(foreign: Foreign, container: Space) -> None:
    """CHECK, GC, STATUS and DEL are forwarded, once each."""
    result = foreign.call("ADD", netns=container).document
    checked = with_result(WANTED, result)
    assert foreign.call("CHECK", checked, netns=container).status == 0
    assert foreign.call("STATUS").status == 0
    collected = {**WANTED, "cni.dev/valid-attachments": []}
    assert foreign.call("GC", collected).status == 0
    assert foreign.call("DEL", netns=container).status == 0
    assert foreign.verbs == ["ADD", "CHECK", "STATUS", "GC", "DEL"]
    assert json.loads(foreign.stdin("GC")) == collected


def test_error_of_foreign_ipam_is_passed_on(foreign: Foreign, container: Space) -> None:
    """A failing ADD is followed by DEL, and its code, msg and details are ours."""
    foreign.answers("ADD", ERROR, fails=True)
    answer = foreign.call("ADD", netns=container)
    assert answer.status == 1
    assert answer.document == ERROR
    assert foreign.verbs == ["ADD", "DEL"]
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_foreign_ipam_that_dies_without_words(
    foreign: Foreign, container: Space
) -> None:
    """A delegate that fails without a document is named, its stderr is in details."""
    foreign.answers("ADD", None, fails=True)
    error = foreign.call("ADD", netns=container).document
    assert error["msg"] == "execute plugin foreign: exit status 1"
    assert error["details"] == "words of ADD"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (None, 6),
        ({"cniVersion": "1.1.0"}, 999),
        ({"cniVersion": "1.1.0", "ips": [{"address": "nonsense"}]}, 7),
    ],
)
def test_result_of_foreign_ipam_that_is_none(
    foreign: Foreign, container: Space, document: Any, code: int
) -> None:
    """ADD without a result, without addresses or with bad ones fails and is undone."""
    foreign.answers("ADD", document)
    error = foreign.call("ADD", netns=container).document
    assert error["code"] == code
    assert foreign.verbs == ["ADD", "DEL"]
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_later_failure_releases_the_lease(foreign: Foreign, container: Space) -> None:
    """When ADD fails after the lease, the delegate gets a DEL."""
    unreachable = [{"dst": "192.0.2.0/24", "gw": "203.0.113.7"}]
    foreign.answers("ADD", {**GIVEN, "routes": unreachable})
    answer = foreign.call("ADD", netns=container)
    assert answer.document["msg"].startswith("add route 192.0.2.0/24 via 203.0.113.7: ")
    assert foreign.verbs == ["ADD", "DEL"]


def test_who_gave_the_lease_takes_it_back(foreign: Foreign, host: Host) -> None:
    """DEL calls the IPAM plugin of ADD, though the configuration names another now."""
    container = host.space()
    assert foreign.call("ADD", netns=container).status == 0
    assert foreign.call("DEL", conf(), netns=container).status == 0
    assert foreign.verbs == ["ADD", "DEL"]


def test_missing_ipam_plugin_leaves_nothing(cni: Cni, container: Space) -> None:
    """An IPAM plugin that is not there makes ADD fail before a bridge remains."""
    error = cni.refused("bridge", "ADD", conf(ipam={"type": "no"}), netns=container)
    assert error["msg"] == f"find plugin 'no': not in CNI_PATH [{cni.plugin_path}]"
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_failing_delete_of_foreign_ipam_is_reported(
    foreign: Foreign, container: Space
) -> None:
    """The links go although the delegate's DEL fails, and its error is ours."""
    foreign.call("ADD", netns=container)
    foreign.answers("DEL", ERROR, fails=True)
    answer = foreign.call("DEL", netns=container)
    assert answer.document == ERROR
    assert [link["ifname"] for link in ip("link", "show")] == ["lo", "br0"]
