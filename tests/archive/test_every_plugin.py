# SPDX-License-Identifier: Apache-2.0
"""What a runtime may rely on with any plugin of the register, whatever it does."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, ip, nft_objects
from packed_file import FRESH, call, privately

from plugins import REGISTER, VERSION, versions_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host

NAMES = tuple(REGISTER)
IPAM = ("cluster-pool", "host-local", "static")
VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS")
# A complete section for whoever delegates, in a range that nobody else uses.
CONF: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "n",
    "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
}
ATTACHMENT = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/none",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/nowhere",
}
# What no plugin can take, and the code for it (specification, section 5).
BAD_DOCUMENTS = {
    "nothing": (b"", 6),
    "half a document": (b'{"name": ', 6),
    "an array": (b"[]", 6),
    "nested too deep": (b"[" * 100_000, 6),
    "garbage behind": (b'{"name": "n", "cniVersion": "1.1.0"} x', 6),
    "no name": (b'{"cniVersion": "1.1.0"}', 7),
    "a name with a slash": (b'{"cniVersion": "1.1.0", "name": "../n"}', 7),
    "a name with a line break": (b'{"cniVersion": "1.1.0", "name": "n\\n"}', 7),
    "an unknown version": (b'{"cniVersion": "9.9.9", "name": "n"}', 1),
}
BAD_VARIABLES = {
    "container ID": {"CNI_CONTAINERID": "../c1"},
    "interface name": {"CNI_IFNAME": "a/b"},
    "long interface name": {"CNI_IFNAME": "a" * 16},
}


def conf_of(name: str, **keys: Any) -> bytes:
    """Return a configuration that every plugin can parse."""
    return json.dumps({**CONF, "type": name, **keys}).encode()


def refusal(ended: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """Return the one document of a refused call, whose shape is looked at."""
    assert ended.returncode == 1, ended
    document: dict[str, Any] = json.loads(ended.stdout)
    assert {"cniVersion", "code", "msg"} <= set(document)
    assert set(document) <= {"cniVersion", "code", "msg", "details"}
    assert document["msg"], ended
    assert b"Traceback" not in ended.stderr
    return document


def seen() -> tuple[object, object, list[str]]:
    """Return links, rules and state of the node."""
    kept = "/var/lib/cni/networks"
    leases = os.listdir(kept) if os.path.isdir(kept) else []
    return ip("link", "show"), nft_objects("ruleset"), leases


@pytest.mark.parametrize("name", NAMES)
def test_version_lists_what_the_register_says(
    name: str, plugin_dir: Path, tmp_path: Path
) -> None:
    """VERSION answers with the versions of the register, in an empty environment."""
    asked = tmp_path / "asked"
    asked.write_text('{"cniVersion": "1.0.0"}')
    with asked.open("rb") as stdin:
        output = subprocess.run(
            [plugin_dir / name],
            stdin=stdin,
            env={"CNI_COMMAND": "VERSION"},
            capture_output=True,
            check=True,
        ).stdout
    document = json.loads(output)
    assert document["cniVersion"] == "1.0.0"
    assert document["supportedVersions"] == list(versions_of(name))


def introduced(plugin: Path, **env: str) -> str:
    """Return what a plugin says on stderr when it is called without a verb."""
    ended = subprocess.run(
        [plugin],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60 * PATIENCE,
    )
    assert ended.stdout == b""
    return ended.stderr.decode()


# Of semver.org, as the parsers of nerdctl and Nomad have it.
SEMVER = re.compile(r"v(\d+\.\d+\.\d+)\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)")


@pytest.mark.parametrize("name", NAMES)
def test_call_without_a_verb_names_the_release(name: str, plugin_dir: Path) -> None:
    """First line: type, the reference's release, ours as its build metadata."""
    for env in ({}, {"CNI_COMMAND": ""}):
        first, second = introduced(plugin_dir / name, **env).splitlines()
        before, version = first.rsplit(" ", 1)
        assert before == f"CNI {name} plugin"
        found = SEMVER.fullmatch(version)
        assert found is not None, version
        release = "1.3.1" if name == "dnsname" else "1.9.1"
        assert found.groups() == (release, f"cnipy.{VERSION}")
        listed = ", ".join(versions_of(name))
        assert second == f"CNI protocol versions supported: {listed}"


def test_introduction_is_the_same_warm_and_by_a_first_start(
    warm: subprocess.Popen[bytes], plugin_dir: Path
) -> None:
    """Whoever answers: the tree, a warm server, an archive that is not extracted."""
    text = introduced(plugin_dir / "firewall")
    assert text.startswith(f"CNI firewall plugin v1.9.1+cnipy.{VERSION}\n")
    first_start = FRESH + 'env -i "$0" 2>&1 >/dev/null'
    assert privately(first_start, plugin_dir / "firewall") == text
    assert warm.poll() is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_bad_document_gets_one_document(
    name: str, verb: str, plugin_dir: Path, host: Host
) -> None:
    """It is refused with the specification's code, and nothing changes."""
    del host
    before = seen()
    for kind, (stdin, code) in BAD_DOCUMENTS.items():
        ended = call(plugin_dir / name, verb, stdin, **ATTACHMENT)
        assert refusal(ended)["code"] == code, (kind, ended)
    assert seen() == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK"])
