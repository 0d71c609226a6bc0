# SPDX-License-Identifier: Apache-2.0
"""Where libnftables cannot open its socket: an error, not the end of the process."""

from __future__ import annotations

import errno
import json
import os
import resource
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects
from netns.bridge.helpers import DUAL, conf
from netns.firewall.helpers import Guarded
from netns.firewall.helpers import request as firewall_request
from netns.kernel.seccomp import refusing
from netns.portmap.helpers import mapping
from netns.portmap.helpers import request as portmap_request
from pictures import picture

from cni_common.kernel import nft
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import Answer, Cni, Host, Space

NETFILTER = ((0, 16), (2, 12))  # socket(AF_NETLINK, …, NETLINK_NETFILTER)
CAUSES = {
    errno.EPROTONOSUPPORT: "protocol not supported",
    errno.EPERM: "operation not permitted",
    errno.ENOBUFS: "no buffer space available",
    errno.EMFILE: "too many open files",
}
PLUGINS = ("bridge", "ptp", "portmap", "firewall")
MSG = "open netlink socket for nftables: "
LEAST = 32  # descriptors that ADD asks for


def call(node: Guarded, plugin: str, space: Space) -> tuple[dict[str, Any], Any]:
    """Return configuration and options of a call that needs rules of nftables."""
    if plugin == "portmap":
        return portmap_request(space, 2, mapping(8080))
    if plugin == "firewall":
        return firewall_request(space, 2, ingressPolicy="isolated")
    keys = {"ipMasq": True, "macspoofchk": True, "name": "own", "ipam": DUAL}
    wanted = conf(bridge="br9", type=plugin, **keys)
    return wanted, {"netns": node.host.space(), "container_id": "c2"}


def seen(space: Space) -> dict[str, Any]:
    """Return a picture of the host; when a port begins to forward is the kernel's."""
    found = picture(space)
    return {path: found[path] for path in found if "slave_data" not in path}


def refused(number: int, act: Callable[[], Answer]) -> Answer:
    """Return the answer of a call where the kernel refuses sockets of netfilter."""
    answers: list[Answer] = []
    raised = refusing("socket", number, lambda: answers.append(act()), *NETFILTER)
    assert raised is None
    return answers[0]


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("number", CAUSES)
def test_add_is_undone_and_says_why(
    host: Host, cni: Cni, plugin: str, number: int
) -> None:
    """ADD fails with code 999 and leaves nothing; STATUS says code 50."""
    node = Guarded(host, cni)
    wanted, options = call(node, plugin, node.container(2))
    before = seen(options["netns"])
    answer = refused(number, lambda: cni(plugin, "ADD", wanted, **options))
    assert (answer.status, answer.document["code"]) == (1, 999)
    assert answer.document["msg"] == MSG + CAUSES[number]
    assert seen(options["netns"]) == before
    plain = {key: wanted[key] for key in wanted if key != "prevResult"}
    answer = refused(number, lambda: cni(plugin, "STATUS", plain))
    assert (answer.status, answer.document["code"]) == (1, 50)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_delete_is_mended_by_another(host: Host, cni: Cni, plugin: str) -> None:
    """DEL fails while there are no sockets, and the next one leaves nothing."""
    node = Guarded(host, cni)
    wanted, options = call(node, plugin, node.container(2))
    before = seen(options["netns"])
    result = cni.ok(plugin, "ADD", wanted, **options)
    wanted = {**wanted, "prevResult": result}
    answer = refused(errno.EPERM, lambda: cni(plugin, "DEL", wanted, **options))
    assert (answer.status, answer.document["code"]) == (1, 999)
    cni.ok(plugin, "DEL", wanted, **options)
    after = seen(options["netns"])
    for path in [p for p in after if "br9" in str(after[p])]:
        assert plugin == "bridge", path  # the bridge stays, as always
    assert (after["rules"], after["files"]) == (before["rules"], before["files"])


def limited(left: int, act: Callable[[], str], report: Path) -> str:
    """Return what `act` says in a process that can open `left` files more."""
    report.write_text("")
    child = os.fork()
    if child == 0:
        status = 99
        try:
            highest = max(map(int, os.listdir("/proc/self/fd")))
            while os.dup(0) < highest:  # no gap below
                pass
            here = os.open(report, os.O_WRONLY)
            limit = here + 1 + left
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            os.write(here, act().encode())
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, (left, status)
    return report.read_text()


def test_limit_of_open_files_ends_no_process(host: Host, tmp_path: Path) -> None:
    """However few files may be opened, a transaction works or is a CNI error."""
    del host

    def declare() -> str:
        try:
            nft.run('add table inet t\nadd chain inet t c { meta iif "lo" accept; }')
        except CNIError as error:
            return error.msg
        return "done"

    found = [limited(left, declare, tmp_path / "said") for left in range(12)]
    assert found[0] == MSG + CAUSES[errno.EMFILE]
    assert found[-1] == "done"
    assert {text for text in found if not text.startswith(MSG)} == {"done"}
    assert [i["table"]["name"] for i in nft_objects("tables")] == ["t"]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_add_within_a_limit_of_open_files(
    host: Host, cni: Cni, plugin: str, tmp_path: Path
) -> None:
    """With any number of files left ADD works, or fails and leaves nothing."""
    node = Guarded(host, cni)
    wanted, options = call(node, plugin, node.container(2))
    before = seen(options["netns"])

    def add() -> str:
        return cni(plugin, "ADD", wanted, **options).stdout

    for left in (*range(4, LEAST - 4, 4), *range(LEAST - 4, LEAST + 2)):
        document = json.loads(limited(left, add, tmp_path / "said"))
        if "code" in document:
            assert document["code"] == 999
            assert document["msg"] == "open files: too many open files"
            assert seen(options["netns"]) == before, left
        else:
            assert left >= LEAST
            cni.ok(plugin, "DEL", {**wanted, "prevResult": document}, **options)
    assert "code" not in document
