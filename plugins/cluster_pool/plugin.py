# SPDX-License-Identifier: Apache-2.0
"""cluster-pool: gives an attachment addresses out of blocks that are this node's alone.

The blocks are parts of a pool of many nodes. A node's agent claims them in a store that
all share, and no call waits for that but one for which there is no address left.
"""

from __future__ import annotations

import time
from ipaddress import ip_interface

from cni_common.frame.rollback import Rollback
from cni_common.frame.skel import Plugin
from cni_common.leases import verbs
from cni_common.leases.allocate import assign, lease_all
from cni_common.leases.directory import data_dir, locked
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Result, Route
from plugins.cluster_pool.conf import ClusterPoolConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request
    from plugins.cluster_pool.blocks import Blocks

# Seconds that the agent has, to give what an ADD cannot do without, and what STATUS
# would like to know.
_ADD_WAITS, _STATUS_WAITS = 10.0, 2.0


def add(request: Request, conf: ClusterPoolConf) -> Result:
    """The attachment holds an address of each family of the pool, or none at all."""
    until = time.monotonic() + _ADD_WAITS
    while True:
        blocks = conf.blocks()
        result, dry, low = _leased(request, conf, blocks)
        if result is not None:
            _ask_for_more(request, blocks, low)
            return result
        if dry:
            _await_more(request, conf, blocks, dry, until)


def _leased(
    request: Request, conf: ClusterPoolConf, blocks: Blocks
) -> tuple[Result | None, int, list[int]]:
    """Return the result, delivered, and the families of which few addresses are left.

    Without a result the family that has none left, or 0: the blocks are others by now.
    """
    requested = conf.requested(request)
    blocks.refuse_foreign(requested)
    wanted = assign(blocks.sets, requested)
    dns = conf.ipam.dns()
    with (
        locked(data_dir(request.document), request.network, create=True) as store,
        Rollback() as undo,
    ):
        assert store is not None
        # Whoever gives blocks back looks for leases behind this lock.
        if conf.blocks() != blocks:
            return None, 0, []
        dry = blocks.dry(store, wanted)
        if dry:
            return None, dry, []
        leased = lease_all(store, blocks.sets, wanted, verbs.owner(request), undo)
        low = blocks.low(store) if blocks.from_agent else []
        ips = verbs.ips(blocks.sets, leased)
        result = Result(ips=ips, routes=_routes(conf, blocks), dns=dns)
        return request.delivered(result), 0, low


def _routes(conf: ClusterPoolConf, blocks: Blocks) -> list[Route]:
    """Return the routes: those of the keys, and by the gateways to the whole pool."""
    present = {route.dst.network for route in conf.ipam.routes}
    pools = (pool for pool in blocks.pools if pool not in present)
    return [*conf.ipam.routes, *(Route(dst=ip_interface(pool)) for pool in pools)]


def _ask_for_more(request: Request, blocks: Blocks, low: list[int]) -> None:
    """Have the agent claim further blocks of the families; nothing waits for that."""
    if not low:
        return
    from cni_common.pool import asking  # noqa: PLC0415 - for one ADD in many

    for version in low:
        seen = blocks.number_of(version)
        failure = asking.without_waiting(request.network, version, seen)
        if failure:
            request.log.warning(f"IPv{version} addresses are running out: {failure}")


def _await_more(
    request: Request, conf: ClusterPoolConf, blocks: Blocks, version: int, until: float
) -> None:
    """Wait for another block of the family; raises Code.TRY_AGAIN_LATER without one."""
    seen, left = blocks.number_of(version), until - time.monotonic()
    reason = None
    if blocks.from_agent and left > 0:
        from cni_common.pool import asking  # noqa: PLC0415 - for one ADD in many

        try:
            asking.for_block(request.network, version, seen, seconds=left)
        except CNIError as error:
            reason = error
        else:
            if conf.blocks().number_of(version) > seen:
                return
            msg = (
                f"the agent at {asking.SOCKET} says there is another, and there is none"
            )
            reason = CNIError(Code.TRY_AGAIN_LATER, msg)
    raise blocks.dry_error(version, Code.TRY_AGAIN_LATER, reason)


def expect(request: Request, conf: ClusterPoolConf) -> Result:
    """The addresses that ADD would give now; nothing is leased, and nobody asked."""
    blocks = conf.blocks()
    missing = blocks.dry(None)
    if missing:
        raise blocks.dry_error(missing, Code.TRY_AGAIN_LATER, None)
    requested = conf.requested(request)
    blocks.refuse_foreign(requested)
    wanted = assign(blocks.sets, requested)
    ips = verbs.expected(request, blocks.sets, wanted)
    return Result(ips=ips, routes=_routes(conf, blocks))


def check(request: Request, conf: ClusterPoolConf) -> None:
    """Raise unless the attachment holds the addresses that prevResult names."""
    verbs.check(request, conf.blocks().known())


def status(request: Request, conf: ClusterPoolConf) -> None:
    """Raise Code.NOT_AVAILABLE unless an ADD would find addresses, or get some.

    That there are none left is ready all the same if `statusWhenFull` says so.
    """
    directory = data_dir(request.document)
    verbs.require_writable(directory)
    until = time.monotonic() + _STATUS_WAITS
    try:
        while True:
            blocks = conf.blocks()
            with locked(directory, request.network, create=False) as store:
                dry = blocks.dry(store)
            if not dry:
                return
            _await_more(request, conf, blocks, dry, until)
    except CNIError as error:
        if error.code == Code.INVALID_CONFIG:
            raise
        full = CNIError(Code.NOT_AVAILABLE, error.msg, error.details)
        if (
            error.code != Code.TRY_AGAIN_LATER
            or conf.ipam.status_when_full == "unavailable"
        ):
            raise full from error
        request.log.warning(str(full))


PLUGIN = Plugin(
    "cluster-pool",
    conf=ClusterPoolConf,
    add=add,
    delete=verbs.delete,
    check=check,
    gc=verbs.gc,
    status=status,
    is_ipam=True,
    keeps_records=False,
    expect=expect,
)
