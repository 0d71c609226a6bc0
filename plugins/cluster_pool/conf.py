# SPDX-License-Identifier: Apache-2.0
"""What cluster-pool reads of the network configuration, and of files on the node."""

from __future__ import annotations

from pydantic import AfterValidator, Field

from cni_common.leases import ranges
from cni_common.leases.keys import AbsolutePath, LeasingConf, LeasingIpam
from cni_common.pool import held, pod_cidr
from cni_common.pool.pod_cidr import PodCidr
from cni_common.spec.errors import CNIError, Code, invalid_key
from cni_common.spec.typed import Annotated
from plugins.cluster_pool.blocks import Blocks, sets_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.leases.ranges import Range, RangeSet
    from cni_common.spec.fields import IPNetwork
    from cni_common.spec.netconf import Pool
    from cni_common.spec.request import Request


def _cidrs(text: str) -> str:
    pod_cidr.of_text(text)
    return text


class IpamConf(LeasingIpam):
    """`ipam`; without a CIDR of the node the agent says which blocks there are."""

    pod_cidr: Annotated[str, AfterValidator(_cidrs)] = Field(
        default="", alias="podCIDR"
    )
    pod_cidr_file: AbsolutePath = Field(default="", alias="podCIDRFile")


class ClusterPoolConf(LeasingConf):
    """The configuration of the delegating plugin, as an IPAM plugin sees it."""

    ipam: IpamConf = Field(default_factory=IpamConf)

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG for CIDRs that are no blocks."""
        del request
        self._blocks_of(PodCidr(pod_cidr.of_text(self.ipam.pod_cidr)))

    def blocks(self) -> Blocks:
        """Return the blocks that this node has now.

        Those that the configuration tells, the runtime or the cluster's file; without
        any of these those that the agent has written down. Raises Code.TRY_AGAIN_LATER
        where there are none yet, and what is wrong with a file.
        """
        told = PodCidr(pod_cidr.of_text(self.ipam.pod_cidr))
        if self.ipam.pod_cidr_file:
            more = pod_cidr.of_file(self.ipam.pod_cidr_file)
            told = PodCidr((*told.blocks, *more.blocks), more.pools)
        if told.blocks or self.runtime_config.ip_ranges:
            return self._blocks_of(told)
        return self._blocks_of_agent()

    def range_sets(self) -> list[RangeSet]:
        """Return the sets that addresses are given of; raises as `blocks` does."""
        return list(self.blocks().sets)

    def pools(self) -> list[Pool]:
        """Return the blocks, and what they are parts of; none where nothing is told."""
        try:
            found = self.blocks()
        except CNIError:
            return []
        whole = [(pool, pool[0], pool[-1], None) for pool in found.pools]
        return [*whole, *ranges.pools(found.sets)]

    def _blocks_of(self, told: PodCidr) -> Blocks:
        try:
            sets = sets_of([*self._sent(), *self._ranges(told.blocks)])
        except ValueError as error:
            raise invalid_key("ipam", str(error)) from error
        families = tuple(each.version for each in sets)
        pools = tuple(pool for pool in told.pools if pool.version in families)
        return Blocks(sets, families, pools)

    def _ranges(self, blocks: Iterable[IPNetwork]) -> list[Range]:
        """Return blocks as ranges; raises ValueError for one that is too small."""
        return [ranges.of_block(block, self.ipam.exclude) for block in blocks]

    def _sent(self) -> list[Range]:
        """Return the runtime's ranges; raises ValueError."""
        every = (each for one in self.runtime_config.ip_ranges for each in one)
        return [each.canonical(self.ipam.exclude) for each in every]

    def _blocks_of_agent(self) -> Blocks:
        found = held.read(self.name)
        if found is None:
            msg = f"read {held.path(self.name)}: no such file"
            raise CNIError(Code.TRY_AGAIN_LATER, msg, _NOT_JOINED)
        families = tuple(sorted(pool.version for pool in found.pools))
        usable = [each for version in families for each in found.usable(version)]
        rest = [each for each in found.blocks if each not in usable]
        return Blocks(
            sets_of(self._ranges(usable)),
            families,
            found.pools,
            former=tuple(map(ranges.of_block, rest)),
            from_agent=True,
        )


_NOT_JOINED = (
    "`cnipy net join` has this node join the network; without an agent the node's "
    "addresses stand in podCIDR or podCIDRFile"
)
