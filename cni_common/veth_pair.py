# SPDX-License-Identifier: Apache-2.0
"""The veth pair of an attachment: planned, looked at, deleted by either end."""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code, invalid_key

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPInterface
    from cni_common.spec.result import Interface

MTU_MAX = 65535
_NAME_ATTEMPTS = 10


def free_name(host: Netlink, attachment: Attachment) -> str:
    """Return a name for the host's end that is derived from `attachment`, and free."""
    for attempt in range(_NAME_ATTEMPTS):
        name = naming.host_veth(attachment, attempt)
        if links.get(host, name) is None:
            return name
    msg = f"name host end of {attachment.ifname}: {_NAME_ATTEMPTS} names are taken"
    raise CNIError(Code.INTERNAL, msg)


def validate_mtu(mtu: int) -> None:
    """Raise Code.INVALID_CONFIG unless `mtu` is 0 or one that a veth may have."""
    if not 0 <= mtu <= MTU_MAX:
        raise invalid_key("mtu", f"{mtu} is not between 0 and {MTU_MAX}")


def delete_host_end(owner: Attachment, name: str, mac: str = "") -> None:
    """Delete the host's end of the attachment's pair, if it is still that.

    A killed ADD may have left it without its alias; then it has the recorded `mac`. One
    that says it is another attachment's is that, whatever a record says.
    """
    with Netlink() as host:
        link = links.get(host, name) if name else None
        if link is None:
            return
        from cni_common.kernel import link_removal  # noqa: PLC0415 - not for ADD

        nobodys = not naming.is_ours(link.alias)
        if link.alias == naming.alias(owner) or (nobodys and mac and link.mac == mac):
            link_removal.delete(link)


def delete_inside(
    owner: Attachment, path: str, made: Collection[Interface] = ()
) -> list[IPInterface]:
    """Delete the container's end and return the addresses that it had.

    What has its name and is no end of a pair whose other end is here stays: somebody
    in the container may have called a device so that was lent to it. So does a link
    whose other end says that it belongs to another attachment, or says nothing and is
    none of those that were `made`, if these are known: the path may name the namespace
    of a new container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return []
    with container, Netlink() as host:
        with netns.entered(container):
            inside = Netlink()
        with inside:
            link = links.get(inside, owner.ifname)
            if link is None or not _may_be_of(host, link, owner, made):
                return []
            from cni_common.kernel import addresses  # noqa: PLC0415 - expensive; mostly the pair is gone by now

            held = [item.address for item in addresses.of_link(inside, link)]
            links.delete(inside, link.name)
    return [address for address in held if not address.ip.is_link_local]


def _may_be_of(
    host: Netlink, link: Link, owner: Attachment, made: Collection[Interface]
) -> bool:
    """Tell whether `link` may be the container's end; the reference gives no alias."""
    other = links.by_index(host, link.peer) if link.kind == "veth" else None
    if other is None or other.peer != link.index:
        return False
    if naming.is_ours(other.alias):
        return other.alias == naming.alias(owner)
    known = {interface.name for interface in made if not interface.sandbox}
    return not known or other.name in known
