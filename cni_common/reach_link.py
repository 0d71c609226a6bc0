# SPDX-License-Identifier: Apache-2.0
"""The host's own ipvlan link on a master, by which it sends to containers there.

What the host sends by the master itself leaves the machine; by an ipvlan link the
kernel finds the container (drivers/net/ipvlan/ipvlan_core.c). The link has no address,
so that nothing of the host's moves: whatever it answers with, and whatever containers
send, has the master's addresses. A master has one such link, and its containers share
it; who they are is written down in /run/cni/cnipy/host-reach/<link>/<attachment>.
"""

from __future__ import annotations

from cni_common import state
from cni_common.attachment import shared
from cni_common.kernel import links
from cni_common.spec.digests import sha256_hex
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import asdict

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from cni_common.kernel.filters import Filter
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.naming import Attachment
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress

ROOM = "host-reach"
ALIAS = "cni host reach"
_STRICT, _LOOSE = "1", "2"  # of rp_filter
_NO_ADDRESS = "1"  # IN6_ADDR_GEN_MODE_NONE


def name_on(master: str) -> str:
    """Return what the host's link on `master` is called."""
    return "cnih" + sha256_hex(master)[:8]


def lock() -> AbstractContextManager[bool]:
    """Hold the lock under which such links come and go."""
    return state.lock(ROOM)


def own_addresses(host: Netlink, master: Link) -> dict[int, list[IPAddress]]:
    """Return what `master` has of each family, without what is of one link only."""
    from cni_common.kernel import addresses  # noqa: PLC0415 - not for DEL

    found: dict[int, list[IPAddress]] = {}
    for held in addresses.of_link(host, master):
        own = held.address.ip
        if not (held.tentative or held.duplicate or own.is_link_local):
            found.setdefault(own.version, []).append(own)
    return found


def require_possible(host: Netlink, master: Link, mode: str) -> None:
    """Raise Code.INTERNAL unless the host can talk to containers on `master`.

    In `mode` l2 they answer by the master, and the way to them is another link: a
    strict filter of reverse paths (RFC 3704) takes that for forged.
    """
    from cni_common.kernel import sysctl  # noqa: PLC0415 - not for DEL

    own, what = own_addresses(host, master), f"reach containers on {master.name}"
    if not own:
        raise CNIError(Code.INTERNAL, f"{what}: it has no address")
    if mode == "l2" and 4 in own:  # noqa: PLR2004 - the family's number
        values = {sysctl.get(_rp_filter(each)) for each in ("all", master.name)}
        if _STRICT in values and _LOOSE not in values:
            way_out = f"set sysctl {_rp_filter(master.name)} to {_LOOSE}, loose"
            msg = f"{what}: the host drops their answers"
            raise CNIError(Code.INTERNAL, msg, way_out.replace("/", "."))


def _rp_filter(link: str) -> str:
    return f"net/ipv4/conf/{link}/rp_filter"


def ensure(host: Netlink, name: str, master: Link, mode: str) -> Link:
    """Ensure that the link `name` is on `master`, up; return it. Raises Code.INTERNAL.

    Nothing comes in by it, for a master gives each broadcast to all of its links.
    """
    from cni_common.kernel import ipvlans  # noqa: PLC0415 - not for DEL

    link = links.get(host, name)
    if link is None:
        ipvlans.add(host, name, master, passing=name, mode=mode)
        link = links.existing(host, name)
    elif not is_ours(link, master):
        msg = (
            f"add ipvlan {name} on {master.name}: somebody else has a link of the name"
        )
        raise CNIError(Code.INTERNAL, msg)
    if not link.alias:
        links.set_alias(host, name, ALIAS)
    if list(faults(host, link)):
        _set_up(host, link)
    return links.existing(host, name)


def is_ours(link: Link, master: Link | None = None) -> bool:
    """Tell whether it is such a link, on `master` if that is given.

    An ADD may have been killed before it had its alias.
    """
    on = link.peer if master is None else master.index
    return (link.kind, link.peer) == ("ipvlan", on) and link.alias in {"", ALIAS}


def faults(host: Netlink, link: Link) -> Iterator[str]:
    """Yield what of `link` is not as `ensure` leaves it, in words about `it`."""
    from cni_common.kernel import filters, qdiscs  # noqa: PLC0415 - not for DEL

    if not link.is_up:
        yield "it is down"
    elif link.has_arp:
        yield "it asks for MACs"
    if _nothing() not in filters.of_link(host, link, qdiscs.INGRESS):
        yield "it takes in what the master has already"


def _set_up(host: Netlink, link: Link) -> None:
    from cni_common.kernel import filters, ipvlans, qdiscs, sysctl  # noqa: PLC0415 - not for DEL

    if not qdiscs.has_ingress(host, link):
        qdiscs.add_ingress(host, link)
    if _nothing() not in filters.of_link(host, link, qdiscs.INGRESS):
        filters.add(host, link, qdiscs.INGRESS, [_nothing()])
    # Neither an address of its own nor one of a router's prefix.
    conf = f"net/ipv6/conf/{link.name}"
    if sysctl.exists(conf):
        sysctl.set_value(f"{conf}/addr_gen_mode", _NO_ADDRESS)
        sysctl.set_value(f"{conf}/accept_ra", "0")
    links.set_up(host, link.name)
    ipvlans.set_without_arp(host, link)  # ipvlan_open() sets it by the mode


def _nothing() -> Filter:
    from cni_common.kernel import filters  # noqa: PLC0415 - not for DEL

    return filters.Filter(1, filters.ETH_P_ALL, drops=True)


def hold(name: str, attachment: Attachment) -> None:
    """Write down that `attachment` uses the link `name`."""
    shared.hold(_thing(name), attachment.digest(), asdict(attachment))


def leave(host: Netlink, name: str, user: str) -> None:
    """Forget that `user` uses the link `name`, which goes with the last one.

    Be it that users were lost: a route tells that somebody needs it. Raises
    Code.INTERNAL.
    """
    from cni_common.kernel import routes  # noqa: PLC0415 - after it was looked at

    if not shared.is_used(_thing(name), (user,)):
        link = links.get(host, name)
        if link is not None and is_ours(link):
            ways = routes.of_link(host, link)
            if all(route.dst.is_link_local for route in ways):
                links.delete(host, name)
    # Last, so that another call finishes what a killed one has begun.
    shared.let_go(_thing(name), user)


def names() -> list[str]:
    """Return the names of all links that anybody uses."""
    return state.names(state.path(ROOM))


def users(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield who uses the link `name`, and as which attachment."""
    for user in shared.users(_thing(name)):
        told = state.read_table(state.path(_thing(name)), user, _user())
        if told is not None:
            yield user, told


def _user() -> Table:
    from cni_common import shapes  # noqa: PLC0415 - for GC alone

    keys = ("network", "container_id", "ifname")
    return dict.fromkeys(keys, (shapes.text, shapes.REQUIRED))


def _thing(name: str) -> str:
    return f"{ROOM}/{name}"
