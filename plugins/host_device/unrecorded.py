# SPDX-License-Identifier: Apache-2.0
"""DEL without a record: it was lost, or it was the reference plugin that lent."""

from __future__ import annotations

from cni_common.homecoming import devices_of_others, move_out, opened
from cni_common.kernel import identities, links, netns
from cni_common.spec.environment import validate_ifname
from cni_common.spec.errors import CNIError
from plugins.host_device import choice

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.kernel.identities import Identity
    from cni_common.kernel.link_answer import Link
    from plugins.host_device.conf import HostDeviceConf


def bring_back(node: Node, conf: HostDeviceConf) -> None:
    """Move back the device of `conf` that is CNI_IFNAME in the container.

    Its alias is its name on the host, as either plugin writes it. But whoever is in
    the container may have written that, too, so it must be what `conf` names; and
    what is virtual comes only where the host lacks it. One that another attachment
    has stays: the path may name the namespace of a new container by now.
    """
    container = netns.open_living(node.attachment.netns)
    if container is None:
        return
    host = node.host
    with container, opened(container) as inside:
        link = links.get(inside, node.attachment.ifname)
        if link is None or not _is_name(link.alias):
            return
        identity = identities.read(inside, link)
        names = {link.alias, *identities.alternative_names(inside, link)}
        if not _is_meant(conf, link, identity, names):
            return
        if not identity.is_hardware and links.get(host, link.alias) is not None:
            return
        if _is_of_another(node, container.identity, link.alias):
            return
        move_out(host, inside, link, link.alias, {conf.device})
        links.set_alias(host, link.alias, "")


def _is_meant(
    conf: HostDeviceConf, link: Link, identity: Identity, names: set[str]
) -> bool:
    """Tell whether `link` may be the device that `conf` names.

    Of a virtual one the host's name must be told by `conf` itself, and it must not
    lead to a link of the container, which would have been made there.
    """
    if not identity.is_hardware:
        made_inside = identity.other and identity.other_netns < 0
        return link.alias == conf.device and not made_inside
    try:
        return choice.may_be(conf, link, identity.parent, names)
    except CNIError:
        return False


def _is_of_another(node: Node, identity: str, name: str) -> bool:
    """Tell whether a record says that another attachment has the device."""
    for holder, found, device in devices_of_others(node):
        same_place = found.netns_identity == identity
        same_link = same_place and holder.ifname == node.attachment.ifname
        if same_link or device.name == name:
            return True
    return False


def _is_name(alias: str) -> bool:
    try:
        validate_ifname(alias)
    except CNIError:
        return False
    return bool(alias)
