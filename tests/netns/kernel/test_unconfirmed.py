# SPDX-License-Identifier: Apache-2.0
"""A transaction that the kernel took, and whose answer nobody could read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from faults import Unconfirmed
from lab import need, nft_objects, run
from netns.bridge.helpers import conf
from netns.firewall.helpers import Guarded
from netns.firewall.helpers import request as guarded_request
from netns.portmap.helpers import Node, mapping, request
from pictures import files

if TYPE_CHECKING:
    from lab import Cni, Host

TOP = Path(__file__).parents[3]
CALL = """
from cni_common.kernel import nft
nft.run("add table inet t1")
try:
    nft.run("add table inet t2")
except nft.RefusedError as error:
    print(error.is_certain, nft.nothing_done(error))
"""


def published(host: Host, cni: Cni) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return plugin, configuration and options of a container with a port."""
    return "portmap", *request(Node(host, cni).container(2), 2, mapping(8080))


def protected(host: Host, cni: Cni) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return those of a container that is kept apart."""
    space = Guarded(host, cni).container(2)
    return "firewall", *guarded_request(space, 2, ingressPolicy="isolated")


def bridged(host: Host, cni: Cni) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return those of a container behind a bridge with all its rules."""
    del cni
    return "bridge", conf(ipMasq=True, macspoofchk=True), {"netns": host.space()}


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("case", [published, protected, bridged])
def test_nothing_stays_of_an_unconfirmed_add(
    host: Host, cni: Cni, monkeypatch: pytest.MonkeyPatch, case: Any, *, lasting: bool
) -> None:
    """ADD takes back what the kernel may have taken; if it cannot, DEL finds it."""
    plugin, wanted, options = case(host, cni)
    before = nft_objects("ruleset"), files()
    number = 0
    while True:
        number += 1
        lost = Unconfirmed(number, lasting=lasting)
        with monkeypatch.context() as patch:
            lost.install(patch)
            answer = cni(plugin, "ADD", wanted, **options)
        if lost.left > 0:
            break
        if lasting:
            cni.ok(plugin, "DEL", wanted, **options)
        assert answer.status == 1
        assert (nft_objects("ruleset"), files()) == before, number
    assert number > 1
    cni.ok(plugin, "DEL", wanted, **options)
    assert (nft_objects("ruleset"), files()) == before


@pytest.mark.usefixtures("host")
def test_interrupted_answer_is_told_from_a_refusal() -> None:
    """A signal while libnftables waits for the answer: the table is there."""
    need("strace")
    waits = "pselect6,poll"  # the second in libnftables 1.1.7
    inject = ("-e", f"trace={waits}", "-e", f"inject={waits}:error=EINTR:when=2")
    words = ("strace", "-f", "-o", "/dev/null", *inject, sys.executable, "-c", CALL)
    assert run(*words, cwd=TOP).split() == ["False", "False"]
    assert "t2" in run("nft", "list", "tables")
