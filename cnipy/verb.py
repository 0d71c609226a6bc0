# SPDX-License-Identifier: Apache-2.0
"""What a verb of the command is, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from cni_common.spec.values import dataclass

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from cnipy.context import Context
    from cnipy.paper import Paper


class Answer(ABC):
    """What a verb found or did: data, as text for a person or as JSON for a program.

    `status` is the exit status.
    """

    status = 0

    @abstractmethod
    def lines(self, paper: Paper) -> Iterable[str]:
        """Return the text, in lines; `paper` says what it is written on."""

    @abstractmethod
    def document(self) -> Any:
        """Return the JSON document."""


class Lines(Answer):
    """An answer whose text is the same on every paper."""

    def __init__(
        self, document: Any, lines: Iterable[str] = (), status: int = 0
    ) -> None:
        self._document, self._lines = document, lines
        self.status = status

    def lines(self, paper: Paper) -> Iterable[str]:
        """Return the lines."""
        del paper
        return self._lines

    def document(self) -> Any:
        """Return the document."""
        return self._document


def nobody(options: argparse.Namespace) -> bool:
    """Tell that a verb is for root alone, however it is called."""
    del options
    return False


def anybody(options: argparse.Namespace) -> bool:
    """Tell that a verb needs no privilege, however it is called."""
    del options
    return True


@dataclass(frozen=True)
class Verb:
    """What the command line says of a verb, and what carries it out.

    changes: whether it changes the node; add_arguments: its own, beside --json, which
    each verb has; is_for_anybody: whether with such options root need not call it;
    run: carries it out, and raises CNIError or OSError.
    """

    sentence: str
    run: Callable[[Context, argparse.Namespace], Answer]
    changes: bool
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    is_for_anybody: Callable[[argparse.Namespace], bool] = nobody
