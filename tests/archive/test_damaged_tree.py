# SPDX-License-Identifier: Apache-2.0
"""A tree that is incomplete, or that others may write, is told of or made anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import pytest
from packed_file import FRESH, INTERPRETER, ROOT, THEIRS, privately

if TYPE_CHECKING:
    from pathlib import Path

# $0 is the plugin, $1 the configuration, $2 what changes a bundle, $3 a sound root.
EXTRACTED = f'{FRESH} cp -a "$3" {ROOT}; '
TOLD = '2>/dev/null && echo " 0" || echo " $?"; '
VERSION = f'env -i CNI_COMMAND=VERSION "$0" </dev/null {TOLD}'
DELETED = (
    'echo "$1" | env -i CNI_COMMAND=DEL CNI_CONTAINERID=c CNI_IFNAME=eth0 CNI_PATH=/ '
    f'"$0" {TOLD}'
)
CONF = '{"cniVersion": "1.1.0", "name": "n", "type": "loopback"}'
SITE = f"{ROOT}/*/site-packages"


class Answered(Protocol):
    """Returns the document, the status, and what the script prints afterwards."""

    def __call__(
        self, script: str, change: str = ""
    ) -> tuple[dict[str, object], int, str]: ...


@pytest.fixture(scope="session")
def root(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first start leaves; a copy, for extracting is what takes time."""
    copy = tmp_path_factory.mktemp("extracted") / "root"
    start = 'env -i CNI_COMMAND=VERSION "$0" </dev/null >/dev/null'
    privately(f'{FRESH} {start}; cp -a {ROOT} "$1"', packed.with_name("loopback"), copy)
    return copy


@pytest.fixture
def answer(plugin_dir: Path, root: Path) -> Answered:
    """Run a script with the plugin, after its first start."""

    def answered(script: str, change: str = "") -> tuple[dict[str, object], int, str]:
        plugin = plugin_dir / "loopback"
        text = privately(EXTRACTED + script, plugin, CONF, change, root)
        document, _, rest = cut(text) if "}" in text else ("", "", text.lstrip())
        status, _, rest = rest.partition("\n")
        return json.loads(document or "{}"), int(status), rest

    return answered


def cut(text: str) -> tuple[str, str, str]:
    """Return what comes up to the end of the document, and what comes after it."""
    end = text.rindex("}") + 1
    return text[:end], "", text[end:].lstrip()


# What follows are lines of Python about `data`, the bytes of a bundle.
CHANGE = (
    f"{INTERPRETER} -c 'import sys; data = bytearray(open(sys.argv[2], "
    '"rb").read()); end = 16 + int.from_bytes(data[12:16], "big"); exec(sys.argv[1]); '
    """open(sys.argv[2], "wb").write(data)' "$2" """
)
CUT = [f"del data[{length}:]" for length in (0, 3, 12, 16, 17, 1000, "end - 1")]
FLIPPED = [f"data[{at}] ^= 64" for at in (0, 4, 11, 12, 15, 16, 1000, "end - 1")]


@pytest.mark.parametrize("harm", ("", "*", *CUT, *FLIPPED))
def test_tree_from_which_no_call_can_start_is_extracted_anew(
    answer: Answered, tree: str, harm: str
) -> None:
    """A tree that was emptied, or whose bundle is lost or not whole, is replaced."""
    place = f"{ROOT}/{tree}"
    change = f"{CHANGE} {place}/bundle" if "data" in harm else f"rm -r {place}/{harm}"
    script = (
        f"cp {place}/bundle /run/sound; {change}; {VERSION} "
        f"cmp {place}/bundle /run/sound; ls -A {ROOT}; ls {place}"
    )
    document, status, listed = answer(script, harm)
    assert (status, document["cniVersion"]) == (0, "1.1.0")
    contents = ["bundle", "bundling.py", "extract.py", "site-packages"]
    assert listed.split() == [f".{tree}.lock", tree, *contents]


