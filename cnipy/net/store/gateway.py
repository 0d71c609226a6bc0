# SPDX-License-Identifier: Apache-2.0
"""Questions to etcd by its JSON gateway, to whichever member answers.

Every method of etcd's API has a path below /v3/, to which a document is sent (etcd's
documentation, "Why gRPC gateway"). Texts are bytes in base64 there, numbers are texts,
and what is zero or empty is left out.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from http.client import HTTPException

from cni_common.spec import json_text
from cni_common.spec.values import dataclass
from cnipy.net.store import tls
from cnipy.net.store.connection import Resolver, connect
from cnipy.net.store.errors import AwayError, DeniedError, StoreError
from cnipy.net.store.settings import secret

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from http.client import HTTPResponse
    from typing import Any

    from cnipy.net.store.connection import Connection
    from cnipy.net.store.settings import Endpoint, Settings

_ANSWER_MAX = 64 << 20  # bytes
_PART = 1 << 16
_OK = 200
# Of gRPC.
_CANCELLED, _DEADLINE, _NOT_FOUND, _DENIED, _EXHAUSTED = 1, 4, 5, 7, 8
_UNAVAILABLE, _NOBODY = 14, 16
# What one member says and the next may not: it has no leader, or is about to stop.
_OF_THE_MEMBER = {_CANCELLED, _DEADLINE, _UNAVAILABLE}
_BUSY = "too many requests"
# A token is forgotten after minutes, with its member, and when a right changes.
_OLD_TOKEN = ("invalid auth token", "revision of auth store is old")
_NEEDS_RIGHTS = ("user name is empty", *_OLD_TOKEN)
_CLIENT_NAME = "CommonName of client"


class RefusedError(StoreError):
    """etcd refuses; `code` is that of gRPC."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_absence(self) -> bool:
        """Tell whether what was asked for is not there."""
        return self.code == _NOT_FOUND


class _SilentError(Exception):
    """A member does not answer, or not to the point."""


@dataclass
class _Question:
    """What is asked, and until when the answer is there at the latest.

    `repeated`: a member may have carried it out.
    """

    path: str
    content: bytes
    until: float
    repeated: bool = False


