# SPDX-License-Identifier: Apache-2.0
"""Masquerading of subnets: table `inet cnipy_masquerade`, one rule a subnet.

What leaves a subnet for anywhere else, multicast apart, gets the address of the link
by which it leaves. It is a property of the network: the first attachment of a subnet
brings the rule, the last one takes it away. Who uses a subnet is written down in
/run/cni/cnipy/masquerade/<subnet>/<attachment>.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cni_common import state
from cni_common.kernel import nft
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPNetwork

TABLE = "inet cnipy_masquerade"
_ROOM = "masquerade"

_DECLARATION = f"""\
add table {TABLE}
add set {TABLE} subnets4 {{ type ipv4_addr; comment "covered by a rule"; }}
add set {TABLE} subnets6 {{ type ipv6_addr; comment "covered by a rule"; }}
add chain {TABLE} postrouting {{ type nat hook postrouting priority 100; }}
flush chain {TABLE} postrouting
flush set {TABLE} subnets4
flush set {TABLE} subnets6
add rule {TABLE} postrouting ip daddr 224.0.0.0/4 return
add rule {TABLE} postrouting ip6 daddr ff00::/8 return
"""


def ensure(attachment: Attachment, subnets: Iterable[IPNetwork]) -> None:
    """Have what leaves `subnets` masqueraded, on behalf of `attachment`.

    Afterwards every subnet in use has its rule, even if somebody flushed the ruleset
    since. Raises code 999 and registers nothing when nft refuses.
    """
    wanted = sorted(set(subnets), key=str)
    with state.lock(_ROOM):
        added = [subnet for subnet in wanted if _register(attachment, subnet)]
        try:
            if added:
                _rebuild()
            elif wanted:
                _add_again(wanted)
        except CNIError:
            _unregister(attachment, wanted)
            raise


def release(attachment: Attachment, subnets: Iterable[IPNetwork]) -> None:
    """Drop what `attachment` uses; rules that nobody uses any more are gone then."""
    with state.lock(_ROOM):
        if _unregister(attachment, subnets):
            _rebuild()


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Drop what attachments of `network` use that are none of the `valid` ones."""
    with state.lock(_ROOM):
        changed = False
        for name in _in_use():
            directory = state.path(_ROOM, name)
            for member in state.names(directory):
                user = state.read(directory, member) or {}
                identity = (user.get("container_id"), user.get("ifname"))
                if user.get("network") == network and identity not in valid:
                    state.delete(directory, member)
            changed |= not os.path.isdir(directory)
        if changed:
            _rebuild()


def check(subnets: Iterable[IPNetwork]) -> None:
    """Raise code 999 unless each of `subnets` is masqueraded."""
    present = _rules()
    for subnet in subnets:
        if _key(subnet) not in present:
            msg = f"check masquerade of {subnet}: its rule is missing"
            raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")


def rules(subnets: Iterable[IPNetwork]) -> str:
    """Return the transaction after which exactly `subnets` are masqueraded."""
    lines = [_DECLARATION]
    for subnet in subnets:
        ip, number = ("ip", 4) if subnet.version == 4 else ("ip6", 6)  # noqa: PLR2004 - the family's number
        lines.append(
            f"add rule {TABLE} postrouting {ip} saddr {subnet} {ip} daddr != {subnet}"
            f" masquerade comment {nft.quote(_key(subnet))}\n"
            f"add element {TABLE} subnets{number} {{ {subnet.network_address} }}\n"
        )
    return "".join(lines)


def _rebuild() -> None:
    subnets = [ipaddress.ip_network(_subnet(name)) for name in _in_use()]
    if subnets:
        nft.run(rules(subnets))
    else:
        nft.run(f"add table {TABLE}; delete table {TABLE}")


def _add_again(subnets: Iterable[IPNetwork]) -> None:
    """Do what costs no more than an element, unless the table is not there."""
    elements = "".join(
        f"add element {TABLE} subnets{subnet.version} {{ {subnet.network_address} }}\n"
        for subnet in subnets
    )
    try:
        nft.run(elements)
    except nft.RefusedError as refused:
        if not refused.is_missing:
            raise
        _rebuild()


def _register(attachment: Attachment, subnet: IPNetwork) -> bool:
    """Write down that `attachment` uses `subnet`; tell whether it is the first."""
    path = state.path(_ROOM, _file(subnet))
    is_first = not os.path.isdir(path)
    directory = state.ensure_directory(_ROOM, _file(subnet))
    state.write(directory, attachment.digest(), asdict(attachment))
    return is_first


def _unregister(attachment: Attachment, subnets: Iterable[IPNetwork]) -> bool:
    """Forget that `attachment` uses `subnets`; tell whether one is unused now."""
    changed = False
    for subnet in subnets:
        directory = state.path(_ROOM, _file(subnet))
        if os.path.isdir(directory):
            state.delete(directory, attachment.digest())
            changed |= not os.path.isdir(directory)
    return changed


def _in_use() -> list[str]:
    return state.names(state.path(_ROOM))


def _rules() -> set[str]:
    try:
        listed = nft.list_json(f"list chain {TABLE} postrouting")
    except nft.RefusedError:
        return set()
    return {_comment(item) for item in listed if "rule" in item}


def _comment(item: dict[str, Any]) -> str:
    return str(item["rule"].get("comment", ""))


def _key(subnet: IPNetwork) -> str:
    return f"subnet {subnet}"


def _file(subnet: IPNetwork) -> str:
    return str(subnet).replace("/", "_")


def _subnet(name: str) -> str:
    return name.replace("_", "/")
