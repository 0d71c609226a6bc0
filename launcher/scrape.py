# SPDX-License-Identifier: Apache-2.0
"""A socket beside that of calls, where the warm server has measurements told by HTTP.

Who asks gets a process of its own, which ends with the answer: the server stays as
small as it is, and waits for nobody.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from cni_common import own_socket

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from typing import NoReturn

    from launcher.served import Main

NAME = "metrics.sock"
BACKLOG = 128
PATIENCE = 30  # seconds for a question and its answer


class Window:
    """The listening socket, of systemd's or at `path`, and who answers there."""

    def __init__(
        self, given: socket.socket | None, path: str, archive: str, main: Main
    ) -> None:
        """Listen. Raises OSError, FileExistsError where another server does."""
        self._path = "" if given else path
        self.listener = given or own_socket.listen(path, BACKLOG)
        self._bound = os.lstat(path) if not given else None
        self.listener.setblocking(False)
        self._archive, self._main = archive, main

    def answer(self, others: Iterable[socket.socket]) -> None:
        """Have the next question answered; `others` are what its process must close."""
        with suppress(OSError):  # who asks asks again
            connection, _ = self.listener.accept()
            with connection:
                if os.fork() == 0:
                    self._answer(connection, others)

    def close(self) -> None:
        """Listen no more; what systemd listens at stays."""
        self.listener.close()
        if self._bound is not None:
            own_socket.remove_if(self._path, self._bound)

    def _answer(
        self, connection: socket.socket, others: Iterable[socket.socket]
    ) -> NoReturn:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            for each in (self.listener, *others):
                each.close()
            connection.setblocking(True)
            from launcher.http_answer import answer  # for a process that ends

            answer(connection, self._archive, self._main)
        except BaseException:  # noqa: BLE001 - nobody else would tell of it
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(0)


def beside(
    path: str, passed: list[socket.socket], archive: str, main: Main
) -> Window | None:
    """Return the window of the server that listens at `path`.

    None where another server has the place, or nobody can listen there: calls are
    served all the same.
    """
    with suppress(OSError):
        given = next((each for each in passed if is_window(each)), None)
        place = os.path.join(os.path.dirname(path), NAME)
        return Window(given, place, archive, main)
    return None


def is_window(listener: socket.socket) -> bool:
    """Tell whether a socket that systemd passed is for questions."""
    return os.path.basename(str(listener.getsockname())) == NAME
