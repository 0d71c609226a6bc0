# SPDX-License-Identifier: Apache-2.0
"""The command line: variables as cnitool's, output, and exit status."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cni_common.spec.errors import CNIError
from cnipy import attachment as attachments
from cnipy import valid
from cnipy.cache import Entry
from cnipy.main import main

if TYPE_CHECKING:
    from conftest import Desk  # type: ignore[attr-defined] # pytest loads it by path
    from lab import Space

NETNS = "/run/netns/web"


def test_container_id_is_cnitools() -> None:
    """The ID is made of the path of the namespace, as cnitool makes it."""
    assert attachments.container_id_of("/var/run/netns/testing") == (
        "cnitool-77383ca0a0715733ca6f"
    )


def test_add_prints_the_result(desk: Desk) -> None:
    """A success prints one JSON document and exits 0."""
    desk.conflist("first")
    status, stdout, stderr = desk.cnipy("add", "n", NETNS)
    assert (status, stderr) == (0, "")
    assert json.loads(stdout)["ips"] == [{"address": "10.0.0.2/24"}]


def test_warning_of_a_plugin_is_passed_on(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a plugin that succeeds says on stderr is seen, as it is."""
    desk.conflist("first", "second")
    desk.env["SAY_second"] = "second: mind the gap\n"
    status, stdout, _ = desk.cnipy("add", "n", NETNS)
    assert (status, len(json.loads(stdout)["ips"])) == (0, 2)
    assert capsys.readouterr() == ("", "second: mind the gap\n")


def test_variables_reach_the_plugin(desk: Desk) -> None:
    """CNI_IFNAME, CNI_ARGS and CAP_ARGS are read."""
    capabilities = {"portMappings": True}
    desk.conflist(plugins=[{"type": "first", "capabilities": capabilities}])
    cap_args = json.dumps({"portMappings": [{"hostPort": 1, "containerPort": 2}]})
    desk.cnipy("add", "n", NETNS, CNI_IFNAME="net1", CNI_ARGS="A=1", CAP_ARGS=cap_args)
    call = desk.calls[0]
    assert call["env"]["CNI_IFNAME"] == "net1"
    assert call["env"]["CNI_ARGS"] == "A=1"
    assert call["conf"]["runtimeConfig"] == json.loads(cap_args)


def test_failure_is_one_line_on_stderr(desk: Desk) -> None:
    """A failure prints one line and exits 1, with nothing on stdout."""
    desk.conflist("first")
    desk.env["FAIL_first"] = "ADD"
    status, stdout, stderr = desk.cnipy("add", "n", NETNS)
    assert (status, stdout) == (1, "")
    assert stderr == "cnipy: first: not today: first (code 42)\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["add"], ["add", "n"], ["fly", "n", "x"], ["gc", ""], ["network", "rm"]],
)
def test_wrong_usage_exits_2(
    arguments: list[str], desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command line that makes no sense exits 2, with a document if one is asked for.

    An empty word, such as a variable that is not set, is no word that is left out.
    """
    with pytest.raises(SystemExit) as end:
        desk.cnipy(*arguments)
    stdout, stderr = capsys.readouterr()
    *usage, told = stderr.splitlines()
    assert (end.value.code, stdout) == (2, "")
    assert usage[0].startswith("usage: cnipy ")
    with pytest.raises(SystemExit) as end:
        desk.cnipy(*arguments, "--json")
    stdout, stderr = capsys.readouterr()
    assert (end.value.code, json.loads(stdout)["code"]) == (2, 4)
    assert stderr.splitlines()[-1] == json.loads(stdout)["msg"]
    assert arguments == [] or json.loads(stdout)["msg"] == told


class Refusing(io.BytesIO):
    """A stdout that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, data: object, /) -> int:
        """Fail."""
        del data
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (errno.EPIPE, 141, ""),
        (errno.ENOSPC, 1, "version: write the answer: no space left on device"),
        (errno.EBADF, 1, "version: write the answer: bad file descriptor"),
    ],
)
def test_answer_that_stdout_refuses(
    number: int, status: int, told: str, desk: Desk
) -> None:
    """A reader that has enough is no failure to tell of; a full disk is one."""
    desk.conflist("first")
    desk.env["SPEAKS_first"] = "1.1.0"
    stderr = io.StringIO()
    env = {
        **desk.env,
        "CNI_PATH": str(desk.directory / "bin"),
        "NETCONFPATH": str(desk.conf_dir),
    }
    words = ["cnipy", "version", "n"]
    assert main(words, env, Refusing(number), stderr, desk.suite) == status
    assert stderr.getvalue() == (f"cnipy: {told} (code 5)\n" if told else "")


