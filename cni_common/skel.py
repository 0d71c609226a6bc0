# SPDX-License-Identifier: Apache-2.0
"""What surrounds every plugin: read the request, choose the verb, print one document.

The order of the checks is the reference's: environment, stdin, version, and then,
unlike it, the identity of the namespace before any work is done.
"""

from __future__ import annotations

import json
import os
import select
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from cni_common.spec import environment, gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.request import Request
from cni_common.spec.versions import (
    CHECK_SINCE,
    GC_AND_STATUS_SINCE,
    NEWEST,
    OLDEST,
    SUPPORTED,
    at_least,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cni_common.spec.netconf import NetConf
    from cni_common.spec.result import Result

STDIN_MAX = 1 << 20  # bytes
_SINCE = {
    "CHECK": CHECK_SINCE,
    "GC": GC_AND_STATUS_SINCE,
    "STATUS": GC_AND_STATUS_SINCE,
}
_LENIENT = frozenset({"DEL", "GC"})


@dataclass(frozen=True)
class Plugin:
    """A plugin: its CNI type as `name`, its configuration, a function a verb."""

    name: str
    conf: type[NetConf]
    add: Callable[[Request, Any], Result]
    delete: Callable[[Request, Any], None]
    check: Callable[[Request, Any], None]
    gc: Callable[[Request, Any], None]
    status: Callable[[Request, Any], None]
    versions: tuple[str, ...] = SUPPORTED
    is_ipam: bool = False

    def call(self, request: Request) -> Result | None:
        """Carry out the verb of `request`; returns the result of ADD, else None."""
        gate_version(request, self.versions)
        refuse_own_namespace(request)
        conf = self._configuration(request)
        request.log.step("configuration")
        match request.command:
            case "ADD":
                return self.add(request, conf)
            case "DEL":
                self.delete(request, conf)
            case "CHECK":
                self.check(request, conf)
            case "GC":
                self.gc(request, conf)
            case "STATUS":
                self.status(request, conf)
        return None

    def _configuration(self, request: Request) -> NetConf:
        from cni_common.spec.model import parse, parse_leniently  # noqa: PLC0415 - dear

        for key in self.conf.unknown_keys(request.document):
            if key not in _ALWAYS_KNOWN:
                request.log.debug(f"unknown key {key!r} in the network configuration")
        if request.command not in _LENIENT:
            return parse(self.conf, request.document, "network configuration")
        conf, dropped = parse_leniently(self.conf, request.document)
        for key in dropped:
            request.log.warning(f"ignore invalid key {key!r} on {request.command}")
        return conf


_ALWAYS_KNOWN = frozenset(
    {"capabilities", "cni.dev/valid-attachments", "cni.dev/attachments"}
)


def run(  # noqa: PLR0913, PLR0917 - a process: who, environment, three streams
    name: str,
    load: Callable[[], Plugin],
    env: Mapping[str, str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: TextIO,
    *,
    ours: Callable[[str], Plugin | None] | None = None,
    versions: tuple[str, ...] = SUPPORTED,
) -> int:
    """Serve one call of the plugin `name` and return the exit status, 0 or 1.

    stdout gets exactly one JSON document or, on success of a verb without a result,
    nothing. `load` imports the plugin; it is not called for VERSION, nor when the
    request is malformed. `ours` finds a plugin of this suite by its executable.
    """
    if "CNI_COMMAND" not in env:
        listed = ", ".join(versions)
        stderr.write(f"CNI {name} plugin\nCNI protocol versions: {listed}\n")
        return 0
    version = NEWEST
    try:
        command = environment.verb(env)
        if command == "VERSION":
            document: dict[str, Any] | None = _version(versions, stdin)
        else:
            environment.validate(env, command)
            text = _read(stdin)
            version = _stated_version(text)
            request = replace(Request.read(command, env, text), in_process=ours)
            gate_version(request, versions)
            document = _serve(load(), request, stderr)
    except CNIError as error:
        return _print(stdout, error.document(version), 1)
    except Exception as error:  # noqa: BLE001 - the last door before the runtime
        stderr.write(traceback.format_exc())
        unknown = CNIError(Code.INTERNAL, f"{type(error).__name__}: {error}")
        return _print(stdout, unknown.document(version), 1)
    return 0 if document is None else _print(stdout, document, 0)


def gate_version(request: Request, versions: tuple[str, ...]) -> None:
    """Raise code 1 unless `versions` and the verb allow the configuration's version."""
    version = request.cni_version
    if version not in versions:
        known = " ".join(f'"{known}"' for known in versions)
        details = f'config is "{version}", plugin supports [{known}]'
        raise CNIError(Code.INCOMPATIBLE_VERSION, "incompatible CNI versions", details)
    since = _SINCE.get(request.command)
    if since is not None and not at_least(version, since):
        msg = f"config version does not allow {request.command}"
        details = f'config is "{version}", {request.command} came with {since}'
        raise CNIError(Code.INCOMPATIBLE_VERSION, msg, details)


def refuse_own_namespace(request: Request) -> None:
    """Raise code 8 when CNI_NETNS is the plugin's own namespace, before any work."""
    if not request.netns or request.netns_override:
        return
    try:
        there = os.stat(request.netns)
        here = os.stat("/proc/thread-self/ns/net")
    except (OSError, ValueError):
        return
    if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
        msg = "plugin's netns and netns from CNI_NETNS should not be the same"
        raise CNIError(Code.INVALID_NETNS, msg, request.netns)


def _serve(plugin: Plugin, request: Request, stderr: TextIO) -> dict[str, Any] | None:
    failure = ""
    try:
        result = plugin.call(request)
        if result is None:
            return None
        return result.document(request.cni_version, keep_route_fields=plugin.is_ipam)
    except Exception as error:
        failure = str(error)
        request.log.error(failure)
        if not isinstance(error, CNIError):
            request.log.error(traceback.format_exc())
        raise
    finally:
        _write_log(plugin, request, failure, stderr)


def _write_log(plugin: Plugin, request: Request, failure: str, stderr: TextIO) -> None:
    path = gojson.member(request.document, "logFile")
    level = gojson.member(request.document, "logLevel")
    if not isinstance(path, str) or not path.startswith("/"):
        return
    call: dict[str, object] = {
        "plugin": plugin.name,
        "command": request.command,
        "network": request.network,
        "containerID": request.container_id,
        "ifname": request.ifname,
        "outcome": failure or "ok",
    }
    try:
        request.log.write(path, level if level in _LEVELS else "info", call)
    except OSError as error:
        stderr.write(f"write log {path}: {(error.strerror or str(error)).lower()}\n")


_LEVELS = ("error", "warning", "info", "debug")


def _version(versions: tuple[str, ...], stdin: BinaryIO) -> dict[str, Any]:
    """Answer in the version of the input, if there is an input at this moment."""
    version = NEWEST
    text = _there_at_once(stdin)
    if text.strip():
        stated = gojson.member(
            gojson.load_object(text, "version request"), "cniVersion"
        )
        if isinstance(stated, str) and stated:
            version = stated
    return {"cniVersion": version, "supportedVersions": list(versions)}


def _there_at_once(stdin: BinaryIO) -> bytes:
    """Return what can be read without waiting: an open, silent pipe gives nothing."""
    try:
        descriptor = stdin.fileno()
    except (OSError, ValueError):
        try:
            return stdin.read(STDIN_MAX)
        except (OSError, ValueError):
            return b""
    text = b""
    try:
        while select.select([descriptor], [], [], 0)[0]:
            part = os.read(descriptor, STDIN_MAX)
            text += part
            if not part or len(text) > STDIN_MAX:
                break
    except (OSError, ValueError):
        return b""
    return text


def _read(stdin: BinaryIO) -> bytes:
    try:
        text = stdin.read(STDIN_MAX + 1)
    except (OSError, ValueError, AttributeError) as error:
        msg = f"read stdin: {str(error).lower()}"
        raise CNIError(Code.IO_FAILURE, msg) from error
    if len(text) > STDIN_MAX:
        msg = f"read stdin: larger than {STDIN_MAX} bytes"
        raise CNIError(Code.IO_FAILURE, msg)
    return text


def _stated_version(text: bytes) -> str:
    """Return the cniVersion for error documents: the input's if it has one we know."""
    try:
        stated = gojson.member(gojson.load_object(text), "cniVersion")
    except CNIError:
        return NEWEST
    if stated is None or stated == "":
        return OLDEST
    return stated if isinstance(stated, str) and stated in SUPPORTED else NEWEST


def _print(stdout: BinaryIO, document: dict[str, Any], status: int) -> int:
    try:
        stdout.write(json.dumps(document, indent=4).encode())
        stdout.flush()
    except (OSError, ValueError):
        return 1
    return status
