# SPDX-License-Identifier: Apache-2.0
"""tuning: the container's interface and kernel parameters are as they are wished."""

from __future__ import annotations

from cni_common import link_backup
from cni_common.attachment import chained
from cni_common.attachment.chained import Scheme
from cni_common.kernel import sysctl
from cni_common.parts.link_settings import LinkSettings
from cni_common.parts.sysctl import Sysctl, is_same
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from plugins import REGISTER
from plugins.tuning.conf import TuningConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.chained import Parts
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.naming import Attachment
    from cni_common.shapes import Setting
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.tuning.conf import Wanted

NAME = "tuning"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What link and parameters are now, as far as they can be read.

    `link_before` and `sysctl_before` are what they were before an earlier ADD.
    """

    index: int
    link: dict[str, Setting]
    sysctl: dict[str, str]
    link_before: dict[str, Setting]
    sysctl_before: dict[str, str]


def wished(request: Request, conf: TuningConf) -> Wanted:
    """Return what is asked for.

    Raises Code.INVALID_ENVIRONMENT or Code.INVALID_CONFIG.
    """
    conf.validate_for(request)
    return conf.wanted(request)


def facts(node: Node, request: Request, wanted: Wanted, made: Parts) -> Facts:
    """Return what there is; raises Code.INTERNAL for what the kernel does not have."""
    index, link = 0, {}
    link_before: dict[str, Setting] = {}
    sysctl_before: dict[str, str] = {}
    if wanted.link:
        from cni_common import link_changes  # noqa: PLC0415 - expensive, and often idle

        end = node.end(request.ifname)
        index, link = end.index, link_changes.settings(end)
    for part in made:
        if isinstance(part, LinkSettings) and part.index == index:
            link_before = part.before
        if isinstance(part, Sysctl):
            sysctl_before = part.before
    return Facts(
        index=index,
        link=link,
        sysctl=_parameters(node, wanted.sysctl),
        link_before=link_before,
        sysctl_before=sysctl_before,
    )


def plan(attachment: Attachment, wanted: Wanted, known: Facts) -> Parts:
    """Return what has to be changed, or was: parameters first, then the link.

    With an MTU below 1280 the parameters of IPv6 are gone; in the other direction they
    come back with it.
    """
    parts: list[Part] = []
    is_set = all(is_same(known.sysctl.get(k), v) for k, v in wanted.sysctl.items())
    shown = ({} if is_set else known.sysctl) | known.sysctl_before
    before = {name: text for name, text in shown.items() if name in wanted.sysctl}
    if wanted.sysctl and (before or not is_set):
        parts.append(Sysctl(wanted=wanted.sysctl, before=before))
    others = {k: known.link[k] for k, v in wanted.link.items() if known.link[k] != v}
    noted = {k: v for k, v in known.link_before.items() if k in wanted.link}
    before_link = others | noted
    if before_link:
        parts.append(
            LinkSettings(
                inside=attachment.ifname,
                index=known.index,
                wanted=wanted.link,
                before=before_link,
                data_dir=wanted.data_dir,
            )
        )
    return tuple(parts)


def told(node: Node, wanted: Wanted, parts: Parts, result: Result) -> Result:
    """Return the result with the MAC and the MTU that are asked for."""
    del parts
    ifname = node.attachment.ifname
    changed = {k: value for k, value in wanted.link.items() if k in {"mac", "mtu"}}
    interfaces = [
        each.model_copy(update=changed)
        if each.name == ifname and each.sandbox
        else each
        for each in result.interfaces
    ]
    return result.model_copy(update={"interfaces": interfaces})


def ready(request: Request, conf: TuningConf) -> None:
    """Raise Code.IO_FAILURE or Code.NOT_AVAILABLE unless ADD could write."""
    wanted = wished(request, conf)
    if wanted.sysctl and sysctl.read_only():
        msg = "set sysctl: /proc/sys is mounted read-only"
        raise CNIError(Code.NOT_AVAILABLE, msg)
    if wanted.link:
        link_backup.check_ready(wanted.data_dir)


def _parameters(node: Node, wanted: dict[str, str]) -> dict[str, str]:
    """Return what the parameters show.

    Raises Code.INTERNAL for one that there is not.
    """
    if not wanted:
        return {}
    with node.entered():
        for name in wanted:
            if not sysctl.exists(name):
                msg = f"find sysctl {name}: this kernel has no such parameter"
                raise CNIError(Code.INTERNAL, msg)
        shown = {name: sysctl.shown(name) for name in wanted}
    return {name: value for name, value in shown.items() if value is not None}


PLUGIN = chained.plugin(
    Scheme(
        name=NAME,
        wished=wished,
        facts=facts,
        plan=plan,
        told=told,
        ready=ready,
        kinds=REGISTER[NAME]["kinds"],
    ),
    TuningConf,
)
