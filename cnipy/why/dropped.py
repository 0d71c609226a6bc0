# SPDX-License-Identifier: Apache-2.0
"""What dropped a packet: a rule or a policy, whose it is, and what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.kernel import iptables
from cnipy.why.cause import Cause

if TYPE_CHECKING:
    from cni_common.kernel.nft_trace import Event
    from cnipy.why.leg import Trail

_OWN = "cnipy_"
_IPV4 = 4
_LEGACY = ("filter", "mangle", "raw")
_COMMANDS = {4: "iptables", 6: "ip6tables"}
# Beginning of a table of ours -> what it is for, and what would change it.
_PURPOSES = {
    "cnipy_spoofcheck": (
        "macspoofchk: the frame's MAC is not the one that the container was given",
        "give the interface the MAC of its ADD; `cnipy show` has it",
    ),
    "cnipy_firewall": (
        "ingressPolicy of firewall: these networks, or containers, are kept apart",
        "attach both to one network, or write another ingressPolicy into the list",
    ),
    "cnipy_portmap": (
        "portmap: nobody beyond a link may speak to, or as, 127.0.0.0/8",
        "use an address of the host that is not its own loopback",
    ),
    "cnipy_duplicates": (
        "a second copy of a frame, on a promiscuous bridge with br_netfilter",
        "",
    ),
}


def by(trail: Trail, event: Event) -> Cause:
    """Return the cause that an event of dropping is."""
    chain = f"{event.family} {event.table} {event.chain}"
    rule = trail.place.rule(event)
    where = trail.place.name
    if event.kind == "policy":
        text = f"no rule of {chain} accepts it, and its policy is drop"
        change = (_accept(event, trail), *_firewall(event))
        return Cause("dropped", where, text, change)
    text = f"a rule of {chain} drops it: {rule or f'handle {event.handle}'}"
    for prefix, (purpose, change_of_ours) in _PURPOSES.items():
        if event.table.startswith(prefix):
            ours = (change_of_ours,) if change_of_ours else ()
            return Cause("dropped", where, f"{text} ({purpose})", ours, rule)
    at = f"{chain} handle {event.handle}"
    change = (f"nft delete rule {at}   # in {where}", _accept(event, trail))
    return Cause("dropped", where, text, change, rule)


def _accept(event: Event, trail: Trail) -> str:
    """Return a rule for the front of the chain that would accept the packet."""
    before = trail.events[: trail.events.index(event)]
    told = [each for each in before if each.destination is not None]
    ends = told[-1] if told else event
    matches = ""
    if ends.source is not None and ends.destination is not None:
        version = "ip6" if ends.source.version == 6 else "ip"  # noqa: PLR2004 - the family's number
        matches = f" {version} saddr {ends.source} {version} daddr {ends.destination}"
    chain = f"{event.family} {event.table} {event.chain}"
    return f"nft insert rule {chain}{matches} accept   # in {trail.place.name}"


def _firewall(event: Event) -> tuple[str, ...]:
    if event.table.startswith(_OWN) or "forward" not in event.chain.lower():
        return ()
    return ('write {"type": "firewall"} into the list, or `cnipy repair` if it is',)


def untraced(trail: Trail, *hooks: str) -> Cause | None:
    """Return that the packet ended at a hook where iptables-legacy has rules, if so.

    Those are not traced: it came to the first station there, and not to the last.
    """
    ended = [h for h in hooks if trail.reached(h) and not trail.passed(h)]
    ends = trail.arrived or trail.ends
    version = ends[0].version if ends else _IPV4
    with trail.place.inside():
        tables = [t for t in _LEGACY if iptables.has_legacy(version, t)]
    if not ended or not tables:
        return None
    command = f"{_COMMANDS[version]}-legacy"
    text = (
        f"it ended at the hook {ended[0]}, and no rule of nftables tells of it: "
        f"{command} has rules there"
    )
    look = "; ".join(f"{command} -t {table} -S {ended[0].upper()}" for table in tables)
    return Cause("dropped-untraced", trail.place.name, text, (look,))
