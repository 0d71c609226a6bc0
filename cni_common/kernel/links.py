# SPDX-License-Identifier: Apache-2.0
"""Links: veth pairs, their state and their place (rtnetlink(7), ip-link(8))."""

from __future__ import annotations

import errno
import os

from cni_common.kernel.attributes import attribute, number, text
from cni_common.kernel.link_answer import (
    ADDRESS,
    IFALIAS,
    IFF_PROMISC,
    IFF_UP,
    IFNAME,
    INFO_DATA,
    INFO_KIND,
    LINKINFO,
    MASTER,
    MTU,
    Link,
    LinkAnswer,
)
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, Change, Netlink, NetlinkError
from cni_common.kernel.requests import IFINFOMSG, LinkRequest
from cni_common.spec.environment import IFNAME_MAX
from cni_common.spec.errors import CNIError, Code, refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.netns import Namespace

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
_ALIAS_MAX = 200
_NET_NS_FD, _EXT_MASK, _ALT_IFNAME = 28, 29, 53  # IFLA_*
_VETH_INFO_PEER = 1
WITHOUT_STATISTICS = number(_EXT_MASK, 0x8)  # RTEXT_FILTER_SKIP_STATS


def get(netlink: Netlink, name: str) -> Link | None:
    """Return the link called `name`, or None when there is none.

    The kernel looks among alternative names, too, and takes long ones for those.
    """
    return each(netlink, name)[0]


def each(netlink: Netlink, *names: str) -> list[Link | None]:
    """Return for each of `names` the link as `get` does; they are asked together."""
    questions = [(_question(name), RTM_GETLINK, 0) for name in names]
    answers = netlink.answers(questions, LinkAnswer)
    return [_found(*pair) for pair in zip(names, answers, strict=True)]


def _question(name: str) -> LinkRequest:
    is_long = len(os.fsencode(name)) > IFNAME_MAX
    called = text(_ALT_IFNAME if is_long else IFNAME, name)
    return LinkRequest(called, WITHOUT_STATISTICS)


def by_index(netlink: Netlink, index: int) -> Link | None:
    """Return the link with `index`, or None when there is none."""
    question = LinkRequest(WITHOUT_STATISTICS, index=index), RTM_GETLINK, 0
    return _found(str(index), netlink.answers([question], LinkAnswer)[0])


def existing(netlink: Netlink, name: str) -> Link:
    """Return the link called `name`; raises Code.INTERNAL when there is none."""
    return _required(name, get(netlink, name))


def has_ports(netlink: Netlink, master: Link) -> bool:
    """Tell whether any link has `master` as its master."""
    message = LinkRequest(number(MASTER, master.index), WITHOUT_STATISTICS)
    return any(port.master == master.index for port in listed(netlink, message))


def of_kind(netlink: Netlink, kind: str) -> list[Link]:
    """Return every link of a kind; for GC and lost records only.

    Raises Code.INTERNAL.
    """
    message = LinkRequest(described(kind))
    return [link for link in listed(netlink, message) if link.kind == kind]


def every(netlink: Netlink) -> list[Link]:
    """Return every link there is; raises Code.INTERNAL."""
    return listed(netlink, LinkRequest(WITHOUT_STATISTICS))


def listed(netlink: Netlink, message: LinkRequest) -> list[Link]:
    """Return the links that `message` asks for; raises Code.INTERNAL."""
    try:
        found = netlink.dump(message, RTM_GETLINK, LinkAnswer)
    except NetlinkError as error:
        raise refused("list links", error) from error
    return [answer.link for answer in found]


def add_veth(  # noqa: PLR0913 - both ends in one request: that is the point
    netlink: Netlink,
    host: str,
    peer: str,
    peer_netns: Namespace,
    *,
    host_mac: str,
    peer_mac: str,
    mtu: int = 0,
    master: Link | None = None,
    up: bool = True,
) -> None:
    """Add a veth pair: `host` here, a port of `master`, and `peer` in `peer_netns`.

    Both ends have their final names and addresses from the start, so that udev has
    nothing to rewrite. `mtu` in bytes, 0 leaves it to the kernel. The host end is
    up unless `up` is false; the peer is down. Raises Code.INTERNAL.
    """
    head = IFINFOMSG.pack(0, 0, 0, 0, 0)
    other = _named(peer, peer_mac, mtu) + in_namespace(peer_netns)
    pair = attribute(_VETH_INFO_PEER, head, other)
    port = number(MASTER, master.index) if master else b""
    try:
        add(netlink, host, "veth", pair, mac=host_mac, mtu=mtu, more=port, up=up)
    except NetlinkError as error:
        if error.errno == errno.EXFULL:
            error.strerror = "the bridge has no free port"
        what = f"veth {host} to bridge {master.name}" if master else f"veth {host}"
        raise refused(f"add {what}", error) from error


