# SPDX-License-Identifier: Apache-2.0
"""A call that cannot come back from the container's namespace ends there and then."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import chains
import pytest
from chains import ALONE, ELSEWHERE, Container
from faults import REQUESTS
from lab import need

from cni_common.kernel import netns

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

SINGLE = chains.cases("bridge", "tuning", "sbr", *ALONE, *ELSEWHERE)


@pytest.fixture
def node(host: Host, cni: Cni) -> Container:
    """A host with a container that is not attached."""
    need("dnsmasq")
    chains.prepare(host)
    return Container(cni, host.space(), 1)


def strand(
    it: Container, verb: str, plugin: str, n: int, report: Path, **keys: Any
) -> int:
    """Make a call whose n-th way back is barred, in a process of its own.

    Returns its exit status, 0 also where it went back less often. What it asked of
    the kernel afterwards stands in `report`.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status, barred, asked, returns = 99, False, [], 0
    real = netns._setns
    home = os.stat("/proc/thread-self/ns/net").st_ino

    def setns(namespace: netns.Namespace) -> None:
        nonlocal barred, returns
        returns += namespace.inode == home
        if returns == n and not barred:
            barred = True
            raise PermissionError(1, "Operation not permitted")
        if barred:
            asked.append(f"setns {namespace.path}")
        real(namespace)

    def counted(function: object, name: str) -> object:
        def call(*args: object, **kwargs: object) -> object:
            if barred:
                asked.append(name)
            return function(*args, **kwargs)  # type: ignore[operator]

        return call

    try:
        netns._setns = setns  # type: ignore[assignment]
        for owner, name in REQUESTS:
            setattr(owner, name, counted(getattr(owner, name), name))
        answer = it.call(verb, plugin, **keys)
        status = answer.status if barred else 0
        report.write_text(json.dumps([asked, answer.stdout, answer.stderr]))
    finally:
        os._exit(status)


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
@pytest.mark.parametrize("plugin", SINGLE)
def test_nothing_is_done_in_the_wrong_namespace(
    node: Container, tmp_path: Path, plugin: str, verb: str
) -> None:
    """One error document, status 1, and no further request of any kind."""
    node.add(*chains.earlier(plugin))
    n, report = 0, tmp_path / "report"
    while True:
        n += 1
        if verb == "DEL":
            node.add(plugin)
        status = strand(node, verb, plugin, n, report)
        asked, stdout, stderr = json.loads(report.read_text())
        node.delete(plugin)
        if status == 0:
            break
        assert (status, asked, stderr) == (1, [], "")
        error = json.loads(stdout)
        assert error["code"] == 999
        cause = "return to the host's network namespace: operation not permitted"
        assert error["msg"] == cause
    assert n > 1


def test_rollback_ends_where_it_has_no_way_back(
    node: Container, tmp_path: Path
) -> None:
    """A failed ADD that cannot come back while it undoes undoes no more."""
    node.add("bridge", "portmap", "firewall")
    bad = {"net.core.somaxconn": "500", "net.ipv4.ip_default_ttl": "999"}
    report = tmp_path / "report"
    assert strand(node, "ADD", "tuning", 2, report, sysctl=bad) == 1
    asked, stdout, _ = json.loads(report.read_text())
    assert asked == []
    cause = "return to the host's network namespace: operation not permitted"
    assert json.loads(stdout)["msg"] == cause


def test_refusal_by_the_kernel_ends_the_call(container: Space) -> None:
    """A process that has lost its privileges inside cannot go back, and knows it."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            with netns.entered_path(container.path):
                os.setresuid(65534, 65534, 65534)
        except netns.StrandedError as error:
            status = "operation not permitted" not in str(error)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
