# SPDX-License-Identifier: Apache-2.0
"""One container's place in one network, as a runtime describes it (section 3)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_IFNAME = "eth0"
NAMED = "/run/netns"  # where ip-netns(8) has its names
DIGITS = 20


@dataclass(frozen=True)
class Attachment:
    """Container ID, path of its netns, link name, CNI_ARGS pairs, capability values."""

    container_id: str
    netns: str
    ifname: str
    args: tuple[tuple[str, str], ...] = ()
    capability_args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cni_args(self) -> str:
        """The pairs in the form of CNI_ARGS."""
        return ";".join(f"{key}={value}" for key, value in self.args)


def container_id_of(netns: str) -> str:
    """Return cnitool's container ID for the absolute path `netns`."""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, and the warm server comes by here

    return "cnitool-" + hashlib.sha512(os.fsencode(netns)).hexdigest()[:DIGITS]


def from_environment(netns: str, env: Mapping[str, str]) -> Attachment:
    """Return the attachment that cnitool's variables describe.

    CNI_IFNAME, CNI_ARGS and CAP_ARGS (a JSON object) are read. Raises
    Code.INVALID_ENVIRONMENT for a variable that cannot be understood.
    """
    path = path_of(netns)
    return Attachment(
        container_id=container_id_of(path),
        netns=path,
        ifname=env.get("CNI_IFNAME", DEFAULT_IFNAME),
        args=_pairs(env.get("CNI_ARGS", "")),
        capability_args=_capability_args(env.get("CAP_ARGS", "")),
    )


def path_of(netns: str) -> str:
    """Return the absolute path of a namespace: of a name, a process ID, or a path."""
    if "/" in netns:
        return os.path.abspath(netns)
    path = os.path.join(NAMED, netns)
    if netns.isdecimal() and not os.path.lexists(path):
        return f"/proc/{netns}/ns/net"
    return path


def check_exists(netns: str, attachment: Attachment) -> None:
    """Raise Code.INVALID_NETNS, saying which names there are, if `netns` is a name of
    none.

    A path is left to the plugins, as the runtimes leave it.
    """
    if "/" in netns or os.path.lexists(attachment.netns):
        return
    try:
        there = sorted(os.listdir(NAMED))
    except FileNotFoundError:
        there = []
    msg = f"find network namespace {netns}: there is no {attachment.netns}"
    if netns.isdecimal():
        raise CNIError(Code.INVALID_NETNS, msg, "no process has this ID")
    hint = f"`ip netns add {netns}` makes it; there are: {' '.join(there) or 'none'}"
    raise CNIError(Code.INVALID_NETNS, msg, hint)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.split(";") if text else []:
        key, _, value = part.partition("=")
        if not key or not value or "=" in value:
            msg = f"parse CNI_ARGS: invalid pair {part!r}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
        pairs.append((key, value))
    return tuple(pairs)


def _capability_args(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"parse CAP_ARGS: {error}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg) from error
    if not isinstance(document, dict):
        msg = "parse CAP_ARGS: not a JSON object"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    return document
