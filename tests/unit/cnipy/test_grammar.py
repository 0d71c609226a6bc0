# SPDX-License-Identifier: Apache-2.0
"""What holds for each verb: how it is found, refused, asked for JSON and described."""

from __future__ import annotations

import argparse
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnipy import command_line, paper, verbs

if TYPE_CHECKING:
    from conftest import Desk  # pytest loads it by path

TOP = Path(__file__).parents[3]
VERBS = sorted(verbs.MODULES)
# What a verb cannot do without.
WORDS = {
    **dict.fromkeys(("add", "del", "check", "why"), ("n", "/run/netns/web")),
    **dict.fromkeys(("version", "explain", "addresses"), ("n",)),
    "rules": ("web",),
    **dict.fromkeys(("connect", "disconnect"), ("web", "n")),
    "network": ("create", "n"),
    "net": ("create", "n"),
    "publish": ("web", "8080:80"),
    "unpublish": ("web", "8080"),
    "limit": ("web", "--none"),
    **dict.fromkeys(("rename", "alias"), ("web", "db")),
}
HEAVY = {"pydantic", "pyroute2", "nftables", "ctypes", "subprocess", "hashlib"}


def test_register_has_each_module_of_the_room() -> None:
    """A verb is a module and a line of the register, and neither is alone."""
    files = {f"cnipy.verbs.{p.stem}" for p in (TOP / "cnipy/verbs").glob("[!_]*.py")}
    assert sorted(files) == sorted(verbs.MODULES.values())


@pytest.mark.parametrize("name", VERBS)
def test_help_says_what_each_argument_is(name: str) -> None:
    """Who has nothing but the help need not guess what a word stands for."""
    parsers = [command_line.parser_of(name, verbs.load(name))]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            else:
                assert action.help, f"{parser.prog} {action.metavar}"


@pytest.mark.parametrize("action", ["create", "rm", "ls", "inspect"])
def test_help_of_an_action(desk: Desk, action: str) -> None:
    """What stands behind a verb is explained by itself, as --help does."""
    status, text, _ = desk.cnipy("help", "network", action)
    assert status == 0
    assert text.startswith(f"usage: cnipy network {action} ")
    _, text, _ = desk.cnipy("help", "network", action, "--json")
    assert json.loads(text)["verb"] == f"network {action}"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("network", "make"), "network has create rm ls inspect"),
        (("ls", "all"), "ls has none"),
    ],
)
def test_help_of_no_action(desk: Desk, words: tuple[str, ...], cause: str) -> None:
    """A word that is none is refused, and what there is told."""
    status, _, told = desk.cnipy("help", *words)
    assert status == 1
    assert f"help {' '.join(words)}: there is no such action: {cause}" in told


@pytest.mark.parametrize("name", VERBS)
def test_parser_of_a_verb_imports_no_other(name: str) -> None:
    """A call pays for its own verb alone, and for no library before it runs."""
    source = (
        f"import sys, json; sys.path.insert(0, {str(TOP)!r});"
        "from cnipy import command_line;"
        f"command_line.read({[name, *WORDS.get(name, ())]!r}, '');"
        "print(json.dumps(sorted(sys.modules)))"
    )
    words = [sys.executable, "-I", "-S", "-c", source]
    imported = set(json.loads(subprocess.check_output(words)))
    assert imported & {*verbs.MODULES.values()} == {verbs.MODULES[name]}
    assert imported & HEAVY == set()


@pytest.mark.parametrize("name", VERBS)
def test_verb_is_described_alike_everywhere(name: str, desk: Desk) -> None:
    """`help`, `help VERB`, `VERB --help` and the page know each verb."""
    sentence = verbs.load(name).sentence
    assert re.fullmatch(r"[a-z].*[^.]", sentence)
    status, listed, _ = desk.cnipy("help")
    assert status == 0
    assert re.search(
        rf"^  {name} +{re.escape(sentence.split()[0])}", listed, re.MULTILINE
    )
    _, told, _ = desk.cnipy("help", name)
    assert told.startswith(f"usage: cnipy {name} ")
    assert "--json" in told
    page = (TOP / "docs/cnipy.md").read_text()
    assert re.search(rf"^cnipy {name}\b", page, re.MULTILINE)


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("as_json", [False, True])
def test_strangers_are_told_first(
    name: str,
    as_json: bool,  # noqa: FBT001 - a parameter of the test
    desk: Desk,
) -> None:
    """Who is not root hears that, before anything that is wrong besides."""
    desk.suite = replace(desk.suite, uid=1000)
    words = [name, *WORDS.get(name, ()), *["--json"] * as_json]
    verb, options = command_line.read(words, "")
    if verb.is_for_anybody(options):
        assert not verb.changes
        return
    status, stdout, stderr = desk.cnipy(*words)
    said = f"{name}: run as root, not as uid 1000"
    assert (status, stderr) == (1, f"cnipy: {said}\n")
    assert (json.loads(stdout)["msg"] if as_json else said) == said
    assert as_json or stdout == ""