def add(  # noqa: PLR0913 - what a link has from the start
    netlink: Netlink,
    name: str,
    kind: str,
    *options: bytes,
    mac: str,
    mtu: int,
    more: bytes = b"",
    up: bool = True,
) -> None:
    """Add a link of `kind` with the attributes `options` of that kind, and `more`.

    Without a `mac` or an `mtu` it is the kernel that chooses. Raises NetlinkError.
    """
    flags = IFF_UP if up else 0
    attributes = _named(name, mac, mtu), more, described(kind, *options)
    message = LinkRequest(*attributes, flags=flags, change=flags)
    netlink.act((message, RTM_NEWLINK, CREATE | EXCLUSIVE))


def described(kind: str, *options: bytes) -> bytes:
    """Return the attribute that says of which kind a link is, with its `options`."""
    data = attribute(INFO_DATA, *options) if options else b""
    return attribute(LINKINFO, text(INFO_KIND, kind), data)


def in_namespace(namespace: Namespace) -> bytes:
    """Return the attribute that says where a link is to be."""
    return number(_NET_NS_FD, namespace.fd)


def delete(netlink: Netlink, name: str) -> None:
    """Make the link `name` absent; a veth's peer goes with it."""
    try:
        netlink.act((LinkRequest(text(IFNAME, name)), RTM_DELLINK, 0))
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise refused(f"delete link {name}", error) from error


def set_up(netlink: Netlink, name: str, *, up: bool = True) -> None:
    """Make the link administratively up, or down."""
    netlink.carry_out(setting_up(name, up=up))


def setting_up(name: str, *, up: bool = True) -> Change:
    """Return the change that makes the link administratively up, or down."""
    flags = IFF_UP if up else 0
    message = LinkRequest(text(IFNAME, name), flags=flags, change=IFF_UP)
    return _setting(message, name, "up" if up else "down")


def set_promiscuous(netlink: Netlink, name: str, *, on: bool = True) -> None:
    """Make the link receive every frame, or only its own."""
    flags = IFF_PROMISC if on else 0
    message = LinkRequest(text(IFNAME, name), flags=flags, change=IFF_PROMISC)
    netlink.carry_out(_setting(message, name, "promiscuous"))


def set_mac(netlink: Netlink, name: str, mac: str) -> None:
    """Give the link the hardware address `mac`."""
    message = LinkRequest(text(IFNAME, name), _address(mac))
    netlink.carry_out(_setting(message, name, f"address {mac}"))


def set_alias(netlink: Netlink, name: str, alias: str) -> None:
    """Give the link a text that ip-link(8) shows (at most 255 bytes)."""
    netlink.carry_out(_setting_alias(name, alias))


def mark(netlink: Netlink, name: str, alias: str, *others: str) -> list[Link]:
    """Give the link an alias; return it and the links `others`, as they are then.

    All in one, for a link that was made just now. Raises Code.INTERNAL.
    """
    change, names = _setting_alias(name, alias), (name, *others)
    questions = [(_question(one), RTM_GETLINK, 0) for one in names]
    error, *answers = netlink.answers([change.request, *questions], LinkAnswer)
    if error is not None:
        raise refused(f"set link {name} alias", error) from error
    found = zip(names, answers, strict=True)
    return [_required(one, _found(one, answer)) for one, answer in found]


def announce(netlink: Netlink, link: Link) -> None:
    """Announce the addresses and the MAC of `link` to its neighbours.

    Where arp_notify and ndisc_notify are set, the kernel sends a gratuitous ARP and
    an unsolicited neighbour advertisement when the MAC is set, be it to the same.
    """
    set_mac(netlink, link.name, link.mac)


def warm_up() -> None:
    """Ask for a link and forget it: what that makes is there for the next."""
    with Netlink() as netlink:
        get(netlink, "lo")


def _named(name: str, mac: str, mtu: int) -> bytes:
    address = _address(mac) if mac else b""
    return text(IFNAME, name) + address + (number(MTU, mtu) if mtu else b"")


def _address(mac: str) -> bytes:
    return attribute(ADDRESS, bytes.fromhex(mac.replace(":", "")))


def _setting_alias(name: str, alias: str) -> Change:
    message = LinkRequest(text(IFNAME, name), text(IFALIAS, alias[:_ALIAS_MAX]))
    return _setting(message, name, "alias")


def _setting(message: LinkRequest, name: str, what: str) -> Change:
    doing = f"set link {name} {what}"
    return Change((message, RTM_NEWLINK, 0), lambda error: refused(doing, error))


def _found(name: str, answer: LinkAnswer | NetlinkError) -> Link | None:
    if not isinstance(answer, NetlinkError):
        return answer.link
    if answer.errno == errno.ENODEV:
        return None
    raise refused(f"find link {name}", answer) from answer


def _required(name: str, link: Link | None) -> Link:
    if link is None:
        msg = f"find link {name}: no such device"
        raise CNIError(Code.INTERNAL, msg)
    return link
