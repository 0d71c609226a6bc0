# SPDX-License-Identifier: Apache-2.0
"""The command line: variables as cnitool's, output, and exit status."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from cni_common.spec.errors import CNIError
from cnipy import attachment as attachments
from cnipy import valid
from cnipy.cache import Entry
from cnipy.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Desk  # type: ignore[attr-defined] # pytest loads it by path

NETNS = "/run/netns/web"


def cnipy(desk: Desk, *arguments: str, **env: str) -> tuple[int, str, str]:
    """Run the command; return its status, stdout and stderr."""
    stdout, stderr = io.BytesIO(), io.StringIO()
    variables = {
        **desk.env,
        "CNI_PATH": str(desk.directory / "bin"),
        "NETCONFPATH": str(desk.conf_dir),
        **env,
    }
    argv = ["cnipy", "--cache-dir", str(desk.directory / "cache"), *arguments]
    status = main(argv, variables, stdout, stderr, no_server)
    return status, stdout.getvalue().decode(), stderr.getvalue()


def no_server(archive: str, path: str) -> None:
    """Stand where the warm server would; no verb here asks for it."""
    raise AssertionError((archive, path))


def test_container_id_is_cnitools() -> None:
    """The ID is made of the path of the namespace, as cnitool makes it."""
    assert attachments.container_id_of("/var/run/netns/testing") == (
        "cnitool-77383ca0a0715733ca6f"
    )


def test_add_prints_the_result(desk: Desk) -> None:
    """A success prints one JSON document and exits 0."""
    desk.conflist("first")
    status, stdout, stderr = cnipy(desk, "add", "n", NETNS)
    assert (status, stderr) == (0, "")
    assert json.loads(stdout)["ips"] == [{"address": "10.0.0.2/24"}]


def test_warning_of_a_plugin_is_passed_on(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a plugin that succeeds says on stderr is seen, as it is."""
    desk.conflist("first", "second")
    desk.env["SAY_second"] = "second: mind the gap\n"
    status, stdout, _ = cnipy(desk, "add", "n", NETNS)
    assert (status, len(json.loads(stdout)["ips"])) == (0, 2)
    assert capsys.readouterr() == ("", "second: mind the gap\n")


def test_variables_reach_the_plugin(desk: Desk) -> None:
    """CNI_IFNAME, CNI_ARGS and CAP_ARGS are read."""
    capabilities = {"portMappings": True}
    desk.conflist(plugins=[{"type": "first", "capabilities": capabilities}])
    cap_args = json.dumps({"portMappings": [{"hostPort": 1, "containerPort": 2}]})
    cnipy(desk, "add", "n", NETNS, CNI_IFNAME="net1", CNI_ARGS="A=1", CAP_ARGS=cap_args)
    call = desk.calls[0]
    assert call["env"]["CNI_IFNAME"] == "net1"
    assert call["env"]["CNI_ARGS"] == "A=1"
    assert call["conf"]["runtimeConfig"] == json.loads(cap_args)


def test_failure_is_one_line_on_stderr(desk: Desk) -> None:
    """A failure prints one line and exits 1, with nothing on stdout."""
    desk.conflist("first")
    desk.env["FAIL_first"] = "ADD"
    status, stdout, stderr = cnipy(desk, "add", "n", NETNS)
    assert (status, stdout) == (1, "")
    assert stderr == "cnipy: first: not today: first (code 42)\n"


@pytest.mark.parametrize("arguments", [[], ["add"], ["add", "n"], ["fly", "n", "x"]])
def test_wrong_usage_exits_2(arguments: list[str], desk: Desk) -> None:
    """A command line that makes no sense exits 2."""
    with pytest.raises(SystemExit) as end:
        cnipy(desk, *arguments)
    assert end.value.code == 2


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
    status, _, stderr = cnipy(desk, "add", "n", NETNS, **env)
    assert status == 1, stderr
    assert desk.order == []


def test_network_whose_file_is_gone_can_be_deleted(desk: Desk) -> None:
    """DEL falls back to the list that was kept when the container was added."""
    desk.conflist("first", "second")
    cnipy(desk, "add", "n", NETNS)
    (desk.conf_dir / "10-n.conflist").unlink()
    assert cnipy(desk, "del", "n", NETNS) == (0, "", "")
    assert desk.order[2:] == ["DEL second", "DEL first"]
    assert cnipy(desk, "add", "n", NETNS)[0] == 1


def test_version_lists_what_plugins_support(desk: Desk) -> None:
    """VERSION prints a line for each plugin, and fails if one lacks the list's."""
    desk.conflist("first", cniVersion="1.0.0")
    assert cnipy(desk, "version", "n") == (0, "first: 0.4.0 1.0.0\n", "")
    desk.conflist("first", cniVersion="1.1.0")
    assert cnipy(desk, "version", "n")[0] == 1


def test_gc_keeps_what_is_named(desk: Desk) -> None:
    """--keep names valid attachments; the others are deleted and printed."""
    desk.conflist("first")
    for netns in ("/run/netns/a", "/run/netns/b"):
        cnipy(desk, "add", "n", netns)
    kept, gone = (attachments.container_id_of(f"/run/netns/{n}") for n in "ab")
    status, stdout, _ = cnipy(desk, "gc", "n", "--keep", f"{kept}/eth0")
    assert (status, stdout) == (0, f"deleted {gone}/eth0\n")


def test_gc_keeps_containers_that_live(desk: Desk) -> None:
    """By itself, gc deletes attachments whose namespace is gone."""
    desk.conflist("first")
    living = f"/proc/{os.getpid()}/ns/net"
    plain = desk.directory / "plain"
    plain.touch()
    for netns in (living, "/run/netns/gone", str(plain)):
        cnipy(desk, "add", "n", netns)
    _, stdout, _ = cnipy(desk, "gc", "n")
    assert attachments.container_id_of(living) not in stdout
    assert stdout.count("deleted") == 2


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
