# SPDX-License-Identifier: Apache-2.0
"""Real requests between namespaces: a socket belongs to where it was made."""

from __future__ import annotations

import ipaddress
import socket
import threading

from cni_common.kernel import netns
from cni_common.kernel.sockets import FAMILY

TIMEOUT = 3.0  # seconds
LONGEST = 4096  # bytes
HOST = ""


def serve(namespace: str, name: str, port: int = 80) -> None:
    """Answer on a TCP port of the namespace at a path, on both families.

    The answer says who answered, and which peer address was seen.
    """
    with netns.entered_path(namespace):
        listening = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True
        )
    threading.Thread(target=_answer, args=(listening, name), daemon=True).start()


def request(namespace: str, address: str, port: int) -> tuple[str, str]:
    """Return (who answered, peer seen there) for a request out of a namespace.

    `namespace` is a path, or HOST for the one we are in. Raises OSError.
    """
    family = FAMILY[ipaddress.ip_address(address).version]
    if namespace == HOST:
        asking = socket.socket(family)
    else:
        with netns.entered_path(namespace):
            asking = socket.socket(family)
    with asking:
        asking.settimeout(TIMEOUT)
        asking.connect((address, port))
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while part := asking.recv(LONGEST):
            answer += part
    name, _, peer = answer.partition(b"\r\n\r\n")[2].decode().strip().partition(" ")
    return name, peer


def _answer(listening: socket.socket, name: str) -> None:
    while True:
        asking, peer = listening.accept()
        seen = ipaddress.ip_address(peer[0])
        mapped = getattr(seen, "ipv4_mapped", None)
        with asking:
            asking.recv(LONGEST)
            body = f"{name} {mapped or seen}\n"
            asking.sendall(f"HTTP/1.0 200 OK\r\n\r\n{body}".encode())
