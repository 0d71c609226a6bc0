# SPDX-License-Identifier: Apache-2.0
"""The grammar of the command line: `cnipy [OPTION] VERB ...`, alike for all verbs."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from difflib import get_close_matches
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.versions import NEWEST
from cnipy import verbs
from cnipy.places import CACHE_DIRECTORY, CONF_DIRECTORY, PLUGIN_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from cnipy.verb import Verb

DESCRIPTION = "Attach containers to CNI networks, look after them, detach them."
ENVIRONMENT = f"""environment, as for cnitool:
  CNI_PATH      directories of the plugins ({PLUGIN_DIRECTORY})
  NETCONFPATH   directory of the configurations ({CONF_DIRECTORY})
  CNI_IFNAME    name of the link in the container (eth0)
  CNI_ARGS      KEY=VALUE;... for the plugins
  CAP_ARGS      JSON object of capability values, such as portMappings
"""
_WIDTH = 80
CONTAINER = (
    "a name as in `ip netns`, a process ID, the path of a namespace, a container ID or "
    "the beginning of one, or what a runtime calls the container or its pod"
)

NETWORK = "its name, as `cnipy ls` has it"


def read(words: Sequence[str], version: str) -> tuple[Verb, argparse.Namespace]:
    """Return the verb of a command line, and all options; `verb` has its name.

    Only that verb is imported. What makes no sense ends with status 2, and with a
    document if one is asked for; a question for help or for the version with status 0
    (SystemExit).
    """
    try:
        return _read(words, version)
    except _UsageError as error:
        if "--json" in words:
            document = CNIError(Code.INVALID_ENVIRONMENT, error.text).document(NEWEST)
            sys.stdout.write(f"{json.dumps(document, indent=4)}\n")
        sys.stderr.write(f"{error.usage}{error.text}\n")
        raise SystemExit(2) from error


def _read(words: Sequence[str], version: str) -> tuple[Verb, argparse.Namespace]:
    command = _Command(version)
    # Without a verb it says so itself, and how to find one.
    command.usage = "%(prog)s [-h] [--cache-dir DIR] [--version] VERB ..."
    command.add_argument("verb", metavar="VERB", nargs="?")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    if "" in words:
        command.error("an argument is empty: is a variable not set?")
    options = command.parse_args(words)
    if options.verb is None:
        command.error("a verb is missing: `cnipy help` lists them")
    if options.verb not in verbs.MODULES:
        near = get_close_matches(options.verb, verbs.MODULES, n=1)
        hint = f"is {near[0]!r} meant?" if near else "`cnipy help` lists them"
        command.error(f"there is no verb {options.verb!r}: {hint}")
    verb = verbs.load(options.verb)
    parser = parser_of(options.verb, verb)
    return verb, parser.parse_args(options.rest, options)


def parser_of(name: str, verb: Verb) -> argparse.ArgumentParser:
    """Return the parser of what follows the verb `name`."""
    parser = _Parser(prog=f"cnipy {name}", description=_as_sentence(verb.sentence))
    _fill(parser, verb)
    return parser


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the words that a verb has further ones behind."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse tells them in no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            found |= action.choices
    return found


def _fill(parser: argparse.ArgumentParser, verb: Verb) -> None:
    verb.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON document")


def whole(version: str) -> argparse.ArgumentParser:
    """Return one parser of all verbs, for the man page and what shells complete."""
    command = _Command(version)
    command.description, command.epilog = DESCRIPTION, ENVIRONMENT
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = command.add_subparsers(metavar="VERB", dest="verb", parser_class=_Parser)
    for name in verbs.MODULES:
        verb = verbs.load(name)
        _fill(listed.add_parser(name, help=verb.sentence), verb)
    return command


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def overview() -> str:
    """Return the page that `cnipy help` prints: the verbs by what a person wants."""
    lines = ["usage: cnipy [--cache-dir DIR] VERB ...", "", DESCRIPTION]
    width = max(map(len, verbs.MODULES)) + 2
    for purpose, listed in verbs.REGISTER.items():
        lines += ["", f"{purpose}:"]
        for name in listed:
            sentence = verbs.load(name).sentence
            indent = " " * (width + 2)
            lines += textwrap.wrap(
                sentence,
                _WIDTH,
                initial_indent=f"  {name:{width}}",
                subsequent_indent=indent,
            )
    lines += [
        "",
        "`cnipy help VERB` says how a verb is called; each prints a JSON document",
        "with --json. NETNS and CONTAINER are alike for all of them:",
        *textwrap.wrap(f"{CONTAINER}.", _WIDTH),
        "",
        *ENVIRONMENT.splitlines(),
        "",
        "options, before VERB:",
        f"  --cache-dir DIR  where results are kept ({CACHE_DIRECTORY})",
        "  --version        print the version",
    ]
    return "\n".join(lines) + "\n"


class _UsageError(Exception):
    """A command line that makes no sense: how it is called, and what is wrong."""

    def __init__(self, usage: str, text: str) -> None:
        super().__init__(text)
        self.usage, self.text = usage, text


class _Parser(argparse.ArgumentParser):
    """A parser that leaves to its caller what is told of wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Raise _UsageError."""
        raise _UsageError(self.format_usage(), f"{self.prog}: error: {message}")


class _Command(_Parser):
    """The parser of what comes before the verb."""

    def __init__(self, version: str) -> None:
        super().__init__(prog="cnipy")
        self.add_argument(
            "--cache-dir",
            metavar="DIR",
            default=CACHE_DIRECTORY,
            help=f"where results are kept ({CACHE_DIRECTORY})",
        )
        self.add_argument("--version", action="version", version=f"cnipy {version}")

    def format_help(self) -> str:
        """Return the page of all verbs."""
        return overview()
