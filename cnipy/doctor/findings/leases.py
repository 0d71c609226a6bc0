# SPDX-License-Identifier: Apache-2.0
"""Addresses that nobody uses and nobody gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy import addresses, dead, explain
from cnipy.attachment import from_environment
from cnipy.doctor import wanted
from cnipy.doctor.finding import Finding
from cnipy.doctor.findings import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination
    from cnipy.network import Network

_ANYBODY = "/run/netns/container"  # who would ask for an address next
_FULL = "no IP addresses available"
_OF_BLOCKS = "cluster-pool"
_BLOCKS = (
    "cnipy net status   # why there is no further block; or give the node a larger "
    "podCIDR"
)
_SHOWN = 3


def find_stale(node: Examination) -> Iterator[Finding]:
    """Yield networks that have leases, ports and rules of containers that are gone.

    Where nobody can tell whether they are, `cnipy gc` says so.
    """
    stale: dict[str, list[str]] = {}
    plugins = [p for p in node.suite.names if node.suite.plugin(p).keeps_records]
    traces = dead.traces(node.runtime, plugins)
    for owner, left in sorted(traces.items(), key=lambda pair: pair[0]):
        if not left.lives and not left.unclear and node.only in {None, owner.network}:
            stale.setdefault(owner.network, []).append(owner.container_id)
    for network, ids in stale.items():
        what = "addresses and ports stay taken by containers that are gone"
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        cause = f"nobody has called DEL for {', '.join(ids[:_SHOWN])}{more}"
        yield Finding("stale-leases", what, cause, ("cnipy gc",), network)


def find_full(node: Examination) -> Iterator[Finding]:
    """Yield networks that have no address left to give."""
    env = {**node.runtime.invoker.env, "CNI_PATH": ":".join(node.runtime.invoker.path)}
    for network in node.networks:
        types = wanted.types(network)
        if not addresses.LEASING.intersection(types):
            continue
        attachment = from_environment(_ANYBODY, {})
        try:
            explain.steps(node.suite, network, attachment, env)
        except CNIError as error:
            is_full = error.code == Code.TRY_AGAIN_LATER and _FULL in error.msg
            if is_full and not nodes.grows(network.name):
                file = node.files[network.name]
                more = f"write a larger subnet, or one range more, into {file}"
                yield _full(network, error, _BLOCKS if _OF_BLOCKS in types else more)


def _full(network: Network, error: CNIError, more: str) -> Finding:
    what = "no container can be attached any more"
    cause = f"{error.msg}; {error.details}".rstrip("; ")
    return Finding("range-full", what, cause, ("cnipy gc", more), network.name)
