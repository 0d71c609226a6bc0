# SPDX-License-Identifier: Apache-2.0
"""prevResult as a chained plugin and CHECK need it (CNI spec, section 3)."""

from __future__ import annotations

from contextlib import suppress

from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP, Interface, Result


def required(request: Request, msg: str = "required prevResult missing") -> Result:
    """Return prevResult; raises Code.INVALID_CONFIG with `msg` when there is none."""
    if request.prev_result is None:
        raise CNIError(Code.INVALID_CONFIG, msg)
    return request.prev_result


def interfaces(request: Request) -> list[Interface]:
    """Return what prevResult of a DEL says was made; nothing if it is none to read."""
    with suppress(CNIError):
        return request.prev_result.interfaces if request.prev_result else []
    return []


def container_end(
    request: Request, result: Result, name: str = ""
) -> tuple[Interface, int]:
    """Return the interface `name`, else CNI_IFNAME, of the container, and its index.

    Raises Code.INTERNAL when `result` has none, or has it in another namespace.
    """
    name = name or request.ifname
    for index, interface in enumerate(result.interfaces):
        if interface.name == name and interface.sandbox:
            if interface.sandbox != request.netns:
                msg = f"check interface {interface.name}: sandbox in prevResult"
                cause = f"{interface.sandbox} doesn't match configured netns"
                raise CNIError(Code.INTERNAL, f"{msg} {cause}: {request.netns}")
            return interface, index
    msg = f"check interface {name}: not in prevResult"
    raise CNIError(Code.INTERNAL, msg)


def ips_of(result: Result, index: int) -> list[IP]:
    """Return the addresses of the interface `index`, and those of no interface."""
    return [ip for ip in result.ips if result.index_of(ip) in {None, index}]


def is_of_container(request: Request, result: Result, ip: IP) -> bool:
    """Tell whether `ip` is an address of CNI_IFNAME in the container, or of no link."""
    index = result.index_of(ip)
    if index is None:
        return True
    interface = result.interfaces[index]
    return interface.name == request.ifname and bool(interface.sandbox)


def is_reachable(address: IPAddress) -> bool:
    """Tell whether packets from another link can be meant for `address` alone."""
    own = address.is_loopback or address.is_link_local or address.is_unspecified
    return not (own or address.is_multicast or str(address) == "255.255.255.255")
