# SPDX-License-Identifier: Apache-2.0
"""The error object and its codes (CNI spec 1.1.0, section 5, "Error")."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Error codes; those below 100 are the specification's."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODE_FAILURE = 6
    INVALID_CONFIG = 7
    INVALID_NETNS = 8
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    LIMITED_CONNECTIVITY = 51
    INTERNAL = 999


class CNIError(Exception):
    """A failure as the runtime will see it.

    code: number of the error, msg: "verb object: cause", details: what helps
    beyond that (may be empty).
    """

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code = int(code)
        self.msg = msg
        self.details = details

    def __str__(self) -> str:
        return f"{self.msg}: {self.details}" if self.details else self.msg

    def document(self, cni_version: str) -> dict[str, object]:
        """Return the error object in the form that goes to stdout."""
        document: dict[str, object] = {
            "cniVersion": cni_version,
            "code": self.code,
            "msg": self.msg,
        }
        if self.details:
            document["details"] = self.details
        return document
