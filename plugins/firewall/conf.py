# SPDX-License-Identifier: Apache-2.0
"""What an administrator may write for firewall."""

from __future__ import annotations

from pydantic import BeforeValidator, Field

from cni_common.parts.allowed import ADMIN_CHAIN, FIREWALLD_ZONE
from cni_common.spec.characters import ALPHANUMERIC, consists_of
from cni_common.spec.environment import IFNAME_MAX
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Subnet  # noqa: TC001 - pydantic reads it
from cni_common.spec.netconf import WITHOUT_HOST_END, NetConf
from cni_common.spec.typed import Annotated
from cni_common.spec.values import StrEnum

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_WORD = f"{ALPHANUMERIC}_"
ZONE_MAX = 17
CHAIN_MAX = 28  # XT_EXTENSION_MAXNAMELEN less one
# Chains of the kernel, targets of iptables, and those that have another purpose here.
_TAKEN = frozenset(
    {"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"}
    | {"ACCEPT", "DROP", "RETURN", "QUEUE", "REJECT", "LOG"}
    | {"CNI-FORWARD", "CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"}
)


class Backend(StrEnum):
    """What carries the rules; AUTOMATIC goes by what the host has."""

    AUTOMATIC = ""
    NFTABLES = "nftables"
    IPTABLES = "iptables"
    FIREWALLD = "firewalld"


class Policy(StrEnum):
    """ingressPolicy: who may open connections to a container by forwarding."""

    OPEN = "open"
    SAME_BRIDGE = "same-bridge"
    ISOLATED = "isolated"


def _backend(value: object) -> object:
    return _member(Backend, value)


def _policy(value: object) -> object:
    return Policy.OPEN if value == "" else _member(Policy, value)


def _member(words: type[StrEnum], value: object) -> object:
    """Return `value` as one of `words`; what is no text is left to the strict type."""
    if not isinstance(value, str):
        return value
    if value not in {str(word) for word in words}:
        known = ", ".join(f'"{word}"' for word in words)
        msg = f"unknown word {value!r}, known are {known}"
        raise ValueError(msg)
    return words(value)


class FirewallConf(NetConf):
    """The configuration of firewall."""

    backend: Annotated[Backend, BeforeValidator(_backend)] = Backend.AUTOMATIC
    ingress_policy: Annotated[
        Policy,
        BeforeValidator(_policy),
        Field(json_schema_extra={"enum": ["", *Policy]}),
    ] = Policy.OPEN
    iptables_admin_chain_name: Annotated[
        str, Field(json_schema_extra={"maxLength": CHAIN_MAX})
    ] = ADMIN_CHAIN
    firewalld_zone: str = FIREWALLD_ZONE
    remote_pools: Annotated[list[Subnet] | None, Field(alias="pools")] = None
    overlay_link: Annotated[str, Field(json_schema_extra={"maxLength": IFNAME_MAX})] = (
        ""
    )

    @property
    def admin_chain(self) -> str:
        """The administrator's chain in iptables."""
        return self.iptables_admin_chain_name or ADMIN_CHAIN

    @property
    def zone(self) -> str:
        """The zone of firewalld that gets the addresses."""
        return self.firewalld_zone or FIREWALLD_ZONE

    def doubts(
        self,
        declared: Collection[str],  # noqa: ARG002 - as the base's
        before: Sequence[NetConf],
    ) -> list[str]:
        """Return that there is no link of the host to guard."""
        found = [each.type for each in before if each.type in WITHOUT_HOST_END]
        if self.ingress_policy == Policy.OPEN:
            return []
        return [f"ingressPolicy finds no link of {kind} to guard" for kind in found[:1]]

    def check_names(self) -> None:
        """Raise Code.INVALID_CONFIG for a chain, zone or link that cannot be called so.

        And for pools that say of nobody, or twice of somebody, that he is a neighbour.
        """
        chain = self.admin_chain
        if not _is_chain(chain):
            raise _invalid("iptablesAdminChainName", chain, "not a chain's name")
        if chain in _TAKEN:
            raise _invalid("iptablesAdminChainName", chain, "it has another purpose")
        if not _is_zone(self.zone):
            raise _invalid("firewalldZone", self.zone, "not a zone's name")
        self._check_pools()

    def _check_pools(self) -> None:
        pools, link = self.remote_pools or [], self.overlay_link
        if link and not _is_link(link):
            raise _invalid("overlayLink", link, "not a link's name")
        if link and not pools:
            cause = "without pools nobody is known to come by it"
            raise _invalid("overlayLink", link, cause)
        for number, pool in enumerate(pools):
            if not pool.prefixlen:
                raise _invalid("pools", str(pool), "those are all addresses")
            for other in pools[:number]:
                if pool.version == other.version and pool.overlaps(other):
                    raise _invalid("pools", str(pool), f"it overlaps {other}")


def _is_chain(name: str) -> bool:
    fitting = consists_of(name, f"{_WORD}.:-") and len(name) <= CHAIN_MAX
    return fitting and name[0] in _WORD


def _is_link(name: str) -> bool:
    named = name not in {".", ".."} and len(name.encode()) <= IFNAME_MAX
    return (
        named and nameable(name) and not set(name) & set("/: ") and name.isprintable()
    )


def nameable(name: str) -> bool:
    """Tell whether rules can name a link.

    Some characters end or escape a name in the language of a rule; a "+" at the end in
    iptables and a "*" in nft stand for any rest.
    """
    return not (set('"\\*') & set(name) or name.endswith("+") or name.startswith("!"))


def _is_zone(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= 2 and all(  # noqa: PLR2004 - a zone within a policy
        consists_of(part, f"{_WORD}-") and len(part) <= ZONE_MAX for part in parts
    )


def _invalid(key: str, value: str, cause: str) -> CNIError:
    return CNIError(Code.INVALID_CONFIG, f"use {key} {value!r}: {cause}")
