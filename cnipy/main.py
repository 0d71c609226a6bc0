# SPDX-License-Identifier: Apache-2.0
"""`cnipy VERB ...`: read the command line, run the verb, print its answer.

Exit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO

from cni_common.frame.log import remarks
from cni_common.spec.errors import CNIError, Code, cause_of, of_os, printed
from cni_common.spec.versions import NEWEST
from cnipy import command_line, paper
from cnipy.context import Context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnipy.suite import Suite
    from cnipy.verb import Answer

# As shells tell of a program that SIGPIPE has ended (128 + 13): `cnipy ls | head -1`.
_READER_GONE = 141


def main(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdout: BinaryIO,
    stderr: TextIO,
    suite: Suite,
) -> int:
    """Run one verb; return the exit status. argv[0] is the path of the command.

    Where nobody reads the answer to its end, that is 141, without a line.
    """

    def tell(line: str) -> None:
        stderr.write(f"cnipy: {printed(line)}\n")

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
        _tell_remarks(context)
        text = _text(answer, context)
        _write(text, context, f"{options.verb}: write the answer")
    except BrokenPipeError:
        return _READER_GONE
    except CNIError as error:
        _tell_remarks(context)
        text = " ".join(f"{error} (code {error.code})".split())
        return _refused(context, text, error)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        text = f"{options.verb}{where}: {cause_of(error)}"
        return _refused(context, text, CNIError(Code.IO_FAILURE, text))
    return answer.status


def _tell_remarks(context: Context) -> None:
    for text in remarks():
        context.tell(text)


def _version(argv: Sequence[str], suite: Suite) -> str:
    """Return the suite's version, and the build if that is asked for and is packed."""
    if "--version" not in argv:
        return suite.version
    from cnipy.packed import build_of  # noqa: PLC0415 - it reads the command's file

    build = build_of(argv[0])
    return f"{suite.version}, build {build}" if build else suite.version


def _text(answer: Answer, context: Context) -> str:
    if context.json:
        return json.dumps(answer.document(), indent=4) + "\n"
    sheet = paper.of(context.stdout, context.env)
    return "".join(f"{sheet.shown(line)}\n" for line in answer.lines(sheet))


def _write(text: str, context: Context, doing: str) -> None:
    if not text:
        return
    try:
        context.stdout.write(text.encode())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise of_os(doing, error) from error


def _refused(context: Context, text: str, error: CNIError) -> int:
    """Tell a failure; the document that was asked for is the specification's."""
    context.tell(text)
    if context.json:
        with suppress(OSError):  # which may be what has failed
            document = error.document(NEWEST)
            context.stdout.write(f"{json.dumps(document, indent=4)}\n".encode())
    return 1
