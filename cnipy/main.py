# SPDX-License-Identifier: Apache-2.0
"""`cnipy VERB ...`: read the command line, run the verb, print its answer.

Exit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO

from cni_common.frame.log import remarks
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.versions import NEWEST
from cnipy import command_line, paper
from cnipy.context import Context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnipy.suite import Suite
    from cnipy.verb import Answer


def main(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdout: BinaryIO,
    stderr: TextIO,
    suite: Suite,
) -> int:
    """Run one verb; return the exit status. argv[0] is the path of the command."""

    def tell(line: str) -> None:
        stderr.write(f"cnipy: {line}\n")

    verb, options = command_line.read(argv[1:], _version(argv, suite))
    context = Context(
        command=argv[0],
        env=env,
        suite=suite,
        cache_directory=options.cache_dir,
        stdout=stdout,
        tell=tell,
        json=options.json,
    )
    uid = suite.uid
    if uid != 0 and not verb.is_for_anybody(options):
        text = f"{options.verb}: run as root, not as uid {uid}"
        return _refused(context, text, CNIError(Code.INVALID_ENVIRONMENT, text))
    try:
        answer = verb.run(context, options)
        for text in remarks():
            context.tell(text)
        _print(answer, context)
    except CNIError as error:
        text = " ".join(f"{error} (code {error.code})".split())
        return _refused(context, text, error)
    except OSError as error:
        return _refused(context, str(error), CNIError(Code.IO_FAILURE, str(error)))
    return answer.status


def _version(argv: Sequence[str], suite: Suite) -> str:
    """Return the suite's version, and the build if that is asked for and is packed."""
    if "--version" not in argv:
        return suite.version
    from cnipy.packed import build_of  # noqa: PLC0415 - it reads the command's file

    build = build_of(argv[0])
    return f"{suite.version}, build {build}" if build else suite.version


def _print(answer: Answer, context: Context) -> None:
    if context.json:
        text = json.dumps(answer.document(), indent=4) + "\n"
    else:
        lines = answer.lines(paper.of(context.stdout, context.env))
        text = "".join(f"{line}\n" for line in lines)
    if text:
        context.stdout.write(text.encode())


def _refused(context: Context, text: str, error: CNIError) -> int:
    """Tell a failure; the document that was asked for is the specification's."""
    context.tell(text)
    if context.json:
        with suppress(OSError):  # which may be what has failed
            document = error.document(NEWEST)
            context.stdout.write(f"{json.dumps(document, indent=4)}\n".encode())
    return 1
