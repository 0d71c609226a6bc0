# SPDX-License-Identifier: Apache-2.0
"""The CNI_* variables: which verb needs which, and what they may hold (section 2)."""

from __future__ import annotations

import os

from cni_common.spec.characters import is_identifier
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

VERBS = ("ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION")

# Variable -> verbs that cannot do without it, in the order of the reference's message.
_REQUIRED = {
    "CNI_CONTAINERID": ("ADD", "CHECK", "DEL"),
    "CNI_NETNS": ("ADD", "CHECK"),
    "CNI_IFNAME": ("ADD", "CHECK", "DEL"),
    "CNI_PATH": ("GC",),
}
IFNAME_MAX = 15
ALTNAME_MAX = 127


def verb(env: Mapping[str, str]) -> str:
    """Return CNI_COMMAND, or raise Code.INVALID_ENVIRONMENT when it is no verb."""
    command = env.get("CNI_COMMAND", "")
    if command not in VERBS:
        msg = f"unknown CNI_COMMAND: {command}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    return command


def validate(env: Mapping[str, str], command: str) -> None:
    """Raise Code.INVALID_ENVIRONMENT where `command` lacks a valid variable."""
    missing = []
    for name, verbs in _REQUIRED.items():
        if command not in verbs:
            continue
        value = env.get(name, "")
        if not value:
            missing.append(name)
        elif name == "CNI_CONTAINERID":
            validate_container_id(value)
        elif name == "CNI_IFNAME":
            validate_ifname(value)
    if missing:
        msg = f"required env variables [{','.join(missing)}] missing"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)


def validate_container_id(value: str) -> None:
    """Raise Code.INVALID_ENVIRONMENT unless `value` has the form of section 2."""
    if not is_identifier(value):
        msg = "invalid characters in containerID"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, value)


def validate_network_name(value: object) -> str:
    """Return a network's name, or raise Code.INVALID_CONFIG."""
    if not isinstance(value, str) or not value:
        raise CNIError(Code.INVALID_CONFIG, "missing network name")
    if not is_identifier(value):
        msg = "invalid characters found in network name"
        raise CNIError(Code.INVALID_CONFIG, msg, value)
    return value


def validate_existing(value: str) -> None:
    """Raise Code.INVALID_ENVIRONMENT unless a link may be found by `value`.

    Alternative names (ip-link(8), "altname") may be longer than a link's own name.
    """
    validate_ifname(value, ALTNAME_MAX)


def validate_ifname(value: str, longest: int = IFNAME_MAX) -> None:
    """Raise Code.INVALID_ENVIRONMENT unless a link may be called `value`."""
    msg = ""
    details = ""
    encoded = os.fsencode(value)
    if len(encoded) > longest:
        msg = "interface name is too long"
        details = f"interface name should be less than {longest + 1} characters"
    elif value in {".", ".."}:
        msg = "interface name is . or .."
    elif any(c in "/:\0" or c.isspace() for c in value):
        msg = "interface name contains / or : or whitespace characters"
    elif b"\xa0" in encoded:
        # To the kernel, which knows no UTF-8, this byte of "\u00e0" is a space.
        msg = "interface name contains the byte 0xa0, a space to the kernel"
    elif "%" in value:
        msg = "interface name contains %, by which the kernel would number it"
    elif any("\udc80" <= c <= "\udcff" for c in value):
        # A byte of os.environ that is no text. The kernel would take it, but the
        # result is JSON, and no later plugin could tell which link is meant.
        msg = "interface name is not UTF-8"
    if msg:
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, details)