def test_what_the_system_refuses_a_verb_is_told_with_both(desk: Desk) -> None:
    """The verb and the file stand in the line."""
    status, _, stderr = desk.cnipy("show", "--svg", "/nowhere/n.svg")
    assert status == 1
    assert stderr == "cnipy: show /nowhere/n.svg: no such file or directory\n"


def test_name_that_is_no_text_is_a_name(desk: Desk) -> None:
    """The kernel takes any bytes for a path, and so does cnitool."""
    desk.conflist("first")
    word = os.fsdecode(b"/nowhere/w\xffb")
    status, _, stderr = desk.cnipy("check", "n", word)
    said = "cnipy: check n: no cached result of /nowhere/w\\udcffb (code 3)\n"
    assert (status, stderr) == (1, said)
    assert desk.cnipy("add", "n", word)[0] == 0
    digest = hashlib.sha512(b"/nowhere/w\xffb").hexdigest()[:20]
    assert desk.calls[-1]["env"]["CNI_CONTAINERID"] == f"cnitool-{digest}"
    assert desk.cnipy("check", "n", word)[0] == 0
    assert desk.cnipy("del", "n", word)[0] == 0
    assert desk.order[-1] == "DEL first"
    assert desk.cache.all_entries() == []


def test_cached_result_that_is_damaged_is_told(desk: Desk) -> None:
    """Whoever looks for a result hears which file is none; older kinds are none."""
    desk.conflist("first")
    desk.cnipy("add", "n", NETNS)
    (kept,) = Path(desk.cache.results).iterdir()
    kept.write_bytes(b'{"kind"')
    status, _, stderr = desk.cnipy("check", "n", NETNS)
    assert status == 1
    assert stderr == (
        f"cnipy: pass over '{kept}': it is no cached result\n"
        f"cnipy: check n: no cached result of {NETNS} (code 3)\n"
    )
    kept.write_text('{"cniVersion": "0.4.0"}')
    assert "pass over" not in desk.cnipy("check", "n", NETNS)[2]


@pytest.mark.parametrize(
    "env",
    [
        {"CNI_ARGS": "A"},
        {"CNI_ARGS": "A=1;"},
        {"CNI_ARGS": "A=b=c"},
        {"CAP_ARGS": "{"},
        {"CAP_ARGS": "[]"},
        {"CNI_IFNAME": ""},
        {"CNI_IFNAME": "../x"},
    ],
)
def test_invalid_variable_is_refused(env: dict[str, str], desk: Desk) -> None:
    """A malformed variable fails before any plugin is asked."""
    desk.conflist("first")
    status, _, stderr = desk.cnipy("add", "n", NETNS, **env)
    assert status == 1, stderr
    assert desk.order == []


def test_network_whose_file_is_gone_can_be_deleted(desk: Desk) -> None:
    """DEL falls back to the list that was kept when the container was added."""
    desk.conflist("first", "second")
    desk.cnipy("add", "n", NETNS)
    (desk.conf_dir / "10-n.conflist").unlink()
    assert desk.cnipy("del", "n", NETNS) == (0, "", "")
    assert desk.order[2:] == ["DEL second", "DEL first"]
    assert desk.cnipy("add", "n", NETNS)[0] == 1


def test_version_lists_what_plugins_support(desk: Desk) -> None:
    """VERSION prints a line for each plugin, and fails if one lacks the list's."""
    desk.conflist("first", cniVersion="1.0.0")
    assert desk.cnipy("version", "n") == (0, "first: 0.4.0 1.0.0\n", "")
    desk.conflist("first", cniVersion="1.1.0")
    assert desk.cnipy("version", "n")[0] == 1


