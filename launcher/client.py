# SPDX-License-Identifier: Apache-2.0
"""Hand a call to the warm server, if there is one that may serve it.

Runs at every start, so it imports nothing that is not compiled into the interpreter.
Whatever is not as expected before the server has accepted means a cold start, silently
and soon; after that the call is the server's, and its loss is an error. Nothing is
handed over before the server has shown that it is awake: the descriptors would stay in
its queue, and whoever waits for the end of our stdout would wait for the server.
"""

import posix
import sys

SOCKET = "/run/cnipy/warm.sock"
WAIT = b"W"
READY = b"R"
ACCEPTED = b"A"
WORD = 4  # bytes of what C calls an int
INIT = 1  # systemd's process ID; where we do not see the process, the kernel says 0
# Verbs of the command that a server may carry out: a person waits for them.
CHANGES = ("publish", "unpublish", "limit", "rename", "alias")
PATIENCE = 1.0  # seconds, for a server that is there and says nothing
PATIENCE_BEFORE = 0.02  # seconds, where systemd listens and may just be starting one
PATIENCE_IN_A_RUSH = 5.0  # seconds, for one that has said that a child will come


def call(build: str, argv: list[str], path: str = SOCKET) -> int | None:
    """Return the exit status of the call `argv`, or None when it must start cold."""
    try:
        posix.stat(path)
        import _socket

        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        connection.connect(path)
        size = 3 * WORD
        seen = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, size)
        connection.settimeout(_patience(seen))
        told = connection.recv(1)
        if told == WAIT:
            connection.settimeout(PATIENCE_IN_A_RUSH)
            told = connection.recv(1)
        if told != READY:
            return None
        connection.settimeout(None)
        text, descriptors = _handed_over(build, argv)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)]
        sent = connection.sendmsg([text], rights)
        # Not even nothing is sent after the last byte: the call may be over by then,
        # and a broken pipe would be taken for a server that never accepted it.
        if sent < len(text):
            connection.sendall(text[sent:])
        if connection.recv(1) != ACCEPTED:
            return None
    except (OSError, ImportError):
        return None
    try:
        status = connection.recv(1)
    except OSError:
        status = b""
    if status in (b"0", b"1", b"2"):
        return int(status)
    return _lost_command() if argv[0].endswith("/cnipy") else _lost()


def _patience(credentials: bytes) -> float:
    """Return for how long to wait for the first word of the process that listens.

    Raises OSError when it is a stranger's, or does not live any more.
    """
    pid, uid = (
        int.from_bytes(credentials[at : at + WORD], sys.byteorder) for at in (0, WORD)
    )
    if uid not in {0, posix.geteuid()}:
        raise PermissionError
    if pid <= INIT:
        return PATIENCE_BEFORE
    posix.kill(pid, 0)
    return PATIENCE


def request(build: str, argv: list[str], env: dict[bytes, bytes], umask: int) -> bytes:
    """Return the text of a call: its length, then its parts with NUL between them."""
    parts = [build.encode(), b"%d" % umask, b"%d" % len(argv)]
    parts += [part.encode("utf-8", "surrogateescape") for part in argv]
    parts += [name + b"=" + value for name, value in env.items()]
    text = b"\0".join(parts)
    return len(text).to_bytes(4, "big") + text


def _handed_over(build: str, argv: list[str]) -> tuple[bytes, bytes]:
    """Return the text of the call, and descriptors: streams, directory, lifeline.

    The lifeline is a pipe whose other end stays here: it hangs up when we die.
    """
    umask = posix.umask(0o077)
    posix.umask(umask)
    directory = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    lifeline, _ = posix.pipe()
    numbers = (0, 1, 2, directory, lifeline)
    descriptors = b"".join(number.to_bytes(WORD, sys.byteorder) for number in numbers)
    return request(build, argv, posix.environ, umask), descriptors


def _lost_command() -> int:
    """Say the same to a person."""
    text = b"cnipy: serve warm call: the server ended before the call did: try again\n"
    try:
        posix.write(2, text)
    except OSError:
        return 1
    return 1


def _lost() -> int:
    """The server took the call and went away: say so, as the one document."""
    document = (
        b'{"cniVersion": "1.1.0", "code": 11, "msg": "serve warm call: '
        b'the server ended before the call did", '
        b'"details": "call DEL, then try again"}\n'
    )
    try:
        posix.write(1, document)
    except OSError:
        return 1
    return 1
