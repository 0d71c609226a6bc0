# SPDX-License-Identifier: Apache-2.0
"""What a text consists of, asked without `re`: its import costs more than a bare start.

A pattern that few calls need is compiled, and `re` imported, at its first use.
"""

from __future__ import annotations

from functools import cached_property

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Any

DIGITS = "0123456789"
HEX = f"{DIGITS}abcdef"
LOWER = "abcdefghijklmnopqrstuvwxyz"
LETTERS = f"{LOWER}{LOWER.upper()}"
ALPHANUMERIC = LETTERS + DIGITS


def consists_of(text: str, characters: str) -> bool:
    """Tell whether `text` has characters, and only those."""
    return bool(text) and not text.strip(characters)


def is_directory(path: str) -> bool:
    """Tell whether `path` may be a directory: absolute, and leading nowhere else."""
    return path.startswith("/") and "\0" not in path and ".." not in path.split("/")


def is_identifier(text: str) -> bool:
    """Tell whether `text` is of the form of container IDs and networks' names."""
    return consists_of(text[:1], ALPHANUMERIC) and consists_of(
        text, ALPHANUMERIC + "_.-"
    )


def is_hex_groups(text: str, separator: str, count: int, digits: int) -> bool:
    """Tell whether `text` is so many groups of lower-case hexadecimal digits."""
    groups = text.split(separator)
    return len(groups) == count and all(
        len(group) == digits and consists_of(group, HEX) for group in groups
    )


def is_port(text: str) -> bool:
    """Tell whether `text` is a number of at most five digits."""
    return len(text) <= 5 and consists_of(text, DIGITS)  # noqa: PLR2004 - said above


def is_mac(text: str) -> bool:
    """Tell whether `text` is a 48 bit address as the kernel's tools print it."""
    return is_hex_groups(text, ":", 6, 2)


class Pattern:
    """A regular expression for what few calls need."""

    def __init__(self, text: str, *, multiline: bool = False) -> None:
        self._text = f"(?m){text}" if multiline else text

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        import re  # noqa: PLC0415 - see the module

        return re.compile(self._text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """Return how the pattern matches the whole text."""
        return self._compiled.fullmatch(text)

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first match within the text."""
        return self._compiled.search(text)

    def findall(self, text: str) -> list[Any]:
        """Return all matches, or their groups."""
        return self._compiled.findall(text)

    def sub(self, by: str | Callable[[re.Match[str]], str], text: str) -> str:
        """Return the text with each match replaced."""
        return self._compiled.sub(by, text)

    def split(self, text: str) -> list[Any]:
        """Return what stands between matches."""
        return self._compiled.split(text)
