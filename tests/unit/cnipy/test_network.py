# SPDX-License-Identifier: Apache-2.0
"""Which file a network is read from, and what is read (libcni's rules)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cni_common.spec.errors import CNIError
from cnipy import network

if TYPE_CHECKING:
    from pathlib import Path


def write(directory: Path, file: str, **document: Any) -> None:
    """Put a configuration into the directory."""
    (directory / file).write_text(json.dumps(document))


def listed(kind: str, **keys: Any) -> dict[str, Any]:
    """Return a list called n of one plugin."""
    return {"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": kind}], **keys}


def kinds(found: network.Network) -> list[str]:
    """Return the types of a network's plugins."""
    return [plugin["type"] for plugin in found.plugins]


def test_first_matching_list_is_taken(tmp_path: Path) -> None:
    """Of two lists with the name, the one whose file sorts first is taken."""
    write(tmp_path, "20-b.conflist", **listed("late"))
    write(tmp_path, "10-a.conflist", **listed("early"))
    write(tmp_path, "05-other.conflist", **{**listed("other"), "name": "other"})
    assert kinds(network.load(str(tmp_path), "n")) == ["early"]


def test_lists_come_before_single_plugins(tmp_path: Path) -> None:
    """A .conf is taken only if no .conflist has the name."""
    write(tmp_path, "00-a.conf", cniVersion="0.4.0", name="n", type="single")
    write(tmp_path, "99-b.conflist", **listed("list"))
    assert kinds(network.load(str(tmp_path), "n")) == ["list"]


@pytest.mark.parametrize("ending", ["conf", "json"])
def test_single_plugin_becomes_a_list_of_one(ending: str, tmp_path: Path) -> None:
    """A .conf or .json is a list of that plugin, with its name and version."""
    write(tmp_path, f"a.{ending}", cniVersion="0.4.0", name="n", type="single", mtu=9)
    found = network.load(str(tmp_path), "n")
    assert (kinds(found), found.version, found.plugins[0]["mtu"]) == (
        ["single"],
        "0.4.0",
        9,
    )


def test_unknown_name_names_the_directory(tmp_path: Path) -> None:
    """A name that no file has is an error that says where was looked."""
    write(tmp_path, "a.conflist", **listed("list"))
    with pytest.raises(network.NotFoundError, match=str(tmp_path)):
        network.load(str(tmp_path), "absent")


def test_absent_directory_holds_no_network(tmp_path: Path) -> None:
    """A directory that is not there holds nothing."""
    with pytest.raises(network.NotFoundError):
        network.load(str(tmp_path / "absent"), "n")


@pytest.mark.parametrize(
    ("single", "several", "expected"),
    [
        ("0.4.0", None, "0.4.0"),
        ("0.4.0", ["1.0.0", "1.1.0"], "1.1.0"),
        ("1.0.0", ["0.3.1"], "1.0.0"),
        ("", ["0.4.0", "1.0.0", "9.0.0"], "1.0.0"),
        ("0.4.0", [], "0.4.0"),
    ],
)
def test_highest_version_that_we_speak_is_chosen(
    single: str, several: list[str] | None, expected: str, tmp_path: Path
) -> None:
    """CniVersions and cniVersion together decide (section 1)."""
    versions = {} if several is None else {"cniVersions": several}
    write(tmp_path, "a.conflist", **listed("x", cniVersion=single, **versions))
    assert network.load(str(tmp_path), "n").version == expected


def test_plugins_of_the_networks_directory_follow(tmp_path: Path) -> None:
    """DIRECTORY/NAME/*.conf come after the list's own plugins, in file order."""
    (tmp_path / "n").mkdir()
    write(tmp_path, "a.conflist", **listed("inlined"))
    write(tmp_path / "n", "2.conf", type="second")
    write(tmp_path / "n", "1.conf", type="first")
    found = network.load(str(tmp_path), "n")
    assert kinds(found) == ["inlined", "first", "second"]


def test_only_inlined_plugins_on_request(tmp_path: Path) -> None:
    """LoadOnlyInlinedPlugins leaves the directory out, also written as a string."""
    (tmp_path / "n").mkdir()
    write(tmp_path, "a.conflist", **listed("inlined", loadOnlyInlinedPlugins="True"))
    write(tmp_path / "n", "1.conf", type="first")
    assert kinds(network.load(str(tmp_path), "n")) == ["inlined"]


@pytest.mark.parametrize(
    "keys",
    [
        {"name": ""},
        {"name": 7},
        {"plugins": []},
        {"plugins": {}},
        {"plugins": [{}]},
        {"plugins": [7]},
        {"cniVersion": 1},
        {"cniVersions": ["one"]},
        {"disableCheck": "perhaps"},
        {"disableGC": 1},
    ],
)
def test_malformed_list_is_refused(keys: dict[str, Any], tmp_path: Path) -> None:
    """A malformed list is an error that names the file."""
    write(tmp_path, "a.conflist", **{**listed("x"), **keys})
    with pytest.raises(CNIError, match=r"a\.conflist"):
        network.load(str(tmp_path), "n")
