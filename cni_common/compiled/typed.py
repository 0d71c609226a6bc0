# SPDX-License-Identifier: Apache-2.0
"""`cni_common.spec.typed` in a packed file, where nobody reads what stands in `[]`."""

from __future__ import annotations


class Annotated:
    """Stands for its first argument."""

    def __class_getitem__(cls, arguments: tuple[object, ...]) -> object:
        return arguments[0]


class Literal:
    """Stands for text."""

    def __class_getitem__(cls, _: object) -> type[str]:
        return str


Any = ClassVar = object

__all__ = ["Annotated", "Any", "ClassVar", "Literal"]
