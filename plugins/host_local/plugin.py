# SPDX-License-Identifier: Apache-2.0
"""host-local: gives an attachment addresses out of ranges that this host manages."""

from __future__ import annotations

from ipaddress import ip_interface

from cni_common.frame.rollback import Gather, Rollback
from cni_common.frame.skel import Plugin
from cni_common.leases.allocate import assign, is_exhausted, lease_all, next_free
from cni_common.leases.directory import data_dir, locked
from cni_common.leases.owner import Owner, owner_of
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP, Dns, Result
from plugins.host_local import resolvconf
from plugins.host_local.conf import HostLocalConf, requested_addresses
from plugins.host_local.detach import detach

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.leases.ranges import RangeSet
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request


def add(request: Request, conf: HostLocalConf) -> Result:
    """The attachment holds one address of each range set, all of them or none."""
    sets = conf.required_range_sets()
    wanted = assign(sets, requested_addresses(request, conf))
    dns = resolvconf.read(conf.ipam.resolv_conf) if conf.ipam.resolv_conf else Dns()
    with (
        locked(data_dir(request.document), request.network, create=True) as store,
        Rollback() as undo,
    ):
        assert store is not None
        leased = lease_all(store, sets, wanted, _owner(request), undo)
        ips = [_ip(*pair) for pair in zip(sets, leased, strict=True)]
        return request.delivered(Result(ips=ips, routes=conf.ipam.routes, dns=dns))


def expect(request: Request, conf: HostLocalConf) -> Result:
    """The addresses that ADD would give now; nothing is leased."""
    sets = conf.required_range_sets()
    wanted = assign(sets, requested_addresses(request, conf))
    with locked(data_dir(request.document), request.network, create=False) as store:
        found = [
            next_free(store, number, *pair)
            for number, pair in enumerate(zip(sets, wanted, strict=True))
        ]
    ips = [_ip(*pair) for pair in zip(sets, found, strict=True)]
    return Result(ips=ips, routes=conf.ipam.routes)


def delete(request: Request, conf: HostLocalConf) -> None:
    """No lease of the attachment is left, whatever became of the configuration."""
    del conf
    detach(request)


def check(request: Request, conf: HostLocalConf) -> None:
    """Raise unless the attachment holds the addresses that prevResult names."""
    sets = conf.required_range_sets()
    owner = _owner(request)
    accepted = (owner.content, owner.legacy.content)
    ips = request.prev_result.ips if request.prev_result else []
    expected = [ip.address.ip for ip in ips if any(ip.address.ip in s for s in sets)]
    with locked(data_dir(request.document), request.network, create=False) as store:
        for address in expected:
            if store is None or store.content(str(address)) not in accepted:
                msg = f"check address {address}: not leased to container"
                msg += f" {request.container_id} interface {request.ifname}"
                raise CNIError(Code.INTERNAL, msg)
        if expected:
            return
        if store is None or not (store.owned(owner) or store.owned(owner.legacy)):
            msg = "check addresses: Failed to find address added by container"
            raise CNIError(Code.INTERNAL, f"{msg} {request.container_id}")


def gc(request: Request, conf: HostLocalConf) -> None:  # noqa: ARG001 - needs no range
    """No lease is left whose owner is no valid attachment, and no empty file."""
    valid = request.valid_attachments
    if valid is None:
        return
    with (
        locked(data_dir(request.document), request.network, create=False) as store,
        Gather() as errors,
    ):
        if store is None:
            return
        for name, content in store.leases(errors).items():
            if _is_stale(content, valid):
                errors.attempt(store.release, name)


def status(request: Request, conf: HostLocalConf) -> None:
    """Raise Code.NOT_AVAILABLE unless an ADD could write a lease, for every range set.

    And unless it would find an address in each, if `statusWhenFull` says so.
    """
    from cni_common.frame import readiness  # noqa: PLC0415 - for STATUS alone

    sets = conf.sets_for(request)
    directory = data_dir(request.document)
    if not readiness.takes_files(directory):
        msg = f"use dataDir {directory}: not a writable directory"
        raise CNIError(Code.NOT_AVAILABLE, msg)
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


def _owner(request: Request) -> Owner:
    return Owner(request.container_id, request.ifname)


def _ip(range_set: RangeSet, address: IPAddress) -> IP:
    found = range_set.range_of(address)
    assert found is not None
    interface = ip_interface((address, found.subnet.prefixlen))
    return IP(address=interface, gateway=found.gateway)


def _is_stale(content: bytes, valid: frozenset[tuple[str, str]]) -> bool:
    owner = owner_of(content)
    if owner is None:
        # A crash leaves an empty file; other content may be somebody's after all.
        return not content
    if not owner.ifname:
        return all(owner.container_id != container_id for container_id, _ in valid)
    return (owner.container_id, owner.ifname) not in valid


PLUGIN = Plugin(
    "host-local",
    conf=HostLocalConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    is_ipam=True,
    keeps_records=False,
    expect=expect,
)
