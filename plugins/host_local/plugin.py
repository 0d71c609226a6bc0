# SPDX-License-Identifier: Apache-2.0
"""host-local: gives an attachment addresses out of ranges that this host manages."""

from __future__ import annotations

from cni_common.frame.rollback import Rollback
from cni_common.frame.skel import Plugin
from cni_common.leases import verbs
from cni_common.leases.allocate import assign, is_exhausted, lease_all
from cni_common.leases.directory import data_dir, locked
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Result
from plugins.host_local.conf import HostLocalConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.leases.ranges import RangeSet
    from cni_common.spec.request import Request


def add(request: Request, conf: HostLocalConf) -> Result:
    """The attachment holds one address of each range set, all of them or none."""
    sets = conf.required_range_sets()
    wanted = assign(sets, conf.requested(request))
    dns = conf.ipam.dns()
    with (
        locked(data_dir(request.document), request.network, create=True) as store,
        Rollback() as undo,
    ):
        assert store is not None
        leased = lease_all(store, sets, wanted, verbs.owner(request), undo)
        ips = verbs.ips(sets, leased)
        return request.delivered(Result(ips=ips, routes=conf.ipam.routes, dns=dns))


def expect(request: Request, conf: HostLocalConf) -> Result:
    """The addresses that ADD would give now; nothing is leased."""
    sets = conf.required_range_sets()
    wanted = assign(sets, conf.requested(request))
    ips = verbs.expected(request, sets, wanted)
    return Result(ips=ips, routes=conf.ipam.routes)


def check(request: Request, conf: HostLocalConf) -> None:
    """Raise unless the attachment holds the addresses that prevResult names."""
    verbs.check(request, conf.required_range_sets())


def status(request: Request, conf: HostLocalConf) -> None:
    """Raise Code.NOT_AVAILABLE unless an ADD could write a lease, for every range set.

    And unless it would find an address in each, if `statusWhenFull` says so.
    """
    sets = conf.sets_for(request)
    directory = data_dir(request.document)
    verbs.require_writable(directory)
    with locked(directory, request.network, create=False) as store:
        for number, range_set in enumerate(sets):
            if store is not None and is_exhausted(store, number, range_set):
                _tell_full(request, conf, number, range_set)
            elif not range_set.size:
                raise _full(number, range_set)


def _tell_full(
    request: Request, conf: HostLocalConf, number: int, range_set: RangeSet
) -> None:
    """Raise Code.NOT_AVAILABLE, or have it logged where a full range set counts as
    ready.
    """
    if conf.ipam.status_when_full == "unavailable":
        raise _full(number, range_set)
    request.log.warning(_full(number, range_set).msg)


def _full(number: int, range_set: RangeSet) -> CNIError:
    msg = f"allocate address for range set {number}: "
    msg += f"no IP addresses available in range set: {range_set}"
    return CNIError(Code.NOT_AVAILABLE, msg)


PLUGIN = Plugin(
    "host-local",
    conf=HostLocalConf,
    add=add,
    delete=verbs.delete,
    check=check,
    gc=verbs.gc,
    status=status,
    is_ipam=True,
    keeps_records=False,
    expect=expect,
)