def test_gc_keeps_what_is_named(desk: Desk) -> None:
    """--keep names valid attachments; the others are deleted and printed."""
    desk.conflist("first")
    for netns in ("/run/netns/a", "/run/netns/b"):
        desk.cnipy("add", "n", netns)
    kept, gone = (attachments.container_id_of(f"/run/netns/{n}") for n in "ab")
    status, stdout, _ = desk.cnipy("gc", "n", "--keep", f"{kept}/eth0")
    assert (status, stdout) == (0, f"deleted {gone}/eth0\n")


def test_gc_keeps_containers_that_live(desk: Desk, container: Space) -> None:
    """By itself, gc deletes attachments whose namespace is gone.

    The host's own is one that has gone: its process ID passed to a process of the host.
    """
    desk.conflist("first")
    passed_on = f"/proc/{os.getpid()}/ns/net"
    plain = desk.directory / "plain"
    plain.touch()
    for netns in (container.path, passed_on, "/run/netns/gone", str(plain)):
        desk.cnipy("add", "n", netns)
    _, planned, _ = desk.cnipy("gc", "n", "--dry-run")
    _, stdout, _ = desk.cnipy("gc", "n")
    assert planned.replace("would delete", "deleted") == stdout
    assert attachments.container_id_of(container.path) not in stdout
    assert stdout.count("deleted") == 3


def test_attachment_of_unknown_namespace_is_kept() -> None:
    """A cache that does not say where the namespace is proves nothing dead."""
    attached = attachments.Attachment("c1", "", "eth0")
    assert valid.living([Entry("n", attached, b"", {})]) == {("c1", "eth0")}


def test_attachments_are_read_from_a_file(desk: Desk) -> None:
    """A file holds the list in the specification's form."""
    file = desk.directory / "valid.json"
    file.write_text('[{"containerID": "c1", "ifname": "eth0"}]')
    assert valid.listed_in_file(str(file)) == {("c1", "eth0")}


@pytest.mark.parametrize("text", ["", "{}", "[7]", '[{"containerID": "c1"}]', "null"])
def test_malformed_attachment_file_is_refused(text: str, tmp_path: Path) -> None:
    """A list that is understood only in part would delete what lives."""
    file = tmp_path / "valid.json"
    file.write_text(text)
    with pytest.raises(CNIError):
        valid.listed_in_file(str(file))


@pytest.mark.parametrize("key", ["c1", "c1/", "/eth0"])
def test_malformed_keep_is_refused(key: str) -> None:
    """--keep takes CONTAINERID/IFNAME and nothing else."""
    with pytest.raises(CNIError, match="--keep"):
        valid.named([key])


def test_name_of_a_namespace_is_taken_as_ip_netns_takes_it(
    desk: Desk, container: Space
) -> None:
    """A word without a slash is a name; the container ID is that of its path."""
    desk.conflist("first")
    assert desk.cnipy("add", "n", container.name)[0] == 0
    env = desk.calls[0]["env"]
    assert env["CNI_NETNS"] == container.path
    assert env["CNI_CONTAINERID"] == attachments.container_id_of(container.path)


def test_process_id_stands_for_the_namespace_of_the_process(desk: Desk) -> None:
    """Digits that are no name are a process ID."""
    desk.conflist("first")
    assert desk.cnipy("add", "n", str(os.getpid()))[0] == 0
    assert desk.calls[0]["env"]["CNI_NETNS"] == f"/proc/{os.getpid()}/ns/net"


def test_unknown_name_of_a_namespace_says_which_there_are(
    desk: Desk, container: Space
) -> None:
    """A name that no namespace has is refused before any plugin is asked."""
    desk.conflist("first")
    status, _, stderr = desk.cnipy("add", "n", "wbe")
    assert (status, desk.order) == (1, [])
    assert f"`ip netns add wbe` makes it; there are: {container.name}" in stderr


def test_unknown_network_says_which_there_are(desk: Desk) -> None:
    """Who mistypes a name sees those that would have been taken."""
    desk.conflist("first")
    desk.conflist("first", file="20-other.conflist", name="other")
    status, _, stderr = desk.cnipy("add", "m", NETNS)
    assert status == 1
    assert f"in {desk.conf_dir}: there are: n other (code 7)" in stderr


