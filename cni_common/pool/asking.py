# SPDX-License-Identifier: Apache-2.0
"""Asks the agent of the node for another block of a pool.

A line of JSON each way on a socket of root's. The agent claims the block and writes the
file of `held` before it answers, so that nothing is lost with an answer that nobody
waits for.
"""

from __future__ import annotations

import errno
import os
import time
from _socket import (
    AF_UNIX,
    SO_PEERCRED,
    SOCK_CLOEXEC,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from cni_common import shapes
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code, cause_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.shapes import Table

SOCKET = "/run/cnipy/net.sock"
_ANSWER_MAX = 1 << 16  # bytes
_CREDENTIALS = 12  # bytes: pid, uid and gid (unix(7))
_REFUSED: Table = {
    "code": (shapes.number, 0),
    "msg": (shapes.text, shapes.REQUIRED),
    "details": (shapes.text, ""),
}
_ANSWER: Table = {
    "blocks": (shapes.listed(shapes.network), ()),
    "error": (shapes.table(_REFUSED), None),
}
_START = "start the agent: `systemctl start cnipy-net`, or `cnipy net agent`"
_WHY = "`cnipy net status` says why"


def for_block(network: str, version: int, held: int, *, seconds: float) -> None:
    """Have the agent claim another block of a family, in the file on return.

    `held` is how many blocks of the family the caller has seen there: none is claimed
    if there are more by now. Raises Code.TRY_AGAIN_LATER with what keeps the agent from
    it, or the caller from the agent for so many seconds.
    """
    deadline = time.monotonic() + seconds
    try:
        line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        try:
            line.settimeout(seconds)
            _send(line, network, version, held, seconds=seconds)
            answer = _line_of(line, deadline)
        finally:
            line.close()
    except TimeoutError as error:
        msg = f"ask the agent at {SOCKET}: it did not answer within {seconds:.3g} s"
        raise CNIError(Code.TRY_AGAIN_LATER, msg, _WHY) from error
    except OSError as error:
        msg = f"ask the agent at {SOCKET}: {cause_of(error)}"
        raise CNIError(Code.TRY_AGAIN_LATER, msg, _START) from error
    _refuse_refusal(answer)


def without_waiting(network: str, version: int, held: int) -> str:
    """Ask the same, and wait for nothing; return why that was not possible, if so."""
    try:
        line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        try:
            line.setblocking(False)
            _send(line, network, version, held)
        finally:
            line.close()
    except OSError as error:
        return f"ask the agent at {SOCKET}: {cause_of(error)}"
    return ""


def _send(
    line: socket, network: str, version: int, held: int, *, seconds: float = 0.0
) -> None:
    """Ask on a new connection; raises OSError, also if another user listens there.

    The agent is told for how long the answer is waited for: it says why there is none
    before nobody listens any more.
    """
    line.connect(SOCKET)
    credentials = line.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS)
    uid = int.from_bytes(credentials[4:8], "little")
    if uid != os.geteuid():
        raise PermissionError(errno.EACCES, f"user {uid} listens there")
    asked = {"ask": "block", "network": network, "family": version, "held": held}
    asked |= {"seconds": seconds} if seconds else {}
    line.sendall(f"{json_text.dumps(asked)}\n".encode())


def _line_of(line: socket, deadline: float) -> bytes:
    """Return what comes up to the end of a line, or of the connection."""
    found = b""
    while not found.endswith(b"\n"):
        line.settimeout(max(deadline - time.monotonic(), 1e-3))
        part = line.recv(_ANSWER_MAX)
        found += part
        if not part or len(found) > _ANSWER_MAX:
            break
    return found


def _refuse_refusal(answer: bytes) -> None:
    """Raise Code.TRY_AGAIN_LATER unless an answer of the agent has blocks."""
    try:
        document = shapes.members(shapes.mapping(json_text.loads(answer)), _ANSWER)
    except (ValueError, RecursionError) as error:
        msg = f"ask the agent at {SOCKET}: its answer is none: {error}"
        raise CNIError(Code.TRY_AGAIN_LATER, msg) from error
    refused = document["error"]
    if refused is not None:
        raise CNIError(Code.TRY_AGAIN_LATER, refused["msg"], refused["details"])
