# SPDX-License-Identifier: Apache-2.0
"""What the command asks the agent of this node."""

from __future__ import annotations

import socket

from cni_common import shapes
from cni_common.pool.asking import SOCKET
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code, cause_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

# Seconds: an agent answers what waits for its store by itself, and at once how it is.
_WAIT, _STATUS_WAIT = 30.0, 5.0


def ask(what: str) -> dict[str, Any] | None:
    """Return what the agent answers; None where no agent runs.

    Raises the CNIError that it answers, and Code.TRY_AGAIN_LATER where it does not.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_STATUS_WAIT if what == "status" else _WAIT)
            line.connect(SOCKET)
            line.sendall(f"{json_text.dumps({'ask': what})}\n".encode())
            with line.makefile("rb") as answers:
                answer = answers.readline()
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        msg = f"ask the agent at {SOCKET}: {cause_of(error)}"
        raise CNIError(Code.TRY_AGAIN_LATER, msg) from error
    try:
        document = shapes.mapping(json_text.loads(answer))
        refusal = document.get("error")
        if refusal is not None:
            told = shapes.mapping(refusal)
            texts = [shapes.text(told.get(key, "")) for key in ("msg", "details")]
            raise CNIError(shapes.number(told.get("code")), *texts)
    except (ValueError, RecursionError) as error:
        msg = f"ask the agent at {SOCKET}: its answer is none: {error}"
        raise CNIError(Code.TRY_AGAIN_LATER, msg) from error
    return document
