# SPDX-License-Identifier: Apache-2.0
"""Giving back what tuning changed: by the record, or by what the reference noted.

No configuration is read but `dataDir`, and no model of one imported. A value that
cannot be put back is a warning: the namespace is about to go, and a failed DEL would
keep the plugins that come after it from theirs.
"""

from __future__ import annotations

from contextlib import ExitStack

from cni_common import attachments
from cni_common.naming import Attachment
from cni_common.rollback import Gather
from cni_common.spec import gojson
from plugins.tuning import backup, record
from plugins.tuning.values import Values

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.netns import Namespace
    from cni_common.log import Log
    from cni_common.spec.request import Request
    from plugins.tuning.record import Record


def detach(request: Request) -> bool:
    """Have everything as before ADD, where the namespace lives, and nothing noted."""
    owner = Attachment.of(request)
    noted = record.read(owner)
    if noted is not None:
        release(request.log, owner, noted, request.netns)
        return True
    attachments.delete(record.PLUGIN, owner)  # what a killed ADD may have begun
    for directory in dict.fromkeys((_data_dir(request), backup.DATA_DIR)):
        link = backup.read(directory, owner)
        if link is not None:
            _put_back(request.log, owner, _living(request.netns), Values(link))
            backup.delete(directory, owner)
    return True


def release(log: Log, owner: Attachment, noted: Record, path: str = "") -> None:
    """Have everything as `noted`, and nothing noted any more.

    The namespace is looked for at `path` and where it was; another one that took its
    place is left alone, and so is another link of the same name.
    """
    space = _living(path, noted.netns_identity)
    space = space or _living(noted.netns, noted.netns_identity)
    _put_back(log, owner, space, noted.before, noted.index)
    record.replace(owner, noted, None)


def _data_dir(request: Request) -> str:
    directory = gojson.member(request.document, "dataDir")
    if isinstance(directory, str) and backup.is_acceptable(directory):
        return directory
    return backup.DATA_DIR


def _living(path: str, identity: str = "") -> Namespace | None:
    """Return the namespace at `path`; None if it is gone or not of `identity`."""
    from cni_common.kernel import netns  # noqa: PLC0415 - only if something was noted

    space = netns.open_living(path)
    if space is not None and identity and space.identity != identity:
        space.close()
        return None
    return space


def _put_back(
    log: Log, owner: Attachment, space: Namespace | None, values: Values, index: int = 0
) -> None:
    if space is None:
        return
    from cni_common.kernel import links, netns  # noqa: PLC0415 - as above
    from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - as above
    from plugins.tuning import changes  # noqa: PLC0415 - as above

    each = Gather()
    with ExitStack() as inside:
        inside.enter_context(space)
        inside.enter_context(netns.entered(space))
        netlink = inside.enter_context(Netlink())
        link = each(links.get, netlink, owner.ifname) if values.link else None
        if link is not None and index in {0, link.index}:
            for key, value in values.link.items():
                each(changes.set_link, netlink, link.name, key, value)
        for name, value in [*values.sysctl.items()] * 2:  # one may change another
            each(changes.set_parameters, {name: value})
    if link is not None and index in {0, link.index} and "mac" in values.link:
        from plugins.tuning import guard  # noqa: PLC0415 - only for another MAC

        each(guard.follow, owner, link, str(values.link["mac"]))
    for cause in dict.fromkeys(str(error) for error in each.errors):
        log.warning(f"put back: {cause}")
