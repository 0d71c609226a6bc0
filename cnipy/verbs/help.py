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
    parser.add_argument("about", metavar="VERB", nargs="?", help="one verb, in full")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    del context
    if options.about is None:
        document = [
            _document(name, purpose)
            for purpose, listed in verbs.REGISTER.items()
            for name in listed
        ]
        return Lines(document, command_line.overview().splitlines())
    if options.about not in verbs.MODULES:
        msg = f"help {options.about}: there is no such verb"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, "`cnipy help` lists them")
    parser = command_line.parser_of(options.about, verbs.load(options.about))
    (purpose,) = (p for p, listed in verbs.REGISTER.items() if options.about in listed)
    return Lines(_document(options.about, purpose), parser.format_help().splitlines())


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
