# SPDX-License-Identifier: Apache-2.0
"""dnsname: an ADD that fails late leaves the names of others, and its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults import refused
from lab import run
from netns.dnsname.helpers import NXDOMAIN, SERVERS, Names, Reply, pids
from pictures import picture

from cni_common.names import answers, dnsmasq

if TYPE_CHECKING:
    from netns.dnsname.helpers import Attached


def steady(*those: Attached) -> dict[str, object]:
    """Return everything that ADD may change, but for the number of the process."""
    shown = picture(*(it.space for it in those))
    shown["files"] = {
        path: content
        for path, content in shown["files"].items()
        if not path.endswith("/pid")
    }
    return shown


@pytest.mark.parametrize("step", ("start", "answer"))
@pytest.mark.parametrize("domain", ("dns.podman", "new.example"))
def test_failed_add_leaves_the_others_their_server(
    node: Names, monkeypatch: pytest.MonkeyPatch, step: str, domain: str
) -> None:
    """A neighbour keeps its names and domain when an ADD with another domain fails."""
    one = node.attach("c1", "one")
    planned = node.plan("c2", "two", domainName=domain)
    before = steady(one, planned)
    module, name = {
        "start": (dnsmasq, "start"),
        "answer": (answers, "await_added"),
    }[step]
    real = getattr(module, name)

    def refuse_once(*_: object) -> None:
        monkeypatch.setattr(module, name, real)
        raise refused()

    monkeypatch.setattr(module, name, refuse_once)
    answer = node.cni("dnsname", "ADD", planned.conf, **planned.options)
    if answer.status == 0:
        # Nothing had to be started.
        node.call("DEL", planned)
    assert steady(one, planned) == before
    assert len(pids()) == 1
    assert one.ask("one") == Reply(0, [one.address])
    assert one.ask("two") == Reply(NXDOMAIN, [])
    node.call("CHECK", one)


def test_failed_repetition_keeps_the_names(
    node: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second ADD under another name that fails leaves the first one's."""
    it = node.attach("c1", "old")
    before = steady(it)
    it.options["args"] = "IgnoreUnknown=1;K8S_POD_NAME=new"

    def refuse(*_: object) -> None:
        raise refused()

    with monkeypatch.context() as patch:
        patch.setattr(answers, "await_added", refuse)
        node.refused("ADD", it)
    assert steady(it) == before
    assert it.ask("old") == Reply(0, [it.address])
    assert it.ask("new") == Reply(NXDOMAIN, [])


def test_dnsmasq_that_cannot_read_is_told(node: Names) -> None:
    """When its user cannot come to the names, ADD fails soon enough and says why."""
    planned = node.plan("c1", "web")
    before = steady(planned)
    run("chmod", "0700", "/run")
    try:
        error = node.refused("ADD", planned)
    finally:
        run("chmod", "0755", "/run")
    assert error["msg"] == (
        "ask dnsmasq at 10.1.2.1 for web.dns.podman: it gives nothing,"
        f" not {planned.address}"
    )
    assert error["details"] == f"its user must be able to read {SERVERS}/net/hosts"
    assert (steady(planned), pids()) == (before, [])
