# SPDX-License-Identifier: Apache-2.0
"""CHECK: what ADD put into the kernel is still there."""

from __future__ import annotations

from cni_common.spec.errors import CNIError, Code
from plugins.portmap import detach, elements, guard, ledger, localnet, rules
from plugins.portmap.claims import Claim

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.own_table import Elements
    from cni_common.naming import Attachment
    from plugins.portmap.claims import Port


def check_published(attachment: Attachment, wanted: dict[Port, list[Claim]]) -> None:
    """Raise code 999 unless `wanted`, under the conditions that its ADD had, is claimed
    and the kernel acts on it.

    A port that another interface of the same container answers is not looked up for
    this one, so its element is not expected.
    """
    held = ledger.load(wanted)
    if detach.read(attachment) is None:
        raise _missing(f"record of {attachment}")
    expected: Elements = {}
    for port, claims in wanted.items():
        own = [claim for claim in held[port] if claim.attachment == attachment]
        if len(own) != len(claims) or not all(map(Claim.is_as, own, claims)):
            raise _missing(f"claim of {attachment} on {port}")
        expected |= elements.of_claims(port, held[port])
    every = (claim for claims in held.values() for claim in claims)
    table = rules.table(sorted(ledger.scopes(every)))
    missing = table.missing(expected, thorough=True)
    if missing:
        raise _missing(missing)


def check_localnet(link: str) -> None:
    """Raise code 999 unless `link` lets answers to 127.0.0.1 pass."""
    if not localnet.is_on(link):
        raise _missing(f"sysctl net/ipv4/conf/{link}/route_localnet = 1")
    if not guard.is_whole(link):
        raise _missing(f"filter of link {link} for 127.0.0.0/8")


def _missing(what: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"check published ports: missing {what}")
