# SPDX-License-Identifier: Apache-2.0
"""Which backend carries the rules on this host, and why.

Rules belong where a packet would else be dropped: in firewalld's zone where firewalld
runs, in the filter table of iptables where its FORWARD chain drops by default. Where
nothing drops, nftables does it alone.
"""

from __future__ import annotations

from cni_common.allowed.rules import ZONES
from cni_common.kernel import forward_chains
from cni_common.kernel.iptables import FAMILIES, has_legacy
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from cni_common.allowed.filter_table import FilterTable
    from cni_common.kernel.forward_chains import ForwardChain, Step
    from cni_common.parts.allowed import Allowed

# What a configuration may ask for; nothing, for what the host has.
NFTABLES, IPTABLES, FIREWALLD = "nftables", "iptables", "firewalld"
_VERSION_OF = {family: version for version, family in FAMILIES.items()}


class Host(NamedTuple):
    """What drops on this host: chains, and the variants of iptables among them.

    firewalld tells whether it runs, None where it was not asked.
    """

    chains: tuple[ForwardChain, ...]
    variants: tuple[str, ...]
    firewalld: bool | None

    def places(self) -> frozenset[str]:
        """Return the places where rules of ours are needed beside nftables."""
        return frozenset({*self.variants, *([ZONES] if self.firewalld else [])})


class Choice(NamedTuple):
    """Where rules go: `filters` of iptables or else nftables, and firewalld or not.

    why is for the log; dropping names chains that drop and that no rule of ours passes.
    """

    filters: tuple[str, ...]
    firewalld: bool
    why: str
    dropping: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = ["firewalld"] if self.firewalld else []
        parts += ["iptables"] if self.filters else []
        return " and ".join(parts) or "nftables"


def look(backend: str = "") -> Host:
    """Return what drops, as far as it matters to `backend`.

    Raises Code.INTERNAL where firewalld is to be used and is not there, or hangs.
    """
    asked = backend not in {NFTABLES, IPTABLES}
    firewalld = _firewalld_runs() if asked else None
    if backend == FIREWALLD and not firewalld:
        msg = "use backend firewalld: firewalld is not running"
        raise CNIError(Code.INTERNAL, msg)
    chains = tuple(_dropping(forward_chains.forward_chains()))
    return Host(chains, tuple(sorted(_variants(chains))), firewalld)


def of(host: Host, part: Allowed) -> Choice:
    """Return what carries the rules of `part`, as `choose` does."""
    of_whom = part.addresses or part.pools
    versions = frozenset(each.version for each in of_whom)
    return choose(host, part.backend, versions, guards=bool(part.guarded))


def choose(
    host: Host, backend: str, versions: frozenset[int], *, guards: bool
) -> Choice:
    """Return what carries the rules for addresses of the IP `versions`.

    `guards` tells whether links are kept apart. Raises Code.INTERNAL without the
    commands for the backend iptables.
    """
    used = sorted(versions)
    if backend == IPTABLES:
        return _iptables(host, used, guards=guards)
    firewalld = bool(host.firewalld) and backend != NFTABLES
    out_of_reach = tuple(str(chain) for chain in host.chains if not _is_iptables(chain))
    if firewalld:
        # Its own table ends in a reject, which the zone is the way around.
        out_of_reach = tuple(c for c in out_of_reach if " firewalld " not in c)
    if backend == NFTABLES:
        tables = (f"iptables-{v} FORWARD" for v in host.variants)
        why = "the configuration says so"
        return Choice((), False, why, (*out_of_reach, *tables))
    usable = [v for v in host.variants if _has_commands(v, used)]
    unusable = (f"iptables-{v} FORWARD" for v in host.variants if v not in usable)
    return Choice(
        _filters(usable, used, guards=guards),
        firewalld,
        _reason(backend, usable, firewalld=firewalld),
        (*out_of_reach, *unusable),
    )


def _iptables(host: Host, used: Collection[int], *, guards: bool) -> Choice:
    """Return the choice of what `iptables` means here, and what drops besides."""
    from cni_common import iptables_command  # noqa: PLC0415 - not for the others
    from cni_common.allowed.filter_table import FilterTable  # noqa: PLC0415 - likewise

    default = iptables_command.default_variant()
    if default is None:
        msg = "use backend iptables: iptables is not installed"
        raise CNIError(Code.INTERNAL, msg)
    variants = sorted({*host.variants, default})
    for variant in variants:
        for version in used:
            FilterTable.open(f"{variant}{version}")
    filters = _filters(variants, used, guards=guards)
    return Choice(filters, firewalld=False, why="the configuration says so")


def _filters(
    variants: Iterable[str], used: Collection[int], *, guards: bool
) -> tuple[str, ...]:
    """Return the filter tables that rules are needed in.

    Where links are kept apart those of both versions of IP: a container can give itself
    an address of the other one, and the bridge has a link-local one to route for it.
    """
    return tuple(
        f"{variant}{version}"
        for variant in variants
        for version in FAMILIES
        if version in used or (used and guards and _is_usable(f"{variant}{version}"))
    )


def _find(name: str) -> FilterTable | None:
    from cni_common.allowed.filter_table import FilterTable  # noqa: PLC0415 - rare

    return FilterTable.find(name)


def _is_usable(name: str) -> bool:
    table = _find(name)
    return table is not None and table.is_usable()


def _reason(backend: str, variants: Collection[str], *, firewalld: bool) -> str:
    reasons = []
    if firewalld:
        asked = backend == FIREWALLD
        reasons.append("the configuration says so" if asked else "firewalld is running")
    reasons += [f"FORWARD of iptables-{variant} drops" for variant in variants]
    return "; ".join(reasons) or "no chain of the host drops what is forwarded"


def _firewalld_runs() -> bool:
    from cni_common import firewalld  # noqa: PLC0415 - not for the other backends

    if not firewalld.is_running():
        return False
    firewalld.await_answer()
    return True


def _dropping(chains: Iterable[ForwardChain]) -> Iterator[ForwardChain]:
    """Yield the chains that drop by default.

    Of tables other than iptables' own the policy alone is asked for: their rules
    could not be read without the elements of their sets, which may be many.
    """
    for chain in chains:
        if not _is_iptables(chain):
            if chain.policy == "drop" or chain.table == "firewalld":
                yield chain
        elif forward_chains.drops(chain.name, chain.policy, _reader(chain)):
            yield chain


def _reader(chain: ForwardChain) -> Callable[[str], list[Step]]:
    return lambda name: forward_chains.steps(chain.family, chain.table, name)


def _is_iptables(chain: ForwardChain) -> bool:
    return (
        chain.family in _VERSION_OF
        and chain.table == "filter"
        and chain.name == "FORWARD"
    )


def _variants(dropping: Iterable[ForwardChain]) -> set[str]:
    found = {"nft" for chain in dropping if _is_iptables(chain)}
    for version in FAMILIES:
        if has_legacy(version, "filter"):
            table = _find(f"legacy{version}")
            if table is None:
                continue
            if forward_chains.drops("FORWARD", table.policy(), table.steps):
                found.add("legacy")
    return found


def _has_commands(variant: str, versions: Iterable[int]) -> bool:
    return all(_find(f"{variant}{version}") for version in versions)
