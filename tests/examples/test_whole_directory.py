# SPDX-License-Identifier: Apache-2.0
"""The directory of the reference, type by type: what is there, answers and attaches."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from tests.examples.lab import FILES, Lab, conflist
from tests.examples.surroundings import AROUND, example
from tests.runtimes.sandbox import remains
from tests.runtimes.sandbox.chain import Network
from tests.runtimes.sandbox.requirements import REFERENCE, plugin_directory, unmet

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
# The reference's release 1.9.1: its files, and what each answers to VERSION.
ANSWERS = {
    "bandwidth": VERSIONS[2:],
    "bridge": VERSIONS,
    "dhcp": VERSIONS,
    "dummy": VERSIONS,
    "firewall": VERSIONS[4:],
    "host-device": VERSIONS,
    "host-local": VERSIONS,
    "ipvlan": VERSIONS,
    "loopback": VERSIONS,
    "macvlan": VERSIONS,
    "portmap": VERSIONS,
    "ptp": VERSIONS,
    "sbr": VERSIONS,
    "static": VERSIONS,
    "tap": VERSIONS,
    "tuning": VERSIONS,
    "vlan": VERSIONS,
    "vrf": VERSIONS[3:],
}
# Not in the reference's directory: a plugin of Podman's, one for many nodes, and the
# operator's command.
BESIDE = {"cluster-pool", "dnsname", "cnipy"}
# Part of no list: containerd calls it for every pod beside the network.
LOOPBACK = {
    "cniVersion": "1.0.0",
    "name": "cni-loopback",
    "plugins": [{"type": "loopback"}],
}


def versions(plugin: Path) -> list[str]:
    """Return what a plugin answers to VERSION."""
    words: dict[str, Any] = {"env": {"CNI_COMMAND": "VERSION"}, "input": b""}
    said = subprocess.run([plugin], capture_output=True, check=True, **words).stdout
    found: list[str] = json.loads(said)["supportedVersions"]
    return found


def types(name: str) -> set[str]:
    """Return the types that an example has, IPAM plugins included."""
    plugins = conflist(name)["plugins"]
    ipam = (p.get("ipam", {}).get("type") for p in plugins)
    return {*(p["type"] for p in plugins), *ipam}


def example_of(name: str) -> ParameterSet:
    """Return a type and an example of it, preferably the one that is called so."""
    found = [file for file in FILES if name in types(file)]
    file = next((f for f in found if f"-{name}" in f), found[0] if found else "")
    return example(file, name, file)


def test_every_type_is_there() -> None:
    """The directory has an executable file for each type, and two of its own."""
    directory = plugin_directory()
    found = {path.name for path in directory.iterdir() if os.access(path, os.X_OK)}
    assert found == {*ANSWERS, *BESIDE}


@pytest.mark.parametrize("name", ANSWERS)
def test_version_is_answered_as_by_the_reference(name: str) -> None:
    """The same versions in the same order as the reference's release 1.9.1."""
    assert versions(plugin_directory() / name) == ANSWERS[name]


def test_version_is_answered_as_by_the_reference_at_hand() -> None:
    """What is installed here has the same answers, up to the last version it knows."""
    there = [name for name in ANSWERS if (REFERENCE / name).is_file()]
    if not there:
        unmet(f"{REFERENCE} has no plugin: containernetworking-plugins")
    for name in there:
        theirs = versions(REFERENCE / name)
        newer = VERSIONS[VERSIONS.index(theirs[-1]) + 1 :]
        assert [*theirs, *newer] == ANSWERS[name], name


@pytest.mark.parametrize(("name", "file"), [example_of(name) for name in ANSWERS])
def test_example_of_every_type_runs(lab: Lab, name: str, file: str) -> None:
    """ADD, CHECK and DEL: the container has its interface and addresses, then none."""
    network = Network(lab.plugins, conflist(file) if file else LOOPBACK)
    ifname = "eth0" if file else "lo"
    assert name in types(file) if file else name == "loopback"
    AROUND.get(file, lambda _: None)(lab)
    before = remains.everything(lab.sandbox)
    with lab.attached(network, "c1", ifname) as attached:
        (link,) = lab.sandbox.json("ip", "-j", "-n", "c1", "addr", "show", ifname)
    assert "UP" in link["flags"]
    assert set(attached.addresses) <= {each["local"] for each in link["addr_info"]}
    (lo,) = lab.sandbox.json("ip", "-j", "-n", "c1", "link")
    assert (lo["ifname"], "UP" in lo["flags"]) == ("lo", False)
    assert lab.left(attached) == before