@pytest.mark.parametrize(
    ("file", "document", "hint"),
    [
        ("10-n.conf", {"name": "n", "plugins": [{"type": "first"}]}, "10-n.conflist"),
        ("10-n.conflist", {"name": "n", "type": "first"}, "10-n.conf"),
    ],
)
def test_file_of_the_wrong_kind_is_told_its_right_name(
    file: str, document: dict[str, object], hint: str, desk: Desk
) -> None:
    """A list in a .conf, or a plugin in a .conflist, says what to call the file."""
    (desk.conf_dir / file).write_text(json.dumps(document))
    status, _, stderr = desk.cnipy("add", "n", NETNS)
    assert status == 1
    assert f"such a file is called {hint} (code 7)" in stderr


def test_who_is_not_root_is_told_so_first(desk: Desk) -> None:
    """Without privileges nothing is tried, but what only looks."""
    desk.conflist("first")
    desk.suite = replace(desk.suite, uid=1000)
    status, _, stderr = desk.cnipy("add", "n", NETNS)
    assert (status, desk.order) == (1, [])
    assert stderr == "cnipy: add: run as root, not as uid 1000\n"
    assert desk.cnipy("version", "n")[0] == 1
    assert desk.order == ["VERSION first"]


def test_cause_that_undoing_meets_again_is_told_once(desk: Desk) -> None:
    """What made ADD fail, and then DEL too, stands in the line one time."""
    desk.conflist("first", "second")
    desk.env |= {"FAIL_first": "ADD,DEL", "FAIL_second": "DEL"}
    status, _, stderr = desk.cnipy("add", "n", NETNS)
    assert status == 1
    assert stderr == (
        "cnipy: first: not today: first; undo: second: not today: second (code 42)\n"
    )


def test_status_of_an_older_list_asks_those_that_know_it(desk: Desk) -> None:
    """STATUS is asked as 1.1.0 where VERSION has that, whatever the list says."""
    desk.conflist("first", "second", cniVersion="0.4.0")
    desk.env["SPEAKS_second"] = "0.4.0 1.1.0"
    status, stdout, _ = desk.cnipy("status", "n")
    assert status == 0
    assert stdout == ("first: not asked, it speaks no more than 1.0.0\nsecond: ready\n")
    assert desk.order == ["VERSION first", "VERSION second", "STATUS second"]
    assert desk.calls[-1]["conf"]["cniVersion"] == "1.1.0"


@pytest.mark.parametrize(
    "plugin",
    [{"type": "absent"}, {"type": "first", "ipam": {"type": "absent"}}],
)
def test_status_of_an_older_list_misses_a_plugin(
    plugin: dict[str, object], desk: Desk
) -> None:
    """A plugin or IPAM plugin that is not there is an error, with where it belongs."""
    desk.conflist(plugins=[plugin], cniVersion="0.4.0")
    status, _, stderr = desk.cnipy("status", "n")
    assert status == 1
    assert f"'absent': not in CNI_PATH [{desk.directory}/bin]" in stderr


def test_status_of_the_node_says_what_it_has(desk: Desk) -> None:
    """Without a network: plugins with their build, the servers, the networks."""
    desk.conflist("first")
    desk.conflist("first", file="20-n.conflist")
    desk.suite = replace(desk.suite, names=("first", "fourth"), uid=1000)
    status, stdout, _ = desk.cnipy("status")
    first, second = (desk.conf_dir / f"{n}-n.conflist" for n in (10, 20))
    assert (status, stdout.splitlines()) == (
        0,
        [
            f"{desk.directory}/bin: not of this suite: first",
            "warm server: nobody listens at /nowhere, calls start cold",
            "keeper of leases: nobody listens at /nowhere, no leases",
            f"network n: {first}",
            f"network n: {second} (not taken: {first} has the name)",
        ],
    )


def test_gc_of_the_node_is_about_no_chosen_attachment(desk: Desk) -> None:
    """--keep without the network that it is about is refused."""
    status, _, stderr = desk.cnipy("gc", "--keep", "c1/eth0")
    assert status == 1
    assert "name it" in stderr
