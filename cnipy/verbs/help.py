# SPDX-License-Identifier: Apache-2.0
"""`cnipy help`: which verbs there are, and how one is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy import command_line, verbs
from cnipy.verb import Answer, Lines, Verb, anybody

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "one verb, in full, and with the word of an action that alone"
    parser.add_argument("about", metavar="VERB", nargs="*", help=what)


def _run(context: Context, options: argparse.Namespace) -> Answer:
    del context
    if not options.about:
        document = [
            _document(name, purpose)
            for purpose, listed in verbs.REGISTER.items()
            for name in listed
        ]
        return Lines(document, command_line.overview().splitlines())
    name, *actions = options.about
    if name not in verbs.MODULES:
        msg = f"help {name}: there is no such verb"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, "`cnipy help` lists them")
    parser = command_line.parser_of(name, verbs.load(name))
    (purpose,) = (p for p, listed in verbs.REGISTER.items() if name in listed)
    told, about = _document(name, purpose), name
    for action in actions:
        there = command_line.actions_of(parser)
        if action not in there:
            msg = f"help {about} {action}: there is no such action"
            hint = f"{about} has {' '.join(there) or 'none'}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg, hint)
        parser, about = there[action], f"{about} {action}"
        told["verb"] = about
    return Lines(told, parser.format_help().splitlines())


def _document(name: str, purpose: str) -> dict[str, object]:
    verb = verbs.load(name)
    return {
        "verb": name,
        "purpose": purpose,
        "sentence": verb.sentence,
        "changes": verb.changes,
    }


VERB = Verb(
    sentence="list the verbs, or say how one is called",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
    is_for_anybody=anybody,
)
