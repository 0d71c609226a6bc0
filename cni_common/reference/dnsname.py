# SPDX-License-Identifier: Apache-2.0
"""What Podman's own dnsname plugin left running: its dnsmasq and its list of names.

It keeps one file, `addnhosts`, for all containers of a network, with an address and
names in each line. Its dnsmasq holds the port that ours needs, so the first ADD takes
the names over; DEL of a container that it attached takes that container's lines away.
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress

from cni_common.kernel import processes
from cni_common.names import host_names, server
from cni_common.spec import cniargs
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.processes import Process
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request

ROOT = "/run/containers/cni/dnsname"
_NAMES = "addnhosts"
_PATIENCE = 5.0


def adopt(network: str, domain: str) -> None:
    """Take over the names that Podman's plugin serves on `network`, for ours to serve.

    Called with the lock of our servers held, before ours is started.
    """
    text = _read(network, _NAMES)
    if text is None:
        return
    kept = ""
    for line in text.splitlines():
        address = _address(line)
        served = host_names.served(line.split()[1:], domain) if address else []
        if served:
            kept += f"{address} {' '.join(served)}\n"
    if kept:
        server.publish(network, server.ADOPTED, kept)
    _end(network)


def delete(request: Request) -> None:
    """Delete the names that Podman's plugin gave to the container of `request`.

    Called with the lock of our servers held.
    """
    network = request.network
    adopted = server.published(network, server.ADOPTED)
    original = _read(network, _NAMES)
    if adopted is not None:
        kept = _others(adopted, request)
        server.publish(network, server.ADOPTED, kept or None)
    if original is not None:
        kept = _others(original, request)
        if not kept:
            _end(network)
        elif kept != original:
            _replace(network, kept)


def _others(text: str, request: Request) -> str:
    """Return the lines of other containers: by address, or without any by name."""
    addresses: set[IPAddress] = set()
    with suppress(CNIError):
        previous = request.prev_result
        addresses = {ip.address.ip for ip in previous.ips} if previous else addresses
    own = cniargs.parse(request.args, strict=False).get("K8S_POD_NAME")

    def is_own(line: str) -> bool:
        if addresses:
            return _address(line) in addresses
        return own is not None and own in line.split()[1:]

    lines = text.splitlines()
    return "".join(f"{line}\n" for line in lines if line.strip() and not is_own(line))


def _replace(network: str, text: str) -> None:
    path = os.path.join(ROOT, network, _NAMES)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)
    for process in _processes(network):
        process.send(processes.SIGHUP)


def _address(line: str) -> IPAddress | None:
    with suppress(ValueError, IndexError):
        return ipaddress.ip_address(line.split(maxsplit=1)[0])
    return None


def _read(network: str, name: str) -> str | None:
    path = os.path.join(ROOT, network, name)
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return None


def _end(network: str) -> None:
    directory = os.path.join(ROOT, network)
    for process in _processes(network):
        process.end(_PATIENCE)
    for name in (_NAMES, "addnhosts.old", "dnsmasq.conf", "pidfile", "lock"):
        with suppress(OSError):
            os.unlink(os.path.join(directory, name))
    with suppress(OSError):
        os.rmdir(directory)


def _processes(network: str) -> Iterator[Process]:
    """Yield its dnsmasq, held, if it is the process whose number was written down."""
    number = (_read(network, "pidfile") or "").strip()
    path = os.path.join(ROOT, network, "dnsmasq.conf")
    with processes.opened(int(number) if number.isdigit() else 0) as process:
        if process is not None and f"--conf-file={path}" in process.arguments():
            yield process
