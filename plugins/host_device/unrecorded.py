# SPDX-License-Identifier: Apache-2.0
"""DEL without a record: it was lost, or it was the reference plugin that lent."""

from __future__ import annotations

from cni_common import attached
from cni_common.kernel import identities, links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.environment import validate_ifname
from cni_common.spec.errors import CNIError
from plugins.host_device import choice, lent
from plugins.host_device.release import PLUGIN, move_out, opened

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.identities import Identity
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment
    from plugins.host_device.conf import HostDeviceConf


def release(owner: Attachment, path: str, conf: HostDeviceConf) -> None:
    """Have the device of `conf` back that is CNI_IFNAME in the container.

    Its alias is its name on the host, as either plugin writes it. But whoever is in
    the container may have written that, too, so it must be what `conf` names; and
    what is virtual comes only where the host lacks it. One that another attachment
    has stays: the path may name the namespace of a new container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return
    with container, Netlink() as host, opened(container) as inside:
        link = links.get(inside, owner.ifname)
        if link is None or not _is_name(link.alias):
            return
        identity = identities.of_link(inside, link)
        names = {link.alias, *identities.alternative_names(inside, link)}
        if not _is_meant(conf, link, identity, names):
            return
        if not identity.is_hardware and links.get(host, link.alias) is not None:
            return
        if _is_of_another(owner, container.identity, link.alias):
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


def _is_of_another(owner: Attachment, identity: str, name: str) -> bool:
    """Tell whether a record says that another attachment has the device."""
    for holder, noted in attached.of_plugin(PLUGIN, lent.own):
        same_place = noted.netns_identity == identity
        same_link = same_place and holder.ifname == owner.ifname
        if holder != owner and (same_link or noted.own.get("name") == name):
            return True
    return False


def _is_name(alias: str) -> bool:
    try:
        validate_ifname(alias)
    except CNIError:
        return False
    return bool(alias)
