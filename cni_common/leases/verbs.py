# SPDX-License-Identifier: Apache-2.0
"""What the verbs of every plugin do that gives addresses of this host: all but saying
which addresses those are.
"""

from __future__ import annotations

from ipaddress import ip_interface

from cni_common.frame.rollback import Gather
from cni_common.leases.allocate import next_free
from cni_common.leases.directory import data_dir, locked
from cni_common.leases.owner import Owner, owner_of
from cni_common.leases.release import release
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.leases.ranges import RangeSet
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request


def owner(request: Request) -> Owner:
    """Return whom the leases of the attachment belong to."""
    return Owner(request.container_id, request.ifname)


def ips(sets: Sequence[RangeSet], addresses: Sequence[IPAddress]) -> list[IP]:
    """Return an address of each set with the prefix length and gateway of its range."""
    return [_ip(*pair) for pair in zip(sets, addresses, strict=True)]


def expected(
    request: Request, sets: Sequence[RangeSet], wanted: Sequence[IPAddress | None]
) -> list[IP]:
    """Return the addresses that ADD would give now; nothing is leased.

    Raises Code.TRY_AGAIN_LATER as ADD does.
    """
    with locked(data_dir(request.document), request.network, create=False) as store:
        found = [
            next_free(store, number, *pair)
            for number, pair in enumerate(zip(sets, wanted, strict=True))
        ]
    return ips(sets, found)


def check(request: Request, sets: Sequence[RangeSet]) -> None:
    """Raise Code.INTERNAL unless the attachment holds the addresses of prevResult that
    are in the sets; if there are none, unless it holds any.
    """
    own = owner(request)
    accepted = (own.content, own.legacy.content)
    told = request.prev_result.ips if request.prev_result else []
    expected = [ip.address.ip for ip in told if any(ip.address.ip in s for s in sets)]
    with locked(data_dir(request.document), request.network, create=False) as store:
        for address in expected:
            if store is None or store.content(str(address)) not in accepted:
                msg = f"check address {address}: not leased to container"
                msg += f" {request.container_id} interface {request.ifname}"
                raise CNIError(Code.INTERNAL, msg)
        if expected:
            return
        if store is None or not (store.owned(own) or store.owned(own.legacy)):
            msg = "check addresses: Failed to find address added by container"
            raise CNIError(Code.INTERNAL, f"{msg} {request.container_id}")


def delete(request: Request, conf: object) -> None:
    """No lease of the attachment is left, whatever became of the configuration."""
    del conf
    release(request)


def gc(request: Request, conf: object) -> None:
    """No lease is left whose owner is no valid attachment, and no empty file."""
    del conf
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


def require_writable(directory: str) -> None:
    """Raise Code.NOT_AVAILABLE unless an ADD could write a lease below `directory`."""
    from cni_common.frame import readiness  # noqa: PLC0415 - for STATUS alone

    if not readiness.takes_files(directory):
        msg = f"use dataDir {directory}: not a writable directory"
        raise CNIError(Code.NOT_AVAILABLE, msg)


def _ip(range_set: RangeSet, address: IPAddress) -> IP:
    found = range_set.range_of(address)
    assert found is not None
    interface = ip_interface((address, found.subnet.prefixlen))
    return IP(address=interface, gateway=found.gateway)


def _is_stale(content: bytes, valid: frozenset[tuple[str, str]]) -> bool:
    found = owner_of(content)
    if found is None:
        # A crash leaves an empty file; other content may be somebody's after all.
        return not content
    if not found.ifname:
        return all(found.container_id != container_id for container_id, _ in valid)
    return (found.container_id, found.ifname) not in valid
