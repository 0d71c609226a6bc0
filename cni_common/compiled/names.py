# SPDX-License-Identifier: Apache-2.0
"""`pydantic` in a packed file: what a model says of itself was written down at build.

So markers and decorators say nothing any more, and fields have no values.
"""

from __future__ import annotations

from cni_common.compiled.base import BaseModel
from cni_common.compiled.faults import ValidationError
from cni_common.compiled.validators import ValidationInfo

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F")

ConfigDict = dict


class Marker:
    """Something beside a type."""

    __slots__ = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing is kept."""


AfterValidator = BeforeValidator = PlainSerializer = PlainValidator = Marker
_MARKER = Marker()


def Field(*_: Any, **__: Any) -> Any:  # noqa: N802 - pydantic's name
    """Return what stands where a field says more than its type."""
    return _MARKER


def model_validator(*, mode: str) -> Callable[[F], F]:  # noqa: ARG001 - it is in the schema
    """Leave the method as it is."""
    return lambda method: method


__all__ = [
    "AfterValidator",
    "BaseModel",
    "BeforeValidator",
    "ConfigDict",
    "Field",
    "PlainSerializer",
    "PlainValidator",
    "ValidationError",
    "ValidationInfo",
    "model_validator",
]
