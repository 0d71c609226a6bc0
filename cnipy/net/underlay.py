# SPDX-License-Identifier: Apache-2.0
"""Where other nodes reach this one: addresses of a link, or those that are named."""

from __future__ import annotations

import ipaddress

from cni_common.kernel import addresses, default_route, links
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import CNIError, Code
from cnipy.net import ranges

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPAddress
    from cnipy.net.records import NetworkConfig

_GLOBAL = 0  # RT_SCOPE_UNIVERSE


def found(
    words: Sequence[str], config: NetworkConfig, before: Collection[IPAddress] = ()
) -> tuple[IPAddress, ...]:
    """Return the node's addresses that others reach, at most one of each family.

    `words` are links or addresses; without any it is the default route's link. Only
    addresses that the network's `underlay` and pools allow; of several on one link
    those of `before`, and else the first. Raises Code.INVALID_CONFIG where none is
    left, naming each and why not.
    """
    with Netlink() as netlink:
        named = [*words] or _default(netlink)
        there = {each.index: each for each in links.listed(netlink, LinkRequest())}
        held = [
            (there[index], each.address.ip)
            for index, each in addresses.listed(netlink)
            if each.scope == _GLOBAL and not each.tentative and index in there
        ]
    chosen: dict[int, IPAddress] = {}
    refused = []
    for word in named:
        candidates, cause = _of_word(word, held, there.values())
        refused += [cause] if cause else []
        for address in sorted(candidates, key=lambda each: each not in before):
            why_not = _why_not(address, config)
            if why_not:
                refused.append(why_not)
            else:
                chosen.setdefault(address.version, address)
    if not chosen:
        msg = f"find an underlay address for network {config.name}: {refused[0]}"
        hint = "; ".join([*refused[1:], "`underlay` in net.toml names link or address"])
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return tuple(chosen[version] for version in sorted(chosen))


def _default(netlink: Netlink) -> list[str]:
    link = default_route.link(netlink)
    if link is None:
        msg = "find an underlay address: the host has no default route"
        hint = "`underlay` in net.toml names link or address"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return [link.name]


def _of_word(
    word: str, held: Sequence[tuple[Link, IPAddress]], there: Iterable[Link]
) -> tuple[list[IPAddress], str]:
    """Return which addresses of the host a word means, and if none, why."""
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        on_link = [each for link, each in held if link.name == word]
        if on_link:
            return on_link, ""
        known = any(link.name == word for link in there)
        lack = "has no global address" if known else "is no link of the host"
        return [], f"{word!r} {lack}"
    if all(each != address for _, each in held):
        return [], f"{address} is no global address of the host"
    return [address], ""


def _why_not(address: IPAddress, config: NetworkConfig) -> str:
    pools = [pool.network for pool in config.pools]
    return ranges.of_underlay(address, config.underlay, pools)
