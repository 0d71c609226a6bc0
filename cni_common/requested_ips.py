# SPDX-License-Identifier: Apache-2.0
"""The addresses that somebody asked for in CNI_ARGS (CONVENTIONS.md)."""

from __future__ import annotations

from cni_common.spec import cniargs
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from cni_common.spec.request import Request

    T = TypeVar("T")


def of_args(request: Request, key: str, read: Callable[[object], T]) -> list[T]:
    """Return the values of `key` in CNI_ARGS, separated there by commas.

    `read` makes a value of its text, or raises ValueError. Raises
    Code.INVALID_ENVIRONMENT for a text that it refuses, and for a malformed CNI_ARGS.
    """
    text = cniargs.parse(request.args).get(key)
    if not text:
        return []
    try:
        return [read(item.strip()) for item in text.split(",")]
    except ValueError as error:
        msg = f"parse CNI_ARGS: {key}: {error}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg) from error