def test_failure_with_json_is_the_document_of_the_specification(desk: Desk) -> None:
    """A program that asked for a document gets one, whatever came of it."""
    desk.conflist("first")
    desk.env["FAIL_first"] = "ADD"
    status, stdout, stderr = desk.cnipy("add", "n", "/run/netns/web", "--json")
    document = json.loads(stdout)
    assert (status, document["code"], document["details"]) == (1, 42, "first")
    assert stderr == "cnipy: first: not today: first (code 42)\n"


def test_answers_have_a_document_each(desk: Desk) -> None:
    """The verbs that answered nothing but text have the same as JSON."""
    desk.conflist("first")
    desk.env["SPEAKS_first"] = "0.4.0 1.0.0 1.1.0"

    def document(*words: str) -> Any:
        status, stdout, stderr = desk.cnipy(*words, "--json")
        assert (status, stderr) == (0, "")
        return json.loads(stdout)

    about = {"network": "n", "ifname": "eth0", "netns": "/run/netns/web"}
    added = document("add", "n", "/run/netns/web")
    assert added["ips"] == [{"address": "10.0.0.2/24"}]
    (held,) = desk.cache.all_entries()
    about["containerID"] = held.attachment.container_id
    assert document("check", "n", "web") == about
    assert document("version", "n") == {"first": ["0.4.0", "1.0.0", "1.1.0"]}
    assert document("status", "n") == [{"type": "first", "status": "ready"}]
    key = "/".join(held.key)
    planned = {"dryRun": True, "deleted": [key]}
    assert document("gc", "n", "--dry-run", "--keep", "c1/eth0") == planned
    assert document("del", "n", "web") == about
    assert document("gc", "n") == {"dryRun": False, "deleted": []}
    node = document("status")
    assert node["networks"] == [
        {"name": "n", "file": str(desk.conf_dir / "10-n.conflist")}
    ]
    listed = document("help")
    assert {each["verb"] for each in listed} == set(VERBS)


def test_verb_that_is_not_there_is_answered_with_the_near_one(
    capsys: pytest.CaptureFixture[str], desk: Desk
) -> None:
    """A mistyped verb ends with status 2, and says which may be meant."""
    with pytest.raises(SystemExit) as end:
        desk.cnipy("shwo")
    assert end.value.code == 2
    assert "there is no verb 'shwo': is 'show' meant?" in capsys.readouterr().err
    status, _, stderr = desk.cnipy("help", "shwo")
    assert (status, "there is no such verb" in stderr) == (1, True)


def test_version_is_printed(capsys: pytest.CaptureFixture[str], desk: Desk) -> None:
    """--version is that of the suite."""
    desk.suite = replace(desk.suite, version="1.2.3")
    with pytest.raises(SystemExit) as end:
        desk.cnipy("--version")
    assert (end.value.code, capsys.readouterr().out) == (0, "cnipy 1.2.3\n")


def test_watch_has_no_document(desk: Desk) -> None:
    """What does not end cannot answer with one document, and says so at once."""
    status, _, stderr = desk.cnipy("repair", "--watch", "--json")
    assert status == 1
    assert "repair --watch: it does not end" in stderr


def test_colour_and_width_are_the_terminals() -> None:
    """A file has neither; NO_COLOR and TERM=dumb leave the width."""
    assert paper.of(io.BytesIO(), {"COLUMNS": "40"}) == paper.Paper()
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, 50))
        with open(theirs, "wb", buffering=0, closefd=False) as terminal:
            assert paper.of(terminal, {}) == paper.Paper(50, colours=True)
            assert paper.of(terminal, {"NO_COLOR": ""}).colours
            assert not paper.of(terminal, {"NO_COLOR": "1"}).colours
            assert paper.of(terminal, {"TERM": "dumb"}) == paper.Paper(50)
            assert paper.of(terminal, {"COLUMNS": "40"}).width == 40
    finally:
        os.close(ours)
        os.close(theirs)
    assert paper.Paper(5).cut("123456") == "1234…"
    strange = f"{paper.Paper(None, colours=True).tint('ü', 'red')} \033[2J\n\udcff"
    shown = "\033[31mü\033[0m \\x1b[2J\\n\\udcff"
    assert paper.Paper(None, colours=True).shown(strange) == shown
    assert "\033" not in paper.Paper().shown(strange)
    assert paper.Paper().tint("x", "red") == "x"
    assert paper.Paper(None, colours=True).tint("x", "red") == "\033[31mx\033[0m"