def test_tree_of_another_interpreter_is_let_alone(answer: Answered, tree: str) -> None:
    """After an upgrade of Python another tree is made beside the one that there was."""
    other = f"{ROOT}/{tree.partition('.')[0]}.cpython-39"
    script = f"mv {ROOT}/{tree} {other}; {VERSION} ls {ROOT}"
    document, status, listed = answer(script)
    assert (status, document["cniVersion"]) == (0, "1.1.0")
    assert set(listed.split()) == {tree, other.rpartition("/")[2]}


DAMAGED = f"{CHANGE} {ROOT}/*/bundle; "


@pytest.mark.parametrize("call", (VERSION, DELETED))
@pytest.mark.parametrize("harm", ("del data[end:]", "data[end:] = bytes(len(data))"))
def test_module_that_is_damaged_is_loaded_from_its_source(
    answer: Answered, harm: str, call: str
) -> None:
    """Where nothing but modules of a bundle is lost or changed, calls go on."""
    _, status, rest = answer(f"{DAMAGED} {call}", harm)
    assert (status, rest) == (0, "")


@pytest.mark.parametrize("call", (VERSION, DELETED))
def test_sources_are_not_needed(answer: Answered, call: str) -> None:
    """What is compiled is all that a call needs."""
    _, status, rest = answer(f"rm -r {SITE}; {call}")
    assert (status, rest) == (0, "")


@pytest.mark.parametrize("call", (VERSION, DELETED))
@pytest.mark.parametrize("lost", ("/launcher", "/plugins", "/cni_common", ""))
def test_missing_module_is_one_document_that_says_what_to_do(
    answer: Answered, tree: str, lost: str, call: str
) -> None:
    """Whatever is not there, the runtime gets one error that names the tree."""
    script = f"{DAMAGED} rm -r {SITE}{lost}; {call}"
    document, status, _ = answer(script, "del data[end:]")
    assert (status, document["code"]) == (1, 999)
    assert f"{ROOT}/{tree}" in str(document["msg"])
    assert f"remove {ROOT}/{tree}" in str(document["details"])


@pytest.mark.parametrize(
    "module", ("plugins/loopback", "pydantic.py", "cni_common/frame/rollback.py")
)
def test_what_a_call_lacks_is_told_with_the_tree(
    answer: Answered, tree: str, module: str
) -> None:
    """Where a part of the tree is missing that only some calls need, these say so."""
    script = f"{DAMAGED} rm -r {SITE}/{module}; {DELETED}"
    document, status, _ = answer(script, "del data[end:]")
    assert (status, document["code"]) == (1, 999)
    assert f"remove {ROOT}/{tree}" in str(document["details"])


@pytest.mark.parametrize("where", (ROOT, f"{ROOT}/*"))
@pytest.mark.parametrize("mode", ("o+w", "g+w"))
def test_tree_that_others_may_write_is_not_executed(
    answer: Answered, tree: str, where: str, mode: str
) -> None:
    """Where others may write to the tree or its root, another one is extracted."""
    script = (
        f"{THEIRS} {ROOT}/{tree}/bundle; chmod {mode} {where}; {VERSION} ls /run/cnipy"
    )
    document, status, listed = answer(script)
    assert (status, document["cniVersion"]) == (0, "1.1.0")
    assert listed.split() == [tree]


def test_archive_that_is_cut_short_is_an_error_document(
    packed: Path, plugin_dir: Path
) -> None:
    """A packed file that was copied in part says so, before anything is extracted."""
    script = (
        f'{FRESH} head -c 100000 "$1" >/run/loopback; chmod 755 /run/loopback; '
        "env -i CNI_COMMAND=VERSION /run/loopback </dev/null 2>/dev/null || echo $?"
    )
    document, _, status = cut(privately(script, plugin_dir / "loopback", packed))
    assert status == "1\n"
    assert json.loads(document)["details"] == "install again"
    assert "/run/loopback" in json.loads(document)["msg"]
