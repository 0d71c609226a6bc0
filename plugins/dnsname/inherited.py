# SPDX-License-Identifier: Apache-2.0
"""What Podman's own dnsname plugin left running: its dnsmasq and its list of names.

It keeps one file, `addnhosts`, for all containers of a network, with an address and
names in each line. Its dnsmasq holds the port that ours needs, so the first ADD takes
the names over; DEL of a container that it attached takes that container's lines away.
"""

from __future__ import annotations

import ipaddress
import os
import signal
from contextlib import suppress

from cni_common.kernel import processes
from cni_common.spec import cniargs, gojson
from plugins.dnsname import names, server

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.processes import Process
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request

ROOT = "/run/containers/cni/dnsname"
_FILES = ("addnhosts", "addnhosts.old", "dnsmasq.conf", "pidfile", "lock")
_PATIENCE = 5.0


def adopt(network: str, domain: str) -> None:
    """Have the names that Podman's plugin serves on `network` served by ours.

    Called with the lock of our servers held, before ours is started.
    """
    lines = _read(os.path.join(_directory(network), _FILES[0]))
    if lines is None:
        return
    kept = []
    for line in lines:
        address = _address(line)
        served = names.served(line.split()[1:], domain) if address else []
        if served:
            kept.append(f"{address} {' '.join(served)}\n")
    if kept:
        server.publish_inherited(network, "".join(kept))
    _end(network)


def forget(request: Request) -> None:
    """Have no name that Podman's plugin gave to the container of `request`."""
    with server.lock():
        _forget_adopted(request)
        _forget_original(request)


def _forget_adopted(request: Request) -> None:
    text = server.inherited(request.network)
    if text is None:
        return
    kept = _others(text.splitlines(), request)
    server.publish_inherited(request.network, "".join(f"{line}\n" for line in kept))


def _forget_original(request: Request) -> None:
    path = os.path.join(_directory(request.network), _FILES[0])
    lines = _read(path)
    if lines is None:
        return
    kept = _others(lines, request)
    if not kept:
        _end(request.network)
    elif kept != lines:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in kept)
        os.rename(f"{path}.new", path)
        for process in _processes(request.network):
            process.send(signal.SIGHUP)


def _others(lines: list[str], request: Request) -> list[str]:
    """Return the lines of other containers: by address, or without any by name."""
    addresses = set(_addresses(request))
    own = cniargs.parse(request.args, strict=False).get("K8S_POD_NAME")

    def is_own(line: str) -> bool:
        if addresses:
            return _address(line) in addresses
        return own is not None and own in line.split()[1:]

    return [line for line in lines if line.strip() and not is_own(line)]


def _addresses(request: Request) -> Iterator[IPAddress]:
    """Yield the addresses in prevResult, in whatever state that is."""
    previous = gojson.member(request.document, "prevResult")
    listed = gojson.member(previous, "ips") if isinstance(previous, dict) else None
    for ip in listed if isinstance(listed, list) else []:
        text = gojson.member(ip, "address") if isinstance(ip, dict) else None
        with suppress(ValueError):
            yield ipaddress.ip_interface(str(text)).ip


def _address(line: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(line.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def _read(path: str) -> list[str] | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return None


def _end(network: str) -> None:
    for process in _processes(network):
        process.end(_PATIENCE)
    for name in _FILES:
        with suppress(OSError):
            os.unlink(os.path.join(_directory(network), name))
    with suppress(OSError):
        os.rmdir(_directory(network))


def _processes(network: str) -> Iterator[Process]:
    """Yield its dnsmasq, held, if it is the process whose number was written down."""
    number = _read(os.path.join(_directory(network), "pidfile")) or [""]
    path = os.path.join(_directory(network), "dnsmasq.conf")
    if not number[0].strip().isdigit():
        return
    with processes.opened(int(number[0])) as process:
        if process is not None and f"--conf-file={path}" in process.arguments():
            yield process


def _directory(network: str) -> str:
    return os.path.join(ROOT, network)
