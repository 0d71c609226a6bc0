# SPDX-License-Identifier: Apache-2.0
"""Taps: Ethernet links whose other end is a process (networking/tuntap.rst).

The numbers of the requests are those of linux/if_tun.h on x86 and ARM.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import contextmanager

from cni_common.kernel import links, upper_links
from cni_common.kernel.attributes import attribute, number, text
from cni_common.kernel.link_answer import ADDRESS, IFNAME, MASTER, MTU
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import CNIError, Code, cause_of, refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.link_answer import Link

KIND = "tun"
ANYBODY = 2**32 - 1  # as the kernel has it where no owner or no group is set
_DEVICE = "/dev/net/tun"
_LABEL = "/proc/thread-self/attr/current"
_SET_IFF, _SET_PERSIST, _SET_OWNER, _SET_GROUP = (
    *(0x400454CA, 0x400454CB),
    *(0x400454CC, 0x400454CE),
)
_TAP, _NO_PI, _MULTI_QUEUE, _EXCLUSIVE = 0x0002, 0x1000, 0x0100, 0x8000  # IFF_*
_REQUEST = struct.Struct("=16sH22x")  # struct ifreq
_OWNER, _GROUP, _MULTI = 1, 2, 7  # IFLA_TUN_*
_LABELLING = 0x80  # the exit status of a child that did not get its label


@dataclass(frozen=True)
class Tap:
    """What a tap has beside what every link has: who may open it, and how often."""

    owner: int
    group: int
    multi_queue: bool


def require() -> None:
    """Raise Code.INTERNAL where no tap can be made."""
    with _opened():
        return


def add(passing: str, name: str, wanted: Tap, *, context: str = "") -> None:
    """Add a tap to the calling thread's namespace, down, that lasts.

    It is to be renamed `name`, and called `passing` until then.

    With `context` it is labelled so, by SELinux. Nobody sees it before it is whole, and
    it is gone if this process is. Raises Code.INTERNAL.
    """
    with _opened() as tun:
        request = _request(passing, wanted, _EXCLUSIVE)
        try:
            if context:
                _attach_as(context, tun, request)
            else:
                fcntl.ioctl(tun, _SET_IFF, request)
            _give(tun, wanted)
        except OSError as error:
            raise refused(f"add tap {name}", error) from error


def give(name: str, wanted: Tap) -> None:
    """Give the tap `name`, which no process has open, its owner and its group.

    The calling thread is in its namespace. Raises Code.INTERNAL.
    """
    with _opened() as tun:
        try:
            fcntl.ioctl(tun, _SET_IFF, _request(name, wanted))
            _give(tun, wanted)
        except OSError as error:
            raise refused(f"set owner of tap {name}", error) from error


def configure(  # noqa: PLR0913 - what a tap may be given at once
    netlink: Netlink,
    present: str,
    name: str,
    *,
    mac: str = "",
    mtu: int = 0,
    bridge: Link | None = None,
) -> None:
    """Give the tap `present` a MAC, an MTU in bytes, a bridge, as far as there are any.

    It is called `name`, or will be. Raises Code.INTERNAL.
    """
    wanted = [attribute(ADDRESS, bytes.fromhex(mac.replace(":", "")))] if mac else []
    wanted += [number(MTU, mtu)] if mtu else []
    wanted += [number(MASTER, bridge.index)] if bridge else []
    if not wanted:
        return
    message = LinkRequest(text(IFNAME, present), *wanted)
    try:
        netlink.act((message, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set up tap {name}", error) from error


def get(netlink: Netlink, name: str) -> Tap | None:
    """Return what the tap `name` has; None when no link of that name is one."""
    found = upper_links.options(netlink, name, KIND)
    if found is None:
        return None
    owner, group = (
        found.number(each) if found.raw(each) else ANYBODY for each in (_OWNER, _GROUP)
    )
    return Tap(owner, group, found.raw(_MULTI) == b"\1")


@contextmanager
def _opened() -> Iterator[int]:
    try:
        tun = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        msg = f"open {_DEVICE}: {cause_of(error)}"
        raise CNIError(Code.INTERNAL, msg, "the kernel's module is tun") from error
    try:
        yield tun
    finally:
        os.close(tun)


def _request(name: str, wanted: Tap, more: int = 0) -> bytes:
    queues = _MULTI_QUEUE if wanted.multi_queue else 0
    return _REQUEST.pack(os.fsencode(name), _TAP | _NO_PI | queues | more)


def _give(tun: int, wanted: Tap) -> None:
    for request, who in ((_SET_OWNER, wanted.owner), (_SET_GROUP, wanted.group)):
        if who != ANYBODY:
            fcntl.ioctl(tun, request, who if who < 2**31 else who - 2**32)
    fcntl.ioctl(tun, _SET_PERSIST, 1)


def _attach_as(context: str, tun: int, request: bytes) -> None:
    """Make the tap in a child that is labelled `context`, since nobody gets back.

    SELinux labels a tap as the process that makes it, and does not ask which label
    that has for sockets. Raises OSError, and Code.INTERNAL without that label.
    """
    child = os.fork()
    if child == 0:
        status = _LABELLING | errno.EIO
        try:
            status = _attach_labelled(context, tun, request)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    number = max(status, 0) & ~_LABELLING or (errno.EINTR if status else 0)
    if status & _LABELLING:
        hint = "SELinux is not in use here, or does not know or allow this context"
        doing = f"set SELinux context {context!r}"
        raise refused(doing, OSError(number, os.strerror(number)), hint)
    if status:
        raise OSError(number, os.strerror(number))


def _attach_labelled(context: str, tun: int, request: bytes) -> int:
    """Return the exit status of the child that makes the tap."""
    try:
        label = os.open(_LABEL, os.O_WRONLY | os.O_CLOEXEC)
        os.write(label, os.fsencode(context))
    except OSError as error:
        return _LABELLING | (error.errno or errno.EIO)
    try:
        fcntl.ioctl(tun, _SET_IFF, request)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
