# SPDX-License-Identifier: Apache-2.0
"""A tree that is incomplete, or that others may write, is told of or made anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packed_file import FRESH, ROOT, privately

if TYPE_CHECKING:
    from pathlib import Path

# $0 is the plugin, $1 the configuration.
EXTRACTED = FRESH + 'env -i CNI_COMMAND=VERSION "$0" </dev/null >/dev/null; '
TOLD = '2>/dev/null && echo " 0" || echo " $?"; '
VERSION = f'env -i CNI_COMMAND=VERSION "$0" </dev/null {TOLD}'
DELETED = (
    'echo "$1" | env -i CNI_COMMAND=DEL CNI_CONTAINERID=c CNI_IFNAME=eth0 CNI_PATH=/ '
    f'"$0" {TOLD}'
)
CONF = '{"cniVersion": "1.1.0", "name": "n", "type": "loopback"}'
SITE = f"{ROOT}/*/site-packages"


def answer(plugin_dir: Path, script: str) -> tuple[dict[str, object], int, str]:
    """Return the document, the status, and what the script prints afterwards."""
    text = privately(EXTRACTED + script, plugin_dir / "loopback", CONF)
    document, _, rest = text.rpartition(" ") if "}" not in text else cut(text)
    status, _, rest = rest.partition("\n")
    return json.loads(document or "{}"), int(status), rest


def cut(text: str) -> tuple[str, str, str]:
    """Return what comes up to the end of the document, and what comes after it."""
    end = text.rindex("}") + 1
    return text[:end], "", text[end:].lstrip()


@pytest.mark.parametrize("lost", ("start.py", "*"))
def test_tree_without_its_beginning_is_extracted_anew(
    plugin_dir: Path, build: str, lost: str
) -> None:
    """A tree that was emptied, or has lost its first file, is replaced."""
    script = f"rm -r {ROOT}/{build}/{lost}; {VERSION} ls -A {ROOT}; ls {ROOT}/{build}"
    document, status, listed = answer(plugin_dir, script)
    assert (status, document["cniVersion"]) == (0, "1.1.0")
    trees, contents = [f".{build}.lock", build], ["site-packages", "start.py"]
    assert listed.split() == [*trees, "__main__.py", *contents]


@pytest.mark.parametrize("call", (VERSION, DELETED))
@pytest.mark.parametrize(
    "harm",
    (
        f"rm -r {SITE}/launcher",
        f"rm -r {SITE}/plugins",
        f"rm -r {SITE}/cni_common",
        f"rm -r {SITE}",
        f"for f in {SITE}/cni_common/spec/__pycache__/*; do truncate -s 100 $f; done",
    ),
)
def test_missing_module_is_one_document_that_says_what_to_do(
    plugin_dir: Path, build: str, harm: str, call: str
) -> None:
    """Whatever is not there, the runtime gets one error that names the tree."""
    document, status, _ = answer(plugin_dir, f"{harm}; {call}")
    assert (status, document["code"]) == (1, 999)
    assert f"{ROOT}/{build}" in str(document["msg"])
    assert f"remove {ROOT}/{build}" in str(document["details"])


@pytest.mark.parametrize(
    "module", ("plugins/loopback", "pydantic", "cni_common/rollback.py")
)
def test_what_a_call_lacks_is_told_with_the_tree(
    plugin_dir: Path, build: str, module: str
) -> None:
    """Where a part of the tree is missing that only some calls need, these say so."""
    compiled = f"{SITE}/cni_common/__pycache__/rollback.*"
    script = f"rm -r {SITE}/{module} {compiled}; {DELETED}"
    document, status, _ = answer(plugin_dir, script)
    assert (status, document["code"]) == (1, 999)
    assert f"remove {ROOT}/{build}" in str(document["details"])


@pytest.mark.parametrize("where", (ROOT, f"{ROOT}/*"))
@pytest.mark.parametrize("mode", ("o+w", "g+w"))
def test_tree_that_others_may_write_is_not_executed(
    plugin_dir: Path, build: str, where: str, mode: str
) -> None:
    """Where others may write to the tree or its root, another one is extracted."""
    script = (
        f"echo 'print(\"theirs\")' >{ROOT}/{build}/start.py; "
        f"chmod {mode} {where}; {VERSION} ls /run/cnipy"
    )
    document, status, listed = answer(plugin_dir, script)
    assert (status, document["cniVersion"]) == (0, "1.1.0")
    assert listed.split() == [build]


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
