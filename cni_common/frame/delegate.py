# SPDX-License-Identifier: Apache-2.0
"""Delegation to another plugin, in practice the IPAM plugin (CNI spec, section 4).

The executable is looked up in CNI_PATH. When the one found is a file of this suite,
its function is called in process; otherwise it is executed with the same environment
and the same bytes on stdin.
"""

from __future__ import annotations

import os
import stat
import sys

from cni_common.frame.account import Delegated
from cni_common.frame.streams import tell
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code, StrandedError, cause_of
from cni_common.spec.versions import SUPPORTED

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.frame.rollback import Rollback
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


def add(plugin: str, request: Request) -> Result:
    """Call ADD of `plugin` and return its result.

    If it fails it is called with DEL before the error is raised (section 4).
    """
    with _Undoing(plugin, request):
        result = _call(plugin, request, "ADD")
        if result is None:
            msg = f"decode result of {plugin}: it printed none"
            raise CNIError(Code.DECODE_FAILURE, msg)
    return result


def lease(plugin: str, request: Request, undo: Rollback) -> Result:
    """Lease addresses of the IPAM plugin, one at least; `undo` gives them back."""
    leased = add(plugin, request)
    undo(delete, plugin, request)
    if not leased.ips:
        msg = "IPAM plugin returned missing IP config"
        raise CNIError(Code.INTERNAL, msg, f"IPAM plugin is {plugin}")
    return leased


def delete(plugin: str, request: Request) -> None:
    """Call DEL of `plugin` for what it holds of the attachment.

    A name that no plugin can have is passed over: nothing can have been leased by it.
    """
    if _is_name(plugin):
        _call(plugin, request, "DEL")
    else:
        request.log.warning(f"release lease: invalid plugin name {plugin!r}")


def check(plugin: str, request: Request) -> None:
    """Call CHECK of `plugin`; its error is raised as it is."""
    _call(plugin, request, "CHECK")


def gc(plugin: str, request: Request) -> None:
    """Call GC of `plugin`, which removes what belongs to no valid attachment."""
    _call(plugin, request, "GC")


def status(plugin: str, request: Request) -> None:
    """Call STATUS of `plugin`, which fails unless it is ready for ADD."""
    _call(plugin, request, "STATUS")


def may_ask_by_link(plugin: str, request: Request) -> bool:
    """Tell whether the IPAM plugin may ask by the very link; raises as `find`.

    Those of others may, and of this suite those of which the register says it.
    """
    ours = _in_process(find(plugin, request.path), request)
    return ours is None or bool(ours.asks_by_link)


def gives_back_by_link(plugin: str, request: Request) -> bool:
    """Tell whether it is one of this suite, and one that gives back by the link."""
    try:
        ours = _in_process(find(plugin, request.path), request)
    except CNIError:
        return False  # calling it will say so
    return ours is not None and bool(ours.asks_by_link)


def find(plugin: str, path: tuple[str, ...]) -> str:
    """Return the path of the first regular file named `plugin` in the directories.

    Raises Code.INVALID_CONFIG for a name that is none, Code.INVALID_ENVIRONMENT for an
    empty CNI_PATH, and Code.INTERNAL when there is no such file.
    """
    if not plugin:
        raise CNIError(Code.INVALID_CONFIG, "find plugin: no plugin name provided")
    if not _is_name(plugin):
        msg = f"find plugin: invalid plugin name {plugin!r}"
        raise CNIError(Code.INVALID_CONFIG, msg)
    if not path:
        msg = f"find plugin {plugin!r}: CNI_PATH is empty"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    for directory in path:
        candidate = os.path.join(directory, plugin)
        try:
            if stat.S_ISREG(os.stat(candidate).st_mode):
                return candidate
        except (OSError, ValueError):
            continue
    msg = f"find plugin {plugin!r}: not in CNI_PATH [{' '.join(path)}]"
    raise CNIError(Code.INTERNAL, msg)


def _in_process(executable: str, request: Request) -> Any:
    return request.in_process(executable) if request.in_process else None


def _is_name(plugin: str) -> bool:
    return "/" not in plugin and "\0" not in plugin and plugin not in {"", ".", ".."}


def _call(plugin: str, request: Request, command: str) -> Result | None:
    executable = find(plugin, request.path)
    ours = _in_process(executable, request)
    asked = request.as_verb(command)
    with Delegated(plugin, asked, in_process=ours is not None):
        if ours is None:
            return _execute(plugin, executable, asked)
        called: Result | None = ours.call(asked)
        return called


def _execute(plugin: str, executable: str, request: Request) -> Result | None:
    from cni_common.frame.execute import execute  # noqa: PLC0415 - only for foreign plugins

    trace = request.log.trace
    env = {**request.env, **trace.variables()} if trace else request.env
    try:
        status, output, words = execute([executable], request.stdin, env)
    except OSError as error:
        msg = f"execute plugin {plugin}: {cause_of(error)}"
        raise CNIError(Code.INTERNAL, msg) from error
    if words:
        tell(sys.stderr, words.decode("utf-8", "replace"))
    if status != 0:
        raise _reported(plugin, status, output, words)
    if request.command != "ADD" or not output.strip():
        return None
    document = gojson.load_object(output, f"result of {plugin}")
    stated = gojson.string(document, "cniVersion") or request.cni_version
    if stated not in SUPPORTED:
        msg = f"decode result of {plugin}: unknown cniVersion {stated!r:.80}"
        raise CNIError(Code.INCOMPATIBLE_VERSION, msg)
    from cni_common.spec.result import Result  # noqa: PLC0415 - pydantic is expensive

    return Result.read(document, stated, f"result of {plugin}")


def _reported(plugin: str, status: int, output: bytes, words: bytes) -> CNIError:
    """Return the delegate's own error, with its code, message and details."""
    try:
        document: dict[str, Any] = gojson.load_object(output)
        code = gojson.member(document, "code")
        msg = gojson.member(document, "msg")
        details = gojson.member(document, "details")
        if type(code) is int and code > 0 and isinstance(msg, str):
            return CNIError(code, msg, details if isinstance(details, str) else "")
    except CNIError:
        pass
    cause = words.decode("utf-8", "replace").strip() or "no error message"
    ending = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
    msg = f"execute plugin {plugin}: {ending}"
    return CNIError(Code.INTERNAL, msg, cause)


class _Undoing:
    """A block that is an ADD of `plugin`: however it fails, DEL follows.

    Not where somebody has what it leased by now, which the error says.
    """

    def __init__(self, plugin: str, request: Request) -> None:
        self._plugin, self._request = plugin, request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, where: object) -> None:
        if error is None or isinstance(error, StrandedError):
            return
        try:
            _call(self._plugin, self._request, "DEL")
        except Exception as failure:  # noqa: BLE001 - the failure of ADD is the one to tell
            self._request.log.warning(f"undo ADD of {self._plugin}: {failure}")