class Gateway:
    """The members of etcd. The one that answered last is asked first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._members = list(settings.endpoints)
        random.shuffle(self._members)  # so that nodes spread over them
        self._resolver = Resolver()
        self._idle: list[tuple[Endpoint, Connection]] = []
        self._lock = threading.Lock()
        self._token = ""

    def ask(self, path: str, document: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return the answer, and whether an earlier attempt may have been carried out.

        Raises AwayError if no member answers within the deadline, DeniedError for lack
        of rights, and RefusedError.
        """
        until = time.monotonic() + self._settings.deadline
        question = _Question(path, json_text.dumps(document).encode(), until)
        causes: list[str] = []
        for member in tuple(self._members):
            if time.monotonic() >= until:
                causes.append(f"{member}: no time was left")
                continue
            try:
                answer = self._ask_as_user(member, question)
            except _SilentError as silence:
                causes.append(f"{member}: {silence}")
                continue
            if causes:
                self._prefer(member)
            return answer, question.repeated
        raise AwayError(path.rpartition("/")[2], causes)

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _prefer(self, member: Endpoint) -> None:
        with self._lock:
            place = self._members.index(member)
            self._members = self._members[place:] + self._members[:place]

    def _ask_as_user(self, member: Endpoint, question: _Question) -> dict[str, Any]:
        if not self._settings.user:
            try:
                return self._ask_once(member, question)
            except DeniedError as error:
                msg = f"{error}: [store] has no user, so this node asks as nobody"
                raise DeniedError(msg) from error
        token = self._token or self._authenticate(member, question.until)
        try:
            return self._ask_once(member, question, token)
        except DeniedError as error:
            if not any(each in str(error) for each in _OLD_TOKEN):
                msg = f"{error}, for user {self._settings.user}"
                raise DeniedError(msg) from error
        token = self._authenticate(member, question.until)
        return self._ask_once(member, question, token)

    def _authenticate(self, member: Endpoint, until: float) -> str:
        settings = self._settings
        password = secret(settings.password_file)
        document = {"name": settings.user, "password": password}
        content = json_text.dumps(document).encode()
        question = _Question("/v3/auth/authenticate", content, until)
        try:
            answer = self._ask_once(member, question)
        except RefusedError as error:
            raise DeniedError(f"authenticate {settings.user}: {error}") from error
        self._token = str(answer.get("token", ""))
        return self._token

    def _ask_once(
        self, member: Endpoint, question: _Question, token: str = ""
    ) -> dict[str, Any]:
        # A member has so long to begin its answer, and then the rest of the time.
        begins = min(question.until, time.monotonic() + self._settings.attempt)
        kept = self._take(member)
        if kept:
            # A member closes a connection that nobody used for a while.
            with suppress(ConnectionError):
                return self._exchange(member, kept, question, begins, token)
        try:
            new = connect(member, self._settings, self._resolver, begins)
            return self._exchange(member, new, question, begins, token)
        except OSError as error:
            raise _SilentError(tls.words(error, self._settings)) from error

    def _take(self, member: Endpoint) -> Connection | None:
        with self._lock:
            for place, (of, connection) in enumerate(self._idle):
                if of == member:
                    del self._idle[place]
                    return connection
        return None

    def _exchange(
        self,
        member: Endpoint,
        connection: Connection,
        question: _Question,
        begins: float,
        token: str,
    ) -> dict[str, Any]:
        """Return the answer on a connection, which is kept.

        Raises ConnectionError if it was closed, _SilentError, and what is answered.
        """
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = token
        try:
            connection.line.until = begins
            connection.request("POST", question.path, question.content, headers)
            response = connection.getresponse()
            connection.line.until = question.until
            status, body = response.status, _body(response)
        except (OSError, HTTPException) as error:
            question.repeated = True
            connection.close()
            if isinstance(error, ConnectionError):
                raise
            raise _SilentError(tls.words(error, self._settings)) from error
        # After "Connection: close", as of a member that is being stopped, it has none.
        if connection.sock is not None:
            with self._lock:
                self._idle.append((member, connection))
        try:
            return _understood(status, body)
        except _SilentError:
            question.repeated = True
            raise


def _body(response: HTTPResponse) -> bytes:
    parts, size = [], 0
    while part := response.read(_PART):
        parts.append(part)
        size += len(part)
        if size > _ANSWER_MAX:
            raise HTTPException(f"an answer of more than {_ANSWER_MAX} bytes")
    return b"".join(parts)


def _understood(status: int, body: bytes) -> dict[str, Any]:
    """Return the document of an answer; raises what it says."""
    text = body.decode("utf-8", "replace")
    try:
        document = json_text.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        if _CLIENT_NAME in text:
            raise DeniedError(
                "etcd's gateway takes no certificate with a common name from a node: "
                "it is to have none in its subject (docs/many-nodes.md)"
            )
        raise _SilentError(f"status {status}, {text.strip()[:100]!r}")
    if status != _OK or "error" in document:
        # Of a stream, an error is an object.
        error = document.get("error")
        error = error if isinstance(error, dict) else document
        message = str(error.get("message", ""))[:300]
        raise _refusal(message, error.get("code", error.get("grpc_code")))
    return document


def _refusal(message: str, code: object) -> Exception:
    code = code if isinstance(code, int) else 0
    if code in _OF_THE_MEMBER or _BUSY in message:
        return _SilentError(message)
    if code in {_DENIED, _NOBODY} or message.endswith(_NEEDS_RIGHTS):
        return DeniedError(message)
    if code == _EXHAUSTED:
        return RefusedError(f"{message}: compact and defragment it", _EXHAUSTED)
    return RefusedError(message, code)
