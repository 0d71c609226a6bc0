# SPDX-License-Identifier: Apache-2.0
"""The command's man page, and what shells complete of it: written at build.

    python -m launcher.manual DIRECTORY

Both are made of the parsers that the command itself has (docs/decisions/0054).
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import shtab
from argparse_manpage.manpage import Manpage

from cnipy import command_line
from cnipy.manual import COMPLETIONS, MAN_PAGE, MARK
from cnipy.verbs import MODULES
from plugins import REGISTER, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

# What stands for a network, a container, a plugin: told without asking cnipy.
_LISTS = {
    "networks": (
        'grep -ohm1 \'"name" *: *"[^"]*"\' '
        '"${NETCONFPATH:-/etc/cni/net.d}"/*.conf* 2>/dev/null | cut -d\'"\' -f4'
    ),
    "containers": (
        "{ ls /run/netns; find /run/cni/cnipy -mindepth 3 -name '*@*' "
        "-printf '%f\\n' | cut -d@ -f1; } 2>/dev/null | sort -u"
    ),
    "plugins": f"printf '%s\\n' conflist {' '.join(REGISTER)}",
    "verbs": f"printf '%s\\n' {' '.join(MODULES)}",
}
_LISTS["ends"] = f"{{ echo host; {_LISTS['containers']}; }}"
_OF_BASH = """_cnipy_{0}() {{ compgen -W "$({1})" -- "$1"; }}"""
_OF_ZSH = """_cnipy_{0}() {{ compadd -- ${{(f)"$({1})"}} }}"""
_COMPLETED = {
    "NETWORK": "networks",
    "NETNS": "containers",
    "CONTAINER": "containers",
    "PLUGIN": "plugins",
    "VERB": "verbs",
    "SOURCE": "ends",
    "TARGET[:PORT][/PROTOCOL]": "ends",
}
_FILES = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}


def main() -> None:
    """Write the files into a directory: as they lie below a share directory."""
    (directory,) = sys.argv[1:]
    files = {MAN_PAGE: man_page()}
    files |= {COMPLETIONS[shell]: completion(shell) for shell in COMPLETIONS}
    for name, text in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def man_page() -> str:
    """Return the man page, whose date does not depend on the day of the build."""
    data = {
        "date": f"cnipy {VERSION}",
        "project_name": "cnipy",
        "version": VERSION,
        "manual_title": "Container networking",
        "manual_section": 8,
        "description": "attach containers to CNI networks, and look after them",
    }
    parser = command_line.whole(VERSION)
    page = Manpage(parser, data, format="single-commands-section")
    return f'.\\" {MARK}\n{page}'


def completion(shell: str) -> str:
    """Return the completion for bash or zsh."""
    parser = command_line.whole(VERSION)
    for action in _actions(parser):
        metavar = str(action.metavar)
        if _has_verbs(action):
            continue  # their names are offered anyway
        found = _COMPLETED.get(metavar)
        named = dict.fromkeys(("bash", "zsh"), f"_cnipy_{found}") if found else None
        complete = named or _FILES.get(metavar)
        if complete:
            action.complete = complete  # type: ignore[attr-defined] # read by shtab
    form = _OF_BASH if shell == "bash" else _OF_ZSH
    functions = [form.format(name, listed) for name, listed in _LISTS.items()]
    text = shtab.complete(parser, shell, preamble="\n".join(functions))
    first, rest = text.split("\n", 1)
    return f"{first}\n# {MARK}\n{rest}"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of the command and of each verb."""
    for action in parser._actions:  # noqa: SLF001 - as the libraries do; there is no other way
        yield action
        for below in action.choices or () if _has_verbs(action) else ():
            yield from _actions(action.choices[below])  # type: ignore[index] # parsers by verb


def _has_verbs(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - the same


if __name__ == "__main__":
    main()
