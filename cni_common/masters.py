# SPDX-License-Identifier: Apache-2.0
"""The master of a container's link, as the keys of `link_conf` say which it is.

That is a link of the host, or with `linkInContainer` of the container.
"""

from __future__ import annotations

from cni_common.kernel import default_route, links
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.kernel.link_answer import Link
    from cni_common.link_conf import MasterConf
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


def find(node: Node, conf: MasterConf, result: Result | None = None) -> Link:
    """Return the master on which ADD makes the link: see `_on`.

    Without `master` it is the link that `result`, a prevResult, names in its place.
    Raises Code.INVALID_CONFIG or Code.INTERNAL.
    """
    if not conf.master and result is not None:
        conf = conf.model_copy(update={"master": _chained(conf, result)})
    if conf.link_in_container:
        found = node.see_end(_on(node.container, conf))
    else:
        found = node.see(_on(node.host, conf))
    conf.validate_on(found)
    return found


def told(known: Told, kind: str) -> str:
    """Return the master's name as the configuration, or the record's part, tells it.

    The default route may go by another link by now. Raises Code.INTERNAL.
    """
    conf, node, recorded = known.conf, known.node, known.part(kind)
    name = conf.master or (recorded.master if recorded else "")
    if name:
        return str(name)
    return _on(node.container if conf.link_in_container else node.host, conf).name


def ready(request: Request, conf: MasterConf) -> None:
    """Raise Code.NOT_AVAILABLE or Code.INTERNAL unless there is a master on which a
    link can be made.
    """
    del request
    if conf.link_in_container:
        return
    with Netlink() as host:
        lower = _on(host, conf)
    try:
        conf.validate_on(lower)
    except CNIError as error:
        raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error


def ready_if_named(request: Request, conf: MasterConf) -> None:
    """Raise as `ready` does if `master` is named: else prevResult of ADD may do so."""
    if conf.master:
        ready(request, conf)


def _chained(conf: MasterConf, result: Result) -> str:
    """Return the one link that `result` names where the master is to be, or at all."""
    inside = conf.link_in_container
    named = [i for i in result.interfaces if bool(i.sandbox) == inside and i.name]
    found = named or [i for i in result.interfaces if i.name]
    if len(found) != 1:
        msg = "find master: prevResult does not name a single link"
        raise CNIError(Code.INVALID_CONFIG, msg, "name a link in `master`")
    return found[0].name


def _on(netlink: Netlink, conf: MasterConf) -> Link:
    """Return the master that `conf` names, else the link of the default route.

    Raises Code.INTERNAL when there is none.
    """
    if conf.master:
        found = links.get(netlink, conf.master)
        if found is None:
            msg = f"find master {conf.master}: no such device"
            raise CNIError(Code.INTERNAL, msg)
        return found
    found = default_route.link(netlink)
    if found is None:
        msg = "find master: no default route interface found"
        raise CNIError(Code.INTERNAL, msg, "name a link in `master`")
    return found
