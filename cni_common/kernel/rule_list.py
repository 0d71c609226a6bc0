# SPDX-License-Identifier: Apache-2.0
"""The rules of one nftables table, as far as they say where they stand and whose.

libnftables reads every element of a table to list one chain of it, which takes the
longer the more containers there are. The kernel itself can be asked for rules alone
(linux/netfilter/nf_tables.h, docs/decisions/0024).
"""

from __future__ import annotations

from _socket import AF_BRIDGE, AF_INET

from cni_common.kernel import raw_netlink
from cni_common.kernel.attributes import Attributes, attribute
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import NamedTuple

_GET_TABLE, _GET_RULE = 0xA01, 0xA07  # NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GET*
_TABLE, _CHAIN, _USER_DATA = 1, 2, 7  # NFTA_RULE_*, NFTA_TABLE_NAME
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT
_FAMILIES = {"inet": 1, "ip": AF_INET, "bridge": AF_BRIDGE}
_ATTEMPTS = 100


class Rule(NamedTuple):
    """A rule: the chain in which it stands, and its comment."""

    chain: str
    comment: str = ""


def rules(table: str) -> list[Rule]:
    """Return the rules of `table`, named "inet name"; of one that is absent, none.

    Raises code 999 when the kernel does not tell.
    """
    try:
        for _ in range(_ATTEMPTS):
            try:
                return _listed(table)
            except InterruptedError:
                continue
        cause = "they keep changing"
    except OSError as error:
        cause = cause_of(error)
    raise CNIError(Code.INTERNAL, f"list rules of table {table}: {cause}")


def table_exists(table: str) -> bool:
    """Tell whether there is a `table`, named "inet name"; raises code 999."""
    try:
        with raw_netlink.to_netfilter() as link:
            flags = raw_netlink.REQUEST | raw_netlink.ACK
            link.send(_question(_GET_TABLE, flags, table))
            list(raw_netlink.answers(link))
    except FileNotFoundError:
        return False
    except OSError as error:
        cause = cause_of(error)
        msg = f"look for table {table}: {cause}"
        raise CNIError(Code.INTERNAL, msg) from error
    return True


def _listed(table: str) -> list[Rule]:
    flags = raw_netlink.REQUEST | raw_netlink.DUMP
    with raw_netlink.to_netfilter() as link:
        link.send(_question(_GET_RULE, flags, table))
        return [_rule(body) for body in raw_netlink.answers(link)]


def _question(kind: int, flags: int, table: str) -> bytes:
    family, _, name = table.partition(" ")
    which = attribute(_TABLE, name.encode() + b"\0")
    return raw_netlink.netfilter_message(kind, flags, _FAMILIES[family], which)


def _rule(body: bytes) -> Rule:
    found = Attributes(body, raw_netlink.GENERIC.size)
    return Rule(found.text(_CHAIN), _comment(found.raw(_USER_DATA)))


def _comment(data: bytes) -> str:
    """Return the comment among what nft keeps with a rule: type, length, value."""
    while len(data) > 1:
        kind, end = data[0], 2 + data[1]
        if kind == _COMMENT:
            return data[2:end].rstrip(b"\0").decode("utf-8", "replace")
        data = data[end:]
    return ""
