# SPDX-License-Identifier: Apache-2.0
"""One question by HTTP answered: GET /metrics is what `cnipy metrics` prints.

Imported by the process that answers, and by no server: what it imports brings OpenSSL.
"""

from __future__ import annotations

import io
import os
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from cnipy.exposition import CONTENT_TYPE

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import socket

    from launcher.served import Main

_PATHS = ("/", "/metrics")


def answer(connection: socket.socket, archive: str, main: Main) -> None:
    """Read a question and write the answer; raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        """What is asked, and by whom does not matter: root alone can connect."""

        server_version, sys_version = "cnipy", ""

        def do_GET(self) -> None:
            """Answer with the measurements, or why there are none."""
            self._answer()

        def do_HEAD(self) -> None:
            """Answer with the head alone."""
            self._answer(is_whole=False)

        def log_message(self, *_: object) -> None:
            """Write no log."""

        def _answer(self, *, is_whole: bool = True) -> None:
            if self.path.partition("?")[0] not in _PATHS:
                self.send_error(HTTPStatus.NOT_FOUND, explain="ask for /metrics")
                return
            status, text = _measured(archive, main)
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if is_whole:
                self.wfile.write(text)

    Handler(connection, ("", 0), None)  # type: ignore[arg-type] # no server is behind it


def _measured(archive: str, main: Main) -> tuple[HTTPStatus, bytes]:
    """Return what the command prints; where it fails, what it says."""
    stdout, stderr = io.BytesIO(), io.StringIO()
    command = os.path.join(os.path.dirname(archive), "cnipy")
    words = [command, "metrics"]
    if main(words, dict(os.environ), io.BytesIO(), stdout, stderr) != 0:
        return HTTPStatus.INTERNAL_SERVER_ERROR, stderr.getvalue().encode()
    return HTTPStatus.OK, stdout.getvalue()