def test_bad_variable_gets_code_4(
    name: str, verb: str, plugin_dir: Path, host: Host
) -> None:
    """An invalid variable is refused before anything is done."""
    del host
    before = seen()
    for kind, variable in BAD_VARIABLES.items():
        env = {**ATTACHMENT, **variable}
        ended = call(plugin_dir / name, verb, conf_of(name), **env)
        assert refusal(ended)["code"] == 4, (kind, ended)
    assert seen() == before


@pytest.mark.parametrize("name", NAMES)
def test_missing_variables_are_named_together(name: str, plugin_dir: Path) -> None:
    """With nothing but CNI_COMMAND, one message names all that ADD needs."""
    document = refusal(call(plugin_dir / name, "ADD", conf_of(name)))
    assert document["code"] == 4
    named = [variable for variable in ATTACHMENT if variable in document["msg"]]
    assert named == ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]


@pytest.mark.parametrize("name", NAMES)
def test_wrong_type_of_a_common_key_is_a_bad_configuration(
    name: str, plugin_dir: Path, host: Host
) -> None:
    """A prevResult that is a number has code 6 or 7 on ADD, and DEL goes on."""
    del host
    env = {**ATTACHMENT, "CNI_PATH": str(plugin_dir)}
    before = seen()[:2]
    stdin = conf_of(name, prevResult=7)
    added = call(plugin_dir / name, "ADD", stdin, **env)
    assert refusal(added)["code"] in {6, 7}
    deleted = call(plugin_dir / name, "DEL", stdin, **env)
    assert (deleted.returncode, deleted.stdout) == (0, b""), deleted
    assert seen()[:2] == before


@pytest.mark.parametrize("name", NAMES)
def test_refused_add_says_so_once_and_leaves_nothing(
    name: str, plugin_dir: Path, host: Host
) -> None:
    """ADD into a namespace that does not exist: a plugin may only refuse it.

    IPAM plugins do not look at the namespace; what they give is given back.
    """
    del host
    env = {**ATTACHMENT, "CNI_PATH": str(plugin_dir)}
    before = seen()[:2]
    ended = call(plugin_dir / name, "ADD", conf_of(name), **env)
    if name not in IPAM:
        refusal(ended)
    deleted = call(plugin_dir / name, "DEL", conf_of(name), **env)
    assert (deleted.returncode, deleted.stdout) == (0, b""), deleted
    assert seen()[:2] == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("netns", ["", "/run/netns/none"])
def test_delete_of_nothing_succeeds_twice(
    name: str, netns: str, plugin_dir: Path, host: Host
) -> None:
    """DEL of what was never added prints nothing, however often, in `env -i`."""
    del host
    env = {**ATTACHMENT, "CNI_NETNS": netns, "CNI_PATH": str(plugin_dir)}
    before = seen()[:2]
    for _ in range(2):
        ended = call(plugin_dir / name, "DEL", conf_of(name), **env)
        assert (ended.returncode, ended.stdout) == (0, b""), ended
    assert seen()[:2] == before


@pytest.mark.parametrize("name", NAMES)
def test_gc_of_nothing_succeeds(name: str, plugin_dir: Path, host: Host) -> None:
    """GC with an empty list, with null, and without any list find nothing to do."""
    del host
    path = {"CNI_PATH": str(plugin_dir)}
    empty = [{"cni.dev/valid-attachments": nothing} for nothing in ([], None)]
    for keys in ({}, *empty):
        ended = call(plugin_dir / name, "GC", conf_of(name, **keys), **path)
        assert (ended.returncode, ended.stdout) == (0, b""), ended


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verb", VERBS)
def test_verb_without_path_home_and_locale_gives_one_document(
    name: str, verb: str, plugin_dir: Path, host: Host
) -> None:
    """Whatever the outcome: status 0 or 1, and one document or, but for ADD, none."""
    del host
    env = {**ATTACHMENT, "CNI_PATH": str(plugin_dir)}
    ended = call(plugin_dir / name, verb, conf_of(name), **env)
    if ended.returncode == 0:
        assert bool(ended.stdout) == (verb == "ADD"), ended
    else:
        refusal(ended)
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("name", NAMES)
def test_old_version_has_no_gc_and_no_status(name: str, plugin_dir: Path) -> None:
    """GC and STATUS came with 1.1.0, CHECK with 0.4.0: older ones get code 1."""
    asked = [("GC", "1.0.0"), ("STATUS", "1.0.0")]
    if "0.3.1" in versions_of(name):
        asked.append(("CHECK", "0.3.1"))
    for verb, version in asked:
        stdin = conf_of(name, cniVersion=version)
        ended = call(plugin_dir / name, verb, stdin, **ATTACHMENT)
        assert refusal(ended)["code"] == 1, (verb, ended)


@pytest.mark.parametrize("name", [n for n in NAMES if len(versions_of(n)) < 7])
def test_version_before_the_plugins_first_is_refused(
    name: str, plugin_dir: Path
) -> None:
    """A list of a version that the plugin has never spoken gets code 1."""
    stdin = conf_of(name, cniVersion="0.2.0")
    ended = call(plugin_dir / name, "ADD", stdin, **ATTACHMENT)
    assert refusal(ended)["code"] == 1
