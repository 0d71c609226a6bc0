# SPDX-License-Identifier: Apache-2.0
"""nftables through libnftables: one transaction a change, in nft's own language."""

from __future__ import annotations

import errno
import os
from _socket import NETLINK_ROUTE

from cni_common.kernel import library_door, sockets
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code, cause_of, last_words

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

MISSING_LIBRARY = (
    "install the library of nftables: package libnftables1 (Debian, Ubuntu), "
    "nftables-libs (Fedora, RHEL), nftables (Alpine, Arch)"
)
_NETLINK_NETFILTER = 12
_SELECTABLE = 1024  # FD_SETSIZE: it waits with select(2)
_HINTS = {
    errno.EPROTONOSUPPORT: "the kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK)",
    errno.EMFILE: "the limit of open files (RLIMIT_NOFILE) is reached",
}


class RefusedError(CNIError):
    """A transaction that the kernel or the parser refused; nothing of it was done.

    Unless it is not `is_certain`: then the answer was lost, and it may have been done.
    """

    def __init__(self, transaction: str, cause: str) -> None:
        first, *rest = cause.strip().splitlines() or ["no cause given"]
        first = first.partition("Error: ")[2] or first
        rest.append(f"in transaction: {transaction.strip()}")
        super().__init__(
            Code.INTERNAL,
            f"apply nftables transaction: {first.lower()}",
            "\n".join(rest),
        )
        self.cause = cause

    @property
    def is_certain(self) -> bool:
        """Whether a command was refused, which libnftables then points at."""
        return "^" in self.cause

    @property
    def is_missing(self) -> bool:
        """Whether an object that the transaction names does not exist."""
        return "No such file or directory" in self.cause

    @property
    def exists(self) -> bool:
        """Whether an element exists already with another value."""
        return "File exists" in self.cause


def run(transaction: str) -> None:
    """Apply `transaction` as a whole, or raise RefusedError and change nothing.

    Whether that is so after an error, `nothing_done` tells.
    """
    _command(transaction)


def nothing_done(error: CNIError) -> bool:
    """Tell whether an error of a transaction means that the kernel has none of it.

    The kernel may have taken it when libnftables could not read the answer. A record
    of it is to be kept then, so that what it describes is found and removed.
    """
    return not isinstance(error, RefusedError) or error.is_certain


def is_overlap(error: RefusedError) -> bool:
    """Tell whether an element was refused that overlaps another one of its set."""
    words = ("overlaps with an existing one", "conflicting intervals")
    return any(word in error.cause for word in words)


def list_json(command: str) -> list[dict[str, Any]]:
    """Return the objects that a list command prints; for GC, CHECK and STATUS.

    Protocols are numbers: names depend on /etc/protocols, which a small system has
    not. Raises RefusedError, with `is_missing` for an object that does not exist.
    """
    return _objects(command, _command(command, as_json=True))


def list_counted(listing: str) -> list[dict[str, Any]]:
    """Return the objects as `list_json` does, with what counters have counted."""
    context = opened()
    context.set_json_output(True)
    context.set_numeric_proto_output(True)
    return _objects(listing, command(context, listing))


def _objects(listing: str, output: str) -> list[dict[str, Any]]:
    try:
        listed = json_text.loads(output).get("nftables", []) if output.strip() else []
    except ValueError as error:
        # nft 1.0.6 prints what lies in memory for the flag of a table with an owner.
        msg = f"{listing}: libnftables prints no JSON: {error}"
        raise CNIError(Code.INTERNAL, msg) from error
    return [item for item in listed if "metainfo" not in item]


def list_text(command: str) -> str:
    """Return what a list command prints, in nft's own language."""
    return _command(command)


def check_writable() -> None:
    """Raise Code.INTERNAL unless the kernel takes a transaction from us: for STATUS."""
    run("add table inet cnipy_status; delete table inet cnipy_status")


def check_openable() -> None:
    """Raise Code.INTERNAL unless libnftables could open its sockets at this moment.

    It ends the process where it cannot (netlink_init_error() in its src/netlink.c):
    without nfnetlink in the kernel, descriptors or memory, or under a filter of
    system calls. What changes the host asks before it begins.
    """
    with _openable(_NETLINK_NETFILTER), _openable(NETLINK_ROUTE):
        return  # the second is where it looks for names of links


def quote(text: str) -> str:
    """Return `text` as an nft string; quotes and control characters are dropped."""
    return '"' + "".join(c for c in text if c >= " " and c not in '"\\') + '"'


def load() -> Any:
    """Return the binding of libnftables; that is in memory, and nothing opened.

    Raises Code.INTERNAL without it.
    """
    from cni_common.kernel import c_library  # noqa: PLC0415 - only where rules are touched

    json = library_door.later("json")
    binding = library_door.load("nftables", {"json": json, "ctypes": c_library})
    try:
        c_library.CDLL("libnftables.so.1")
    except OSError as error:
        raise _missing(error) from error
    return binding


def warm_up() -> None:
    """Make and close a context; raises Code.INTERNAL without the library.

    What libnftables makes at its first use is there then for the next. Nothing is
    asked: an answer would take the longer the more elements there are.
    """
    _context()


def release() -> None:
    """Close the contexts of earlier commands; see `_kept`."""
    _kept.clear()


# Closing a netlink socket that deleted something waits for an RCU grace period of 8
# to 20 ms. The contexts live until the process ends, when nobody waits for it.
_kept: list[Any] = []
_asked: list[str] = []  # what libnftables was asked for last


def _ended() -> None:
    """Say so where libnftables ends the process; nothing is undone.

    It does without memory, and where it cannot read what the kernel answers
    (netlink_abi_error() in its src/netlink.c). Nobody can return from there.
    """
    msg = "apply nftables transaction: libnftables ended the process"
    asked = "".join(_asked).strip()
    details = f"call DEL, then try again; in transaction: {asked}"
    for tell in reversed(last_words):
        tell(CNIError(Code.TRY_AGAIN_LATER, msg, details))


def opened() -> Any:
    """Return a context of libnftables of its own, with its own netlink socket.

    It stays with the calling thread's namespace. What the socket owns in the kernel
    goes when the context is freed. Raises Code.INTERNAL.
    """
    return _context()


def command(context: Any, text: str) -> str:
    """Run `text` in a context and return what is printed; raises RefusedError."""
    status, output, cause = context.cmd(text)
    if status != 0:
        raise RefusedError(text, cause or "")
    return str(output or "")


def _command(text: str, *, as_json: bool = False) -> str:
    _asked[:] = [text]
    context = _context()
    _kept.append(context)
    if as_json:
        context.set_json_output(True)
        context.set_stateless_output(True)
        context.set_numeric_proto_output(True)
    return command(context, text)


def _context() -> Any:
    check_openable()
    binding = load()  # without its library it would complain once more when it is freed
    if last_words:
        from cni_common.kernel import c_library  # noqa: PLC0415 - loaded by now

        c_library.at_exit(_ended)
    try:
        return binding.Nftables()
    except AttributeError as error:  # the library is older than the binding
        raise _missing(error) from error


def _openable(protocol: int) -> sockets.Socket:
    try:
        opened = sockets.netlink(protocol)
        if opened.fileno() >= _SELECTABLE:
            opened.close()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    except OSError as error:
        msg = f"open netlink socket for nftables: {cause_of(error)}"
        hint = _HINTS.get(error.errno or 0, "")
        raise CNIError(Code.INTERNAL, msg, hint) from error
    return opened


def _missing(error: Exception) -> CNIError:
    msg = f"load libnftables: {error}"
    return CNIError(Code.INTERNAL, msg, MISSING_LIBRARY)
