# SPDX-License-Identifier: Apache-2.0
"""tuning: the container's interface and kernel parameters are as they are wished."""

from __future__ import annotations

from cni_common import attachments, previous
from cni_common.kernel import sysctl
from cni_common.naming import Attachment
from cni_common.rollback import Gather
from cni_common.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from plugins.tuning import backup, record
from plugins.tuning.conf import TuningConf
from plugins.tuning.detach import detach, release

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request
    from cni_common.spec.result import Interface, Result
    from plugins.tuning.values import Values


def add(request: Request, conf: TuningConf) -> Result:
    """The interface and the parameters are as asked for; prevResult says so too."""
    result = previous.required(request)
    conf.validate_for(request)
    wanted = conf.wanted(request)
    noted = record.read(Attachment.of(request))
    if not wanted and noted is None:
        return result
    from plugins.tuning import attach  # noqa: PLC0415 - netlink is dear, and often idle

    with attach.tuned(request, wanted, noted, conf.directory):
        interfaces = [_as_set(item, request, wanted) for item in result.interfaces]
        result = result.model_copy(update={"interfaces": interfaces})
        return request.delivered(result)


def delete(request: Request, conf: TuningConf) -> None:
    """Everything is as before ADD, where the namespace lives, and nothing is noted."""
    del conf
    detach(request)


def check(request: Request, conf: TuningConf) -> None:
    """Raise unless everything that is asked for is so."""
    conf.validate_for(request)
    wanted = conf.wanted(request)
    if wanted:
        from plugins.tuning import attach  # noqa: PLC0415 - as in add

        attach.check_held(request, wanted)


def gc(request: Request, conf: TuningConf) -> None:
    """What attachments of this network that are not valid changed is as before."""
    del conf
    valid = request.valid_attachments
    if valid is None:
        return
    with Gather() as each:
        for stale in attachments.stale(record.PLUGIN, request.network, valid, each):
            each(_release, request, stale)


def _release(request: Request, stale: Attachment) -> None:
    noted = record.read(stale)
    if noted is not None:
        release(request.log, stale, noted)
    else:
        attachments.delete(record.PLUGIN, stale)


def status(request: Request, conf: TuningConf) -> None:
    """Raise unless ADD could write what it has to."""
    conf.validate_for(request)
    wanted = conf.wanted(request)
    if wanted.sysctl and sysctl.read_only():
        msg = "set sysctl: /proc/sys is mounted read-only"
        raise CNIError(Code.NOT_AVAILABLE, msg)
    if wanted.link:
        try:
            backup.check_ready(conf.directory)
        except CNIError as error:
            raise CNIError(Code.NOT_AVAILABLE, error.msg, error.details) from error


def _as_set(interface: Interface, request: Request, wanted: Values) -> Interface:
    if interface.name != request.ifname or not interface.sandbox:
        return interface
    told = ("mac", "mtu")
    changed = {key: value for key, value in wanted.link.items() if key in told}
    return interface.model_copy(update=changed)


PLUGIN = Plugin(
    record.PLUGIN,
    conf=TuningConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
)
