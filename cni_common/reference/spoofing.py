# SPDX-License-Identifier: Apache-2.0
"""macspoofchk of the reference: chains in the bridge family's table `nat`."""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.foreign_rules import deletion, rules, settled
from cni_common.reference import names

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment

BASE = "PREROUTING"


def delete(attachment: Attachment) -> None:
    """No rule of the reference watches the MAC of `attachment` any more."""
    settled(_chains, attachment)


def _chains(attachment: Attachment) -> None:
    chains = names.spoof_chains(attachment)
    present = [chain for chain in chains if rules("bridge", "nat", chain) is not None]
    if not present:
        return
    base = rules("bridge", "nat", BASE) or []
    doomed = [rule for rule in base if rule.target in present]
    commands = [deletion("bridge", "nat", rule) for rule in doomed]
    commands += [f"flush chain bridge nat {chain}" for chain in present]
    commands += [f"delete chain bridge nat {chain}" for chain in present]
    nft.run("\n".join(commands))
