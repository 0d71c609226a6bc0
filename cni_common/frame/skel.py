# SPDX-License-Identifier: Apache-2.0
"""What surrounds every plugin: read the request, choose the verb, print one document.

The order of the checks is the reference's: environment, stdin, version, and then,
unlike it, the identity of the namespace before any work is done.
"""

from __future__ import annotations

import errno
import os

from cni_common.frame.account import Account
from cni_common.frame.plugin import (
    Plugin,
    admitted,
    require_descriptors,
)
from cni_common.frame.streams import (
    STDIN_MAX,
    read_all,
    read_at_once,
    tell,
    write_document,
)
from cni_common.spec import environment, gojson
from cni_common.spec.errors import CNIError, Code, StrandedError, last_words
from cni_common.spec.versions import NEWEST, OLDEST, SUPPORTED, introduction

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, BinaryIO, TextIO

    from cni_common.frame.plugin import Callee
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

__all__ = ["STDIN_MAX", "Plugin", "run"]


def run(  # noqa: PLR0913, PLR0917 - a process: who, environment, three streams
    name: str,
    load: Callable[[], Callee],
    env: Mapping[str, str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: TextIO,
    *,
    ours: Callable[[str], Callee | None] | None = None,
    versions: tuple[str, ...] = SUPPORTED,
    release: str = "",
) -> int:
    """Serve one call of the plugin `name` and return the exit status, 0 or 1.

    stdout gets exactly one JSON document or, on success of a verb without a result,
    nothing. `load` imports the plugin; it is not called for VERSION, nor when the
    request is malformed. `ours` finds a plugin of this suite by its executable.
    Without CNI_COMMAND the plugin introduces itself, with its `release`.
    """
    if not env.get("CNI_COMMAND"):
        tell(stderr, introduction(name, release, versions))
        return 0
    text = b""
    given: list[Result] = []
    account = Account(name, env, release, lambda line: tell(stderr, line))
    try:
        command = environment.verb(env)
        if command == "VERSION":
            write_document(stdout, _version(versions, stdin))
            return 0
        account.is_of(command)
        environment.validate(env, command)
        text = read_all(stdin)
        from cni_common.spec.request import Request  # noqa: PLC0415 - not for VERSION

        read = Request.read(command, env, text, in_process=ours)
        account.is_about(read)
        request = admitted(read, versions)
        if command == "ADD":
            require_descriptors()
        _serve(load(), request, stdout, stderr, given, account)
    except CNIError as error:
        failure = error
    except StrandedError as error:
        failure = CNIError(Code.INTERNAL, str(error))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last door before the runtime
        tell(stderr, _traceback())
        msg = f"{type(error).__name__}: {error}"
        failure = CNIError(Code.INTERNAL, msg, _way_out(error))
    else:
        account.close(None)
        return 0
    account.close(failure)
    if given:
        return 1
    _say_who_may(failure)
    return _fail(stdout, failure, _stated_version(text))


def _say_who_may(failure: CNIError) -> None:
    """Add to a refusal that this process lacks privileges, if it does."""
    told = str(failure).lower()
    refused = any(os.strerror(number).lower() in told for number in _REFUSALS)
    if refused and not _is_privileged():
        hint = "run as root: plugins need CAP_NET_ADMIN and CAP_SYS_ADMIN"
        failure.details = f"{failure.details}; {hint}" if failure.details else hint


def _is_privileged() -> bool:
    """Tell whether this process may configure networks and enter namespaces."""
    if os.geteuid() != 0:
        return False
    try:
        with open("/proc/thread-self/status", encoding="utf-8") as file:
            lines = dict(line.rstrip().partition(":")[::2] for line in file)
    except OSError:
        return True
    held = int(lines["CapEff"], 16)
    return all(held >> number & 1 for number in _CAPABILITIES)


def _serve(  # noqa: PLR0913, PLR0917 - a call: what, on which streams, what is left of it
    plugin: Callee,
    request: Request,
    stdout: BinaryIO,
    stderr: TextIO,
    given: list[Result],
    account: Account,
) -> None:
    """Call the plugin; an ADD whose result the runtime does not get is undone.

    A plugin that has something to undo delivers the result itself. `given` has it when
    stdout has it: that takes one document.
    """
    from cni_common.frame.rollback import Rollback  # noqa: PLC0415 - not for VERSION

    failure = ""

    def say(line: str) -> None:
        tell(stderr, line)

    def deliver(result: Result) -> None:
        extra = plugin.is_ipam
        document = result.document(request.cni_version, keep_route_fields=extra)
        write_document(stdout, document)
        given.append(result)

    def end(error: CNIError) -> None:
        """Tell all that can be told from within a library that ends the process."""
        request.log.error(str(error))
        if not given:
            _fail(stdout, error, request.cni_version)
        _write_log(plugin.name, request, str(error), say)
        account.close(error)

    if last_words:
        last_words.append(end)
    try:
        with Rollback() as undo:
            result = plugin.call(request.delivering(deliver))
            if result is not None and not given:
                undo(plugin.call, request.as_verb("DEL"))
                deliver(result)
    except CNIError as error:
        failure = str(error)
        request.log.error(failure)
        raise
    except BaseException as error:
        failure = str(error) or type(error).__name__
        request.log.error(failure)
        request.log.error(_traceback())
        raise
    finally:
        del last_words[1:]
        _tell_remarks(request, stderr)
        for text in request.log.aloud():
            tell(stderr, f"{plugin.name}: {text}\n")
        _write_log(plugin.name, request, failure, say)


def _tell_remarks(request: Request, stderr: TextIO) -> None:
    from cni_common.frame.log import remarks  # noqa: PLC0415 - not for VERSION

    for text in remarks():
        request.log.warning(text)
        tell(stderr, f"{text}\n")


def _write_log(
    plugin: str, request: Request, failure: str, say: Callable[[str], None]
) -> None:
    path = gojson.member(request.document, "logFile")
    if path is not None and path != "":  # 0 is wrong, and told
        from cni_common.frame import log_file  # noqa: PLC0415 - only where it is asked for

        log_file.write(plugin, request, failure, say)


_REFUSALS = (errno.EPERM, errno.EACCES)
_CAPABILITIES = (12, 21)  # CAP_NET_ADMIN, CAP_SYS_ADMIN (linux/capability.h)


def _version(versions: tuple[str, ...], stdin: BinaryIO) -> dict[str, Any]:
    """Answer in the version of the input, if there is an input at this moment.

    Raises Code.DECODE_FAILURE for one that is malformed, unless the rest may be yet to
    come.
    """
    stated = None
    text, whole = read_at_once(stdin)
    if text.strip():
        try:
            document = gojson.load_object(text, "version request")
            stated = gojson.string(document, "cniVersion")
        except CNIError:
            if whole:
                raise
    return {"cniVersion": stated or versions[-1], "supportedVersions": list(versions)}


def _fail(stdout: BinaryIO, error: CNIError, version: str) -> int:
    """Print `error` in that version; return 1."""
    try:
        write_document(stdout, error.document(version))
    except CNIError:
        return 1
    return 1


def _stated_version(text: bytes) -> str:
    """Return the configuration's version if it has one that we know, or the newest."""
    try:
        stated = gojson.string(gojson.load_object(text), "cniVersion") or OLDEST
    except CNIError:
        return NEWEST
    return stated if stated in SUPPORTED else NEWEST


def _way_out(error: BaseException) -> str:
    """Return what helps where a module is missing or cut short."""
    tree, found, _ = __file__.rpartition("/site-packages/")
    if found and isinstance(error, ImportError | EOFError | SyntaxError):
        return f"remove {tree}, the next call extracts it anew"
    return ""


def _traceback() -> str:
    import traceback  # noqa: PLC0415 - a failure that nobody foresaw

    return traceback.format_exc()
