# SPDX-License-Identifier: Apache-2.0
"""The options of `cnipy add`, as plugins hear of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk  # type: ignore[attr-defined] # pytest loads it by path

NETNS = "/run/netns/web"
ALL = ("portMappings", "ips", "mac", "aliases", "bandwidth")


def network(desk: Desk, *capabilities: str) -> None:
    """Have a network whose only plugin takes these."""
    taken = dict.fromkeys(capabilities, True)
    plugins = [{"type": "first", "capabilities": taken}]
    document = {"cniVersion": "1.1.0", "name": "n", "plugins": plugins}
    (desk.conf_dir / "10-n.conflist").write_text(json.dumps(document))


def heard(desk: Desk, *words: str, **env: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return runtimeConfig and environment of the ADD that the words lead to."""
    status, _, stderr = desk.cnipy("add", "n", NETNS, *words, **env)
    assert status == 0, stderr
    call = desk.calls[-1]
    return call["conf"].get("runtimeConfig", {}), call["env"]


def test_options_are_capability_values_and_arguments(desk: Desk) -> None:
    """Each option is what runtimes send for it."""
    network(desk, *ALL)
    words = ["-p", "127.0.0.1:8080:80", "--publish", "9000-9001:90-91/udp"]
    words += ["--ip", "10.0.0.9", "--ip", "fd00::9/64", "--mac", "02-00-00-00-00-0A"]
    words += ["--name", "web", "--alias", "shop", "--ifname", "eth7"]
    told, env = heard(desk, *words, "--limit-ingress", "8M", "--limit-egress", "1Gbit")
    assert told == {
        "portMappings": [
            {
                "hostPort": 8080,
                "containerPort": 80,
                "protocol": "tcp",
                "hostIP": "127.0.0.1",
            },
            {"hostPort": 9000, "containerPort": 90, "protocol": "udp"},
            {"hostPort": 9001, "containerPort": 91, "protocol": "udp"},
        ],
        "ips": ["10.0.0.9", "fd00::9/64"],
        "mac": "02:00:00:00:00:0a",
        "aliases": {"n": ["shop"]},
        "bandwidth": {
            "ingressRate": 8_000_000,
            "ingressBurst": 800_000,
            "egressRate": 1_000_000_000,
            "egressBurst": 100_000_000,
        },
    }
    assert env["CNI_IFNAME"] == "eth7"
    assert env["CNI_ARGS"] == "IgnoreUnknown=1;K8S_POD_NAME=web"


def test_options_win_over_the_environment(desk: Desk) -> None:
    """What an option does not say, the variables of cnitool still do."""
    network(desk, *ALL)
    given = {"mac": "02:00:00:00:00:01", "ips": ["10.0.0.1"]}
    env = {
        "CAP_ARGS": json.dumps(given),
        "CNI_ARGS": "A=1;K8S_POD_NAME=old",
        "CNI_IFNAME": "eth3",
    }
    words = ["--ip", "10.0.0.2", "--name", "new", "--ifname", "eth4"]
    told, called = heard(desk, *words, **env)
    assert told == {"mac": "02:00:00:00:00:01", "ips": ["10.0.0.2"]}
    assert called["CNI_ARGS"] == "IgnoreUnknown=1;A=1;K8S_POD_NAME=new"
    assert called["CNI_IFNAME"] == "eth4"


def test_interface_is_named_for_check_and_del_too(desk: Desk) -> None:
    """--ifname means the same attachment in all three."""
    network(desk)
    heard(desk, "--ifname", "eth9")
    for verb in ("check", "del"):
        status, _, stderr = desk.cnipy(verb, "n", NETNS, "--ifname", "eth9")
        assert (status, stderr) == (0, "")
        assert desk.calls[-1]["env"]["CNI_IFNAME"] == "eth9"
    assert desk.cache.all_entries() == []


BAD = {
    "-p 0:80": "read port '0:80': '0' is no port of 1 to 65535",
    "-p 8080:70000": "'70000' is no port of 1 to 65535",
    "-p 8000-8001:80": "different lengths",
    "-p nonsense": "no port",
    "--ip 10.0.0": "--ip '10.0.0': '10.0.0' is not an IP address",
    "--ip 10.0.0.9/77": "not an address in CIDR notation",
    "--mac 02:00": "not a MAC address",
    "--name a;b=c": "--name 'a;b=c'",
    "--alias -": "--alias '-'",
    "--limit-ingress fast": "--limit-ingress 'fast': it is neither rate nor size",
    "--ifname a/b": "interface name contains /",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_words_reach_no_plugin(words: str, desk: Desk) -> None:
    """They are refused in one line."""
    network(desk, *ALL)
    status, stdout, stderr = desk.cnipy("add", "n", NETNS, *words.split())
    assert (status, stdout, stderr.count("\n")) == (1, "", 1)
    assert BAD[words] in stderr
    assert desk.calls == []


WANTING = {
    "-p 8080:80": "portMappings",
    "--ip 10.0.0.9": "ips",
    "--mac 02:00:00:00:00:01": "mac",
    "--alias shop": "aliases",
    "--limit-egress 8M": "bandwidth",
}


@pytest.mark.parametrize("words", WANTING)
def test_what_no_plugin_takes_is_refused(words: str, desk: Desk) -> None:
    """A capability that the list does not declare is named, with the way out."""
    capability = WANTING[words]
    network(desk, *(each for each in ALL if each != capability))
    status, _, stderr = desk.cnipy("add", "n", NETNS, *words.split())
    assert status == 1
    assert f"add to n: no plugin of its list takes {capability}: " in stderr
    assert f'needs "capabilities": {{"{capability}": true}} in one' in stderr
    assert desk.calls == []
