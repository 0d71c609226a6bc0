# SPDX-License-Identifier: Apache-2.0
"""Questions about one nftables table whose cost does not grow with its elements.

libnftables reads every element of a table to list one chain of it. The kernel itself
can be asked for rules alone, for one chain, and for elements by their keys
(linux/netfilter/nf_tables.h, docs/decisions/0024 and 0047).
"""

from __future__ import annotations

import errno
from _socket import AF_BRIDGE, AF_INET
from contextlib import contextmanager

from cni_common.kernel import raw_netlink
from cni_common.kernel.attributes import Attributes, attribute, pairs, text
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.sockets import Socket

_GET = 0xA00  # NFNL_SUBSYS_NFTABLES << 8
_TABLE, _CHAIN, _RULE, _ELEMENT = 1, 4, 7, 13  # NFT_MSG_GET*
_TABLE_NAME = 1  # NFTA_*_TABLE, NFTA_TABLE_NAME
_RULE_CHAIN, _RULE_USER_DATA = 2, 7
_CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 3, 4, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_SET_NAME, _ELEMENTS = 2, 3  # NFTA_SET_ELEM_LIST_*
_ITEM, _KEY, _DATA, _VALUE = 1, 1, 2, 1  # NFTA_LIST_ELEM, _SET_ELEM_*, _DATA_VALUE
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT
_FAMILIES = {"inet": 1, "ip": AF_INET, "bridge": AF_BRIDGE}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_ATTEMPTS = 100


class Rule(NamedTuple):
    """A rule: the chain in which it stands, and its comment."""

    chain: str
    comment: str = ""


class Questions:
    """Questions about the table `name`, by one socket; see `about`."""

    def __init__(self, link: Socket, name: str) -> None:
        self._link = link
        self._family, _, self._name = name.partition(" ")

    def exists(self) -> bool:
        """Tell whether there is the table."""
        return self._one(_TABLE) is not None

    def rules(self) -> list[Rule]:
        """Return the table's rules; of one that is absent, none."""
        for _ in range(_ATTEMPTS):
            try:
                return list(map(_rule, self._asked(_RULE, raw_netlink.DUMP)))
            except InterruptedError:
                continue
        raise InterruptedError(errno.EINTR, "they keep changing")

    def base(self, chain: str) -> tuple[str, str, int] | None:
        """Return type, hook and priority of `chain`, or None if it is no base chain."""
        found = self._one(_CHAIN, text(_CHAIN_NAME, chain))
        hook = found.nested(_CHAIN_HOOK) if found else Attributes(b"")
        number, priority = map(hook.raw, (_HOOK_NUMBER, _HOOK_PRIORITY))
        if not found or not number or not priority:
            return None
        where = _HOOKS[int.from_bytes(number, "big")]
        at = int.from_bytes(priority, "big", signed=True)
        return found.text(_CHAIN_TYPE), where, at

    def value(self, name: str, key: bytes) -> bytes | None:
        """Return what the map `name` has for `key`, b"" of a set; None if it lacks it.

        Of a key that the set could not have, it is taken for absent.
        """
        item = attribute(_ITEM, attribute(_KEY, attribute(_VALUE, key)))
        found = self._one(_ELEMENT, text(_SET_NAME, name) + attribute(_ELEMENTS, item))
        if found is None:
            return None
        return found.nested(_ELEMENTS).nested(_ITEM).nested(_DATA).raw(_VALUE)

    def listed(self, name: str) -> dict[bytes, bytes]:
        """Return what the map `name` has, b"" of a set, by key; nothing if absent.

        Its cost grows with the elements: for who asks for many of them.
        """
        for _ in range(_ATTEMPTS):
            try:
                told = self._asked(_ELEMENT, raw_netlink.DUMP, text(_SET_NAME, name))
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return {}
                raise
            return dict(pair for body in told for pair in _elements(body))
        raise InterruptedError(errno.EINTR, "they keep changing")

    def _one(self, kind: int, more: bytes = b"") -> Attributes | None:
        try:
            (body,) = self._asked(kind, raw_netlink.ACK, more)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINVAL}:
                return None
            raise
        return Attributes(body, raw_netlink.GENERIC.size)

    def _asked(self, kind: int, flags: int, more: bytes = b"") -> list[bytes]:
        body = text(_TABLE_NAME, self._name) + more
        flags, family = flags | raw_netlink.REQUEST, _FAMILIES[self._family]
        message = raw_netlink.netfilter_message(_GET | kind, flags, family, body)
        self._link.send(message)
        return list(raw_netlink.answers(self._link))


@contextmanager
def about(table: str) -> Iterator[Questions]:
    """Open a socket for questions about `table`, named "inet name".

    Raises Code.INTERNAL when the kernel does not tell.
    """
    try:
        with raw_netlink.to_netfilter() as link:
            yield Questions(link, table)
    except OSError as error:
        msg = f"look at nft table {table}: {cause_of(error)}"
        raise CNIError(Code.INTERNAL, msg) from error


def rules(table: str) -> list[Rule]:
    """Return the rules of `table`; of one that is absent, none."""
    with about(table) as ask:
        return ask.rules()


def _elements(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of each element in a message."""
    listed = Attributes(body, raw_netlink.GENERIC.size).raw(_ELEMENTS)
    for _, item in pairs(listed):
        found = Attributes(item)
        yield found.nested(_KEY).raw(_VALUE), found.nested(_DATA).raw(_VALUE)


def _rule(body: bytes) -> Rule:
    found = Attributes(body, raw_netlink.GENERIC.size)
    return Rule(found.text(_RULE_CHAIN), _comment(found.raw(_RULE_USER_DATA)))


def _comment(data: bytes) -> str:
    """Return the comment among what nft keeps with a rule: type, length, value."""
    while len(data) > 1:
        kind, end = data[0], 2 + data[1]
        if kind == _COMMENT:
            return data[2:end].rstrip(b"\0").decode("utf-8", "replace")
        data = data[end:]
    return ""
