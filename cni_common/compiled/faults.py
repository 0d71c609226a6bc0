# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a document, in the words of pydantic."""

from __future__ import annotations

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    Location = tuple[int | str, ...]
    # Kind, message, value, context of the message, and where the value is.
    Fault = tuple[str, str, Any, dict[str, Any] | None, Location]


class Faults(Exception):  # noqa: N818 - several, and none that leaves this package
    """Whatever is wrong below one place; `ValidationError` is made of it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults

    def below(self, *place: int | str) -> list[Fault]:
        """Return the faults as they are seen from above `place`."""
        return [(*fault[:4], (*place, *fault[4])) for fault in self.faults]


class ValidationError(ValueError):
    """A document is not what the model asks for."""

    def __init__(self, title: str, faults: list[Fault]) -> None:
        super().__init__(title, faults)
        self.title = title
        self.faults = faults

    def errors(self, *, include_url: bool = False) -> list[dict[str, Any]]:  # noqa: ARG002 - there are none here
        """Return each fault as pydantic does, without addresses of its manual."""
        found = []
        for kind, message, value, context, location in self.faults:
            error = {"type": kind, "loc": location, "msg": message, "input": value}
            found.append(error if context is None else {**error, "ctx": context})
        return found

    def error_count(self) -> int:
        """Return how much is wrong."""
        return len(self.faults)

    def __str__(self) -> str:
        count = f"{len(self.faults)} validation error{'s'[: len(self.faults) - 1]}"
        lines = [f"{count} for {self.title}"]
        for kind, message, value, _, location in self.faults:
            lines += [".".join(map(str, location))] if location else []
            type_name = type(value).__name__
            lines.append(
                f"  {message} [type={kind}, input_value={value!r}, "
                f"input_type={type_name}]"
            )
        return "\n".join(lines)


def fault(kind: str, message: str, value: Any, **context: Any) -> Faults:
    """Return one fault, here, to be raised."""
    return Faults([(kind, message, value, context or None, ())])
