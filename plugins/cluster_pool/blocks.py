# SPDX-License-Identifier: Apache-2.0
"""The blocks of addresses that this node has, as range sets: one a family."""

from __future__ import annotations

from cni_common.leases import ranges
from cni_common.leases.allocate import has_free, is_exhausted
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cni_common.leases.ranges import Range, RangeSet
    from cni_common.leases.store import Store
    from cni_common.spec.fields import IPAddress, IPNetwork

# Fewer free addresses of a family, and the agent is asked for the next block.
LOW = 16


@dataclass(frozen=True)
class Blocks:
    """What addresses are given of: `sets`, one of each of the `families`.

    A family of which there is no block has no set. `former` are blocks that give no
    address any more, `pools` what the blocks are parts of. An agent has more of them if
    they are `from_agent`.
    """

    sets: tuple[RangeSet, ...]
    families: tuple[int, ...]
    pools: tuple[IPNetwork, ...] = ()
    former: tuple[Range, ...] = ()
    from_agent: bool = False

    def number_of(self, version: int) -> int:
        """Return how many blocks of a family there are, former ones included."""
        present = [item for one in self.sets for item in one.ranges]
        return sum(e.subnet.version == version for e in (*present, *self.former))

    def known(self) -> list[RangeSet]:
        """Return sets in which every address lies that was ever given."""
        return [*self.sets, *(ranges.range_set([each]) for each in self.former)]

    def dry(self, store: Store | None, wanted: Sequence[IPAddress | None] = ()) -> int:
        """Return the first family of which an ADD would find no address, 0 for none.

        `wanted` are the addresses asked for, by set; there that is another matter.
        """
        for version in self.families:
            if all(one.version != version for one in self.sets):
                return version
        for number, one in enumerate(self.sets):
            asked = wanted[number] if wanted else None
            full = not one.size if store is None else is_exhausted(store, number, one)
            if asked is None and full:
                return one.version
        return 0

    def low(self, store: Store) -> list[int]:
        """Return the families of which there are few addresses left."""
        return [
            one.version
            for number, one in enumerate(self.sets)
            if not has_free(store, number, one, LOW)
        ]

    def refuse_foreign(self, requested: Iterable[IPAddress]) -> None:
        """Raise Code.INVALID_CONFIG for an address of the pools that is not ours."""
        for address in requested:
            mine = any(address in one for one in self.sets)
            if not mine and any(address in pool for pool in self.pools):
                msg = f"allocate addresses: {address} is in no block of this node"
                raise CNIError(Code.INVALID_CONFIG, msg, f"it has {self}")

    def dry_error(self, version: int, code: Code, reason: CNIError | None) -> CNIError:
        """Return the error for a family that is `dry`, with the `reason` if known."""
        own = [each for each in self.sets if each.version == version]
        subnets = [str(item.subnet) for each in own for item in each.ranges]
        cause = "this node has no block of it"
        if own:
            cause = f"all addresses of {', '.join(subnets)} are leased"
        msg = f"allocate IPv{version} address: {cause}"
        if reason is not None:
            msg = f"{msg}; {reason.msg}"
        free = "`cnipy gc` frees addresses of containers that are gone"
        details = f"{reason.details}; {free}" if reason and reason.details else free
        return CNIError(code, msg, details)

    def __str__(self) -> str:
        subnets = (str(item.subnet) for one in self.sets for item in one.ranges)
        return ", ".join(subnets) or "none"


def sets_of(found: Iterable[Range]) -> tuple[RangeSet, ...]:
    """Return the ranges as sets, one a family; raises ValueError where they overlap."""
    by_family: dict[int, list[Range]] = {}
    for each in found:
        by_family.setdefault(each.subnet.version, []).append(each)
    return tuple(ranges.range_set(by_family[version]) for version in sorted(by_family))
