# SPDX-License-Identifier: Apache-2.0
"""A plugin: a function a verb, and what is true of every call before it runs."""

from __future__ import annotations

import os

from cni_common.kernel.netns_identity import is_own
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.versions import (
    CHECK_SINCE,
    GC_AND_STATUS_SINCE,
    SUPPORTED,
    at_least,
)

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from cni_common.attachment import chained
    from cni_common.attachment.scheme import Scheme
    from cni_common.spec.netconf import NetConf
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

    class Callee(Protocol):
        """What a caller needs of a plugin."""

        @property
        def name(self) -> str:
            """The CNI type."""

        @property
        def is_ipam(self) -> bool:
            """Whether its result is for the plugin that delegated to it."""

        def call(self, request: Request) -> Result | None:
            """Carry out the verb of `request`."""


_SINCE = {
    "CHECK": CHECK_SINCE,
    "GC": GC_AND_STATUS_SINCE,
    "STATUS": GC_AND_STATUS_SINCE,
}
# Twice what the longest ADD has open at once, its undoing included.
_DESCRIPTORS = 32
_WITH_NETNS = frozenset({"ADD", "CHECK", "DEL"})
# Of STATUS: what the host refuses, rather than what is wrong with a configuration.
_UNREADY = frozenset({Code.INTERNAL, Code.IO_FAILURE})
_LENIENT = frozenset({"DEL", "GC"})
_ALWAYS_KNOWN = frozenset(
    {"capabilities", "cni.dev/valid-attachments", "cni.dev/attachments"}
)


class Plugin:
    """A plugin: its CNI type as `name`, its configuration, a function a verb.

    No dataclass: importing those would cost VERSION as much as all the rest.
    """

    def __init__(  # noqa: PLR0913 - the five verbs of the specification
        self,
        name: str,
        *,
        conf: type[NetConf],
        add: Callable[[Request, Any], Result],
        delete: Callable[[Request, Any], None],
        check: Callable[[Request, Any], None],
        gc: Callable[[Request, Any], None],
        status: Callable[[Request, Any], None],
        versions: tuple[str, ...] = SUPPORTED,
        is_ipam: bool = False,
        keeps_records: bool = True,
        scheme: Scheme | chained.Scheme | None = None,
        expect: Callable[[Request, Any], Result] | None = None,
    ) -> None:
        self.name = name
        self.conf = conf
        self.add = add
        self.delete = delete
        self.check = check
        self.gc = gc
        self.status = status
        self.versions = versions
        self.is_ipam = is_ipam
        self.keeps_records = keeps_records
        # How its attachments consist of parts, if they do.
        self.scheme = scheme
        # What ADD of an IPAM plugin would answer now, with nothing leased.
        self.expect = expect

    def call(self, request: Request) -> Result | None:
        """Carry out the verb of `request`; returns the result of ADD, else None.

        The request has been `admitted`.
        """
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
                self._status(request, conf)
        return None

    def _status(self, request: Request, conf: NetConf) -> None:
        if self.keeps_records:
            from cni_common.frame import readiness  # noqa: PLC0415 - for STATUS alone

            readiness.check_records()
        try:
            self.status(request, conf)
        except CNIError as error:
            if error.code not in _UNREADY:
                raise
            raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error

    def _configuration(self, request: Request) -> NetConf:
        from cni_common.spec.model import parse, parse_leniently  # noqa: PLC0415 - expensive

        for key in self.conf.unknown_keys(request.document):
            if key not in _ALWAYS_KNOWN:
                request.log.debug(f"unknown key {key!r} in the network configuration")
        if request.command not in _LENIENT:
            return parse(self.conf, request.document, "network configuration")
        conf, dropped = parse_leniently(self.conf, request.document)
        for key in dropped:
            request.log.warning(f"ignore invalid key {key!r} on {request.command}")
        return conf


def admitted(request: Request, versions: tuple[str, ...]) -> Request:
    """Return the request to be served, before any work.

    Raises Code.INCOMPATIBLE_VERSION unless `versions` and the verb allow the
    configuration's version, and Code.INVALID_NETNS where ADD or CHECK has no namespace
    but the plugin's own.
    """
    _gate_version(request, versions)
    return _settled(request)


def _gate_version(request: Request, versions: tuple[str, ...]) -> None:
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


def _settled(request: Request) -> Request:
    """Return the request without CNI_NETNS if that is the plugin's own.

    The container's namespace is gone then, and its number or path was given to the host
    again, where nothing is the container's. Raises Code.INVALID_NETNS on ADD and CHECK,
    which need one.
    """
    if request.command not in _WITH_NETNS or request.netns_override:
        return request
    if not request.netns or not is_own(request.netns):
        return request
    if request.command == "DEL":
        request.log.warning(f"CNI_NETNS {request.netns} is the host's own")
        return request.without_netns()
    msg = "plugin's netns and netns from CNI_NETNS should not be the same"
    raise CNIError(Code.INVALID_NETNS, msg, request.netns)


def require_descriptors() -> None:
    """Raise Code.INTERNAL unless as many files can be opened as an ADD may need.

    A limit that is met half-way would stop the undoing as well.
    """
    opened: list[int] = []
    try:
        opened.append(os.open("/", os.O_PATH | os.O_CLOEXEC))
        while len(opened) < _DESCRIPTORS:
            opened.append(os.dup(opened[0]))
    except OSError as error:
        cause = cause_of(error)
        details = f"{_DESCRIPTORS} descriptors are needed, {len(opened)} are left"
        raise CNIError(Code.INTERNAL, f"open files: {cause}", details) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
