# SPDX-License-Identifier: Apache-2.0
"""Requests over the wire and the small servers that answer them."""

import sys

from lab import PATIENCE

from tests.runtimes.sandbox.machine import Sandbox, wait_for

PAGE = "hello\n"
HOST = "10.99.0.1"
HOST6 = "fd99::1"
CLIENT = "10.99.0.2"
CLIENT6 = "fd99::2"
# Answers each TCP request with the address the request came from.
ECHO_SOURCE = """
import http.server, socket, socketserver, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    server_bind = socketserver.TCPServer.server_bind  # asks no DNS for our own name
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].removeprefix("::ffff:").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
Server(("::", int(sys.argv[1])), Page).serve_forever()
"""
# Sends every UDP datagram back to its sender.
ECHO_UDP = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", int(sys.argv[1])))
while True:
    s.sendto(*s.recvfrom(2048))
"""
ASK_UDP = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[3]))
s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
print(s.recv(99).decode())
"""
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c")


def fetch(
    sandbox: Sandbox, url: str, netns: str | None = None, seconds: float = 8
) -> str:
    """Return the page, or an empty string when there is no answer in time.

    What curl says of it stands in the test's captured output.
    """
    limit = str(seconds * PATIENCE)
    words = ["curl", "-sS", "-g", "-m", limit, "--noproxy", "*", url]
    asked = sandbox.run(*words, netns=netns, check=False)
    if asked.stderr:
        sys.stderr.write(f"{url}: {asked.stderr.strip()}\n")
    return asked.stdout


def ask_udp(sandbox: Sandbox, host: str, port: int, netns: str | None = None) -> str:
    """Return the datagram that comes back, or an empty string after 1.5 s."""
    words = [*PYTHON, ASK_UDP, host, str(port), str(1.5 * PATIENCE)]
    return sandbox.run(*words, netns=netns, check=False).stdout.strip()


def serve_page(sandbox: Sandbox, netns: str, port: int = 80) -> None:
    """`hello` is served over HTTP in the network namespace."""
    sandbox.write("/run/lab/www/index.html", PAGE)
    words = ["busybox", "httpd", "-f", "-p", str(port), "-h", "/run/lab/www"]
    start(sandbox, f"page-{netns}-{port}", netns, port, words)


def serve_source(sandbox: Sandbox, netns: str, port: int = 8000) -> None:
    """The network namespace tells each HTTP client from which address it came."""
    words = [*PYTHON, ECHO_SOURCE, str(port)]
    start(sandbox, f"source-{netns}-{port}", netns, port, words)


def serve_udp(sandbox: Sandbox, netns: str, port: int) -> None:
    """The network namespace sends datagrams to this port back."""
    words = [*PYTHON, ECHO_UDP, str(port)]
    start(sandbox, f"udp-{netns}-{port}", netns, port, words)


def start(sandbox: Sandbox, name: str, netns: str, port: int, words: list[str]) -> None:
    """The server runs and its port is bound."""
    sandbox.start(name, *words, netns=netns)
    command = ["ss", "-Hlnut", "sport", "=", f":{port}"]
    wait_for(lambda: bool(sandbox.run(*command, netns=netns).stdout), name)
