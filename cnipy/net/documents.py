# SPDX-License-Identifier: Apache-2.0
"""Documents that others wrote to the store: read as a whole, or refused by name."""

from __future__ import annotations

from cni_common import shapes
from cni_common.spec import json_text

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.shapes import Table

VERSION = 1


class RecordError(Exception):
    """Something in the store is not to be used; the text says what, whose, and why."""

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what}: {cause}")
        self.what = what
        self.cause = cause


def read(content: bytes, what: str, longest: int) -> object:
    """Return the document in a value of `longest` bytes at most; raises RecordError."""
    if len(content) > longest:
        raise RecordError(what, f"it has {len(content)} bytes, more than {longest}")
    try:
        return json_text.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordError(what, str(error)) from error


def members(document: object, table: Table, what: str) -> dict[str, Any]:
    """Return the members of a document of this version; raises RecordError."""
    try:
        version = shapes.number(shapes.mapping(document).get("v"))
        if version != VERSION:
            raise RecordError(what, f"v: version {version} is unknown to this release")
        return shapes.members(shapes.mapping(document), table)
    except ValueError as error:
        raise RecordError(what, str(error)) from error
